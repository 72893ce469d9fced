"""``"error"``: a consumer that is too slow ends its stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, TypeVar

from tplus_trio.errors import SlowConsumer
from tplus_trio.streams.overflow.base import Overflow, OverflowOptions, OverflowRule

__all__ = ["RaiseError"]

T = TypeVar("T")


class RaiseError(OverflowRule[T]):
    """Raises `SlowConsumer` when items come for which there is no room.

    A batch that comes to a waiting consumer is added whole, however large: a backfill, for instance. No consumer could
    have taken its items in time.
    """

    name: ClassVar[Overflow] = "error"

    def __init__(self, options: OverflowOptions[T]) -> None:
        super().__init__(options)
        #: How many of the waiting items came in such a batch. They are the first ones, and take no room.
        self._excused = 0
        self._on_overflow = options.on_overflow

    def add(self, waiting: deque[T], items: Sequence[T]) -> None:
        """Add a batch.

        Raises:
            SlowConsumer: there is no room for all items. Those that there was room for were added.
        """
        if len(items) > self.size and not waiting and self.consumers:
            self._excused, self.intercepts_take = len(items), True
        room = self.size + self._excused - len(waiting)
        if len(items) <= room:
            waiting.extend(items)
        else:
            waiting.extend(items[: max(0, room)])
            if self._on_overflow is not None:
                self._on_overflow(len(items) - max(0, room))
            raise SlowConsumer(self.size)

    def take(self, waiting: deque[T]) -> T:
        """Remove the next item."""
        self._excused = max(0, self._excused - 1)
        self.intercepts_take: bool = self._excused > 0
        return waiting.popleft()

    def clear(self) -> None:
        """Forget that waiting items took no room: none waits."""
        self._excused, self.intercepts_take = 0, False
