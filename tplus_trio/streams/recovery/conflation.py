"""Merges the depth items that wait for a slow consumer."""

from __future__ import annotations

from collections import deque

from tplus_trio.levels import latest_levels
from tplus_trio.models import LinkedDiff, OrderBook, OrderBookDiff
from tplus_trio.streams.recovery.depth_recovery import Depth

__all__ = ["conflate_depth"]


def conflate_depth(waiting: deque[Depth]) -> int:
    """Replace the waiting items by at most a snapshot and one diff, which lead to the same book.

    The merged diff has the latest quantity of each price, zeros included, since they remove levels of the earlier book.
    Its ``previous_sequence_number`` is that of the first merged diff, so the chain stays complete.

    Args:
        waiting: The waiting items, oldest first. It is changed in place.

    Returns:
        The number of levels of the merged diff; 0 if there is none.
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
