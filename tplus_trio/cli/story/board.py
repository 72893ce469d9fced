"""The screen of the demonstration: the act, the live book, the feeds, the bots, and what happened so far. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.layout import Layout
from rich.table import Table
from rich.text import Text

from tplus_trio.cli.book_screen import SMALLEST, BookBody, TooSmall, footer, state_line
from tplus_trio.cli.book_view import BookView
from tplus_trio.cli.ladder import Ladder
from tplus_trio.cli.story.stage import Stage
from tplus_trio.escapes import escape
from tplus_trio.models import OrderBook, Side

__all__ = ["Board", "BotLine", "FeedLine", "read_board"]

#: Columns from which the feeds stand beside the book.
_WIDE: Final = 76
#: What marks the quotes of the two bots in the ladder.
_MARKS: Final = ("◆", "◇")
_PLAIN_MARKS: Final = ("*", "o")
_NO_BOOK: Final = OrderBook()


@attrs.frozen
class FeedLine:
    """A feed: its name, its state, and how many events it brought."""

    name: str
    state: str
    events: int


@attrs.frozen
class BotLine:
    """A bot: what it is, what became of it, and the prices at which its orders rest at the exchange."""

    name: str
    state: str
    quotes: Mapping[Side, tuple[Decimal, ...]]


@attrs.frozen
class Board:
    """All that the screen shows at one moment.

    Attributes:
        view: The book.
        title: The number and the name of the act.
        what: What goes wrong in it.
        clock: The time since the beginning.
        feeds: The feeds.
        bots: The two bots.
        told: What happened so far, oldest first.
    """

    view: BookView
    title: str
    what: str
    clock: str
    feeds: Sequence[FeedLine]
    bots: Sequence[BotLine]
    told: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the screen."""
        width, height = options.max_width, options.height or 24
        if width < SMALLEST[0] or height < SMALLEST[1]:
            yield TooSmall()
            return
        rows = 2 if width >= _WIDE else 3
        what = Text(self.what, style="bold").wrap(console, width - 2)[:rows]
        ladder = Ladder(self.view.book or _NO_BOOK, marks=self._marks(is_plain=options.ascii_only))
        middle = Layout()
        if width >= _WIDE:
            side = min(64, max(38, width * 2 // 5))
            middle.split_row(Layout(BookBody(self.view, ladder)), Layout(" ", size=2), Layout(self._side(), size=side))
        else:
            middle.update(BookBody(self.view, ladder))
        screen = Layout()
        screen.split_column(
            Layout(self._heading(width), size=1),
            Layout(Group(*(Text(f" {line.plain}", style="bold", end="\n") for line in what)), size=rows),
            Layout(state_line(self.view, width), size=1),
            middle,
            Layout(footer("the exchange runs in this process", width), size=1),
        )
        yield screen

    def _heading(self, width: int) -> Text:
        text = Text(f" {self.title}", style="bold reverse", no_wrap=True, overflow="ellipsis")
        text.truncate(max(0, width - len(self.clock) - 1), overflow="ellipsis", pad=True)
        text.append(f"{self.clock} ")
        return text

    def _marks(self, *, is_plain: bool) -> dict[Decimal, str]:
        marks: dict[Decimal, str] = {}
        for mark, bot in zip(_PLAIN_MARKS if is_plain else _MARKS, self.bots, strict=True):
            for prices in bot.quotes.values():
                for price in prices:
                    marks[price] = mark + marks.get(price, "")
        return marks

    def _side(self) -> Group:
        feeds = Table(box=None, pad_edge=False, expand=True, header_style="dim")
        feeds.add_column("feed")
        feeds.add_column("state")
        feeds.add_column("events", justify="right")
        for feed in self.feeds:
            style = "" if feed.state == "live" else "bold red"
            feeds.add_row(feed.name, Text(feed.state, style=style), f"{feed.events:,}")
        bots = [self._bot(mark, bot) for mark, bot in zip(_MARKS, self.bots, strict=True)]
        told = [Text(escape(line.lstrip()), no_wrap=False, overflow="fold") for line in reversed(self.told)]
        return Group(feeds, Text(), *bots, Text(), Text("what happened, the newest first", style="dim"), *told)

    @staticmethod
    def _bot(mark: str, bot: BotLine) -> Text:
        bids, asks = (", ".join(f"{price:f}" for price in bot.quotes[side]) or "-" for side in (Side.BUY, Side.SELL))
        text = Text(f"{mark} {bot.name}: ", no_wrap=True, overflow="ellipsis")
        text.append(bot.state, "bold red" if bot.state == "killed" else "")
        text.append(f"\n  bid {bids}  ask {asks}")
        return text


def read_board(stage: Stage, title: str, what: str, clock: str, told: Sequence[str]) -> Board:
    """Read what the screen shows now."""
    quotes, victims = stage.resting(stage.user), stage.resting(stage.victim.user)
    victim = "killed" if stage.victim.is_killed else "quoting" if any(victims.values()) else "starting"
    return Board(
        view=stage.monitor.view(100),
        title=title,
        what=what,
        clock=clock,
        feeds=[FeedLine(feed.name, feed.stream.state.value, feed.events) for feed in stage.feeds],
        bots=[
            BotLine("market maker", "quoting" if any(quotes.values()) else "no quotes", quotes),
            BotLine("second bot", victim, victims),
        ],
        told=told,
    )
