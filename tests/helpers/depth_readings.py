"""Books that tests build from depth streams."""

from __future__ import annotations

from typing import Any

import trio

from tests.helpers.world import ASSET, World
from tplus_trio import Gap, LocalBook, OrderBook, OrderBookDiff, Stream
from tplus_trio.streams.recovery import Depth

__all__ = ["Reading", "snapshots", "take"]


def snapshots(world: World) -> int:
    """Count the requests for snapshots so far."""
    return sum(world.md.statistics().requests.answers.values())


async def take(stream: Stream[Any], n: int) -> list[Any]:
    """Take items; fail if they do not come."""
    with trio.fail_after(60):
        return [await stream.receive() for _ in range(n)]


class Reading:
    """Builds a book from a stream, in a task."""

    def __init__(self, stream: Stream[Depth]) -> None:
        self.stream = stream
        self.book: LocalBook | None = None
        self.snapshots = self.diffs = self.gaps = 0

    def add(self, item: Depth) -> None:
        """Apply an item; it follows."""
        match item:
            case OrderBook():
                self.book = LocalBook(item)
                self.snapshots += 1
            case OrderBookDiff():
                assert self.book is not None, "a change came before a book"
                self.book.apply(item)
                self.diffs += 1
            case Gap():
                self.gaps += 1

    async def run(self) -> None:
        async for item in self.stream:
            self.add(item)

    def is_right(self, world: World) -> bool:
        return self.book is not None and self.book.snapshot() == world.exchange.book(ASSET)
