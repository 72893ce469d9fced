"""Where a connection's messages and losses are counted while it runs."""

from __future__ import annotations

import attrs

from tplus_trio.streams.stats import ConnectionStatistics

__all__ = ["ConnectionCounts"]


@attrs.define
class ConnectionCounts:
    """The counts behind `ConnectionStatistics`, whose attributes these are."""

    messages: int = 0
    bytes: int = 0
    connects: int = 0
    gaps: int = 0
    resyncs: int = 0
    malformed: int = 0
    last_message_at: float | None = None

    def statistics(self) -> ConnectionStatistics:
        """Return the counts as they are now."""
        return ConnectionStatistics(**attrs.asdict(self))
