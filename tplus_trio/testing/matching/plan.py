"""What an order would trade: the parts of matching that need no book."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from tplus_trio.models import (
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Side,
)
from tplus_trio.testing.matching.engine_events import EngineOrder, OrderState, RejectReason

__all__ = [
    "NOTHING",
    "UNLIMITED",
    "Plan",
    "budget_of",
    "moves_of",
    "refusal_reason",
    "rescaled",
    "rescaled_units",
    "with_terms",
]

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


def rescaled_units(units: int, shift: int) -> int:
    """Return a number of units after the decimals changed by ``shift``.

    Raises:
        ValueError: The number cannot be expressed with so few decimals.
    """
    factor: int = 10 ** abs(shift)
    if shift >= 0:
        return units * factor
    scaled, rest = divmod(units, factor)
    if rest:
        raise ValueError(f"{units} units of an open order cannot be expressed with {-shift} decimals less")
    return scaled


def rescaled(state: OrderState, price_shift: int, quantity_shift: int) -> OrderState:
    """Return an order after the decimals of prices and quantities changed.

    Raises:
        ValueError: A number of the order cannot be expressed with so few decimals.
    """
    details = state.order.details
    amount_shift = price_shift + quantity_shift
    if isinstance(details, LimitOrderDetails):
        new: LimitOrderDetails | MarketOrderDetails = attrs.evolve(
            details,
            limit_price=rescaled_units(details.limit_price, price_shift),
            quantity=rescaled_units(details.quantity, quantity_shift),
        )
    else:
        base, quote = details.quantity.base_asset, details.quantity.quote_asset
        size = MarketQuantity(
            base_asset=base
            and MarketBaseQuantity(
                rescaled_units(base.quantity, quantity_shift), _cap(base.max_sellable_amount, amount_shift)
            ),
            quote_asset=quote
            and MarketQuoteQuantity(
                rescaled_units(quote.quantity, amount_shift), _cap(quote.max_sellable_quantity, quantity_shift)
            ),
        )
        new = attrs.evolve(details, quantity=size)
    return OrderState(
        attrs.evolve(state.order, details=new),
        rescaled_units(state.filled, quantity_shift),
        rescaled_units(state.amount, amount_shift),
    )


def _cap(cap: int | None, shift: int) -> int | None:
    return None if cap is None else rescaled_units(cap, shift)
