"""Streams that a demonstration watches, counts and checks."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
import trio
from rich.console import Console, RenderableType
from rich.table import Table

from tplus_trio.cli.checks import Check
from tplus_trio.streams.stream import Stream

__all__ = ["Watched", "as_lines", "count_events", "settle"]

#: `settle` stops waiting for missing events after so many seconds without one.
_PATIENCE: Final = 10.0


@attrs.define(eq=False)
class Watched:
    """One stream that is watched."""

    name: str
    stream: Stream[Any]
    asset: str = ""
    check: Check | None = None
    events: int = 0

    async def run(
        self,
        arrived: trio.lowlevel.ParkingLot,
        show: Callable[[Watched, object], Awaitable[None]] | None = None,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Count and check the events until cancelled, and show each; reports as started when the stream is live."""
        async with self.stream as stream:
            await stream.wait_live()
            task_status.started()
            async for event in stream:
                self.events += 1
                if self.check is not None:
                    self.check.take(event)
                if show is not None:
                    await show(self, event)
                arrived.unpark_all()


async def settle(checks: Sequence[Check], arrived: trio.lowlevel.ParkingLot) -> None:
    """Wait until every check is complete, or no event has arrived for `_PATIENCE` seconds."""
    while not all(check.complete for check in checks):
        with trio.move_on_after(_PATIENCE) as patience:
            await arrived.park()
        if patience.cancelled_caught:
            return


def count_events(watched: Sequence[Watched]) -> Table:
    """Return a table of the counts of each feed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("feed")
    for name in ("streams", "events", "connects", "gaps", "malformed"):
        table.add_column(name, justify="right")
    for name in dict.fromkeys(feed.name for feed in watched):
        feeds = [feed for feed in watched if feed.name == name]
        stats = [feed.stream.stats for feed in feeds]
        table.add_row(
            name,
            str(len(feeds)),
            str(sum(feed.events for feed in feeds)),
            str(sum(stat.connects for stat in stats)),
            str(sum(stat.gaps for stat in stats)),
            str(sum(stat.malformed for stat in stats)),
        )
    return table


def as_lines(table: RenderableType, width: int, *, is_screen: bool, encoding: str = "utf-8") -> list[str]:
    """Return a table as lines, with colours for a screen."""
    console = Console(
        file=io.TextIOWrapper(io.BytesIO(), encoding=encoding),
        width=width,
        force_terminal=is_screen,
        color_system="auto" if is_screen else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
