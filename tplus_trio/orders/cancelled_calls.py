"""Until when the order calls of one client that were cancelled may go on to find out what became of their orders."""

from __future__ import annotations

import math
from typing import Final

import trio

from tplus_trio.runs import RunLocal

__all__ = ["CancelledCalls"]

#: The part of the time that a cancelled call waits for its answer. The rest is for finding out and taking back.
_ANSWER_SHARE: Final = 0.25


class _Run:
    """The cancelled calls of one ``trio.run``."""

    def __init__(self) -> None:
        self.calls: set[object] = set()
        #: When the shields of all of them end, on trio's clock.
        self.deadline = math.inf


class CancelledCalls:
    """The order calls of one client that were cancelled and have not ended. Their shields end together.

    Args:
        timeout: Seconds from the first cancellation to the end of all shields.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._run = RunLocal(_Run)

    def begin(self, call: object) -> float:
        """Note that a call was cancelled, once or again. Return when its shield ends, on trio's clock."""
        run = self._run.get()
        if not run.calls:
            run.deadline = trio.current_time() + self._timeout
        run.calls.add(call)
        return run.deadline

    def patience(self, call: object) -> float:
        """Note that a call was cancelled. Return until when it waits for an answer, and does nothing else."""
        return min(self.begin(call), trio.current_time() + self._timeout * _ANSWER_SHARE)

    def end(self, call: object) -> None:
        """Note that a call has ended, whether or not it was cancelled. A later call gets a shield of its own."""
        self._run.get().calls.discard(call)
