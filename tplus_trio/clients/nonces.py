"""The nonces of signed requests that are about accounts: each is used once."""

from __future__ import annotations

from collections.abc import Callable

from tplus_trio.arguments import check_count

__all__ = ["ActionNonces"]


class ActionNonces:
    """Counts upwards with the time in milliseconds, and faster if it is asked more often.

    Args:
        now_ns: Returns the time in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._last = -1

    def take(self, given: int | None) -> int:
        """Return the nonce of a request: the given one, or a new one, which is higher than all before.

        Raises:
            TypeError, ValueError: the given one is no whole number, or negative.
        """
        nonce = (
            max(self._last + 1, self._now_ns() // 1_000_000) if given is None else check_count("nonce", given, least=0)
        )
        self._last = max(self._last, nonce)
        return nonce
