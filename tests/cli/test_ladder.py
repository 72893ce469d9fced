"""The ladder: its rows, its bars, its numbers, and books that are not as usual."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.cli.screens import BOOK, screen_lines
from tplus_trio import OrderBook
from tplus_trio.cli.ladder import Ladder, as_text, describe_spread, number_column


def test_asks_stand_above_bids_and_the_best_prices_meet() -> None:
    lines = screen_lines(Ladder(BOOK), 60, 8)
    prices = [line.split()[2] for line in lines if line[:1] == " " and line.split()[0] != "total"]
    assert prices == ["10.15", "10.10", "10.05", "10.00", "9.95"]
    assert lines[0].split() == ["total", "quantity", "price", "asks"]
    assert lines[4].startswith("─ spread 0.05 · 49.88 bp · mid 10.025 ─")
    assert lines[4].endswith("─ bids")
    # The totals count from the best price on.
    assert [line.split()[0] for line in lines[1:4]] == ["12.501", "12.500", "2.500"]
    assert [line.split()[0] for line in lines[5:7]] == ["5.000", "6.000"]


def test_bars_are_as_long_as_their_quantities() -> None:
    lines = screen_lines(Ladder(BOOK), 80, 8)
    bars = {line.split()[2]: line.split()[3] for line in lines if "█" in line or "▏" in line}
    longest = len(bars["10.10"])
    assert set(bars["10.10"]) == {"█"}
    assert len(bars["10.00"]) == pytest.approx(longest / 2, abs=1)
    assert len(bars["10.05"]) == pytest.approx(longest / 4, abs=1)
    assert bars["10.15"] == "▏", "the least quantity shows too"


def test_points_stand_below_each_other() -> None:
    lines = screen_lines(Ladder(BOOK), 60, 8)
    assert {line.index(".", 20) for line in lines[1:4]} == {lines[1].index(".", 20)}
    assert number_column([Decimal("1.5"), Decimal(10), Decimal("0.001")]) == ["1.500", "10.000", "0.001"]


def test_long_numbers_show_that_digits_are_missing() -> None:
    assert number_column([Decimal("0.123456789")]) == ["0.12345679…"]
    assert number_column([Decimal(10) ** 30]) == ["1.00000E+30"]
    assert number_column([]) == []


@pytest.mark.parametrize("height", [2, 3, 5, 8, 20])
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_it_fits_its_place(width: int, height: int) -> None:
    lines = screen_lines(Ladder(BOOK), width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    assert sum("spread" in line for line in lines) == 1, "the spread is always shown"


@pytest.mark.parametrize("width", range(30, 60))
def test_the_line_of_the_spread_fits(width: int) -> None:
    line = screen_lines(Ladder(BOOK), width, 8)[4]
    said = len("─ spread 0.05 · 49.88 bp · mid 10.025 bids")
    assert line.endswith("bids") is (width >= said)
    assert len(line) == width if width >= said else len(line) <= width


def test_few_rows_show_the_best_levels() -> None:
    lines = screen_lines(Ladder(BOOK), 60, 4)
    assert [line.split()[2] for line in (lines[1], lines[3])] == ["10.05", "10.00"]


def test_at_most_so_many_levels() -> None:
    lines = screen_lines(Ladder(BOOK, levels=1), 60, 20)
    assert [line.split()[2] for line in lines if line.startswith(" ") and "." in line] == ["10.05", "10.00"]


def test_marks_stand_beside_their_prices() -> None:
    lines = screen_lines(Ladder(BOOK, marks={Decimal("10.05"): "◆", Decimal("9.95"): "◇◆"}), 60, 8)
    assert "10.05 ◆ " in lines[3]
    assert "9.95 ◇◆ " in lines[6]
    assert not any("◆" in line for line in (*lines[:3], *lines[4:6]))


BID, ASK = ("10.00", "1"), ("10.05", "1")


@pytest.mark.parametrize(
    ("bids", "asks", "said"),
    [
        ([], [], "the book is empty"),
        ([BID], [], "no asks"),
        ([], [ASK], "no bids"),
        ([("10.06", "1")], [ASK], "CROSSED by 0.01"),
        ([("10.05", "1")], [ASK], "LOCKED: best bid = best ask"),
        ([BID], [ASK], "spread 0.05 · 49.88 bp · mid 10.025"),
        ([("0", "1")], [("0.00", "1")], "LOCKED: best bid = best ask"),
    ],
)
def test_books_that_are_not_as_usual(bids: list[tuple[str, str]], asks: list[tuple[str, str]], said: str) -> None:
    book = OrderBook(asks=asks, bids=bids, sequence_number=1)
    assert describe_spread(book) == said
    lines = screen_lines(Ladder(book), 60, 10)
    assert sum(said in line for line in lines) == 1
    levels = [line for line in lines if line.startswith(" ") and "." in line]
    assert len(levels) == len(bids) + len(asks)


def test_a_terminal_without_unicode() -> None:
    lines = screen_lines(Ladder(BOOK), 60, 8, encoding="ascii")
    assert all(line.isascii() for line in lines)
    assert "#" in lines[2]
    assert "spread 0.05 | 49.88 bp" in lines[4]


def test_as_lines_of_text() -> None:
    lines = as_text(BOOK, None, 60, is_plain=False)
    assert [line.split()[2] for line in lines if line.startswith(" ")] == [
        "price", "10.15", "10.10", "10.05", "10.00", "9.95",
    ]  # fmt: skip
    assert len(as_text(BOOK, 1, 60, is_plain=True)) == 4
