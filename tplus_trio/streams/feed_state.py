"""The present state of a feed. A consumer that joins the feed later begins with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

from tplus_trio.codec import BatchDecoder
from tplus_trio.models import Gap
from tplus_trio.streams.recovery.watermark import times_of
from tplus_trio.transport.text_frame_parser import BATCH_SIZE

__all__ = ["FeedState", "LatestItems", "Missed", "Needs", "NewestCandle", "slow_gap"]

T = TypeVar("T")

#: What a consumer needs of a feed: its state alone, each item as it is, or items that are merged before it takes them.
Needs = Literal["state", "items", "merged"]

#: The most items of different keys that are remembered: a service could invent keys without end.
_MOST_KEYS: Final = 100_000


class FeedState(Generic[T]):
    """The state of a feed whose every item stands for itself, like trades: a consumer begins with the next one.

    Feeds of another kind override what they need. A state hears of every item of its feed, in order.
    """

    #: Whether somebody may come late: then the state is kept.
    is_kept: bool = True
    #: Whether two batches of items are so many objects that they start the garbage collector.
    is_bulky: bool = False
    #: Whether `keep_up` has something to do. It can wait until the consumers have taken what they were given.
    needs_upkeep: bool = False

    @property
    def decoder(self) -> BatchDecoder[Any] | None:
        """Decodes frames as those who read the feed need them; None leaves that to the feed."""
        return None

    def batch_size(self) -> int:
        """Return about how many bytes of messages are decoded at a time, if there is a `decoder`."""
        return BATCH_SIZE

    def apply(self, items: Sequence[T]) -> Sequence[T]:
        """Take items of the feed; return them as consumers take them."""
        return items

    def keep_up(self) -> None:
        """Do what `apply` left undone."""

    def begin(self) -> Sequence[T] | None:
        """Return what a consumer begins with while the feed is live; None if that is not known any more."""
        return ()

    def begin_again(self, missed: Gap, *, is_live: bool) -> Sequence[T | Gap] | None:  # noqa: ARG002 - for subclasses
        """Return what a consumer begins with after it was too slow.

        Args:
            missed: What it has missed.
            is_live: Whether the feed is live. If not, what it delivers next makes it whole.
        """
        return (missed,)

    def restore(self, items: Sequence[T]) -> bool:  # noqa: ARG002 - for subclasses
        """Take items that one consumer begins with, if the state was not known any more; return whether it was not."""
        return False

    def add_consumer(self, needs: Needs) -> None:
        """Note that there is one more consumer with these needs."""

    def remove_consumer(self, needs: Needs) -> None:
        """Note that there is one consumer less with these needs."""


class LatestItems(FeedState[T]):
    """The latest item of each key: a summary replaces the one before it.

    Args:
        key: Returns the key of an item. It is text, as in `conflate_by`.
    """

    def __init__(self, key: Callable[[T], Hashable]) -> None:
        self._key = key
        self._latest: dict[Hashable, T] = {}

    def apply(self, items: Sequence[T]) -> Sequence[T]:
        """See `FeedState`."""
        latest, key = self._latest, self._key
        for item in items:
            latest[key(item)] = item
        while len(latest) > _MOST_KEYS:
            del latest[next(iter(latest))]
        return items

    def begin(self) -> Sequence[T]:
        """See `FeedState`."""
        return tuple(self._latest.values())

    def begin_again(self, missed: Gap, *, is_live: bool) -> Sequence[T]:  # noqa: ARG002 - nothing is missing
        """See `FeedState`."""
        return self.begin()


class NewestCandle(FeedState[T]):
    """The newest candle of a market.

    Args:
        open_ns: Returns when a candle opened; None if the item is no candle.
    """

    def __init__(self, open_ns: Callable[[T], int | None]) -> None:
        self._open_ns = open_ns
        self._newest: tuple[T, int] | None = None

    def apply(self, items: Sequence[T]) -> Sequence[T]:
        """See `FeedState`."""
        for item in items:
            open_ns = self._open_ns(item)
            # A correction of an earlier candle may come late.
            if open_ns is not None and (self._newest is None or open_ns >= self._newest[1]):
                self._newest = (item, open_ns)
        return items

    def begin(self) -> Sequence[T]:
        """See `FeedState`."""
        return () if self._newest is None else (self._newest[0],)

    def begin_again(self, missed: Gap, *, is_live: bool) -> Sequence[T | Gap]:  # noqa: ARG002 - it is the same
        """See `FeedState`."""
        return (missed, *self.begin())


class Missed(Generic[T]):
    """The items that a consumer has missed since it fell behind."""

    def __init__(self) -> None:
        self.count: int = 0
        self._first: T | None = None
        self._last: T | None = None

    def add(self, items: Sequence[T]) -> None:
        """Count items."""
        if items:
            if self._first is None:
                self._first = items[0]
            self._last = items[-1]
            self.count += len(items)

    def gap(self, now_ns: int) -> Gap:
        """Return the gap that these items leave. If there are none, it is empty."""
        if self._first is None:
            return slow_gap(now_ns, now_ns, 0)
        since, _ = times_of(self._first, now_ns)
        _, until = times_of(self._last, now_ns)
        return slow_gap(min(since, until), max(since, until), self.count)


def slow_gap(since_ns: int, until_ns: int, count: int) -> Gap:
    """Make the marker for items that a slow consumer missed."""
    return Gap(since_ns, until_ns, f"the consumer was slow: {count} items were dropped")
