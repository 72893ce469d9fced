"""Up to when nothing is missing from a feed, by the clock of the exchange."""

from __future__ import annotations

from tplus_trio.models import Gap, Timebar

__all__ = ["advance_watermark", "gap_until", "times_of"]


def times_of(item: object, now_ns: int) -> tuple[int, int]:
    """Return the first and last moment that an item is about, in nanoseconds; ``now_ns`` if the item has no time."""
    match item:
        case Gap():
            return item.since_ns, item.until_ns
        case Timebar():
            return item.open_timestamp_ns, max(item.open_timestamp_ns, min(item.close_timestamp_ns, now_ns))
        case _:
            time = getattr(item, "timestamp_ns", None)
            return (time, time) if isinstance(time, int) else (now_ns, now_ns)


def advance_watermark(watermark_ns: int, item: object, now_ns: int) -> int:
    """Return the time up to which nothing is missing once an item came.

    It is never later than now: the clock may have been ahead, and been set right.

    Args:
        watermark_ns: The time before the item came, in nanoseconds.
        item: The item.
        now_ns: The present time, in nanoseconds.
    """
    return min(max(watermark_ns, times_of(item, now_ns)[0]), now_ns)


def gap_until(since_ns: int, now_ns: int, reason: str) -> Gap:
    """Return the gap up to now. If the clock was set back meanwhile, it still does not end before it begins."""
    return Gap(min(since_ns, now_ns), max(since_ns, now_ns), reason)
