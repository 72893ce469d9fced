"""Renders what the command line shows, without a terminal; and books to show."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from rich.console import RenderableType

from tplus_trio import AssetIdentifier, BookLost, OrderBook, Trade
from tplus_trio.cli.book_view import BookView
from tplus_trio.cli.screen import Painter
from tplus_trio.streams.stats import StreamState

__all__ = ["BOOK", "LOST", "MARKET", "NOW_NS", "cells", "make_view", "screen_lines"]

MARKET = AssetIdentifier(200)
NOW_NS = 43_210 * 10**9
BOOK = OrderBook(
    asks=[("10.05", "2.5"), ("10.10", "10"), ("10.15", "0.001")],
    bids=[("10.00", "5"), ("9.95", "1")],
    sequence_number=1234,
)
LOST = BookLost("no pong within 1 s", NOW_NS - 2_500_000_000)
_ROW = re.compile(r"\x1b\[(\d+);1H\x1b\[2K([^\r\n]*?)(?=\x1b\[\d+;1H|$)", re.DOTALL)
_STYLE = re.compile(r"\x1b\[[\d;]*m")


def screen_lines(frame: RenderableType, width: int, height: int, encoding: str = "utf-8") -> list[str]:
    """Return what a terminal of this size shows, without styles."""
    return cells(Painter(encoding).paint(frame, width, height), height)


def cells(painted: str, height: int) -> list[str]:
    """Return the rows that a painted frame writes, without styles."""
    rows = [""] * height
    for row, text in _ROW.findall(painted):
        rows[int(row) - 1] = _STYLE.sub("", text)
    return [row.rstrip() for row in rows]


def make_view(**changes: Any) -> BookView:
    """Make a view of a live book; of a lost one with ``lost=LOST``."""
    trades = (Trade(MARKET, 2, Decimal("10.05"), Decimal("0.5"), NOW_NS, False),)
    fields: dict[str, Any] = {
        "asset": MARKET,
        "state": StreamState.LIVE,
        "book": BOOK,
        "rate": 5012.4,
        "silence": 0.02,
        "trades": trades,
        "now_ns": NOW_NS,
        **changes,
    }
    if fields.get("lost") is not None:
        fields |= {"book": None, "state": changes.get("state", StreamState.BACKOFF)}
    return BookView(**fields)
