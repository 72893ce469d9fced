"""What an order would trade: the parts of matching that need no book."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from tplus_trio.models import LimitOrderDetails, Side
from tplus_trio.testing.matching.engine_events import EngineOrder, OrderState, RejectReason

__all__ = ["NOTHING", "UNLIMITED", "Plan", "budget_of", "moves_of", "refusal_reason", "with_terms"]

#: A quantity or amount larger than that of any order.
UNLIMITED: Final = 1 << 200


@attrs.frozen
class Plan:
    """What an order would trade now; planning does not change the book."""

    #: The resting orders that it would trade with, and the quantity of each trade.
    trades: list[tuple[OrderState, int]]
    #: Whether it would be filled completely.
    complete: bool
    #: Whether it would stop at an order of its own user.
    meets_itself: bool


NOTHING: Final = Plan([], complete=False, meets_itself=False)


def moves_of(taker: EngineOrder, trades: Iterable[tuple[OrderState, int]]) -> list[tuple[EngineOrder, int]]:
    """Return both sides of each planned trade: the order, and the quantity."""
    return [(order, quantity) for maker, quantity in trades for order in (maker.order, taker)]


def budget_of(state: OrderState) -> tuple[int, int]:
    """Return how much an order may still trade: the base quantity, and the quote amount."""
    details = state.order.details
    if isinstance(details, LimitOrderDetails):
        return state.remaining, UNLIMITED
    buys = state.order.side is Side.BUY
    if (by_base := details.quantity.base_asset) is not None:
        cap = by_base.max_sellable_amount
        return by_base.quantity, UNLIMITED if cap is None or not buys else cap
    by_amount = details.quantity.quote_asset
    assert by_amount is not None
    cap = by_amount.max_sellable_quantity
    return UNLIMITED if cap is None or buys else cap, by_amount.quantity


def refusal_reason(order: EngineOrder, plan: Plan) -> RejectReason | None:
    """Return why an order with this plan is refused; None if it is not."""
    if order.fill_or_kill and not plan.complete:
        return "SELF_TRADE_PREVENTED" if plan.meets_itself else "FOK_NOT_FILLABLE"
    if order.post_only and (plan.trades or plan.meets_itself):
        return "POST_ONLY_WOULD_CROSS"
    return None


def with_terms(state: OrderState, price: int, quantity: int) -> OrderState:
    """Return a limit order with another price and total quantity."""
    details = attrs.evolve(state.order.limit, limit_price=price, quantity=quantity)
    return attrs.evolve(state, order=attrs.evolve(state.order, details=details))
