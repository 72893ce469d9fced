"""A depth recovery that takes and returns sequence numbers."""

from __future__ import annotations

from collections.abc import Sequence

from tplus_trio import Depth, OrderBook, OrderBookDiff, Sequencing
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import DepthRecovery

__all__ = ["Recovery", "book", "diff", "diffs", "lost", "numbers", "subscribed", "synced"]


def diff(number: int, price: int = 100, quantity: int | None = None) -> OrderBookDiff:
    return OrderBookDiff([(price, number if quantity is None else quantity)], (), number)


def diffs(*numbers: int) -> list[OrderBookDiff]:
    return [diff(number) for number in numbers]


def book(number: int) -> OrderBook:
    return OrderBook(sequence_number=number)


def numbers(items: Sequence[Depth]) -> list[str]:
    """Abbreviate delivered items: ``B5`` is a book, ``6`` a change."""
    return [
        f"{'B' if isinstance(item, OrderBook) else ''}{item.sequence_number}"
        for item in items
        if isinstance(item, OrderBook | OrderBookDiff)
    ]


class Recovery(DepthRecovery):
    """A depth recovery that takes and returns sequence numbers."""

    def __init__(self, sequence: Sequencing = "auto") -> None:
        self.stats = ConnectionCounts()
        super().__init__(lambda: 0, self.stats, sequence=sequence)

    def changes(self, *given: int) -> list[str]:
        """Let the feed bring changes of these numbers, and return what is delivered."""
        return numbers(self.receive(diffs(*given)))

    def snapshot(self, number: int, *, early: bool = False) -> list[str]:
        """Let REST answer with a snapshot of this number, and return what is delivered."""
        return numbers(self.answer(0, book(number), early=early))


def subscribed(sequence: Sequencing = "auto") -> Recovery:
    recovery = Recovery(sequence)
    recovery.subscribed()
    return recovery


def synced(number: int = 100, sequence: Sequencing = "auto") -> Recovery:
    recovery = subscribed(sequence)
    recovery.snapshot(number)
    return recovery


def lost(recovery: Recovery) -> Recovery:
    recovery.lost("reset")
    recovery.subscribed()
    return recovery
