"""The screen of a live book: what it says in each state, at each size, with and without colours."""

from __future__ import annotations

import pytest

from tests.helpers.screens import BOOK, LOST, make_view, screen_lines
from tplus_trio import BookLost, OrderBook
from tplus_trio.cli.book_screen import BookScreen
from tplus_trio.cli.book_view import BookView
from tplus_trio.cli.screen import Painter
from tplus_trio.streams.stats import FeedLag, StreamState, StreamStats

SIZES = [(40, 8), (72, 20), (80, 24), (120, 40), (200, 60)]
STROKE = "\N{BOX DRAWINGS LIGHT DIAGONAL UPPER RIGHT TO LOWER LEFT}"
LIVE = make_view()
LOST_VIEW = make_view(lost=LOST)
CONNECTING = make_view(book=None, state=StreamState.CONNECTING, error="refused", trades=(), silence=None)


def shown(view: BookView, width: int = 80, height: int = 24, **options: object) -> list[str]:
    screen = BookScreen(view, None, "http://host", **options)  # type: ignore[arg-type]  # any option of a screen
    return screen_lines(screen, width, height)


@pytest.mark.parametrize("view", [LIVE, LOST_VIEW, CONNECTING], ids=["live", "lost", "connecting"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_fits_the_terminal(view: BookView, width: int, height: int) -> None:
    lines = shown(view, width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith(f" {view.word} ")
    assert lines[-1].endswith("Ctrl-C ends")


def test_a_live_book() -> None:
    view = make_view(stats=StreamStats(gaps=3, resyncs=2, connects=1), lag=FeedLag(seconds=0.004, bound=0.5))
    lines = shown(view)
    assert lines[0] == " LIVE   market 200  #1234  5,012 messages/s"
    assert "last message 0.0 s ago" in lines[1]
    assert "trade lag at most 504 ms  gaps 3  resyncs 2  connects 1" in lines[1]
    assert any("10.05" in line and "last trades" not in line for line in lines)
    assert any("12:00:10 buy" in line and "0.5  10.05" in line for line in lines)
    assert "http://host" in lines[-1]


def test_the_newest_log_message_stands_at_the_bottom() -> None:
    assert shown(LIVE, log_line="trying again in 1 s")[-1].startswith(" trying again in 1 s")


def test_a_lost_book_shows_no_price() -> None:
    """Without colours too: the word, the hatching, and no level at all."""
    lines = shown(LOST_VIEW)
    assert lines[0].startswith(" LOST  market 200  no price is valid  ·  for 2.5 s  ·  no pong within 1 s")
    assert any("L O S T" in line for line in lines)
    assert any("waiting to connect again" in line for line in lines)
    assert sum(STROKE * 20 in line for line in lines) > 10
    text = "\n".join(line[:44] for line in lines[2:-1])
    prices = [f"{level.price:f}" for level in (*BOOK.bids, *BOOK.asks)]
    assert not any(price in text for price in prices)
    assert "spread" not in text


@pytest.mark.parametrize("no_color", [False, True])
def test_lost_is_reverse_and_red(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    painted = Painter().paint(BookScreen(LOST_VIEW, None, ""), 80, 24)
    bar = painted.partition("LOST")[0].rpartition("\x1b[")[2].partition("m")[0].split(";")
    assert "7" in bar, "reverse"
    assert ("31" in bar) is not no_color, "red"
    first_row = painted.partition("\x1b[2;1H")[0]
    assert first_row.count(" ") + len("LOST") > 10
    assert ("\x1b[31m" in painted or ";31m" in painted or "31;" in painted) is not no_color


def test_a_reason_of_the_service_is_escaped() -> None:
    view = make_view(lost=BookLost("evil \x1b[2J text", LOST.since_ns))
    painted = Painter().paint(BookScreen(view, None, ""), 120, 24)
    assert "evil \\x1b[2J text" in painted
    assert "evil \x1b" not in painted


def test_before_the_first_snapshot() -> None:
    lines = shown(CONNECTING)
    assert lines[0].startswith(" CONNECTING  market 200  connecting: refused")
    assert any("waiting for the first snapshot" in line for line in lines)
    assert not any(STROKE in line for line in lines)


@pytest.mark.parametrize(
    ("book", "said"),
    [
        (OrderBook(sequence_number=1), "the book is empty"),
        (OrderBook(bids=[("10", "1")], sequence_number=1), "no asks"),
        (OrderBook(asks=[("10", "1")], sequence_number=1), "no bids"),
        (OrderBook(asks=[("10", "1")], bids=[("11", "1")], sequence_number=1), "CROSSED by 1"),
    ],
)
def test_books_that_are_not_as_usual(book: OrderBook, said: str) -> None:
    assert any(said in line for line in shown(make_view(book=book)))


@pytest.mark.parametrize(("width", "height"), [(39, 24), (80, 7), (1, 1), (10, 3)])
def test_a_terminal_that_is_too_small(width: int, height: int) -> None:
    lines = shown(LIVE, width, height)
    assert len(lines) == height
    if width * height > 30:
        assert "40 x 8" in "".join(lines)
