"""Merged depth leads to the same book."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.depth_model import Checker
from tests.helpers.depth_recovery import Recovery, book, diff
from tests.helpers.spelled_numbers import SPELLED_NUMBERS, depth_text
from tplus_trio import Depth, LocalBook, OrderBook, OrderBookDiff
from tplus_trio.codec import decode_depth_frame, decode_float_depth_batch
from tplus_trio.streams.recovery import conflate_depth, exact_depth


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


#: Few prices, so that changes meet; one of them in several spellings.
PRICES = st.one_of(*[st.sampled_from(["10.5", "10.50", "11", "9"])] * 3, SPELLED_NUMBERS)
LEVELS = st.lists(st.tuples(PRICES, SPELLED_NUMBERS), max_size=3)


@given(
    changes=st.lists(
        st.tuples(LEVELS, LEVELS, st.sampled_from([False] * 11 + [True])),
        min_size=1,
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 4), max_size=6),
)
def test_changes_that_were_read_to_floats_merge_as_exact_ones(
    changes: list[tuple[list[tuple[str, str]], list[tuple[str, str]], bool]], cuts: list[int]
) -> None:
    exact, floats = deque[Depth](), deque[Any]()
    texts = [depth_text(bids, asks, at + 1).encode() for at, (bids, asks, _) in enumerate(changes)]
    for (_, _, is_exact), text in zip(changes, texts, strict=True):
        (change,) = decode_depth_frame(text)
        exact.append(change)
        floats.extend((None if is_exact else decode_float_depth_batch([text])) or [change])
        if cuts and len(floats) > cuts[-1]:
            cuts.pop()
            for waiting in (exact, floats):
                conflate_depth(waiting)
    for waiting in (exact, floats):
        conflate_depth(waiting)
    assert [shown(exact_depth(item)) for item in floats] == [shown(item) for item in exact]


def shown(item: Depth) -> object:
    """An item with its numbers digit by digit, where a change without a link is one with the usual link."""
    assert isinstance(item, OrderBookDiff)
    sides = [[(level[0].as_tuple(), level[1].as_tuple()) for level in side] for side in (item.bids, item.asks)]
    return sides, item.sequence_number, item.previous_sequence_number


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
