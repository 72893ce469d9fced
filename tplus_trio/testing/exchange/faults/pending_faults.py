"""Faults that wait for a path: each happens a number of times, or for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import attrs

from tplus_trio.arguments import check_count, check_instance, check_number

__all__ = ["PendingFaults", "feed_path", "path_prefix"]

T = TypeVar("T")

_SECOND_NS: Final = 10**9


@attrs.define
class _PendingFault(Generic[T]):
    """One pending fault: what happens, on which paths, and how often or until when."""

    method: str
    prefix: str
    value: T
    left: int
    until_ns: int | None


class PendingFaults(Generic[T]):
    """The pending faults of one kind, oldest first. Each takes constant memory, however often it is to happen.

    Args:
        now_ns: The exchange's clock, in nanoseconds, for faults that end at a time.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._faults: list[_PendingFault[T]] = []

    def add(self, method: str, prefix: str, n: int, value: T, seconds: float | None = None) -> None:
        """Add a fault.

        Args:
            method: The method that requests it, for :meth:`withdraw`.
            prefix: The prefix of the paths that it happens on.
            n: The number of times that it happens if ``seconds`` is None, 0 or more.
            value: What happens.
            seconds: How long it happens every time, instead of ``n`` times; 0 is never.

        Raises:
            TypeError: ``n`` or ``seconds`` has the wrong type.
            ValueError: ``n`` or ``seconds`` is negative, or ``seconds`` is infinite.
        """
        check_count("n", n, least=0)
        until_ns = None
        if seconds is not None:
            until_ns = self._now_ns() + round(check_number("seconds", seconds, finite=True) * _SECOND_NS)
        if n or until_ns is not None:
            self._faults.append(_PendingFault(method, prefix, value, n, until_ns))

    def take(self, path: str) -> T | None:
        """Return the oldest fault for this path and count it as having happened once; None if there is none."""
        for fault in tuple(self._faults):
            if fault.until_ns is not None and fault.until_ns <= self._now_ns():
                self._faults.remove(fault)
            elif path.startswith(fault.prefix):
                if fault.until_ns is None:
                    fault.left -= 1
                    if not fault.left:
                        self._faults.remove(fault)
                return fault.value
        return None

    def withdraw(self, method: str) -> None:
        """Remove the faults that one method requested."""
        self._faults = [fault for fault in self._faults if fault.method != method]


def path_prefix(path: str) -> str:
    """Check the prefix of some paths, and return it.

    Raises:
        TypeError: ``path`` is not a string.
        ValueError: ``path`` is not empty and does not begin with ``/``.
    """
    if check_instance("path", path, str) and not path.startswith("/"):
        raise ValueError(f"path begins with '/', like /marketdepth, or is '' for all paths, not {path!r}")
    return path


def feed_path(path: str) -> str:
    """Check the path of a feed, and return it.

    Raises:
        TypeError: ``path`` is not a string.
        ValueError: ``path`` does not begin with ``/``.
    """
    if not check_instance("path", path, str).startswith("/"):
        raise ValueError(f"path is that of a feed, like /marketdepth/diff/200, not {path!r}")
    return path
