"""Where items go: a subscription delivers to a sink, and a shared feed hands them on to the sink of each consumer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from tplus_trio.streams.feed_state import FeedState, Needs
from tplus_trio.streams.stats import ConsumerStatistics

__all__ = ["ConsumerSink", "Sink"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """Takes the items of a feed, in order."""

    async def put(self, items: Sequence[T_contra]) -> None:
        """Take items at once, and wait until there is room for more.

        If it is cancelled while it waits, the items stay taken.

        Raises:
            SlowConsumer: there is no room, and the consumer chose not to be waited for.
        """
        ...

    def put_nowait(self, items: Sequence[T_contra]) -> None:
        """Take items at once, even if there is no room for them.

        Raises:
            SlowConsumer: there is no room, and the consumer chose not to be waited for.
        """
        ...

    def close(self, error: Exception) -> None:
        """Take no more items; ``error`` says why, and is what the consumer's iteration raises in the end."""
        ...


class ConsumerSink(ABC, Generic[T]):
    """What one consumer does with the items of a feed."""

    #: What it needs of the feed.
    needs: Needs = "items"

    @property
    def is_full(self) -> bool:
        """Whether the consumer is to be waited for before it takes more. By default, never."""
        return False

    @property
    def has_untaken(self) -> bool:
        """Whether items wait that the consumer has not taken. By default, it takes them at once."""
        return False

    async def wait_for_room(self) -> None:
        """Wait as long as `is_full` is true, or until `release`."""

    def release(self) -> None:
        """End `wait_for_room`: the consumer is not to be waited for any more."""

    def when_empty(self, call: Callable[[], object]) -> None:
        """Call a function once, when the consumer asks for an item and none waits."""

    def count_dropped(self, count: int) -> None:
        """Count items that the consumer misses because it is too slow."""

    def attach(self, state: FeedState[T]) -> None:
        """Take note of the feed that the items will come from."""

    def join(self, state: FeedState[T]) -> bool:
        """Begin with the state of a feed that is live. Return False if the feed does not know its state.

        By default, the consumer takes the items that stand for the state.
        """
        if (items := state.begin()) is None:
            return False
        self.put_nowait(items)
        return True

    def begin(self, items: Sequence[T]) -> None:
        """Begin again with items that are for this consumer alone. By default, they are items as all others."""
        self.put_nowait(items)

    @abstractmethod
    def put_nowait(self, items: Sequence[T]) -> None:
        """Take items at once, even if there is no room for them.

        Raises:
            SlowConsumer: there is no room, and the consumer chose not to be waited for.
        """

    @abstractmethod
    def close(self, error: Exception) -> None:
        """Take no more items; ``error`` says why, and is what the consumer's iteration raises in the end."""

    @abstractmethod
    def statistics(self) -> ConsumerStatistics:
        """Return the consumer's counts as they are now."""
