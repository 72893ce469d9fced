"""What an order has traded, by the status of its trades."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import attrs

__all__ = ["FillSum", "OrderFills"]

_NOTHING: Final = Decimal(0)


@attrs.frozen
class FillSum:
    """The sum of some trades of one order.

    Attributes:
        quantity: In base units, because the units of the book may change.
        amount: In quote units.
        fees: In quote units; a rebate is negative.
    """

    quantity: Decimal = _NOTHING
    amount: Decimal = _NOTHING
    fees: Decimal = _NOTHING

    def plus(self, quantity: Decimal, amount: Decimal, fee: Decimal) -> FillSum:
        """Return the sum with one more trade; negative numbers take it away again."""
        return FillSum(self.quantity + quantity, self.amount + amount, self.fees + fee)


@attrs.frozen
class OrderFills:
    """The trades of one order: those that are pending, those that are confirmed, and those that were rolled back."""

    pending: FillSum = attrs.field(factory=FillSum)
    confirmed: FillSum = attrs.field(factory=FillSum)
    rolled_back: FillSum = attrs.field(factory=FillSum)

    def after(self, quantity: Decimal, amount: Decimal, fee: Decimal, before: str | None, status: str) -> OrderFills:
        """Return what the order traded after a trade moved from one status to another.

        Args:
            quantity: The trade's quantity, in base units.
            amount: The trade's amount, in quote units.
            fee: The order's fee for the trade, in quote units.
            before: The status until now; None for a new trade.
            status: The status from now on. A status that is not known counts as pending.
        """
        left = self if before is None else self._with(before, -quantity, -amount, -fee)
        return left._with(status, quantity, amount, fee)

    def _with(self, status: str, quantity: Decimal, amount: Decimal, fee: Decimal) -> OrderFills:
        name = {"Confirmed": "confirmed", "Rollbacked": "rolled_back"}.get(status, "pending")
        changed: FillSum = getattr(self, name).plus(quantity, amount, fee)
        return attrs.evolve(self, **{name: changed})
