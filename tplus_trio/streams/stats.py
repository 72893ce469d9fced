"""A stream's state and counts, as `Stream.stats` and `Stream.statistics` show them."""

from __future__ import annotations

import enum

import attrs

from tplus_trio.streams.overflow import Overflow

__all__ = ["ConnectionStatistics", "ConsumerStatistics", "FeedLag", "StreamState", "StreamStatistics", "StreamStats"]


class StreamState(enum.Enum):
    """What a stream is doing."""

    #: It connects, or has not been started.
    CONNECTING = "connecting"
    #: It is connected and recovers what was missed.
    SYNCING = "syncing"
    #: It is connected and nothing is missing.
    LIVE = "live"
    #: It waits before the next attempt to connect.
    BACKOFF = "backoff"
    #: It was closed, or failed for good.
    CLOSED = "closed"


@attrs.define
class StreamStats:
    """A stream's counts since it was made. `StreamStatistics` has more of them, and where each comes from."""

    #: Messages received, control messages and bad frames included.
    messages: int = 0
    #: Bytes received over the network, handshakes and frame heads included.
    bytes: int = 0
    #: Connections made.
    connects: int = 0
    #: Losses of continuity that were noticed: broken connections, jumps of sequence numbers, bad frames.
    gaps: int = 0
    #: Recoveries by REST, the first snapshot not counted.
    resyncs: int = 0
    #: Items dropped or merged because the consumer was slow.
    dropped: int = 0
    #: Frames that could not be decoded.
    malformed: int = 0
    #: When the last message came, in seconds of trio's clock; None before the first.
    last_message_at: float | None = None


@attrs.frozen(kw_only=True)
class ConnectionStatistics:
    """Counts of a stream's connections since the stream was made. Streams that share a connection show the same."""

    #: Messages received, control messages and bad frames included.
    messages: int
    #: Bytes received over the network, handshakes and frame heads included.
    bytes: int
    #: Connections made.
    connects: int
    #: Losses of continuity that were noticed: broken connections, jumps of sequence numbers, bad frames.
    gaps: int
    #: Recoveries by REST, the first snapshot not counted.
    resyncs: int
    #: Frames that could not be decoded.
    malformed: int
    #: When the last message came, in seconds of trio's clock; None before the first.
    last_message_at: float | None


@attrs.frozen(kw_only=True)
class ConsumerStatistics:
    """Counts of one consumer since its stream was made, and its buffer now."""

    #: Items that the consumer took, each `Gap` included.
    delivered: int
    #: Items dropped because the consumer was slow. A `Gap` stood in their place.
    dropped: int
    #: Items merged into a later one because the consumer was slow.
    merged: int
    #: What happens when the buffer is full.
    overflow: Overflow
    #: Items that may wait in the buffer.
    max_buffer_size: int
    #: Items that wait now. With ``"block"``, these can be more than ``max_buffer_size`` by one batch.
    current_buffer_used: int
    #: The most items that have waited.
    peak_buffer_used: int
    #: Tasks that wait for room in the buffer: 1 while a slow consumer keeps the stream from reading its socket.
    tasks_waiting_send: int
    #: Tasks that wait for an item.
    tasks_waiting_receive: int


@attrs.frozen(kw_only=True)
class FeedLag:
    """How long after the time that the exchange wrote into it an item arrived.

    The true lag is within ``bound`` of ``seconds``.
    """

    #: Seconds between the item's time, by the exchange's clock, and its receipt, by the client's clock corrected by the
    #: estimated difference of the two.
    seconds: float
    #: Seconds; None if no answer over REST has told the difference of the clocks: then none is corrected.
    bound: float | None


@attrs.frozen(kw_only=True)
class StreamStatistics:
    """What a stream has done since it was made."""

    #: The feed's path.
    path: str
    state: StreamState
    connection: ConnectionStatistics
    consumer: ConsumerStatistics
    #: Of the last item; None before the first, and for feeds whose items carry no time (depth, candles).
    lag: FeedLag | None
