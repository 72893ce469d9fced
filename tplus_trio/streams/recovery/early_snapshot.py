"""Whether held changes prove that a snapshot from before the subscription can be used. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from itertools import chain

from tplus_trio.levels import matches_changes
from tplus_trio.models import OrderBook, OrderBookDiff

__all__ = ["Proof", "examine_early"]


class Proof(enum.Enum):
    """What the held changes say about an early snapshot."""

    #: Nothing lies between the snapshot and the held changes, and both are of the same book.
    USABLE = enum.auto()
    #: Changes are missing between the two, or they are of different books.
    USELESS = enum.auto()
    #: More changes have to come first.
    OPEN = enum.auto()


def examine_early(snapshot: OrderBook, held: Sequence[OrderBookDiff]) -> Proof:
    """Compare a snapshot with the changes that came after it was requested.

    The held changes have to begin at or before the number after the snapshot's, and reach its number. Those that the
    snapshot contains have to agree with its levels: numbers alone do not show that a service started over while the
    connection was made, and has reached the same number again.

    Args:
        snapshot: A snapshot that was requested before the subscription was confirmed.
        held: The changes of the subscription, by rising and contiguous number.
    """
    if not held:
        return Proof.OPEN
    number = snapshot.sequence_number
    if held[0].sequence_number > number + 1:
        return Proof.USELESS
    if held[-1].sequence_number < number:
        # Either the connection is behind, or the snapshot is of the book before a restart.
        return Proof.OPEN
    contained = [diff for diff in held if diff.sequence_number <= number]
    agrees = matches_changes(snapshot.bids, chain.from_iterable(diff.bids for diff in contained)) and matches_changes(
        snapshot.asks, chain.from_iterable(diff.asks for diff in contained)
    )
    return Proof.USABLE if agrees else Proof.USELESS
