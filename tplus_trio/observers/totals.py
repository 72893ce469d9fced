"""What metrics libraries read from the statistics of clients: one figure for all streams of a kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

import attrs

from tplus_trio.clients.statistics import ClientStatistics
from tplus_trio.streams.stats import StreamState, StreamStatistics
from tplus_trio.transport.service_clock import ClockOffset

__all__ = ["DURATION_BUCKETS", "Sample", "Totals", "samples"]

#: Upper bounds of the buckets of durations, in seconds: those that OpenTelemetry's conventions give for HTTP, and lower
#: ones for services in the same data centre.
DURATION_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)


@attrs.frozen
class Sample:
    """One figure of all streams of a kind."""

    #: The metric's name, without a prefix.
    name: str
    #: What it counts.
    text: str
    #: Which kind of stream; empty if the figure is about the client.
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
_FEED_LAG: Final = "Time from the exchange's time stamp of a feed's last item to its receipt."
_CLOCK_OFFSET: Final = "By how much the service's clock is ahead of the client's."
_CLOCK_BOUND: Final = "The clock offset is off by this much at most."


def samples(clients: Iterable[ClientStatistics], route: Callable[[str], str]) -> Iterator[Sample]:
    """Yield the figures of all clients of one name.

    Counts of streams are summed over those of one route. Of several lags or clock offsets, the one furthest from zero
    is yielded. Nothing is yielded for a lag or an offset that is not known.

    Args:
        clients: Their statistics, read at one time.
        route: Makes the label of a path.
    """
    kinds: defaultdict[str, list[StreamStatistics]] = defaultdict(list)
    clocks: list[ClockOffset] = []
    for client in clients:
        for stream in client.streams:
            kinds[route(stream.path)].append(stream)
        if client.clock is not None:
            clocks.append(client.clock)
    for feed, streams in kinds.items():
        for figures, rises in ((_COUNTERS, True), (_GAUGES, False)):
            for name, (text, value) in figures.items():
                yield Sample(name, text, feed, sum(value(stream) for stream in streams), rises)
        if lags := [stream.lag for stream in streams if stream.lag is not None]:
            worst = max(lags, key=lambda lag: abs(lag.seconds))
            yield Sample("feed_lag_seconds", _FEED_LAG, feed, worst.seconds, is_counter=False)
    if clocks:
        worst_clock = max(clocks, key=lambda clock: abs(clock.offset_ns))
        yield Sample("clock_offset_seconds", _CLOCK_OFFSET, "", worst_clock.offset_ns / 1e9, is_counter=False)
        yield Sample("clock_offset_bound_seconds", _CLOCK_BOUND, "", worst_clock.bound_ns / 1e9, is_counter=False)


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
