"""What a stream tells about itself."""

from __future__ import annotations

import enum

import attrs

__all__ = ["StreamState", "StreamStats"]


class StreamState(enum.Enum):
    """Where a stream is in its life."""

    #: Connecting, or about to.
    CONNECTING = "connecting"
    #: Connected, and finding out what was missed.
    SYNCING = "syncing"
    #: Connected, with nothing missing.
    LIVE = "live"
    #: Waiting before the next attempt.
    BACKOFF = "backoff"
    #: Over: closed, or failed for good.
    CLOSED = "closed"


@attrs.define
class StreamStats:
    """Counts since the stream was made."""

    #: Messages that came, control messages and bad frames included.
    messages: int = 0
    #: Bytes that came over the network, handshakes and frame heads included.
    bytes: int = 0
    #: Connections that were made.
    connects: int = 0
    #: Losses of continuity that were noticed: broken connections, jumps of sequence numbers, bad frames.
    gaps: int = 0
    #: Times that the stream was made whole again by asking REST, the first snapshot not counted.
    resyncs: int = 0
    #: Items that were dropped or merged because the consumer was slow.
    dropped: int = 0
    #: Frames that could not be decoded.
    malformed: int = 0
    #: When the last message came, in seconds on trio's clock; None before the first.
    last_message_at: float | None = None
