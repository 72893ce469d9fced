"""Bugs of consumers that share a feed, to plant one at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from unittest import mock

from tplus_trio.book.packed import PackedBook
from tplus_trio.book.state import DepthState
from tplus_trio.streams.client_scope import ClientScope
from tplus_trio.streams.consumer import Consumer
from tplus_trio.streams.feed_state import FeedState
from tplus_trio.streams.recovery import DepthRecovery
from tplus_trio.streams.sharing import SharedFeed
from tplus_trio.streams.sink import ConsumerSink

__all__ = ["SHARING_BUGS"]


@contextmanager
def _late_joiner_gets_an_old_book() -> Generator[None]:
    """A consumer that comes late begins with the book before the changes that are kept: replaces ``begin``."""

    def begin(self: DepthState) -> Sequence[Any] | None:
        if self.book is not None:
            return (self.book.snapshot(),)
        behind = self._behind
        if behind is None:
            return None
        return (behind.unpack() if isinstance(behind, PackedBook) else behind.snapshot(),)

    with mock.patch.object(DepthState, "begin", begin):
        yield


@contextmanager
def _joiner_begins_with_the_next_change() -> Generator[None]:
    """A consumer that joins a feed that is live gets no state: replaces ``join`` of sinks."""

    def join(self: ConsumerSink[Any], state: FeedState[Any]) -> bool:
        return True

    with mock.patch.object(ConsumerSink, "join", join):
        yield


@contextmanager
def _slow_consumer_goes_on() -> Generator[None]:
    """A consumer that has missed items goes on with the next one: replaces ``_begin_again``."""

    def begin_again(self: Consumer[Any]) -> None:
        self._missed = None
        self.follow("the consumer was slow")

    with mock.patch.object(Consumer, "_begin_again", begin_again):
        yield


@contextmanager
def _copy_shares_what_it_holds() -> Generator[None]:
    """The copy of a recovery holds changes in the list of the original: replaces ``fork``."""

    def fork(self: DepthRecovery, stats: object) -> DepthRecovery:
        return self

    with mock.patch.object(DepthRecovery, "fork", fork):
        yield


@contextmanager
def _leaving_one_ends_all() -> Generator[None]:
    """A consumer that is cancelled cancels the connection that others read: replaces ``cancel``."""

    def cancel(self: Consumer[Any]) -> None:
        if self._feed is not None:
            self._feed.session.cancel()
        else:
            self._end(None)

    with mock.patch.object(Consumer, "cancel", cancel):
        yield


@contextmanager
def _last_one_leaves_the_connection() -> Generator[None]:
    """Nobody closes the connection of a shared feed: replaces ``close``, ``cancel`` and ``is_unused``."""

    async def close(self: Consumer[Any]) -> None:
        self._end(None)

    def cancel(self: Consumer[Any]) -> None:
        self._end(None)

    with (
        mock.patch.object(Consumer, "close", close),
        mock.patch.object(Consumer, "cancel", cancel),
        mock.patch.object(SharedFeed, "is_unused", new=False),
    ):
        yield


@contextmanager
def _ending_feed_is_joined() -> Generator[None]:
    """A consumer may join a feed whose connection is being closed: replaces ``_join``."""
    proper = ClientScope._join

    def join(self: ClientScope, tasks: Any, consumer: Consumer[Any]) -> None:
        feed = self._shared.get(consumer.opening.key)
        if feed is not None and feed.is_ending:
            feed.add(consumer)
        else:
            proper(self, tasks, consumer)

    with mock.patch.object(ClientScope, "_join", join):
        yield


SHARING_BUGS: Final[Mapping[str, Callable[[], AbstractContextManager[None]]]] = {
    "late-joiner-gets-an-old-book": _late_joiner_gets_an_old_book,
    "joiner-begins-with-the-next-change": _joiner_begins_with_the_next_change,
    "slow-consumer-goes-on": _slow_consumer_goes_on,
    "copy-shares-what-it-holds": _copy_shares_what_it_holds,
    "leaving-one-ends-all": _leaving_one_ends_all,
    "last-one-leaves-the-connection": _last_one_leaves_the_connection,
    "ending-feed-is-joined": _ending_feed_is_joined,
}
