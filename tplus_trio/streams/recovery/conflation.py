"""Merges the depth items that wait for a slow consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeAlias, cast

from tplus_trio.codec import FloatDiff, decode_depth_frame
from tplus_trio.levels import latest_levels
from tplus_trio.models import LinkedDiff, OrderBook, OrderBookDiff, PriceLevel
from tplus_trio.streams.recovery.depth_recovery import Depth

__all__ = ["FloatMerge", "conflate_depth", "exact_depth"]


class FloatMerge:
    """Changes that were read to floats, merged: of each price, the text of the last message that changed it."""

    __slots__ = ("_asks", "_bids", "_first", "_follows", "_last")

    def __init__(self, first: FloatDiff) -> None:
        self._first: FloatDiff | None = first
        self._asks = {price: first.text for price, _ in first.float_asks}
        self._bids = {price: first.text for price, _ in first.float_bids}
        self._last = first.sequence_number
        self._follows = first.previous_sequence_number

    def __len__(self) -> int:
        return len(self._asks) + len(self._bids)

    def add(self, diff: FloatDiff) -> None:
        """Merge the next change."""
        text = diff.text
        for price, _ in diff.float_asks:
            self._asks[price] = text
        for price, _ in diff.float_bids:
            self._bids[price] = text
        self._last, self._first = diff.sequence_number, None

    @property
    def exact(self) -> OrderBookDiff:
        """The changes as a stream delivers them: the levels as their last messages have them."""
        if self._first is not None:
            return self._first.exact
        asks: list[PriceLevel] = []
        bids: list[PriceLevel] = []
        for text in dict.fromkeys((*self._asks.values(), *self._bids.values())):
            (diff,) = decode_depth_frame(text)
            for levels, kept, texts in ((diff.asks, asks, self._asks), (diff.bids, bids, self._bids)):
                kept += [level for level in levels if texts[float(level[0])] is text]
        return LinkedDiff(tuple(latest_levels(bids)), tuple(latest_levels(asks)), self._last, self._follows)


#: What really waits: to a stream it is `Depth`, since it takes what `exact_depth` returns.
_Waiting: TypeAlias = Depth | FloatDiff | FloatMerge


def exact_depth(item: Depth) -> Depth:
    """Return an item that waited as a stream delivers it."""
    waiting = cast("_Waiting", item)
    return waiting.exact if isinstance(waiting, FloatDiff | FloatMerge) else waiting


def conflate_depth(waiting: deque[Depth]) -> int:
    """Replace the waiting items by at most a snapshot and one diff, which lead to the same book.

    The merged diff has the latest quantity of each price, zeros included, since they remove levels of the earlier book.
    Its ``previous_sequence_number`` is that of the first merged diff, so the chain stays complete.

    Args:
        waiting: The waiting items, oldest first. It is changed in place.

    Returns:
        The number of levels of the merged diff; 0 if there is none.
    """
    items = cast("list[_Waiting]", list(waiting))
    waiting.clear()
    for index in range(len(items) - 1, -1, -1):
        if isinstance(item := items[index], OrderBook):
            waiting.append(item)
            del items[: index + 1]
            break
    changes = [item for item in items if isinstance(item, OrderBookDiff | FloatDiff | FloatMerge)]
    if not changes:
        return 0
    first, *others = changes
    if not isinstance(first, OrderBookDiff) and all(isinstance(item, FloatDiff) for item in others):
        return _merge_floats(waiting, first, others)
    diffs = [item if isinstance(item, OrderBookDiff) else item.exact for item in changes]
    merged = diffs[0]
    if len(diffs) > 1:
        bids = latest_levels([level for diff in diffs for level in diff.bids])
        asks = latest_levels([level for diff in diffs for level in diff.asks])
        last = diffs[-1].sequence_number
        follows = diffs[0].previous_sequence_number
        merged = LinkedDiff(tuple(bids), tuple(asks), last, follows)
    waiting.append(merged)
    return len(merged.bids) + len(merged.asks)


def _merge_floats(waiting: deque[Depth], first: FloatDiff | FloatMerge, others: Iterable[_Waiting]) -> int:
    merged = FloatMerge(first) if isinstance(first, FloatDiff) else first
    for diff in others:
        assert isinstance(diff, FloatDiff)  # noqa: S101 - for the type checker: the caller has checked it
        merged.add(diff)
    waiting.append(cast("Depth", merged))
    return len(merged)
