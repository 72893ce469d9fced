"""Numbers that rise with the time and are each used once: timestamps of orders, nonces of requests about accounts."""

from __future__ import annotations

from collections.abc import Callable

from tplus_trio.arguments import check_count

__all__ = ["ActionNonces", "RisingTime"]


class RisingTime:
    """Counts upwards with the time, and faster if it is asked more often.

    Args:
        now: Returns the time since the Unix epoch, in the unit of the numbers.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._last = -1

    def next(self) -> int:
        """Return the time, or one more than the highest number so far if that is higher."""
        self._last = max(self._last + 1, self._now())
        return self._last

    def skip(self, number: int) -> None:
        """Return only higher numbers than this one from now on."""
        self._last = max(self._last, number)


class ActionNonces:
    """Makes nonces from the time in milliseconds.

    Args:
        now_ns: Returns the time in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._times = RisingTime(lambda: now_ns() // 1_000_000)

    def take(self, given: int | None) -> int:
        """Return the nonce of a request: the given one, or a new one, which is higher than all before.

        Raises:
            TypeError, ValueError: the given one is no whole number, or negative.
        """
        if given is None:
            return self._times.next()
        nonce = check_count("nonce", given, least=0)
        self._times.skip(nonce)
        return nonce
