"""Formats events, one a line: as text for people and as JSON for programs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from functools import singledispatch
from typing import Final, cast

from tplus_trio import codec
from tplus_trio.escapes import escape_json
from tplus_trio.models import (
    BookLevel,
    Gap,
    KlineUpdate,
    LimitOrderDetails,
    OrderBook,
    OrderBookDiff,
    OrderCreatedEvent,
    OrderEvent,
    OrdersSnapshot,
    PriceLevel,
    Ticker,
    Trade,
    UnknownOrderEvent,
    UserTrade,
)

__all__ = ["as_json", "as_text", "describe", "short", "time_of_day", "utc"]

#: How many levels of a diff are shown on each side.
_LEVELS: Final = 2
#: The fields of an order event that are printed after its type and order id, if the event has them.
_TERMS: Final = ("reason", "status", "new_quantity", "new_price", "filled_quantity", "remaining_quantity")


def as_text(feed: str, asset: str, event: object) -> str:
    """Format an event as one line of text.

    Args:
        feed: The feed's name, which begins the line.
        asset: The market, for events that do not name it.
        event: The event.
    """
    label = short(_asset_of(event) or asset)
    return "  ".join(part for part in (f"{feed:<11}", label, describe(event)) if part)


def as_json(event: object) -> str:
    """Format an event as one line of JSON: its wire form without signatures, preceded by its class's name as ``kind``.

    Without ``kind``, a book and a diff would look alike. Numbers have no exponents, and characters that are not
    printable are escaped as in JSON.
    """
    fields = codec.encode(_without_signatures(codec.unstructure(event))).decode()[1:]
    return escape_json(f'{{"kind":"{type(event).__name__}",{fields}')


def _without_signatures(value: object) -> object:
    """Return JSON values without the fields that hold signatures."""
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {name: _without_signatures(inner) for name, inner in fields.items() if not _is_signature(name)}
    if isinstance(value, list):
        return [_without_signatures(inner) for inner in cast("list[object]", value)]
    return value


def _is_signature(name: str) -> bool:
    return name == "additional_signers" or name.endswith("signature")


def short(name: str) -> str:
    """Shorten an asset or a key of more than 24 characters to its distinctive part."""
    if len(name) <= 24:
        return name
    address, at, chain = name.partition("@")
    return f"{address[:8]}…@{chain[-6:]}" if at else f"{address[:8]}…"


def _asset_of(event: object) -> str:
    """The market that an event names; empty if it names none."""
    if isinstance(event, OrderCreatedEvent):
        return event.user_order.base_asset
    asset: object = getattr(event, "asset_id", "")
    return asset if isinstance(asset, str) else ""


def time_of_day(ns: int | None) -> str:
    """Format nanoseconds since 1970 as a time of day in UTC, to the millisecond."""
    if ns is None:
        return "-"
    try:
        moment = dt.datetime.fromtimestamp(ns // 1_000_000_000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"
    return f"{moment:%H:%M:%S}.{ns // 1_000_000 % 1000:03}"


def utc(ns: int) -> str:
    """Format nanoseconds since 1970 as a date and time in UTC, to the second."""
    try:
        return f"{dt.datetime.fromtimestamp(ns // 1_000_000_000, dt.UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"


def _number(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:f}"


def _term(value: object) -> str:
    return _number(value) if isinstance(value, Decimal) else str(value)


def _levels(name: str, levels: Sequence[PriceLevel]) -> str:
    shown = ", ".join(f"{_number(price)} = {_number(quantity)}" for price, quantity in levels[:_LEVELS])
    more = f", and {len(levels) - _LEVELS} more" if len(levels) > _LEVELS else ""
    return f"  {name} {shown}{more}" if levels else ""


def _level(level: BookLevel | None) -> str:
    return "-" if level is None else f"{_number(level.price)} = {_number(level.size)}"


def _best(levels: Sequence[PriceLevel]) -> str:
    return _number(levels[0].price) if levels else "-"


@singledispatch
def describe(event: object) -> str:
    """Format an event as text, without the feed and the market."""
    return _words(codec.unstructure(event))


def _words(value: object) -> str:
    """Format the fields of a plain object, one after the other."""
    if isinstance(value, dict):
        return "  ".join(f"{name} {_words(inner)}" for name, inner in cast("dict[str, object]", value).items())
    if isinstance(value, list):
        return f"[{', '.join(map(_words, cast('list[object]', value)))}]"
    return "-" if value is None else str(value)


@describe.register
def _(event: OrderBook) -> str:
    best = f"best {_best(event.bids)} / {_best(event.asks)}"
    return f"#{event.sequence_number}  bids {len(event.bids)}  asks {len(event.asks)}  snapshot, {best}"


@describe.register
def _(event: OrderBookDiff) -> str:
    levels = _levels("bid", event.bids) + _levels("ask", event.asks)
    return f"#{event.sequence_number}  bids {len(event.bids)}  asks {len(event.asks)}{levels}"


@describe.register
def _(event: Trade) -> str:
    taker = "sold" if event.buyer_is_maker else "bought"
    deal = f"{taker} {_number(event.quantity)} at {_number(event.price)}"
    return f"#{event.trade_id}  {time_of_day(event.timestamp_ns)}  {deal}  {event.status}"


@describe.register
def _(event: UserTrade) -> str:
    what, role = "bought" if event.is_buyer else "sold", "maker" if event.is_maker else "taker"
    deal = f"{what} {_number(event.quantity)} at {_number(event.price)} as {role}"
    return f"#{event.trade_id}  {time_of_day(event.timestamp_ns)}  {deal}  {event.status}  order {event.order_id}"


@describe.register
def _(event: KlineUpdate) -> str:
    return (
        f"{time_of_day(event.open_timestamp_ns)}  open {_number(event.open)}  high {_number(event.high)}  "
        f"low {_number(event.low)}  close {_number(event.close)}  volume {_number(event.volume)}"
    )


@describe.register
def _(event: Ticker) -> str:
    return (
        f"{time_of_day(event.timestamp_ns)}  last {_number(event.last_price)}  bid {_level(event.best_bid)}  "
        f"ask {_level(event.best_ask)}  24 h: volume {_number(event.volume_24h)}  "
        f"high {_number(event.high_24h)}  low {_number(event.low_24h)}"
    )


@describe.register
def _(event: OrderEvent) -> str:
    terms = [f"{name} {_term(value)}" for name in _TERMS if (value := getattr(event, name, None)) is not None]
    return "  ".join([event.event_type.lower(), getattr(event, "order_id", ""), *terms])


@describe.register
def _(event: OrderCreatedEvent) -> str:
    order, terms = event.user_order, event.user_order.details
    what = (
        f"{_term(terms.quantity)} at {_term(terms.limit_price)}"
        if isinstance(terms, LimitOrderDetails)
        else "at market"
    )
    return f"created  {order.order_id}  {order.side} {what}"


@describe.register
def _(event: UnknownOrderEvent) -> str:
    return f"unknown  {event.variant}  fields {', '.join(event.payload) or 'none'}"


@describe.register
def _(event: OrdersSnapshot) -> str:
    return f"snapshot  {time_of_day(event.timestamp_ns)}  orders {len(event.orders)}"


@describe.register
def _(event: Gap) -> str:
    return f"gap from {time_of_day(event.since_ns)} to {time_of_day(event.until_ns)}: {event.reason}"
