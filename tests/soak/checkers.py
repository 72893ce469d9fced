"""Checkers for an exchange that answers only now and then, which keep no unlimited history.

A stream is compared with its earlier items, item by item, and at a quiet moment with the exchange's `Facts`. Then the
proved part is dropped.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import attrs

from tests.simulation.invariants import (
    BookChecker,
    Checker,
    DepthChecker,
    KlinesChecker,
    OrdersChecker,
    Violation,
    ensure,
)
from tests.simulation.reference import Reference
from tplus_trio import BookNotSynced, LiveBook, LocalBook, SequenceGap
from tplus_trio.book.changes import BookChange
from tplus_trio.models import (
    AssetIdentifier,
    Gap,
    KlineUpdate,
    OrderBook,
    OrderBookDiff,
    OrderResponse,
    Timebar,
    Trade,
    UserTrade,
)

__all__ = ["Checkers", "Facts", "Records"]


@attrs.frozen
class Facts:
    """The state of the exchange at a quiet moment. It can be pickled."""

    books: dict[AssetIdentifier, OrderBook]
    #: The candles since the last quiet moment, oldest first.
    candles: dict[AssetIdentifier, list[Timebar]]
    orders: list[OrderResponse]
    #: The id of the last trade. Ids are counted over all markets.
    last_trade: int
    #: The ids of the user's trades since the last quiet moment.
    user_trades: list[int]
    published: int = 0
    faults: dict[str, int] = attrs.field(factory=dict[str, int])
    crashes: list[str] = attrs.field(factory=list[str])


_Step: TypeAlias = int | Gap


class Records:
    """The latest facts, and the items of streams that have ended since the facts before."""

    def __init__(self) -> None:
        self.facts: Facts | None = None
        self._ended: list[tuple[str, Sequence[_Step], Callable[[Facts], Sequence[int]]]] = []

    @property
    def known(self) -> Facts:
        """Return the facts of this quiet moment."""
        assert self.facts is not None
        return self.facts

    def ended(self, name: str, told: Sequence[_Step], numbers: Callable[[Facts], Sequence[int]]) -> None:
        """Keep the items of a stream that ended before a quiet moment could prove them."""
        self._ended.append((name, told, numbers))

    def settle(self) -> None:
        """Check the streams that have ended.

        Raises:
            Violation: one of them omitted an item.
        """
        for name, told, numbers in self._ended:
            if (found := left_out(told, numbers(self.known))) is not None:
                raise Violation(f"{name}, which has ended: {found}")
        self._ended.clear()


def left_out(told: Sequence[_Step], numbers: Sequence[int]) -> str | None:
    """Return the numbers that are missing between received ones without a gap in their place.

    Args:
        told: Received numbers in order, and gaps.
        numbers: All numbers since the first of them, in order.
    """
    before: int | None = None
    for step in told:
        if isinstance(step, Gap):
            before = None
            continue
        if before is not None:
            missed = numbers[bisect_right(numbers, before) : bisect_left(numbers, step)]
            if missed:
                return f"{missed[:5]} did not come between {before} and {step}, and no gap says so"
        before = step
    return None


class NumbersChecker(Checker):
    """Checks trades: each arrives once and in order, or a gap stands in its place.

    Args:
        records: Has the exchange's numbers.
        numbers: Returns all numbers since the last quiet moment; None if they are counted without a hole.
        statuses: How many times each trade is delivered.
    """

    def __init__(self, records: Records, numbers: Callable[[Facts], Sequence[int]] | None, statuses: int = 1) -> None:
        super().__init__()
        self._records = records
        self._numbers = numbers
        self._statuses = statuses
        self._told: list[_Step] = []
        self._last = -1

    def take(self, item: Any) -> str:
        if isinstance(item, Gap):
            ensure(item.since_ns <= item.until_ns, f"{item} ends before it begins")
            self._told.append(item)
            return f"Gap {item.reason}"
        assert isinstance(item, Trade | UserTrade)
        number = item.trade_id * self._statuses + (self._statuses > 1 and item.status == "Confirmed")
        ensure(number > self._last, f"{item} came again or late: the last was {self._last // self._statuses}")
        if self._numbers is None:
            after_gap = not self._told or isinstance(self._told[-1], Gap)
            ensure(after_gap or number == self._last + 1, f"{item} came after {self._last}, and no gap between")
            self._told.clear()  # this part is proved
        self._last = number
        self._told.append(number)
        return f"trade {item.trade_id} {item.status}"

    def missing(self, *, complete: bool) -> str | None:
        if self._numbers is None:
            if complete and self.live_at_ns is not None and self._last != self._records.known.last_trade:
                return f"the last trade was {self._last}, the exchange's {self._records.known.last_trade}"
            return None
        if not complete:
            self._records.ended("a stream of trades", self._told, self._numbers)
            return None
        numbers = self._numbers(self._records.known)
        if (found := left_out(self._told, numbers)) is not None:
            return found
        if self.live_at_ns is not None and numbers and (not self._told or self._told[-1] != numbers[-1]):
            return f"the last trade was {self._last}, the user's {numbers[-1]}"
        return None

    def forget(self) -> None:
        del self._told[:-1]


class CandlesChecker(KlinesChecker):
    """Checks candles: the last state of each arrives, unless there was a gap."""

    def __init__(self, records: Records, asset: AssetIdentifier) -> None:
        super().__init__(tuple)
        self._records = records
        self._asset = asset

    def missing(self, *, complete: bool) -> str | None:
        if not complete or self.live_at_ns is None:
            return None
        bars = self._records.known.candles[self._asset]
        for bar in bars[-1:] if self._gaps else bars:
            if bar.open_timestamp_ns < min(self._states, default=0):
                continue  # from before the stream began
            state = self._states.get(bar.open_timestamp_ns)
            if state is None or state != KlineUpdate.of(state.asset_id, bar):
                return f"{bar} was left at {state}"
        return None

    def forget(self) -> None:
        self._gaps.clear()
        self._states = {key: self._states[key] for key in sorted(self._states)[-1:]}


class LastingOrdersChecker(OrdersChecker):
    """Checks orders of an exchange that forgets old ones."""

    def __init__(self, records: Records, now_ns: Callable[[], int]) -> None:
        super().__init__(lambda: records.known.orders)
        self._now_ns = now_ns

    def missing(self, *, complete: bool) -> str | None:
        if complete and self.live_at_ns is not None:
            listed = {order.order_id for order in self._exchange_orders()}
            self._orders = {
                name: terms
                for name, terms in self._orders.items()
                if name in listed or (terms is not None and terms.is_open)
            }
        return super().missing(complete=complete)

    def forget(self) -> None:
        self._orders = {name: terms for name, terms in self._orders.items() if terms is not None and terms.is_open}
        if self.live_at_ns is not None:
            self.live_at_ns = self._now_ns()


class ChainChecker(Checker):
    """Checks depth: items chain, and lead to the exchange's book."""

    def __init__(self, records: Records, asset: AssetIdentifier, *, gaps: bool) -> None:
        super().__init__()
        self._records = records
        self._asset = asset
        self._gaps = gaps
        self._book: LocalBook | None = None

    def take(self, item: Any) -> str:
        if isinstance(item, Gap):
            ensure(self._gaps, f"an uncalled-for {item}")
            self._book = None
            return "Gap"
        if isinstance(item, OrderBook):
            self._book = LocalBook(item)
            return f"book {item.sequence_number}"
        assert isinstance(item, OrderBookDiff)
        if self._book is None:
            raise Violation(f"{item} came before a book")
        try:
            self._book.apply(item)
        except SequenceGap as exc:
            raise Violation(f"the chain broke: {exc!r}") from exc
        return f"diff {item.sequence_number}"

    def missing(self, *, complete: bool) -> str | None:
        if not complete:
            return None
        expected = self._records.known.books[self._asset]
        return (
            None if self._book is not None and self._book.snapshot() == expected else f"{self._book} is not {expected}"
        )


class RemoteBookChecker:
    """Compares a live book with the exchange's, which answers at quiet moments only."""

    def __init__(self, records: Records, asset: AssetIdentifier) -> None:
        self._records = records
        self._asset = asset

    def check(self, book: LiveBook) -> bool:
        """Check the book; return whether it is in sync and, at a quiet moment, equal to the exchange's."""
        if not book.is_synced:
            with suppress(BookNotSynced):
                book.snapshot()
                raise Violation(f"a book that is {book.state} could be read")
            return False
        facts = self._records.facts
        return facts is not None and book.snapshot() == facts.books[self._asset]

    def check_change(self, change: BookChange) -> None:
        """Check that a change has a legal sequence number."""
        ensure(change.sequence_number >= 0, f"{change} has no number")


@attrs.frozen
class Checkers:
    """Makes the checker of each stream and book.

    Args:
        records: The exchange's facts, at quiet moments.
        now_ns: Returns the present time.
        reference: Every state of every book, if the exchange runs in the same process.
        latency: Seconds by which a book may be late, if there is a reference.
        notice: The same during a failure of the network.
    """

    records: Records
    now_ns: Callable[[], int]
    reference: Reference | None = None
    latency: float = 0.0
    notice: float = 0.0

    def book(self, asset: AssetIdentifier) -> BookChecker | RemoteBookChecker:
        """Make the checker of a live book."""
        if self.reference is None:
            return RemoteBookChecker(self.records, asset)
        return BookChecker(self.reference, asset, self.latency, self.notice)

    def depth(self, asset: AssetIdentifier, *, merged: bool, gaps: bool) -> Checker:
        """Make the checker of a depth stream."""
        if self.reference is None:
            return ChainChecker(self.records, asset, gaps=gaps)
        return DepthChecker(self.reference.books[asset], merged=merged, gaps=gaps)

    def trades(self) -> Checker:
        """Make the checker of the public trades."""
        return NumbersChecker(self.records, None)

    def user_trades(self, statuses: int) -> Checker:
        """Make the checker of the user's trades."""
        return NumbersChecker(self.records, partial(_each_status, statuses), statuses)

    def candles(self, asset: AssetIdentifier) -> Checker:
        """Make the checker of a market's candles."""
        return CandlesChecker(self.records, asset)

    def orders(self) -> Checker:
        """Make the checker of the user's orders."""
        return LastingOrdersChecker(self.records, self.now_ns)


def _each_status(statuses: int, facts: Facts) -> Sequence[int]:
    return [number * statuses + status for number in facts.user_trades for status in range(statuses)]
