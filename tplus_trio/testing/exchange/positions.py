"""Positions: the sums of a user's trades in each market."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import attrs

from tplus_trio.models import AssetIdentifier, UserTrade
from tplus_trio.testing.exchange.depth_book import number_text

__all__ = ["basis_json", "positions_json"]

_NOTHING = Decimal(0)


@attrs.define
class _Sums:
    """One market and sub-account: base bought and sold, quote paid and received, and the price entered at."""

    bought: Decimal = _NOTHING
    sold: Decimal = _NOTHING
    paid: Decimal = _NOTHING
    received: Decimal = _NOTHING
    size: Decimal = _NOTHING
    entry_price: Decimal | None = None
    last_price: Decimal = _NOTHING

    def add(self, trade: UserTrade) -> None:
        """Add a trade. If it increases the position, the entry price moves; if it reduces it, it does not."""
        amount = trade.price * trade.quantity
        change = trade.quantity if trade.is_buyer else -trade.quantity
        if trade.is_buyer:
            self.bought += trade.quantity
            self.paid += amount
        else:
            self.sold += trade.quantity
            self.received += amount
        before, self.size = self.size, self.size + change
        if not self.size:
            self.entry_price = None
        elif before * change < 0:
            if before * self.size < 0:  # the position changed sides
                self.entry_price = trade.price
        else:
            held = (self.entry_price or _NOTHING) * abs(before)
            self.entry_price = (held + amount) / abs(self.size)
        self.last_price = trade.price


def positions_json(trades: Iterable[UserTrade], asset: str | None = None) -> list[dict[str, Any]]:
    """Return the open positions of a user's trades, one for each market and sub-account.

    Credits and liabilities are the sums received and given, in base and in quote units. Trades that are rolled back do
    not count. Margin is not modelled.

    Args:
        trades: A user's trades, oldest first.
        asset: The market; None is all markets.
    """
    sums: dict[tuple[AssetIdentifier, int], _Sums] = {}
    for trade in trades:
        if trade.status != "Rollbacked" and asset in (None, trade.asset_id):
            sums.setdefault((trade.asset_id, trade.sub_account), _Sums()).add(trade)
    return [_position_json(market, account, one) for (market, account), one in sums.items() if one.size]


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


def _position_json(asset: AssetIdentifier, account: int, sums: _Sums) -> dict[str, Any]:
    entry = sums.entry_price
    profit = None if entry is None else (sums.last_price - entry) * sums.size
    return {
        "asset_id": asset,
        "sub_account_index": account,
        "name": f"account {account}",
        "side": "long" if sums.size > 0 else "short",
        "size": number_text(abs(sums.size)),
        "entry_price": None if entry is None else number_text(entry),
        "mark_price": number_text(sums.last_price),
        "unrealized_pnl": None if profit is None else number_text(profit),
        "margin": None,
        "leverage": None,
        "liquidation_price": None,
        "base_credits": number_text(sums.bought),
        "base_liabilities": number_text(sums.sold),
        "quote_credits": number_text(sums.received),
        "quote_liabilities": number_text(sums.paid),
    }
