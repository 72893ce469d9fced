"""The clock of the exchange."""

from __future__ import annotations

import time

import trio

__all__ = ["WallClock"]


class WallClock:
    """A clock that returns nanoseconds since the Unix epoch, UTC, and advances with trio's clock.

    Inside trio it starts at the real time and then follows :func:`trio.current_time`. Under a virtual clock the
    exchange's timestamps, candles and tokens therefore age in virtual time. Outside trio it is the system's clock. It
    never runs backwards.
    """

    def __init__(self) -> None:
        self._base_ns = time.time_ns()
        self._latest_ns = self._base_ns
        self._trio_clock: object = None
        self._trio_start = 0.0
        self()  # inside trio, this fixes the start

    def __call__(self) -> int:
        """Return the time, in nanoseconds since the Unix epoch."""
        try:
            clock, now = trio.lowlevel.current_clock(), trio.current_time()
        except RuntimeError:
            reading = time.time_ns()
        else:
            if clock is not self._trio_clock:
                # The first call inside this run of trio.
                self._trio_clock, self._trio_start = clock, now
                self._base_ns = max(time.time_ns(), self._latest_ns)
            reading = self._base_ns + int((now - self._trio_start) * 1e9)
        self._latest_ns = max(self._latest_ns, reading)
        return self._latest_ns
