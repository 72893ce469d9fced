"""The interface of an overflow rule, and what a rule is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Literal, TypeVar

import attrs
import trio

__all__ = ["Overflow"]

T = TypeVar("T")

#: What a stream does when its buffer is full.
Overflow = Literal["block", "drop_oldest", "error", "conflate"]

#: Merges waiting items in place into as few as carry the same information. Returns the work that the next merge has
#: with the result, in the unit of the feed: items, or the levels of a merged diff.
Conflate = Callable[[deque[T]], int]


@attrs.frozen
class OverflowOptions(Generic[T]):
    """What a rule may need to know of its buffer and its feed."""

    #: Items that may wait.
    size: int
    #: How waiting items are merged, None if the feed's items cannot be.
    conflate: Conflate[T] | None = None
    #: Makes a merged item what the consumer takes; None if it is that already.
    finish: Callable[[T], T] | None = None
    #: Makes the item that stands in place of dropped ones. Arguments: the dropped items, and whether the items after
    #: them are useless without them.
    mark_drops: Callable[[Sequence[T], bool], T] | None = None
    #: Called with a number of items when the consumer begins to be too slow for its buffer; the drop marker does it for
    #: ``"drop_oldest"``.
    on_overflow: Callable[[int], object] | None = None
    #: Says which items can be used without the items before them; None if all can.
    is_snapshot: Callable[[T], bool] | None = None


class OverflowRule(ABC, Generic[T]):
    """What one buffer does when more items wait than it has room for.

    The buffer owns the deque of waiting items and passes it to each method. The rule changes it and owns whatever else
    it has to remember. The buffer calls `add` for each batch, and `take` for an item only while `intercepts_take` is
    set: otherwise taking an item is a `popleft`, which costs no call.
    """

    #: The name that a caller chooses the rule by.
    name: ClassVar[Overflow]
    #: Whether items are merged before the consumer takes them, whatever it does.
    merges: ClassVar[bool] = False
    #: Whether `wait_for_room` waits while more items wait than there is room for.
    blocks: ClassVar[bool] = False

    def __init__(self, options: OverflowOptions[T]) -> None:
        #: Items that may wait.
        self.size: int = options.size
        #: Whether `take` has to be called for the next item.
        self.intercepts_take: bool = False
        #: The tasks that wait for an item. The buffer parks and wakes them.
        self.consumers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        #: Items that no consumer will see, and items that were merged into a later one.
        self.dropped: int = 0
        self.merged: int = 0

    @abstractmethod
    def add(self, waiting: deque[T], items: Sequence[T]) -> None:
        """Add a batch without waiting.

        Args:
            waiting: The items that wait.
            items: The batch, at least one item.

        Raises:
            SlowConsumer: there is no room for all items. Those that there was room for were added.
        """

    def take(self, waiting: deque[T]) -> T:
        """Remove the next item and return it. At least one item waits."""
        return waiting.popleft()

    async def wait_for_room(self, waiting: deque[T]) -> None:
        """Wait while more items wait than there is room for, or until `release`. Cancelling it changes nothing."""

    def release(self) -> None:
        """Let no task wait for room that waits now."""

    @property
    def tasks_waiting(self) -> int:
        """The tasks in `wait_for_room`."""
        return 0

    def clear(self) -> None:
        """Forget what belonged to the items that waited: the buffer has dropped them."""

    def close(self) -> None:
        """Let no task wait for room any longer."""
