"""Where a subscription delivers: a stream's buffer, or a live book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from tplus_trio.streams.stats import ConsumerStatistics

__all__ = ["Sink"]

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

    def statistics(self) -> ConsumerStatistics:
        """Return the consumer's counts as they are now."""
        ...
