"""How much time may go into books that perhaps nobody will ask for."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Upkeep"]


class Upkeep:
    """Bounds the share of real time that such work takes, over all books that share it.

    Args:
        clock: Returns seconds of real time.
        share: The share, more than 0.
        most: Seconds that may be saved up.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, *, share: float = 0.03, most: float = 0.02):
        self.clock: Callable[[], float] = clock
        self._share = share
        self._most = most
        self._saved = most
        self._at = clock()

    def is_affordable(self) -> bool:
        """Return whether there is time for some work now."""
        now = self.clock()
        self._saved = min(self._most, self._saved + (now - self._at) * self._share)
        self._at = now
        return self._saved > 0.0

    def spend(self, seconds: float) -> None:
        """Note how long the work took."""
        self._saved -= seconds
