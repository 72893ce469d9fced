"""Recoveries and books, told anything in any order that their contract allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, TypeAlias, get_args

import attrs

from tplus_trio.book.local import LocalBook
from tplus_trio.errors import SequenceGap
from tplus_trio.models import (
    AssetIdentifier,
    Gap,
    KlinesPage,
    KlineUpdate,
    LinkedDiff,
    OrderBook,
    OrderBookDiff,
    OrderCancelFailedEvent,
    OrdersSnapshot,
    PriceLevel,
    Timebar,
    Trade,
    UserOrders,
)
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import (
    DepthRecovery,
    GapMarking,
    KlinesBackfill,
    OrdersRecovery,
    Sequencing,
    TradesBackfill,
    conflate_depth,
)
from tplus_trio.streams.recovery.interface import Recovery

from .mutate import change_bytes
from .runner import Target

__all__ = ["MACHINES"]

_ASSETS: Final = (AssetIdentifier(200), AssetIdentifier(201))
_STATUSES: Final = ("Confirmed", "Pending", "Rollbacked", "Confirmed")
_Steps: TypeAlias = Iterator[int]


class _Rows(list[Any]):
    """A page of which one row could not be decoded."""

    bad: Sequence[int] = ()


def _rows(items: list[Any]) -> _Rows:
    rows = _Rows(items)
    if len(items) % 3 == 2:
        rows.bad = (len(items) // 2,)
    return rows


class _Clock:
    now = 1000

    def __call__(self) -> int:
        return self.now


def _drive(
    recovery: Recovery[Any], steps: _Steps, clock: _Clock, item: Callable[[int], Any], page: Callable[[list[Any]], Any]
) -> Iterator[Sequence[Any]]:
    """Tell a recovery what the steps say, as a subscription would; yield what it delivers."""
    asked: tuple[int, int, bool] | None = None
    subscribed = False
    for step in steps:
        n = step >> 3
        match step & 7:
            case 0 if subscribed and n % 3 == 1:
                yield recovery.hole("hole")
            case 0:
                recovery.lost("lost")
                subscribed = False
            case 1:
                if not subscribed:
                    subscribed = True
                    yield recovery.subscribed()
            case 2 | 3 | 4 | 5:
                if subscribed:
                    yield recovery.receive([item(next(steps, 0)) for _ in range(n % 8 + (step & 7 == 5))])
            case 6:
                if recovery.pending_request is not None and (subscribed or recovery.eager):
                    asked = (recovery.generation, recovery.pending_request, not subscribed)
            case _:
                clock.now += n
                if subscribed and n % 4 == 3 and recovery.hold_timeout is not None:
                    yield recovery.expire()
                if asked is not None:
                    (generation, number, early), asked = asked, None
                    answer = page([item(next(steps, 0)) for _ in range(n % 8)])
                    if generation == recovery.generation:
                        yield recovery.answer(number, answer, early=early)
        assert recovery.held >= 0
        assert recovery.synced or recovery.pending_request is not None
        assert recovery.hold_timeout is None or (recovery.urgent and recovery.held)


def _levels(n: int) -> tuple[PriceLevel, ...]:
    return tuple(PriceLevel(Decimal(1 + (n + i) % 5), Decimal(n * i % 3)) for i in range(n % 3))


def _read(book: LocalBook) -> None:
    """Whatever can be read is in order."""
    snapshot = book.snapshot()
    for levels in (snapshot.asks, snapshot.bids[::-1]):
        assert all(a.price < b.price for a, b in pairwise(levels))
        assert all(level.quantity > 0 for level in levels)
    assert book.best_ask == (snapshot.asks[0] if snapshot.asks else None)
    assert book.best_bid == (snapshot.bids[0] if snapshot.bids else None)
    assert (book.mid is None) == (book.spread is None) == (not snapshot.asks or not snapshot.bids)
    for side, levels in (("Buy", snapshot.asks), ("Sell", snapshot.bids)):
        total = sum((level.quantity for level in levels), Decimal(0))
        assert total == 0 or book.vwap(side, total) is not None
        assert book.vwap(side, total + 1) is None
    assert LocalBook(snapshot) == book


def _depth(steps: _Steps) -> str:
    """What is delivered chains; merged now and then, it leads to the same book."""
    clock, stats = _Clock(), ConnectionCounts()
    mode = get_args(Sequencing)[next(steps, 0) % 3]
    recovery = DepthRecovery(clock, stats, sequence=mode)
    number = 100

    def item(n: int) -> OrderBookDiff:
        nonlocal number
        number = number + 1 if n < 160 else max(0, number + (0, 2, -1, -2, 60, -60, 2000, -2000)[n % 8])
        return OrderBookDiff(_levels(n), _levels(n // 7), number)

    def page(items: list[OrderBookDiff]) -> OrderBook:
        n = len(items)
        return OrderBook(_levels(n * 3), _levels(n * 5), max(0, number - (0, 0, 1, 2, 5, -1, -5, 1500)[n]))

    book: LocalBook | None = None
    merged: LocalBook | None = None
    waiting: deque[Any] = deque()
    for items in _drive(recovery, steps, clock, item, page):
        for change in items:
            if isinstance(change, OrderBook):
                book = LocalBook(change)
            else:
                assert book is not None, "a change before any book"
                book.apply(change)
        waiting.extend(items)
        if len(waiting) > 5:
            conflate_depth(waiting)
            assert len(waiting) <= 2
    conflate_depth(waiting)
    for change in waiting:
        if isinstance(change, OrderBook):
            merged = LocalBook(change)
        else:
            assert merged is not None
            merged.apply(change)
    assert merged == book
    if book is not None:
        _read(book)
    return f"ok {mode} {stats.gaps} {stats.resyncs} {recovery.synced} {recovery.held} {len(waiting)}"


def _trades(steps: _Steps) -> str:
    clock, stats, out = _Clock(), ConnectionCounts(), list[Any]()
    recovery = TradesBackfill(clock, stats, max_pages=1 + next(steps, 0) % 4)

    def item(n: int) -> Trade:
        # Few trades, each in several statuses, and some ids that are another trade's too.
        number = n % 16
        made = Trade(_ASSETS[n >> 7], number % 12, Decimal(1), Decimal(1), number * 20, buyer_is_maker=False)
        return attrs.evolve(made, status=_STATUSES[(n >> 4) % 4])

    for items in _drive(recovery, steps, clock, item, _rows):
        out += items
    keys = [(t.asset_id, t.trade_id, t.timestamp_ns, t.status) for t in out if isinstance(t, Trade)]
    assert len(keys) == len(set(keys)), "a trade came twice"
    _check_gaps(out)
    gaps = len(out) - len(keys)
    return f"ok {stats.gaps} {stats.resyncs} {recovery.pending_request} {recovery.held} {gaps} {len(keys) // 4}"


def _klines(steps: _Steps) -> str:
    clock, stats, out = _Clock(), ConnectionCounts(), list[Any]()
    recovery = KlinesBackfill(clock, stats, max_pages=1 + next(steps, 0) % 4, asset_id=_ASSETS[0])
    one = Decimal(1)

    def item(n: int) -> KlineUpdate:
        return KlineUpdate(one, one, one, one, Decimal(n % 8), n // 8, n // 8 + 1, asset_id=_ASSETS[0])

    def page(items: list[KlineUpdate]) -> KlinesPage:
        return KlinesPage(
            [Timebar(one, one, one, one, i.volume, i.open_timestamp_ns, i.close_timestamp_ns) for i in items]
        )

    for items in _drive(recovery, steps, clock, item, page):
        out += items
    assert all(isinstance(candle, KlineUpdate | Gap) for candle in out)
    _check_gaps(out)
    return f"ok {stats.gaps} {stats.resyncs} {recovery.pending_request} {recovery.held} {len(out) // 4}"


def _orders(steps: _Steps) -> str:
    """Every event comes, once and in order, and a snapshot after each loss that was made good."""
    clock, stats, out, sent = _Clock(), ConnectionCounts(), list[Any](), list[Any]()
    recovery = OrdersRecovery(clock, stats)

    def item(n: int) -> OrderCancelFailedEvent:
        sent.append(OrderCancelFailedEvent(str(len(sent)), "u"))
        return OrderCancelFailedEvent(str(len(sent) - 1), "u")

    def page(items: list[Any]) -> UserOrders:
        del sent[len(sent) - len(items) :]
        return UserOrders((), {})

    for items in _drive(recovery, steps, clock, item, page):
        out += items
    events = [event for event in out if not isinstance(event, OrdersSnapshot)]
    assert len(events) == len(sent) - recovery.held
    assert events == sent[: len(events)]
    assert len(out) - len(events) == stats.resyncs
    return f"ok {stats.gaps} {stats.resyncs} {recovery.held} {len(out) // 4}"


def _marked(steps: _Steps) -> str:
    clock, stats, out = _Clock(), ConnectionCounts(), list[Any]()

    def item(n: int) -> Trade:
        return Trade(_ASSETS[0], n, Decimal(1), Decimal(1), n * 20, buyer_is_maker=False)

    for items in _drive(GapMarking[Trade](clock, stats), steps, clock, item, list):
        out += items
    gaps = _check_gaps(out)
    assert gaps <= stats.gaps
    return f"ok {stats.gaps} {gaps} {len(out) // 4}"


def _check_gaps(out: Sequence[Any]) -> int:
    gaps = [item for item in out if isinstance(item, Gap)]
    assert all(gap.since_ns <= gap.until_ns for gap in gaps), gaps
    return len(gaps)


def _book(steps: _Steps) -> str:
    """A book of its own: what does not follow is refused, and changes nothing."""
    book, number, refused = LocalBook(OrderBook(_levels(next(steps, 0)), _levels(next(steps, 0)), 10)), 10, 0
    for n in steps:
        bids, asks = _levels(n), _levels(next(steps, 0))
        follows = number if n < 200 else number + n % 5 - 2
        diff = LinkedDiff(bids, asks, number + n % 4, follows) if n & 1 else OrderBookDiff(bids, asks, follows + 1)
        before = book.snapshot()
        try:
            book.apply(diff)
        except SequenceGap:
            refused += 1
            assert follows != number
            assert book.snapshot() == before
        else:
            assert follows == number
            number = book.sequence_number
            assert number == diff.sequence_number
    _read(book)
    return f"ok {refused} {len(book.bids())} {len(book.asks())}"


_MACHINES: Final[dict[str, Callable[[_Steps], str]]] = {
    "depth": _depth,
    "trades": _trades,
    "klines": _klines,
    "orders": _orders,
    "marked": _marked,
    "book": _book,
}


def _run(head: str, body: bytes) -> str:
    return _MACHINES[head](iter(body[:200])) if head in _MACHINES else "refused: no such machine"


#: Subscribe, receive three, ask, answer, receive; lose the connection; again.
_GOOD: Final = bytes.fromhex("00011a010203040607071a0506070a1a010203001a01090807060617140203")
MACHINES: Final = Target(
    run=_run,
    seeds={name: [_GOOD, _GOOD * 2, bytes(range(100)), b"\0\1" + b"\6\7\x0a\1" * 9] for name in _MACHINES},
    change=change_bytes,
    words=[b"\0\1", b"\6\7", b"\6\x0f\0", b"\x3a" + b"\1" * 7, b"\n\xa1", b"\n\xa6", b"\n\xa7", b"\6\b\0\1"],
)
