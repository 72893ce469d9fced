"""Faults that wait for a path, each for a number of times or for a while."""

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
    """One order: what happens, on which paths, and how often or until when."""

    method: str
    prefix: str
    value: T
    left: int
    until_ns: int | None


class PendingFaults(Generic[T]):
    """Orders for one kind of fault. An order is a counter or an end in time, whatever its size.

    Args:
        now_ns: The exchange's clock, for orders that end in time.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._waiting: list[_PendingFault[T]] = []

    def add(self, method: str, prefix: str, n: int, value: T, seconds: float | None = None) -> None:
        """Order a fault.

        Args:
            method: The method that orders it, by which it can be withdrawn.
            prefix: What its paths begin with.
            n: How often it happens, where ``seconds`` is None.
            value: What happens.
            seconds: How long it happens every time, in place of ``n``; 0 is not at all.

        Raises:
            TypeError: ``n`` or ``seconds`` is not a number of its kind.
            ValueError: ``n`` or ``seconds`` is negative, or ``seconds`` without end.
        """
        check_count("n", n, least=0)
        until_ns = None
        if seconds is not None:
            until_ns = self._now_ns() + round(check_number("seconds", seconds, finite=True) * _SECOND_NS)
        if n or until_ns is not None:
            self._waiting.append(_PendingFault(method, prefix, value, n, until_ns))

    def take(self, path: str) -> T | None:
        """The oldest fault for this path, which is then used up once; None if there is none."""
        for order in tuple(self._waiting):
            if order.until_ns is not None and order.until_ns <= self._now_ns():
                self._waiting.remove(order)
            elif path.startswith(order.prefix):
                if order.until_ns is None:
                    order.left -= 1
                    if not order.left:
                        self._waiting.remove(order)
                return order.value
        return None

    def withdraw(self, method: str | None = None) -> None:
        """Forget what one method has ordered; None is every method."""
        self._waiting = [order for order in self._waiting if method not in (None, order.method)]


def path_prefix(path: str) -> str:
    """What paths begin with, if any could.

    Raises:
        TypeError: ``path`` is no text.
        ValueError: It begins with something else than ``/``.
    """
    if check_instance("path", path, str) and not path.startswith("/"):
        raise ValueError(f"path begins with '/', like /marketdepth, or is '' for all paths, not {path!r}")
    return path


def feed_path(path: str) -> str:
    """The path of a feed.

    Raises:
        TypeError: ``path`` is no text.
        ValueError: It begins with something else than ``/``.
    """
    if not check_instance("path", path, str).startswith("/"):
        raise ValueError(f"path is that of a feed, like /marketdepth/diff/200, not {path!r}")
    return path
