"""The line in which requests wait for their turn: the more urgent go first, and equals in the order of their calls."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import inf

import attrs
import trio

__all__ = ["WaitingLine"]


@attrs.define(eq=False)
class _Waiter:
    #: How many units it waits for.
    amount: int
    woken: trio.Event = attrs.field(factory=trio.Event)
    has_left: bool = False


class WaitingLine:
    """Tasks of one ``trio.run`` that wait for their turn. Only the first in line watches the clock."""

    def __init__(self) -> None:
        self._line: list[tuple[int, int, _Waiter]] = []
        self._numbers = count()
        #: How many tasks wait.
        self.waiting: int = 0

    def amount(self, urgency: int, before: int | None = None) -> int:
        """How many units are waited for ahead of a task.

        Args:
            urgency: How urgent the task is; less is more urgent.
            before: The number of the task if it is in line; None for one that would join now.
        """
        key = (urgency, inf if before is None else before)
        return sum(waiter.amount for *other, waiter in self._line if not waiter.has_left and tuple(other) < key)

    async def wait(
        self, urgency: int, ready_at: Callable[[], float], on_wait: Callable[[int], float], amount: int = 1
    ) -> None:
        """Wait until the task is the first in line, and its time has come. Cancelled, it has left the line.

        The step in which the wait ends is the caller's: no other task is let through before its next checkpoint.

        Args:
            urgency: How urgent it is; less is more urgent.
            ready_at: Returns the time from which the first in line may go, in seconds on trio's clock.
            on_wait: Called with the task's number before each wait. It returns the time at which to call it again at
                the latest, in seconds on trio's clock. What it raises ends the wait.
            amount: How many units the task waits for.
        """
        number = next(self._numbers)
        waiter = _Waiter(amount)
        heapq.heappush(self._line, (urgency, number, waiter))
        self.waiting += 1
        try:
            while True:
                wake_at = ready_at() if self._line[0][2] is waiter else inf
                if wake_at <= trio.current_time():
                    return
                again_at = on_wait(number)
                waiter.woken = trio.Event()
                with trio.move_on_at(min(wake_at, again_at)):
                    await waiter.woken.wait()
        finally:
            waiter.has_left = True
            self.waiting -= 1
            self.wake_first()

    def wake_first(self) -> None:
        """Let the first in line look again: it may be ready earlier than it was."""
        while self._line and self._line[0][2].has_left:
            heapq.heappop(self._line)
        if self._line:
            self._line[0][2].woken.set()
