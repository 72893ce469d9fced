"""``"block"``: the producer waits until there is room, so that the socket is not read meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, TypeVar

import trio

from tplus_trio.streams.overflow.base import Overflow, OverflowOptions, OverflowRule

__all__ = ["Block"]

T = TypeVar("T")


class Block(OverflowRule[T]):
    """Adds each batch whole; then the producer waits until half of the buffer is free.

    Adding before waiting keeps items in the order of the calls, and a cancelled producer has lost nothing.
    """

    name: ClassVar[Overflow] = "block"
    blocks = True

    def __init__(self, options: OverflowOptions[T]) -> None:
        super().__init__(options)
        self._producers = trio.lowlevel.ParkingLot()
        self._is_closed = False
        #: Whether the tasks that wait for room are to go on without it.
        self._is_released = False

    def add(self, waiting: deque[T], items: Sequence[T]) -> None:
        """Add a batch whole, even if there is no room for it."""
        waiting.extend(items)

    def take(self, waiting: deque[T]) -> T:
        """Remove the next item, and let producers go on once half of the buffer is free."""
        item = waiting.popleft()
        # Not at the first free place: producer and consumer would then switch tasks for each item.
        if len(waiting) <= self.size // 2:
            self._let_in()
        return item

    async def wait_for_room(self, waiting: deque[T]) -> None:
        """Wait until half of the buffer is free, if more items wait than there is room for."""
        self._is_released = False
        while len(waiting) > self.size and not self._is_closed and not self._is_released:
            self.intercepts_take: bool = True
            await self._producers.park()

    def release(self) -> None:
        """Let the producers go on without room."""
        self._is_released = True
        self._producers.unpark_all()

    @property
    def tasks_waiting(self) -> int:
        """The producers that wait for room."""
        return len(self._producers)

    def clear(self) -> None:
        """Let the producers go on: there is room now."""
        self._let_in()

    def close(self) -> None:
        """Let the producers go on, and none wait again."""
        self._is_closed = True
        self._producers.unpark_all()

    def _let_in(self) -> None:
        self.intercepts_take = False
        self._producers.unpark_all()
