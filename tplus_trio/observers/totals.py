"""What metrics libraries read from a client's statistics, summed over streams of one kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Final

import attrs

from tplus_trio.clients.statistics import ClientStatistics
from tplus_trio.streams.stats import StreamState, StreamStatistics

__all__ = ["Sample", "Totals", "feed_samples"]


@attrs.frozen
class Sample:
    """One figure of all streams of a kind."""

    #: The metric's name, without a prefix.
    name: str
    #: What it counts.
    text: str
    #: Which kind of stream.
    feed: str
    value: float
    #: Whether the figure can only rise.
    is_counter: bool


_COUNTERS: Final[dict[str, tuple[str, Callable[[StreamStatistics], float]]]] = {
    "messages": ("Messages received.", lambda stream: stream.connection.messages),
    "received_bytes": ("Bytes received.", lambda stream: stream.connection.bytes),
    "malformed_frames": ("Frames that could not be decoded.", lambda stream: stream.connection.malformed),
    "delivered_items": ("Items that consumers took.", lambda stream: stream.consumer.delivered),
}
_GAUGES: Final[dict[str, tuple[str, Callable[[StreamStatistics], float]]]] = {
    "streams": ("Streams that run.", lambda _: 1),
    "live_streams": ("Streams that are live.", lambda stream: stream.state is StreamState.LIVE),
    "buffered_items": ("Items that wait for consumers.", lambda stream: stream.consumer.current_buffer_used),
}


def feed_samples(statistics: ClientStatistics, route: Callable[[str], str]) -> Iterator[Sample]:
    """Yield the figures of a client's streams, summed over those of one route."""
    kinds: defaultdict[str, list[StreamStatistics]] = defaultdict(list)
    for stream in statistics.streams:
        kinds[route(stream.path)].append(stream)
    for feed, streams in kinds.items():
        for figures, is_counter in ((_COUNTERS, True), (_GAUGES, False)):
            for name, (text, value) in figures.items():
                yield Sample(name, text, feed, sum(value(stream) for stream in streams), is_counter)


class Totals:
    """Keeps a sum from falling when a stream ends and its counts go with it.

    A metrics library would take a fall for a restart of the program. What a stream counted after it was last read is
    not in the sum.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, Hashable], float] = {}
        self._base: dict[tuple[str, Hashable], float] = {}

    def add(self, name: str, labels: Hashable, value: float) -> float:
        """Return the figure to show for a sum that was just read."""
        key = (name, labels)
        if value < self._last.get(key, 0):
            self._base[key] = self._base.get(key, 0) + self._last[key] - value
        self._last[key] = value
        return self._base.get(key, 0) + value
