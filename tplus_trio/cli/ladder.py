"""Draws an order book as a ladder: asks above, bids below, each level with a bar of its quantity. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeAlias, cast

import attrs
from rich.cells import set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from tplus_trio.models import OrderBook, PriceLevel

__all__ = ["Ladder", "SideRows", "as_text", "describe_spread", "format_sides", "number_column", "show_number"]

Line: TypeAlias = list[Segment]

_PARTS: Final = " ▏▎▍▌▋▊▉"
#: Digits after the point, and characters of a number, that are shown at most.
_DECIMALS, _LONGEST = 8, 16
#: The most columns of a bar: a longer one says no more.
_BAR: Final = 60

_DIM: Final = Style(dim=True)
_ASK, _BID = Style(color="red"), Style(color="green")
_WARNING: Final = Style(color="yellow", bold=True, reverse=True)
_BOLD: Final = Style(bold=True)


def show_number(value: Decimal, decimals: int) -> str:
    """Format a number with so many digits after the point; ``…`` stands for digits that are left out."""
    text = f"{value:.{decimals}f}"
    if len(text) > _LONGEST:
        return f"{value:.5E}"
    return text if Decimal(text) == value else f"{text}…"


def number_column(values: Iterable[Decimal]) -> list[str]:
    """Format numbers so that their points stand below each other, if they are aligned to the right."""
    values = list(values)
    digits = (-cast("int", value.as_tuple().exponent) for value in values)
    decimals = max(0, min(_DECIMALS, max(digits, default=0)))
    return [show_number(value, decimals) for value in values]


def describe_spread(book: OrderBook) -> str:
    """Say what lies between the best prices: the spread and the middle, or what is wrong with the book."""
    if not book.bids and not book.asks:
        return "the book is empty"
    if not book.asks:
        return "no asks"
    if not book.bids:
        return "no bids"
    bid, ask = book.bids[0].price, book.asks[0].price
    (spread,) = number_column([ask - bid])
    if ask < bid:
        return f"CROSSED by {spread.removeprefix('-')}"
    if ask == bid:
        return "LOCKED: best bid = best ask"
    middle = (ask + bid) / 2
    points = f" · {float((ask - bid) / middle * 10_000):.2f} bp" if middle else ""
    return f"spread {spread}{points} · mid {middle:.8g}"


@attrs.frozen
class SideRows:
    """The levels of one side as text, best first."""

    prices: list[str]
    quantities: list[str]
    totals: list[str]
    #: The quantity of each level as a share of the largest one in the book.
    shares: list[float]


@attrs.frozen
class Ladder:
    """A book as a ladder, as high and as wide as the place that it is given.

    Attributes:
        book: The best levels of each side. Levels for which there is no room are not shown.
        levels: The most levels of a side that are shown; None for as many as there is room for.
        marks: What is shown beside a price, such as an order of one's own; one or two characters each.
    """

    book: OrderBook
    levels: int | None = None
    marks: Mapping[Decimal, str] = {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        height = options.height or len(self.book.asks) + len(self.book.bids) + 2
        for index, line in enumerate(self._lines(options.max_width, height, is_plain=options.ascii_only)):
            if index:
                yield Segment.line()
            yield from line

    def _lines(self, width: int, height: int, *, is_plain: bool) -> list[Line]:
        room = max(0, height - 2)  # besides the headings and the spread
        most = room if self.levels is None else self.levels
        above = min(most, (room + 1) // 2)
        below = min(most, room - above)
        asks, bids = self.book.asks[:above], self.book.bids[:below]
        ask_rows, bid_rows = format_sides(asks, bids)
        widths = [
            max(len(title), *(len(text) for text in texts), 8)
            for title, texts in (
                ("price", ask_rows.prices + bid_rows.prices),
                ("quantity", ask_rows.quantities + bid_rows.quantities),
                ("total", ask_rows.totals + bid_rows.totals),
            )
        ]
        if sum(widths) + 16 > width:
            widths[2] = 0  # the total is the first column to go
        bar = max(0, min(_BAR, width - sum(widths) - 8))
        lines = [_heading(widths, width)]
        marks = self.marks
        lines += [[_pad("", width)] for _ in range(above - len(asks))] if asks or bids else []
        for index in range(len(asks) - 1, -1, -1):
            lines.append(_row(ask_rows, index, widths, bar, _ASK, marks.get(asks[index].price, ""), is_plain=is_plain))
        lines.append(_spread_line(self.book, width, is_plain=is_plain))
        for index in range(len(bids)):
            lines.append(_row(bid_rows, index, widths, bar, _BID, marks.get(bids[index].price, ""), is_plain=is_plain))
        return lines


def format_sides(asks: Sequence[PriceLevel], bids: Sequence[PriceLevel]) -> tuple[SideRows, SideRows]:
    """Format the levels of both sides, with the same number of digits after the point."""
    levels = [*asks, *bids]
    prices = number_column(level.price for level in levels)
    quantities = number_column(level.quantity for level in levels)
    sums: list[Decimal] = []
    for side in (asks, bids):
        total = Decimal(0)
        for level in side:
            total += level.quantity
            sums.append(total)
    totals = number_column(sums)
    largest = max((level.quantity for level in levels), default=Decimal(1)) or Decimal(1)
    shares = [float(level.quantity / largest) for level in levels]
    n = len(asks)
    return (
        SideRows(prices[:n], quantities[:n], totals[:n], shares[:n]),
        SideRows(prices[n:], quantities[n:], totals[n:], shares[n:]),
    )


def _pad(text: str, width: int, style: Style | None = None) -> Segment:
    return Segment(set_cell_size(text, width), style)


def _heading(widths: Sequence[int], width: int) -> Line:
    price, quantity, total = widths
    titles = f"{'total':>{total}}  " if total else ""
    line = [Segment(f"{titles}{'quantity':>{quantity}}  {'price':>{price}}    ", _DIM), Segment("asks", _ASK)]
    return [*line, Segment(" " * (width - sum(len(segment.text) for segment in line)))]


def _row(
    rows: SideRows, index: int, widths: Sequence[int], bar: int, color: Style, mark: str, *, is_plain: bool
) -> Line:
    price, quantity, total = widths
    style = color + _BOLD if index == 0 else color
    line = [Segment(f"{rows.totals[index]:>{total}}  ", _DIM)] if total else []
    line += [
        Segment(f"{rows.quantities[index]:>{quantity}}  "),
        Segment(f"{rows.prices[index]:>{price}}", style),
        _pad(f" {mark}", 4, _BOLD),
        _pad(_bar(rows.shares[index], bar, is_plain=is_plain), bar, color),
    ]
    return line


def _bar(share: float, width: int, *, is_plain: bool) -> str:
    """Draw a bar, of which every level has at least a little."""
    if is_plain:
        return "#" * max(1, round(share * width))
    whole, part = divmod(max(1, round(share * width * 8)), 8)
    return "█" * whole + (_PARTS[part] if part else "")


def _spread_line(book: OrderBook, width: int, *, is_plain: bool) -> Line:
    text = describe_spread(book)
    dash = "-" if is_plain else "─"
    if is_plain:
        text = text.replace("·", "|")
    is_wrong = text.startswith(("CROSSED", "LOCKED"))
    line = [Segment(f"{dash} ", _DIM), Segment(text, _WARNING if is_wrong else _BOLD)]
    rest = width - len(text) - len("─  bids")
    if rest >= 0:
        line += [Segment(f" {dash * (rest - 1)} " if rest > 1 else " " * (rest + 1), _DIM), Segment("bids", _BID)]
    return line


def as_text(book: OrderBook, levels: int | None, width: int, *, is_plain: bool) -> list[str]:
    """Return the ladder as lines of text, all levels or the best ones of each side."""
    asks, bids = book.asks[:levels], book.bids[:levels]
    shown = OrderBook(asks=asks, bids=bids, sequence_number=book.sequence_number)
    ladder = Ladder(shown)
    height = 2 + 2 * max(len(asks), len(bids))
    lines = ladder._lines(width, height, is_plain=is_plain)
    texts = ["".join(segment.text for segment in line).rstrip() for line in lines]
    return [text for text in texts if text]
