"""The loss of continuity of a stream or a live book, as an event."""

from __future__ import annotations

import attrs

__all__ = ["BookLost", "StreamLost"]


@attrs.frozen
class StreamLost:
    """A stream is no longer live: items may be missing from now on."""

    #: Why, for a person to read.
    reason: str
    #: When the client noticed it, by its own clock, in nanoseconds since the Unix epoch.
    since_ns: int


@attrs.frozen
class BookLost(StreamLost):
    """A live book is no longer in sync: its prices must not be used until `LiveBook.changes` yields the next state."""
