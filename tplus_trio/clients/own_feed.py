"""Where the feeds of a client's own orders deliver: not to a consumer, but to what the client knows of its orders."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tplus_trio.errors import TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.orders.tracker import TrackerItem
from tplus_trio.streams.sink import ConsumerSink
from tplus_trio.streams.stats import ConsumerStatistics

__all__ = ["OwnFeedSink"]

_log = logging.getLogger("tplus_trio.orders")


class OwnFeedSink(ConsumerSink[Any]):
    """Shows each item of a feed to the tracker, in order, and lets items that nobody waits for come in batches.

    Args:
        path: The path of the feed, for log lines.
        see: Called with each item.
        wait: Waits until the feed is to be read again.
    """

    def __init__(self, path: str, see: Callable[[TrackerItem], None], wait: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._see = see
        self._wait = wait
        self._seen = 0

    @property
    def is_full(self) -> bool:
        """Always true: after each batch, the client says when the next one shall be read."""
        return True

    async def wait_for_room(self) -> None:
        """Wait until the next items shall be read."""
        await self._wait()

    def put_nowait(self, items: Sequence[TrackerItem]) -> None:
        """Take items."""
        for item in items:
            self._see(item)
        self._seen += len(items)

    def close(self, error: Exception) -> None:
        """Say in the log why the feed ended, unless the client was left."""
        if isinstance(error, TplusError):
            log_event(
                _log,
                logging.WARNING,
                LogEvent.OWN_FEED_FAILED,
                "%s ended, and orders in doubt are looked for in listings alone: %s",
                self._path,
                error,
                path=self._path,
                error=str(error),
            )

    def statistics(self) -> ConsumerStatistics:
        """Return the counts as they are now: items are taken at once, so none waits."""
        return ConsumerStatistics(
            delivered=self._seen,
            dropped=0,
            merged=0,
            overflow="block",
            max_buffer_size=0,
            current_buffer_used=0,
            peak_buffer_used=0,
            tasks_waiting_send=0,
            tasks_waiting_receive=0,
        )
