"""What an order has traded, by the status of its trades."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import attrs

__all__ = ["FillSum", "OrderFills"]

_NOTHING: Final = Decimal(0)


@attrs.define
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

    def add(self, quantity: Decimal, amount: Decimal, fee: Decimal) -> None:
        """Add one trade; negative numbers take it away again."""
        self.quantity += quantity
        self.amount += amount
        self.fees += fee


@attrs.define
class OrderFills:
    """The trades of one order: those that are pending, those that are confirmed, and those that were rolled back."""

    pending: FillSum = attrs.field(factory=FillSum)
    confirmed: FillSum = attrs.field(factory=FillSum)
    rolled_back: FillSum = attrs.field(factory=FillSum)

    def change(self, quantity: Decimal, amount: Decimal, fee: Decimal, before: str | None, after: str) -> None:
        """Move a trade from one status to another; ``before`` is None for a new trade.

        Args:
            quantity: The trade's quantity, in base units.
            amount: The trade's amount, in quote units.
            fee: The order's fee for the trade, in quote units.
            before: The status until now.
            after: The status from now on. A status that is not known counts as pending.
        """
        if before is not None:
            self._sum(before).add(-quantity, -amount, -fee)
        self._sum(after).add(quantity, amount, fee)

    def _sum(self, status: str) -> FillSum:
        if status == "Confirmed":
            return self.confirmed
        return self.rolled_back if status == "Rollbacked" else self.pending
