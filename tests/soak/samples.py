"""Measurements during a soak, and whether any of them has grown."""

from __future__ import annotations

import gc
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

__all__ = ["LIMITS", "Limit", "Sample", "grown", "measured", "tenth"]

#: The least number of samples for a verdict.
_FEWEST: Final = 20


@attrs.frozen
class Sample:
    """Measurements of the process at one moment."""

    #: Seconds since the beginning.
    at: float
    #: Bytes of resident memory.
    rss: int
    descriptors: int
    tasks: int
    #: Living objects of the client's classes.
    objects: int
    #: Counts since the beginning.
    messages: int = 0
    connects: int = 0
    gaps: int = 0
    resyncs: int = 0
    faults: int = 0


@attrs.frozen
class Limit:
    """How far a figure may grow from the beginning to the end: the larger of two allowances."""

    share: float
    amount: float

    def allows(self, before: float, after: float) -> bool:
        """Return whether a figure has not grown."""
        return after <= before + max(self.share * before, self.amount)


#: The limits of the median of the last tenth, compared with the median of the second.
LIMITS: Final = {
    "rss": Limit(0.05, 8 * 2**20),
    "descriptors": Limit(0.0, 4),
    "tasks": Limit(0.0, 6),
    "objects": Limit(0.10, 3000),
}


def measured(at: float, **counts: int) -> Sample:
    """Measure this process, after a garbage collection: the remaining objects are referenced."""
    gc.collect()
    return Sample(
        at=at,
        rss=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - of names alone
        tasks=trio.lowlevel.current_statistics().tasks_living,
        objects=sum(str(type(each).__module__).startswith("tplus_trio.") for each in gc.get_objects()),
        **counts,
    )


def tenth(samples: Sequence[Sample], which: int, name: str) -> float:
    """Return the median of a figure in one tenth of the samples, counted from 0."""
    size = len(samples) / 10
    part = samples[round(which * size) : round((which + 1) * size)] or samples[-1:]
    return float(statistics.median(getattr(sample, name) for sample in part))


def grown(samples: Sequence[Sample]) -> list[str]:
    """Return the figures that grew from the second tenth to the last; the first tenth is for warming up."""
    if len(samples) < _FEWEST:
        return [f"{len(samples)} samples prove nothing, at least {_FEWEST} do"]
    found: list[str] = []
    for name, limit in LIMITS.items():
        before, after = tenth(samples, 1, name), tenth(samples, 9, name)
        if not limit.allows(before, after):
            found.append(f"{name} grew from {before:,.0f} to {after:,.0f}")
    return found
