"""State that belongs to one ``trio.run``: its clock, its locks and its streams cannot be used in another run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

__all__ = ["RunLocal"]

T = TypeVar("T")


class RunLocal(Generic[T]):
    """Holds one value for each ``trio.run``, made when the run first asks for it.

    A client that was not entered may be used in several runs: one after the other, or at the same time in a thread
    each. The value of a run that has ended is kept until another run asks, or until the owner is gone.
    `trio.lowlevel.RunVar` would keep each value until the end of its run, also after the owner is gone.

    Args:
        make: Makes the value for a run. It is called inside the run.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        #: By the run's token. Each entry is written by the thread of its run; an entry is removed after its run.
        self._values: dict[trio.lowlevel.TrioToken, T] = {}

    def get(self) -> T:
        """The value of the present run.

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
        """The value of the present run; if there is none, that of the latest run that has ended; else None."""
        if trio.lowlevel.in_trio_run() and (token := trio.lowlevel.current_trio_token()) in self._values:
            return self._values[token]
        ended = [value for other, value in tuple(self._values.items()) if _has_ended(other)]
        return ended[-1] if ended else None


def _has_ended(token: trio.lowlevel.TrioToken) -> bool:
    """Whether a run is over. A run that is not is asked to do nothing, which is safe from any thread."""
    try:
        token.run_sync_soon(_nothing, idempotent=True)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None:
    pass
