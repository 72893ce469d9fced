"""What became of a client's REST requests, as `Client.statistics` shows it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["RequestStatistics"]


@attrs.frozen(kw_only=True)
class RequestStatistics:
    """Counts of a client's REST requests in this ``trio.run``, those of sign-ins and of its streams included."""

    #: Answers by HTTP status. A request that was repeated over another connection counts once.
    answers: Mapping[int, int]
    #: Requests that ended without an answer: never sent, lost, timed out, cancelled, or answered unreadably.
    unanswered: int
    #: Requests that now wait for their turn or for their answer.
    under_way: int
    #: Connections kept open for the next requests.
    idle_connections: int
