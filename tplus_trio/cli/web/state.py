"""What the page shows of a live book at one moment, as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from tplus_trio.cli.book_screen import explain, figures
from tplus_trio.cli.book_view import BookView
from tplus_trio.cli.ladder import SideRows, describe_spread, format_sides, number_column
from tplus_trio.cli.show import short, time_of_day
from tplus_trio.models import OrderBook, PriceLevel, Timebar, Trade

__all__ = ["page_state"]

#: The most trades that the page shows.
_TRADES: Final = 40


def page_state(view: BookView, candles: Sequence[Timebar], levels: int) -> bytes:
    """Return what the page shows, as JSON.

    While the book is out of sync, it has no level and no spread.

    Args:
        view: The book.
        candles: The candles, oldest first.
        levels: The most levels of each side in the ladder. The depth chart has all levels of the view.
    """
    book = view.book
    state = {
        "market": str(short(view.asset)),
        "word": view.word,
        "why": "" if book is not None else explain(view),
        "figures": [*_sequence(book), f"{view.rate:,.0f} messages/s", *figures(view)],
        "rows": levels,
        "book": None if book is None else _book(book, levels),
        "trades": _trades(view.trades[:_TRADES]),
        "candles": _candles(candles),
    }
    return msgspec.json.encode(state)


def _sequence(book: OrderBook | None) -> list[str]:
    return [] if book is None else [f"#{book.sequence_number}"]


def _book(book: OrderBook, levels: int) -> dict[str, Any]:
    asks, bids = format_sides(book.asks[:levels], book.bids[:levels])
    spread = describe_spread(book)
    return {
        "asks": _rows(asks),
        "bids": _rows(bids),
        "spread": spread,
        "isWrong": spread.startswith(("CROSSED", "LOCKED")),
        "depth": {"asks": _depth(book.asks), "bids": _depth(book.bids)},
    }


def _rows(side: SideRows) -> list[tuple[str, str, str, float]]:
    """Return price, quantity, total, and the length of the bar (at most 1) of each level, best first."""
    shares = (round(share, 4) for share in side.shares)
    return list(zip(side.prices, side.quantities, side.totals, shares, strict=True))


def _depth(side: Sequence[PriceLevel]) -> dict[str, list[float]]:
    """Return the prices of a side and the quantity up to each, best first."""
    totals: list[float] = []
    total = Decimal(0)
    for level in side:
        total += level.quantity
        totals.append(float(total))
    return {"x": [float(level.price) for level in side], "y": totals}


def _trades(trades: Sequence[Trade]) -> list[tuple[str, str, str, str]]:
    """Return time, the taker's side, quantity and price of each trade."""
    times = (time_of_day(trade.timestamp_ns)[:8] for trade in trades)
    sides = ("sell" if trade.buyer_is_maker else "buy" for trade in trades)
    quantities = number_column(trade.quantity for trade in trades)
    prices = number_column(trade.price for trade in trades)
    return list(zip(times, sides, quantities, prices, strict=True))


def _candles(candles: Sequence[Timebar]) -> dict[str, Any]:
    return {
        "width": (candles[-1].close_timestamp_ns - candles[-1].open_timestamp_ns) // 1_000_000 if candles else 0,
        # Milliseconds since 1970: what JavaScript counts time in.
        "x": [candle.open_timestamp_ns // 1_000_000 for candle in candles],
        "open": [float(candle.open) for candle in candles],
        "high": [float(candle.high) for candle in candles],
        "low": [float(candle.low) for candle in candles],
        "close": [float(candle.close) for candle in candles],
    }
