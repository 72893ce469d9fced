"""Short forms of orders and events of the matching engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Side,
)
from tplus_trio.testing.matching.engine import (
    Accepted,
    Amended,
    Done,
    Event,
    Fill,
    LevelChanged,
    Rejected,
    Replaced,
)

BUY, SELL = Side.BUY, Side.SELL


ASSET = AssetIdentifier(200)


Details: TypeAlias = LimitOrderDetails | MarketOrderDetails


def limit(price: int, quantity: int, in_force: GTC | GTD | IOC | None = None) -> LimitOrderDetails:
    return LimitOrderDetails(price, quantity, in_force or GTC())


def market(quantity: int, cap: int | None = None, *, fill_or_kill: bool = False) -> MarketOrderDetails:
    return MarketOrderDetails(MarketQuantity(base_asset=MarketBaseQuantity(quantity, cap)), fill_or_kill)


def by_amount(amount: int, cap: int | None = None, *, fill_or_kill: bool = False) -> MarketOrderDetails:
    return MarketOrderDetails(MarketQuantity(quote_asset=MarketQuoteQuantity(amount, cap)), fill_or_kill)


def brief(event: Event) -> tuple[Any, ...]:
    """Abbreviate an event, without its levels."""
    match event:
        case Accepted(order):
            return "accepted", order.order_id
        case Rejected(order_id, reason):
            return "rejected", order_id, reason
        case Fill():
            return "fill", event.price, event.quantity, event.maker.order_id, event.taker.order_id
        case Done(state, reason):
            return "done", state.order_id, reason, state.filled, state.amount
        case Replaced(state):
            return "replaced", state.order_id, state.filled, state.remaining
        case Amended(state):
            return "amended", state.order_id, state.filled, state.remaining
        case LevelChanged(side, price, quantity):
            return "level", side, price, quantity


def briefs(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    return [brief(event) for event in events if not isinstance(event, LevelChanged)]
