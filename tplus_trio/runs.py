"""State that belongs to one ``trio.run``: clocks start anew in the next one, and its streams cannot be used there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

__all__ = ["RunLocal"]

T = TypeVar("T")


class RunLocal(Generic[T]):
    """Holds one value, which is made anew in each ``trio.run``.

    A client may be used in several runs, one after the other, without being entered. `trio.lowlevel.RunVar` would keep
    each value until the end of the run; this one goes with its owner.

    Args:
        make: Makes the value for a run.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._token: trio.lowlevel.TrioToken | None = None
        self._value: T | None = None

    def get(self) -> T:
        """The value of the present run.

        Raises:
            RuntimeError: it was not called inside ``trio.run``.
        """
        token = trio.lowlevel.current_trio_token()
        if self._value is None or token is not self._token:
            self._token, self._value = token, self._make()
        return self._value

    def peek(self) -> T | None:
        """The value of the latest run; None before the first `get`."""
        return self._value
