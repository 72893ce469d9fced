"""Draws a live book on a screen: its state, its ladder and the last trades. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.layout import Layout
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tplus_trio.cli.book_view import BookView
from tplus_trio.cli.ladder import Ladder, number_column
from tplus_trio.cli.show import short, time_of_day
from tplus_trio.escapes import escape
from tplus_trio.models import Trade
from tplus_trio.streams.stats import FeedLag, StreamState

__all__ = ["SMALLEST", "BookBody", "BookScreen", "TooSmall", "explain", "figures", "footer", "state_line"]

#: Columns and rows below which nothing useful can be shown.
SMALLEST: Final = (40, 8)
#: Columns from which the trades stand beside the ladder, and how many they take there.
_WIDE: Final = 72
_TRADES: Final = 34

_DIM: Final = Style(dim=True)
_BOUGHT, _SOLD = Style(color="green"), Style(color="red")
#: Reverse shows without colours, too.
_STATES: Final = {
    "LIVE": Style(color="green", bold=True, reverse=True),
    "LOST": Style(color="red", bgcolor="bright_white", bold=True, reverse=True),
    "CONNECTING": Style(color="yellow", bold=True, reverse=True),
}
_DOING: Final = {
    StreamState.CONNECTING: "connecting",
    StreamState.SYNCING: "waiting for a snapshot of the book",
    StreamState.BACKOFF: "waiting to connect again",
    StreamState.LIVE: "in sync",
    StreamState.CLOSED: "closed",
}
_STROKE: Final = "\N{BOX DRAWINGS LIGHT DIAGONAL UPPER RIGHT TO LOWER LEFT}"
_HATCH: Final = Style(color="red", dim=True)


def _one_line(text: str, style: Style | str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis", end="")


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def state_line(view: BookView, width: int) -> Text:
    """Return the line that says whether the book can be trusted. While it is lost, the whole line is a red bar."""
    word, style = view.word, _STATES[view.word]
    if word == "LIVE":
        text = _one_line("")
        text.append(f" {word} ", style)
        text.append(f"  market {short(view.asset)}", "bold")
        assert view.book is not None  # noqa: S101 - for the type checker
        text.append(f"  #{view.book.sequence_number}")
        text.append(f"  {view.rate:,.0f} messages/s")
        return text
    text = _one_line(f" {word}  market {short(view.asset)}  {explain(view)}", style)
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def explain(view: BookView) -> str:
    """Say why the book cannot be read, escaped."""
    if view.lost is None:
        return escape(f"{_DOING[view.state]}{': ' if view.error else ''}{view.error}")
    return escape(f"no price is valid  ·  for {_duration(view.lost_for)}  ·  {view.lost.reason}")


def footer(text: str, width: int) -> Text:
    """Return the last line of a screen: a text, and how to end."""
    end = "Ctrl-C ends "
    line = _one_line(f" {text}", _DIM)
    line.truncate(max(0, width - len(end) - 1), overflow="ellipsis", pad=True)
    line.append(f" {end}", _DIM)
    return line


def figures(view: BookView) -> list[str]:
    """Return the counts of the feed, and how old what is shown may be."""
    stats = view.stats
    return [
        f"last message {'-' if view.silence is None else _duration(view.silence)} ago",
        f"trade lag {_lag(view.lag)}",
        f"gaps {stats.gaps}",
        f"resyncs {stats.resyncs}",
        f"connects {stats.connects}",
    ]


def _lag(lag: FeedLag | None) -> str:
    """Say how old the last trade was when it arrived: at most, since the two clocks differ by an estimate."""
    if lag is None:
        return "-"
    if lag.bound is None:
        return f"{lag.seconds * 1000:.0f} ms, by unequal clocks"
    return f"at most {max(0.0, lag.seconds + lag.bound) * 1000:.0f} ms"


@attrs.frozen
class _Trades:
    """The last trades, newest first."""

    trades: Sequence[Trade]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        height = options.height or len(self.trades) + 1
        shown = self.trades[: max(0, height - 1)]
        prices = number_column(trade.price for trade in shown)
        quantities = number_column(trade.quantity for trade in shown)
        wide, high = max(map(len, [*quantities, "quantity"])), max(map(len, [*prices, "price"]))
        yield Segment(f"{'last trades':<8}  {'quantity':>{wide}}  {'price':>{high}}", _DIM)
        for trade, price, quantity in zip(shown, prices, quantities, strict=True):
            side, style = ("sell", _SOLD) if trade.buyer_is_maker else ("buy ", _BOUGHT)
            yield Segment.line()
            yield Segment(f"{time_of_day(trade.timestamp_ns)[:8]} ", _DIM)
            yield Segment(f"{side} {quantity:>{max(0, wide - 1)}}  {price:>{high}}", style)
        if not shown:
            yield Segment.line()
            yield Segment("none yet", _DIM)


@attrs.frozen
class _OutOfSync:
    """What stands in place of the levels while no price is valid."""

    view: BookView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield hatched lines with a box in the middle."""
        width, height = options.max_width, options.height or 9
        is_lost = self.view.lost is not None
        hatch = ("/" if options.ascii_only else _STROKE) if is_lost else " "
        box = self._box(width - 4)
        first = max(0, (height - len(box)) // 2)
        for row in range(height):
            if row:
                yield Segment.line()
            if not first <= row < first + len(box):
                yield Segment(hatch * width, _HATCH)
                continue
            text = box[row - first]
            left = (width - text.cell_len) // 2
            yield Segment(hatch * left, _HATCH)
            yield from text.render(console)
            yield Segment(hatch * (width - left - text.cell_len), _HATCH)

    def _box(self, room: int) -> list[Text]:
        view = self.view
        if view.lost is None:
            return [_one_line("waiting for the first snapshot of the book")]
        words = [
            "",
            "L O S T",
            f"no price is valid for {_duration(view.lost_for)}",
            escape(view.lost.reason),
            _DOING[view.state],
            "",
        ]
        size = min(room, max(map(len, words)) + 6)
        lines: list[Text] = []
        for word in words:
            text = _one_line(word, _STATES["LOST"] if word == "L O S T" else "bold")
            text.truncate(size - 2, overflow="ellipsis")
            text.align("center", size)
            lines.append(text)
        return lines


@attrs.frozen
class BookBody:
    """The levels of a book, or that none is valid now."""

    view: BookView
    ladder: Ladder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the ladder, or what stands in its place."""
        # Rich gives a renderable that is yielded no height.
        shown = _OutOfSync(self.view) if self.view.book is None else self.ladder
        yield from shown.__rich_console__(console, options)


class TooSmall:
    """What is shown on a terminal that is too small."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the size that is needed."""
        columns, rows = SMALLEST
        yield Text(f"{columns} x {rows} characters are needed", overflow="fold", no_wrap=False)


@attrs.frozen
class BookScreen:
    """The whole screen of ``tplus-trio book``.

    Attributes:
        view: The book.
        levels: The most levels of a side that are shown; None for as many as there is room for.
        source: Where the book comes from: the URL.
        log_line: The newest log message; empty without one.
    """

    view: BookView
    levels: int | None
    source: str
    log_line: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the screen."""
        width, height = options.max_width, options.height or 24
        if width < SMALLEST[0] or height < SMALLEST[1]:
            yield TooSmall()
            return
        view = self.view
        ladder = Ladder(view.book, self.levels) if view.book is not None else None
        body: RenderableType = _OutOfSync(view) if ladder is None else ladder
        middle = Layout()
        if width >= _WIDE:
            middle.split_row(Layout(body), Layout(" ", size=2), Layout(_Trades(view.trades), size=_TRADES))
        else:
            middle.update(body)
        screen = Layout()
        screen.split_column(
            Layout(state_line(view, width), size=1),
            Layout(_one_line(f" {'  '.join(figures(view))}", _DIM), size=1),
            middle,
            Layout(footer(self.log_line or self.source, width), size=1),
        )
        yield screen
