"""What a client has done, as `Client.statistics` shows it."""

from __future__ import annotations

import attrs

from tplus_trio.streams.stats import StreamStatistics
from tplus_trio.transport.request_statistics import RequestStatistics
from tplus_trio.transport.service_clock import ClockOffset

__all__ = ["ClientStatistics"]


@attrs.frozen(kw_only=True)
class ClientStatistics:
    """A client's running streams and live books, and its REST requests."""

    #: One entry for each stream and live book that has been started and has not ended, in the order of their paths.
    streams: tuple[StreamStatistics, ...]
    requests: RequestStatistics
    #: How far the service's clock is ahead of the client's; None before the first answer with a ``Date``.
    clock: ClockOffset | None
