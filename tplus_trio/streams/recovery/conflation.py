"""Depth that waits for a slow consumer, merged."""

from __future__ import annotations

from collections import deque

from tplus_trio.levels import latest_levels
from tplus_trio.models import LinkedDiff, OrderBook, OrderBookDiff
from tplus_trio.streams.recovery.depth_recovery import Depth

__all__ = ["conflate_depth"]


def conflate_depth(waiting: deque[Depth]) -> int:
    """Make what waits as short as it can be: at most a snapshot and one diff, which lead to the same book.

    The merged diff has each price's latest quantity, zeros included (they remove levels of the book before), and says
    which number it follows: the chain stays whole.

    Returns:
        How many levels the merged diff has.
    """
    items = list(waiting)
    waiting.clear()
    for index in range(len(items) - 1, -1, -1):
        if isinstance(items[index], OrderBook):
            waiting.append(items[index])
            del items[: index + 1]
            break
    diffs = [item for item in items if isinstance(item, OrderBookDiff)]
    if not diffs:
        return 0
    merged = diffs[0]
    if len(diffs) > 1:
        bids = latest_levels([level for diff in diffs for level in diff.bids])
        asks = latest_levels([level for diff in diffs for level in diff.asks])
        last = diffs[-1].sequence_number
        follows = diffs[0].previous_sequence_number
        merged = LinkedDiff(tuple(bids), tuple(asks), last, follows)
    waiting.append(merged)
    return len(merged.bids) + len(merged.asks)
