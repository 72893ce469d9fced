"""The mark of a place in a stream where items may be missing."""

from __future__ import annotations

import attrs

__all__ = ["Gap"]


@attrs.frozen
class Gap:
    """A place in a stream where items may be missing between two times.

    A stream yields it where the missing items would have been. Times are in nanoseconds since the Unix epoch, UTC.
    """

    #: Nothing is missing up to this time.
    since_ns: int
    #: Nothing is missing from this time on.
    until_ns: int
    #: Why items may be missing, as text for people.
    reason: str
