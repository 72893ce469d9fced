"""What the exchange does later: held requests, late answers, the ends of sessions."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

__all__ = ["Schedule"]


class Schedule:
    """Actions and the times at which they are due.

    Args:
        now_ns: The exchange's clock, in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._numbers = itertools.count()
        #: Time, number, action, and whether it is still wanted; the number keeps actions of one time in order.
        self._due: list[tuple[int, int, Callable[[], object], Callable[[], bool]]] = []
        #: Functions to call when :attr:`next_ns` may have changed.
        self.watchers: list[Callable[[], None]] = []

    @property
    def next_ns(self) -> int | None:
        """The time of the next wanted action, in nanoseconds since the Unix epoch; None without one."""
        while self._due and not self._due[0][3]():
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Call ``action`` after so many seconds of the exchange's clock."""
        self.at(self._now_ns() + round(seconds * 1e9), action)

    def at(self, due_ns: int, action: Callable[[], object], is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Call ``action`` at a time, in nanoseconds since the Unix epoch, unless it is no longer wanted then.

        Whoever ends the want calls :meth:`notify`.
        """
        heapq.heappush(self._due, (due_ns, next(self._numbers), action, is_wanted))
        if self._due[0][0] == due_ns:
            self.notify()

    def notify(self) -> None:
        """Call the watchers, because :attr:`next_ns` may have changed."""
        for watcher in tuple(self.watchers):
            watcher()

    def run_due(self) -> None:
        """Carry out the actions that are due by now, the earliest first."""
        while (next_ns := self.next_ns) is not None and next_ns <= self._now_ns():
            heapq.heappop(self._due)[2]()
