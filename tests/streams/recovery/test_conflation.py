"""Merged depth leads to the same book."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.depth_model import Checker
from tests.helpers.depth_recovery import Recovery, book, diff
from tplus_trio import Depth, LocalBook, OrderBook, OrderBookDiff
from tplus_trio.streams.recovery import conflate_depth


def chain(draws: Sequence[tuple[int, int]], books: Sequence[int]) -> list[Depth]:
    """Make a snapshot and changes that chain, with snapshots in between at some places."""
    local, items = LocalBook(book(0)), list[Depth]()
    for at, (price, quantity) in enumerate(draws):
        if at in books:
            items.append(local.snapshot())
        change = diff(at + 1, 100 + price, quantity)
        if price % 2:
            change = OrderBookDiff((), change.bids, at + 1)
        local.apply(change)
        items.append(change)
    return items


@given(
    draws=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40),
    books=st.lists(st.integers(0, 40), max_size=2),
    cuts=st.lists(st.integers(1, 6), max_size=20),
    start=st.integers(0, 10),
)
def test_conflating_leads_to_the_same_book(
    draws: list[tuple[int, int]], books: list[int], cuts: list[int], start: int
) -> None:
    items = chain(draws, [0, *books])
    plain, merged = Checker(), Checker()
    plain.take(items)
    # Some arrive one by one, the rest in batches of any size, each conflated with those before.
    start = min(start, len(items) - 1)
    merged.take(items[: start + 1])
    rest, waiting = items[start + 1 :], deque[Depth]()
    for size in [*cuts, len(rest)]:
        waiting.extend(rest[:size])
        rest = rest[size:]
        conflate_depth(waiting)
        assert len(waiting) <= 2
        if size % 2:
            merged.take([waiting.popleft() for _ in range(len(waiting))])
    merged.take(waiting)
    assert (merged.state, merged.number) == (plain.state, plain.number)


def test_conflating_keeps_removals_and_says_what_they_follow() -> None:
    waiting = deque[Depth]([diff(6, 100, 5), diff(7, 101, 1), diff(8, 100, 0)])
    conflate_depth(waiting)
    (item,) = waiting
    assert isinstance(item, OrderBookDiff)
    assert (item.previous_sequence_number, item.sequence_number) == (5, 8)
    assert dict(item.bids) == {Decimal(100): Decimal(0), Decimal(101): Decimal(1)}


def test_prices_of_equal_hashes_take_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Price(Decimal):
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return Decimal.__eq__(self, other)

    levels = [(Price(n), 1) for n in range(2000)]
    waiting = deque[Depth]([OrderBookDiff(levels, (), 1), OrderBookDiff(levels[:100], (), 2)])
    assert conflate_depth(waiting) == 2000
    recovery = Recovery()
    recovery.answer(0, OrderBook((), levels, 3), early=True)
    recovery.subscribed()
    recovery.receive([OrderBookDiff(levels, (), n) for n in (2, 3, 4)])
    assert recovery.synced
    assert compared < 100_000
