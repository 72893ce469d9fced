"""How far a service's clock is ahead of the client's, from the ``Date`` of its answers. Pure: times are arguments."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["ClockOffset"]

_SECOND: Final = 1_000_000_000
#: By how much two clocks may drift apart, as a share of the time that passes: ten times what a plain quartz does.
_DRIFT: Final = 0.0002
#: Answers in a row that contradict what was known and agree with each other, after which they are believed: a clock was
#: set. Fewer may come from a cache, whose ``Date`` is that of an earlier answer.
_CONVINCING: Final = 3


@attrs.frozen
class ClockOffset:
    """The service's clock less the client's. The true difference is within ``bound_ns`` of ``offset_ns``."""

    #: Nanoseconds; more than 0 where the service's clock is ahead.
    offset_ns: int
    #: Nanoseconds. At least about half a second at first, as ``Date`` counts whole seconds; less after more answers.
    bound_ns: int


class ServiceClock:
    """Narrows the difference of two clocks with each answer.

    A ``Date`` of whole seconds, which the service wrote at some time between the request and the answer, bounds the
    difference from both sides. The bounds of many answers are intersected, and widened as time passes, since clocks
    drift.
    """

    def __init__(self) -> None:
        #: The bounds of the difference and the local time at which they were found, in nanoseconds.
        self._known: tuple[int, int, int] | None = None
        self._contradiction: tuple[int, int, int] | None = None
        self._contradictions = 0

    def answered(self, date_ns: int, sent_ns: int, received_ns: int) -> None:
        """Learn from an answer.

        Args:
            date_ns: Its ``Date``, in nanoseconds since the epoch.
            sent_ns: When the request was sent, by the client's clock.
            received_ns: When the answer had come.
        """
        if received_ns < sent_ns:  # the client's clock was set meanwhile
            return
        found = (date_ns - received_ns, date_ns + _SECOND - sent_ns, received_ns)
        narrowed = found if self._known is None else _intersect(self._known, found)
        if narrowed is not None:
            self._known, self._contradictions = narrowed, 0
            return
        agreed = _intersect(self._contradiction, found) if self._contradictions and self._contradiction else None
        self._contradiction, self._contradictions = agreed or found, self._contradictions + 1 if agreed else 1
        if self._contradictions >= _CONVINCING:
            self._known, self._contradictions = self._contradiction, 0

    def offset(self, now_ns: int) -> ClockOffset | None:
        """The estimate at a time of the client's clock; None before the first answer with a ``Date``."""
        if self._known is None:
            return None
        low, high, _ = _widen(self._known, now_ns)
        return ClockOffset((low + high) // 2, (high - low + 1) // 2)


def _widen(bounds: tuple[int, int, int], now_ns: int) -> tuple[int, int, int]:
    low, high, at = bounds
    drift = int(abs(now_ns - at) * _DRIFT)
    return low - drift, high + drift, now_ns


def _intersect(known: tuple[int, int, int], found: tuple[int, int, int]) -> tuple[int, int, int] | None:
    low, high, at = _widen(known, found[2])
    low, high = max(low, found[0]), min(high, found[1])
    return None if low > high else (low, high, at)
