"""Checkers of what must hold: one for each kind of stream, given every item, and one for live books."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from tplus_trio import BookNotSynced, LiveBook, LocalBook, SequenceGap
from tplus_trio.book.changes import BookChange
from tplus_trio.models import (
    AssetIdentifier,
    Gap,
    Interval,
    KlineUpdate,
    OrderBook,
    OrderBookDiff,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderRemovedEvent,
    OrderResponse,
    OrdersSnapshot,
    Trade,
    UnknownOrderEvent,
    UserTrade,
)
from tplus_trio.models.order import LimitOrderDetails
from tplus_trio.testing.exchange.candles import Candles

from .reference import BookHistory, Moment, Reference

__all__ = [
    "SPOILED_STATUS",
    "BookChecker",
    "Checker",
    "DepthChecker",
    "KlinesChecker",
    "OrdersChecker",
    "SequenceChecker",
    "Violation",
    "ensure",
]

#: A client notices a restarted service on an open connection by numbers that do not rise: by 5 repeats, or by
#: 50 changes that the snapshot seems to contain (twice as many at the next restart).
_RESTART_NOTICED: Final = 55
#: The status of a bad row of trades, which no version of the service knows.
SPOILED_STATUS: Final = "Settled"
_OPEN: Final = frozenset({"Open", "Partial", "Pending"})
#: The status of an order in a bad row.
_UNKNOWN_STATUS: Final = "Frozen"


class Violation(Exception):
    """A promise was broken."""


def ensure(condition: object, message: str) -> None:
    """Raise a `Violation` unless ``condition`` holds."""
    if not condition:
        raise Violation(message)


class BookChecker:
    """Compares a live book with the exchange's.

    Args:
        reference: The exchange's books.
        asset: The book's market.
        latency: The most seconds by which a book in sync may be late while the network delays nothing.
        tolerance: The most seconds by which it may be late in any case: the time to notice a dead connection.
    """

    def __init__(self, reference: Reference, asset: AssetIdentifier, latency: float, tolerance: float) -> None:
        self._reference = reference
        self._history = reference.books[asset]
        self._latency = latency
        self._tolerance = tolerance

    def check(self, book: LiveBook) -> bool:
        """Read the book, and return whether it is in sync and up to date."""
        if not book.is_synced:
            for read in (lambda: book.best_bid, lambda: book.mid, book.snapshot):
                with suppress(BookNotSynced):
                    read()
                    raise Violation(f"a book that is {book.state} could be read")
            return False
        return self.check_state(book.snapshot())

    def check_state(self, state: OrderBook) -> bool:
        """Check that the exchange had a state and that it is not too old; return whether it is the newest."""
        moments = self._history.equal(state)
        if not moments:
            had = [moment.book for moment in self._history.having(state.sequence_number)]
            raise Violation(f"the book shows {state}, the exchange had {had}")
        since = self._overdue_since(moments[-1])
        if since is not None:
            now = trio.current_time()
            latest = max(since, self._reference.disturbed_until) + self._latency
            ensure(
                now <= min(latest, since + self._tolerance),
                f"the book is in sync at {state.sequence_number}, and has missed something for {now - since:.3f} s; "
                f"the exchange is at {self._history.latest.book.sequence_number}",
            )
        return moments[-1] is self._history.latest

    def check_change(self, change: BookChange) -> None:
        """Check that a change shows a state that the exchange had."""
        for moment in self._history.having(change.sequence_number):
            best = moment.book
            bid, ask = best.bids[0] if best.bids else None, best.asks[0] if best.asks else None
            if (bid, ask) == (change.best_bid, change.best_ask):
                return
        raise Violation(f"{change} shows best levels that the exchange never had")

    def _overdue_since(self, moment: Moment) -> float | None:
        """Return since when a client at this state could know of a newer one; None if it cannot.

        It cannot know of changes that were sent to no subscriber, nor, until the next change comes, of those before a
        stale snapshot that it received. It notices a restart only after several changes.
        """
        unlike = 0
        for later in self._history.after(moment):
            if later.sent_at is None or later.sent_at <= self._history.stale_at:
                continue
            if later.epoch == moment.epoch:
                return later.sent_at
            unlike += 1
            if unlike >= _RESTART_NOTICED << (self._history.restarts_before(later) - 1):
                return later.sent_at
        return None


class Checker(ABC):
    """Follows one stream from its beginning to its end."""

    def __init__(self) -> None:
        #: The time at which the stream was first live. Everything after it has to arrive.
        self.live_at_ns: int | None = None

    @abstractmethod
    def take(self, item: Any) -> str:
        """Take the next item, and return one word for its kind.

        Raises:
            Violation: it is not the item that had to come next.
        """

    @abstractmethod
    def missing(self, *, complete: bool) -> str | None:
        """Return what is missing, or None.

        Args:
            complete: Whether every item must have arrived; otherwise only those before the last received one.
        """

    def forget(self) -> None:  # noqa: B027 - most have nothing to forget
        """Drop the history that the next item does not need; everything has arrived."""


class DepthChecker(Checker):
    """Checks depth: items chain, and lead through states that the exchange had."""

    def __init__(self, history: BookHistory, *, merged: bool, gaps: bool) -> None:
        super().__init__()
        self._history = history
        self._merged = merged
        self._gaps = gaps
        self._book: LocalBook | None = None
        self._moments: list[Moment] = []

    def take(self, item: Any) -> str:
        if isinstance(item, Gap):
            ensure(self._gaps, f"an uncalled-for {item}")
            self._book = None
            return "Gap"
        if isinstance(item, OrderBook):
            self._book = LocalBook(item)
            self._moments = self._history.equal(item)
            ensure(self._moments, f"{item} never was")
            return f"book {item.sequence_number}"
        assert isinstance(item, OrderBookDiff)
        ensure(self._book is not None, f"{item} came before a book")
        assert self._book is not None
        try:
            self._book.apply(item)
        except SequenceGap as exc:
            raise Violation(f"the chain broke: {exc!r}") from exc
        before = self._moments
        # The next change, or if changes are merged any later one, of the same run of numbers.
        self._moments = [
            moment
            for moment in self._history.equal(self._book.snapshot())
            if any(
                moment.epoch == old.epoch
                and (moment.index > old.index if self._merged else moment.index == old.index + 1)
                for old in before
            )
        ]
        ensure(self._moments, f"{item} after {[m.index for m in before]} leads to a book that never was: {self._book}")
        return f"diff {item.sequence_number}"

    def missing(self, *, complete: bool) -> str | None:
        if complete and self._history.latest not in self._moments:
            return f"the book is {self._book}, the exchange's {self._history.latest.book.sequence_number}"
        return None


class SequenceChecker(Checker):
    """Checks trades: each arrives once and in order, or a gap stands in its place.

    Args:
        expected: All items so far, in order.
        may_gap: Returns whether a gap is correct, given the number of items that have not arrived and whether any has.
    """

    def __init__(self, expected: Callable[[], Sequence[Any]], may_gap: Callable[[int, bool], bool]) -> None:
        super().__init__()
        self._expected = expected
        self._may_gap = may_gap
        #: The position of each received item among the expected ones, in order of receipt; or a gap.
        self._taken: list[int | Gap] = []
        self._last = -1

    def take(self, item: Any) -> str:
        expected = self._expected()
        if isinstance(item, Gap):
            ensure(item.since_ns <= item.until_ns, f"{item} ends before it begins")
            ensure(self._may_gap(len(expected) - 1 - self._last, self._last >= 0), f"{item}: nothing was out of reach")
            self._taken.append(item)
            return f"Gap {item.since_ns}-{item.until_ns}: {item.reason}"
        # Nearly always it is the next one.
        position = self._last + 1
        while position < len(expected) and expected[position] != _as_sent(item, expected[position]):
            position += 1
        if position == len(expected):
            raise Violation(f"{item} {'came again or late' if item in expected else 'never was'}")
        self._taken.append(position)
        self._last = position
        assert isinstance(item, Trade | UserTrade)
        return f"trade {item.trade_id} {item.status}"

    def missing(self, *, complete: bool) -> str | None:
        if self.live_at_ns is None:
            return None
        expected = self._expected()
        before = -1
        gaps: list[Gap] = []
        for step in [*self._taken, len(expected)] if complete else self._taken:
            if isinstance(step, Gap):
                gaps.append(step)
                continue
            lost = [item for item in expected[before + 1 : step] if item.timestamp_ns > self.live_at_ns]
            for item in lost:
                if not any(gap.since_ns <= item.timestamp_ns <= gap.until_ns for gap in gaps):
                    return f"{item} did not come, and none of the gaps so far covers it: {gaps[-2:]}"
            before = step
        return None


def _as_sent(item: Any, expected: Any) -> Any:
    """Return an item with the status that it had before a bad row was made of it."""
    if str(getattr(item, "status", "")) == SPOILED_STATUS:
        return attrs.evolve(item, status=expected.status)
    return item


class KlinesChecker(Checker):
    """Checks candles: the last state of each arrives, or a gap covers the time of its last trade."""

    def __init__(self, trades: Callable[[], Sequence[Trade]]) -> None:
        super().__init__()
        self._trades = trades
        self._states: dict[int, KlineUpdate] = {}
        self._gaps: list[Gap] = []

    def take(self, item: Any) -> str:
        if isinstance(item, Gap):
            self._gaps.append(item)
            return f"Gap {item.since_ns}-{item.until_ns}"
        assert isinstance(item, KlineUpdate)
        before = self._states.get(item.open_timestamp_ns)
        ensure(before is None or item.volume >= before.volume, f"{item} was set back from {before}")
        ensure(item.open_timestamp_ns >= max(self._states, default=0), f"{item} came after a newer candle")
        self._states[item.open_timestamp_ns] = item
        return f"candle {item.open_timestamp_ns // 10**9} {item.volume}"

    def missing(self, *, complete: bool) -> str | None:
        if self.live_at_ns is None:
            return None
        trades = self._trades()
        newest = max(self._states, default=0)
        for bar in Candles(trades).newest_first(Interval.MIN_1):
            last = max(
                t.timestamp_ns for t in trades if bar.open_timestamp_ns <= t.timestamp_ns < bar.close_timestamp_ns
            )
            if last <= self.live_at_ns or (not complete and bar.open_timestamp_ns >= newest):
                continue
            state = self._states.get(bar.open_timestamp_ns)
            if state is not None and state == KlineUpdate.of(state.asset_id, bar):
                continue
            if not any(gap.since_ns <= last <= gap.until_ns for gap in self._gaps):
                return f"{bar} was left at {state}, and no gap covers {last}: {self._gaps[-2:]}"
        return None


@attrs.frozen
class _Terms:
    """An order as far as the order stream describes it."""

    asset_id: AssetIdentifier
    limit: int
    quantity: int
    #: None if the status is unknown.
    is_open: bool | None


class OrdersChecker(Checker):
    """Checks orders: the stream's items add up to the exchange's orders.

    Args:
        orders: The exchange's orders.
        late: An order that has been open for this many seconds is in each complete snapshot; None if the orders of the
            exchange are not known at every moment.
    """

    def __init__(self, orders: Callable[[], Sequence[OrderResponse]], late: float | None = None) -> None:
        super().__init__()
        self._exchange_orders = orders
        self._late = late
        self._orders: dict[str, _Terms | None] = {}
        #: When the last snapshot of open orders was made. Orders that were made and ended before it may be untold.
        self._listed_at_ns = 0

    def take(self, item: Any) -> str:
        if isinstance(item, OrdersSnapshot):
            # A snapshot of open orders leaves out those that have ended.
            before = self._orders.items() if item.open_only else ()
            ended = {name: order and attrs.evolve(order, is_open=False) for name, order in before}
            self._listed_at_ns = item.timestamp_ns if item.open_only else 0
            self._orders = {**ended, **{order.order_id: _terms(order) for order in item.orders}}
            if self._late is not None and item.is_complete:
                self._check_complete(item, self._late)
            return f"snapshot of {len(item.orders)} orders"
        if isinstance(item, OrderCreatedEvent):
            order = item.user_order
            assert isinstance(order.details, LimitOrderDetails)
            details = order.details
            self._orders[item.order_id] = _Terms(order.base_asset, details.limit_price, details.quantity, is_open=True)
        elif isinstance(item, OrderRemovedEvent):
            known = self._orders.get(item.order_id)
            self._orders[item.order_id] = None if known is None else attrs.evolve(known, is_open=False)
        else:
            # An unknown event changes nothing.
            ensure(isinstance(item, OrderCancelledEvent | UnknownOrderEvent), f"an uncalled-for {item}")
        return f"{type(item).__name__} {getattr(item, 'order_id', '')}"

    def _check_complete(self, snapshot: OrdersSnapshot, late: float) -> None:
        before_ns = snapshot.timestamp_ns - round(late * 1e9)
        for order in self._exchange_orders():
            if order.status in _OPEN and order.timestamp_ns < before_ns:
                ensure(order.order_id in self._orders, f"{order} is open, and not in the complete {snapshot}"[:400])

    def missing(self, *, complete: bool) -> str | None:
        if not complete or self.live_at_ns is None:
            return None
        expected = {order.order_id: order for order in self._exchange_orders()}
        for order_id, order in expected.items():
            known = self._orders.get(order_id)
            if known is None:
                # Created before the stream was opened, or created and ended between two snapshots.
                is_listed = order.timestamp_ns < self._listed_at_ns and order.is_done
                if order.timestamp_ns > self.live_at_ns and not is_listed:
                    return f"{order_id} was not told: {order}"
            elif known.is_open is not None and known != _terms(order):
                return f"{order_id} is {known}, the exchange has {_terms(order)}"
        phantoms = self._orders.keys() - expected.keys()
        return f"the exchange has no {sorted(phantoms)[:5]}" if phantoms else None


def _terms(order: OrderResponse) -> _Terms:
    assert order.limit_price is not None
    assert order.quantity is not None
    is_open = None if order.status == _UNKNOWN_STATUS else order.status in _OPEN
    return _Terms(order.base_asset, int(order.limit_price), int(order.quantity), is_open)
