"""What a feed is: data, not code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import attrs

from tplus_trio.codec import BatchDecoder, FrameDecoder
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.overflow import Conflate
from tplus_trio.streams.recovery import Recovery
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["Feed"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Feed(Generic[T]):
    """One subscription: where it is, how its frames decode, and how it is made whole again."""

    path: str
    decode: FrameDecoder[Any]
    #: Decodes many frames at once, as long as they are usual ones.
    decode_batch: BatchDecoder[Any] | None = None
    #: How many bytes of messages are decoded at a time, about.
    batch_size: int = 32 * 1024
    #: Makes the feed's recovery, given the time and the stream's counts.
    recovery: Callable[[Callable[[], int], ConnectionCounts], Recovery[T]] = Recovery
    #: Asks REST for a page, where the recovery wants one.
    fetch: Callable[[int, Dispatch], Awaitable[Any]] | None = None
    #: Whom to sign in as, and whether the service insists.
    user: User | None = None
    private: bool = False
    #: How waiting items are merged, where they can be.
    conflate: Conflate[T] | None = None
    #: Where an item is worth nothing without the one before: which ones are, all the same.
    begins: Callable[[T], bool] | None = None
