"""A feed, as data: everything that a subscription needs to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

import attrs

from tplus_trio.codec import BatchDecoder, FrameDecoder
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.feed_state import FeedState
from tplus_trio.streams.overflow import Conflate
from tplus_trio.streams.recovery import Recovery
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.transport.text_frame_parser import BATCH_SIZE
from tplus_trio.users import User

__all__ = ["Feed"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Feed(Generic[T]):
    # Thirteen attributes, each of which says one thing about a feed.
    """One feed: its path, how its frames decode, and how it is made whole again after a loss."""

    #: The path of the WebSocket at the service.
    path: str
    #: Decodes one frame into items.
    decode: FrameDecoder[Any]
    #: Decodes many frames at once. It returns None for frames that only ``decode`` handles.
    decode_batch: BatchDecoder[Any] | None = None
    #: Returns about how many bytes of messages are decoded at a time.
    batch_size: Callable[[], int] = lambda: BATCH_SIZE
    #: Makes the feed's recovery, given a clock in nanoseconds since the Unix epoch and the stream's counts.
    recovery: Callable[[Callable[[], int], ConnectionCounts], Recovery[T]] = Recovery
    #: Asks REST for the page that the recovery wants; None if it never wants one.
    fetch: Callable[[int, Dispatch], Awaitable[Any]] | None = None
    #: The user to sign in as, if any.
    user: User | None = None
    #: Whether the service insists on a user.
    private: bool = False
    #: How waiting items are merged; None if they cannot be.
    conflate: Conflate[T] | None = None
    #: Makes a merged item what the consumer takes; None if it is that already.
    finish: Callable[[T], T] | None = None
    #: For items that are useless without the item before them: says which of them are whole all the same.
    is_snapshot: Callable[[T], bool] | None = None
    #: Makes what a consumer that joins others begins with.
    state: Callable[[], FeedState[T]] = FeedState
    #: What consumers of one path have in common if they may share a connection; None if they may not.
    sharing: Hashable = None
