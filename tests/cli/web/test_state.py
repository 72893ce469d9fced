"""What the page is told of a book."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.screens import LOST, NOW_NS, make_view
from tplus_trio import OrderBook
from tplus_trio.cli.web.state import page_state
from tplus_trio.models import BookLost, Timebar
from tplus_trio.streams.stats import StreamState


def state(candles: tuple[Timebar, ...] = (), levels: int = 2, **changes: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(page_state(make_view(**changes), candles, levels))
    return decoded


def book_of(book: OrderBook) -> dict[str, Any]:
    shown: dict[str, Any] = state(book=book)["book"]
    return shown


def test_a_live_book() -> None:
    shown = state()
    assert (shown["word"], shown["market"], shown["why"], shown["rows"]) == ("LIVE", "200", "", 2)
    assert shown["figures"][:3] == ["#1234", "5,012 messages/s", "last message 0.0 s ago"]
    assert shown["book"] == {
        "asks": [["10.05", "2.5", "2.5", 0.25], ["10.10", "10.0", "12.5", 1.0]],
        "bids": [["10.00", "5.0", "5.0", 0.5], ["9.95", "1.0", "6.0", 0.1]],
        "spread": "spread 0.05 · 49.88 bp · mid 10.025",
        "isWrong": False,
        "depth": {
            "asks": {"x": [10.05, 10.1, 10.15], "y": [2.5, 12.5, 12.501]},
            "bids": {"x": [10, 9.95], "y": [5, 6]},
        },
    }
    assert shown["trades"] == [["12:00:10", "buy", "0.5", "10.05"]]
    assert shown["candles"]["x"] == []


def test_a_lost_book_has_no_price() -> None:
    shown = state(lost=LOST)
    assert (shown["word"], shown["book"]) == ("LOST", None)
    assert shown["why"] == "no price is valid  ·  for 2.5 s  ·  no pong within 1 s"
    assert not any(figure.startswith("#") for figure in shown["figures"])


def test_a_book_that_was_never_in_sync() -> None:
    shown = state(book=None, state=StreamState.BACKOFF, error="refused")
    assert (shown["word"], shown["book"], shown["why"]) == ("CONNECTING", None, "waiting to connect again: refused")


@pytest.mark.parametrize(
    ("bids", "asks", "spread", "is_wrong"),
    [
        ([], [], "the book is empty", False),
        ([], [(10, 1)], "no bids", False),
        ([(10, 1)], [], "no asks", False),
        ([(11, 1)], [(10, 1)], "CROSSED by 1", True),
        ([(10, 1)], [(10, 1)], "LOCKED: best bid = best ask", True),
    ],
)
def test_unusual_books(bids: list[Any], asks: list[Any], spread: str, is_wrong: bool) -> None:
    shown = book_of(OrderBook(asks=asks, bids=bids, sequence_number=1))
    assert (shown["spread"], shown["isWrong"]) == (spread, is_wrong)
    assert (len(shown["bids"]), len(shown["depth"]["asks"]["x"])) == (len(bids), len(asks))


def test_what_a_service_sent_is_escaped() -> None:
    shown = state(lost=BookLost("<b>\u202e\x1b[2J</b>", NOW_NS))
    assert shown["why"].endswith(r"<b>\u202e\x1b[2J</b>")


def test_candles() -> None:
    numbers = (Decimal(1), Decimal(2), Decimal("0.5"), Decimal(3), Decimal(4))
    candle = Timebar(*numbers, 60 * 10**9, 120 * 10**9)
    shown = state((candle,))["candles"]
    assert shown == {"width": 60_000, "x": [60_000], "open": [1], "close": [2], "low": [0.5], "high": [3]}
