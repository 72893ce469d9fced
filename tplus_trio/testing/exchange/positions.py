"""Positions: the sums of a user's trades in each market and sub-account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import attrs

from tplus_trio.models import UserTrade
from tplus_trio.testing.exchange.depth_book import number_text

__all__ = ["PositionSum", "basis_json", "position_json", "sum_trades"]

_NOTHING: Final = Decimal(0)


@attrs.define
class PositionSum:
    """One market and sub-account of a user: what was bought and sold, and the price entered at.

    Trades count from their match on, pending ones too. Trades that were rolled back do not count.

    Attributes:
        bought: In base units.
        sold: In base units.
        paid: In quote units, fees included.
        received: In quote units, rebates included.
        entry_price: The average price of what is open, in quote units; None if nothing is.
    """

    bought: Decimal = _NOTHING
    sold: Decimal = _NOTHING
    paid: Decimal = _NOTHING
    received: Decimal = _NOTHING
    entry_price: Decimal | None = None

    @property
    def size(self) -> Decimal:
        """The open quantity in base units; negative if it is short."""
        return self.bought - self.sold

    @property
    def cash(self) -> Decimal:
        """What the trades received less what they paid, in quote units."""
        return self.received - self.paid

    def add(self, trade: UserTrade) -> None:
        """Add a trade. The entry price moves if the trade increases the position, not if it reduces it."""
        before = self.size
        self._add_flows(trade, 1)
        change = self.size - before
        if not self.size:
            self.entry_price = None
        elif before * self.size < 0:  # the position changed sides
            self.entry_price = trade.price
        elif before * change >= 0:
            held = (self.entry_price or _NOTHING) * abs(before)
            self.entry_price = (held + trade.price * trade.quantity) / abs(self.size)

    def take_back(self, trade: UserTrade, kept: Iterable[UserTrade]) -> None:
        """Take a trade back that was rolled back.

        Args:
            trade: The trade.
            kept: The user's trades that still count, in this market and sub-account, oldest first.
        """
        self._add_flows(trade, -1)
        again = sum_trades(kept)
        if again.size == self.size:
            self.entry_price = again.entry_price
        elif not self.size:
            self.entry_price = None

    def unrealized_pnl(self, mark: Decimal) -> Decimal:
        """Return the profit of what is open, in quote units, if it were closed at ``mark``."""
        return _NOTHING if self.entry_price is None else (mark - self.entry_price) * self.size

    def _add_flows(self, trade: UserTrade, sign: int) -> None:
        quantity, amount = sign * trade.quantity, sign * trade.price * trade.quantity
        if trade.is_buyer:
            self.bought += quantity
            self.paid += amount
        else:
            self.sold += quantity
            self.received += amount
        fee = sign * trade.trading_fee
        if trade.trading_fee > 0:
            self.paid += fee
        else:
            self.received -= fee


def sum_trades(trades: Iterable[UserTrade]) -> PositionSum:
    """Return the sum of trades of one market and sub-account, oldest first."""
    found = PositionSum()
    for trade in trades:
        found.add(trade)
    return found


def position_json(asset: str, account: int, name: str, found: PositionSum, mark: Decimal) -> dict[str, Any]:
    """Return a position as JSON: quantities in base units, prices and amounts in quote units."""
    entry = found.entry_price
    return {
        "asset_id": asset,
        "sub_account_index": account,
        "name": name,
        "side": "long" if found.size > 0 else "short",
        "size": number_text(abs(found.size)),
        "entry_price": None if entry is None else number_text(entry),
        "mark_price": number_text(mark),
        "unrealized_pnl": None if entry is None else number_text(found.unrealized_pnl(mark)),
        "margin": None,
        "leverage": None,
        "liquidation_price": None,
        "base_credits": number_text(found.bought),
        "base_liabilities": number_text(found.sold),
        "quote_credits": number_text(found.received),
        "quote_liabilities": number_text(found.paid),
    }


def basis_json(position: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cost basis of a position, which is given as JSON."""
    entry = position["entry_price"]
    return {
        "sub_account": position["sub_account_index"],
        "asset_id": position["asset_id"],
        "domain": "margin",
        "side": position["side"],
        "quantity": position["size"],
        "cost": number_text(Decimal(position["size"]) * Decimal(entry)),
        **{name: position[name] for name in ("entry_price", "mark_price", "unrealized_pnl")},
    }
