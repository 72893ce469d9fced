"""What became of a client's REST requests, as `Client.statistics` shows it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["RequestStatistics"]


@attrs.frozen(kw_only=True)
class RequestStatistics:
    """Counts of a client's REST requests since it was made. Sign-ins and the requests of its streams are among them."""

    #: Answers by HTTP status. A request that was repeated over another connection counts once.
    answers: Mapping[int, int]
    #: Requests that ended without an answer: never sent, lost, timed out, cancelled, or answered unreadably.
    unanswered: int
    #: Requests that now wait for their turn or for their answer.
    under_way: int
    #: Connections kept open for the next requests.
    idle_connections: int
