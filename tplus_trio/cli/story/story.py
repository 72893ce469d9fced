"""Performs the demonstration: on a screen, or as lines of text."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from rich.table import Table

from tplus_trio.cli.lines import Lines
from tplus_trio.cli.screen import Screen, is_screen
from tplus_trio.cli.story.acts import ACTS, Act, Outcome, perform
from tplus_trio.cli.story.board import read_board
from tplus_trio.cli.story.report import conclude, findings_table, outcomes_table
from tplus_trio.cli.story.stage import Stage, open_stage
from tplus_trio.cli.watched import as_lines, count_events

__all__ = ["story"]

#: About how many seconds the acts take by themselves; the rest of the time is for reading.
_ACTS_TAKE: Final = 14.0
#: The shares of the time for reading: at the beginning, and before and after each act.
_SHARES: Final = 1 + 2 * len(ACTS)
#: Seconds between two lines with counts.
_COUNTS: Final = 2.0
_INTRODUCTION: Final = (
    "A market maker quotes both sides of a live book. Simulated traders trade with it. Four things will go wrong."
)


class _Teller:
    """Keeps what is told, with the time since the beginning.

    Args:
        show: Called with each line; None only keeps them.
    """

    def __init__(self, show: Callable[[str], Awaitable[None]] | None) -> None:
        self._show = show
        self.told: list[str] = []
        self.title = "tplus-trio demo"
        self.what = _INTRODUCTION
        self._began = trio.current_time()

    @property
    def clock(self) -> str:
        """The time since the beginning."""
        return f"{trio.current_time() - self._began:5.1f} s"

    def announce(self, number: int, act: Act) -> None:
        """Begin an act."""
        self.title = f"{number} of {len(ACTS)}  {act.title.upper()}"
        self.what = f"{act.announcement[0].upper()}{act.announcement[1:]}."

    async def tell(self, text: str) -> None:
        """Keep a sentence, and show it. It is a checkpoint."""
        line = f"{self.clock}  {text}"
        self.told.append(line)
        if self._show is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._show(line)


async def story(lines: Lines, *, seconds: float, seed: int, plain: bool) -> int:
    """Perform the demonstration; see the command's help.

    Returns:
        1 if something was lost or wrong, else 0.

    Raises:
        TplusError: A feed failed for good.
    """
    # The story itself tells of each loss, and in the end of each order that is in doubt.
    for name in ("streams", "orders"):
        logging.getLogger(f"tplus_trio.{name}").setLevel(logging.ERROR)
    pause = max(0.0, seconds - _ACTS_TAKE) / _SHARES
    on_screen = not plain and is_screen(sys.stdout)
    async with open_stage(seed) as stage:
        teller = _Teller(None if on_screen else lines.put)
        outcomes = await (_on_screen(stage, teller, pause) if on_screen else _as_lines(stage, teller, pause, lines))
        findings = conclude(stage, outcomes)
    width = shutil.get_terminal_size().columns if on_screen else 100
    tables: list[Table] = [outcomes_table(outcomes), count_events(stage.feeds), findings_table(findings)]
    for table in tables:
        for line in as_lines(table, width, is_screen=on_screen, encoding=sys.stdout.encoding):
            await lines.put_styled(line)
        await lines.put("")
    wrong = [finding for finding in findings if not finding.is_right]
    await lines.put("WRONG: see above" if wrong else "Nothing was wrong, and nothing was lost without a mark.")
    return 1 if wrong else 0


async def _perform(stage: Stage, teller: _Teller, pause: float) -> list[Outcome]:
    await trio.sleep(pause)
    outcomes = await perform(stage, teller.tell, pause, teller.announce)
    await stage.end_trading()
    return outcomes


async def _on_screen(stage: Stage, teller: _Teller, pause: float) -> list[Outcome]:
    screen = Screen()
    async with trio.open_nursery(strict_exception_groups=True) as nursery:
        nursery.start_soon(screen.show, lambda: read_board(stage, teller.title, teller.what, teller.clock, teller.told))
        outcomes = await _perform(stage, teller, pause)
        nursery.cancel_scope.cancel()
    return outcomes


async def _as_lines(stage: Stage, teller: _Teller, pause: float, lines: Lines) -> list[Outcome]:
    await lines.put(f"exchange at {stage.url}, in this process. {_INTRODUCTION}")
    async with trio.open_nursery(strict_exception_groups=True) as nursery:
        nursery.start_soon(_print_counts, stage, lines, lambda: teller.clock)
        outcomes = await _perform(stage, teller, pause)
        nursery.cancel_scope.cancel()
    await lines.put("")
    return outcomes


async def _print_counts(stage: Stage, lines: Lines, clock: Callable[[], str]) -> None:
    while True:
        counts = ", ".join(f"{feed.name} {feed.events}" for feed in stage.feeds)
        view = stage.monitor.view(1)
        await lines.put(f"{clock()}  {view.word}  {counts}")
        await trio.sleep(_COUNTS)
