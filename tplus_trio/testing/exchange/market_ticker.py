"""The ticker of a market: its best prices, and the statistics of its last day."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from tplus_trio.models import Trade
from tplus_trio.testing.exchange.depth_book import Level, number_text

__all__ = ["ticker_json"]

_DAY_NS: Final = 86_400 * 1_000_000_000


def ticker_json(
    asset: str,
    trades: Sequence[Trade],
    best: tuple[Level | None, Level | None],
    now_ns: int,
) -> dict[str, Any]:
    """Return a ticker as JSON.

    Args:
        asset: The market.
        trades: All its trades, oldest first; the day ends with the last of them.
        best: The best bid and ask.
        now_ns: The ticker's time if there is no trade, in nanoseconds.
    """
    bid, ask = (
        None if level is None else {"price": number_text(level[0]), "size": number_text(level[1])} for level in best
    )
    ticker: dict[str, Any] = {"asset_id": asset, "best_bid": bid, "best_ask": ask}
    if not trades:
        return {**ticker, "volume_24h": "0", "timestamp_ns": now_ns}
    last = trades[-1]
    day: list[Trade] = []
    for trade in reversed(trades):
        if trade.timestamp_ns <= last.timestamp_ns - _DAY_NS:
            break
        day.append(trade)
    first = day[-1].price
    change = last.price - first
    percent = change / first * 100 if first else Decimal(0)
    return {
        **ticker,
        "last_price": number_text(last.price),
        "volume_24h": number_text(sum((trade.quantity for trade in day), Decimal(0))),
        "high_24h": number_text(max(trade.price for trade in day)),
        "low_24h": number_text(min(trade.price for trade in day)),
        "price_change_24h": number_text(change),
        "price_change_pct_24h": number_text(percent),
        "timestamp_ns": last.timestamp_ns,
    }
