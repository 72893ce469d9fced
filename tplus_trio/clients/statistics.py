"""The result of `Client.statistics`."""

from __future__ import annotations

import attrs

from tplus_trio.orders.control_statistics import ControlStatistics
from tplus_trio.streams.stats import StreamStatistics
from tplus_trio.transport.request_statistics import RequestStatistics
from tplus_trio.transport.service_clock import ClockOffset

__all__ = ["ClientStatistics"]


@attrs.frozen(kw_only=True)
class ClientStatistics:
    """Statistics of the running streams and live books of a client, and of its REST requests."""

    #: One entry for each stream and live book that has started and has not ended, sorted by path.
    streams: tuple[StreamStatistics, ...]
    #: Counts of all REST requests since the client was created, the requests of its streams included.
    requests: RequestStatistics
    #: How far the service's clock is ahead of the client's; None before the first answer with a ``Date``.
    clock: ClockOffset | None
    #: One entry for each open control channel, sorted by the public key of its user.
    control: tuple[ControlStatistics, ...] = ()
