"""State that belongs to one ``trio.run``. Clocks, locks and streams of one run cannot be used in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

__all__ = ["RunLocal"]

T = TypeVar("T")


class RunLocal(Generic[T]):
    """Holds one value for each ``trio.run``. The value is made at the first `get` of the run.

    A client that was not entered may be used in several runs: one after the other, or at the same time, each in its own
    thread. The value of a run that has ended is kept until another run calls `get`, or until the owner is deleted.
    `trio.lowlevel.RunVar` would keep each value until the end of its run, even after the owner is deleted.

    Args:
        make: Makes the value for a run. It is called inside the run.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        #: Values by the token of their run. The thread of a run writes its entry; any thread removes it after that run.
        self._values: dict[trio.lowlevel.TrioToken, T] = {}

    def get(self) -> T:
        """Return the value of the current run.

        Raises:
            RuntimeError: the call does not come from inside ``trio.run``.
        """
        token = trio.lowlevel.current_trio_token()
        try:
            return self._values[token]
        except KeyError:
            pass
        for other in tuple(self._values):
            if _has_ended(other):
                self._values.pop(other, None)
        value = self._values[token] = self._make()
        return value

    def peek(self) -> T | None:
        """Return the value of the current run, else the value of the latest run that has ended, else None."""
        if trio.lowlevel.in_trio_run() and (token := trio.lowlevel.current_trio_token()) in self._values:
            return self._values[token]
        ended = [value for other, value in tuple(self._values.items()) if _has_ended(other)]
        return ended[-1] if ended else None


def _has_ended(token: trio.lowlevel.TrioToken) -> bool:
    """Return whether a run has ended.

    A run that has not ended is made to call a function that does nothing; this is safe from any thread.
    """
    try:
        token.run_sync_soon(_nothing, idempotent=True)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None:
    pass
