"""A book that compares its prices as floats reads as the exact one does, digit by digit."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.spelled_numbers import SPELLED_NUMBERS, depth_text
from tplus_trio import LocalBook, OrderBook, PriceLevel, SequenceGap
from tplus_trio.book.float_book import FloatBook
from tplus_trio.book.reader import BookReader
from tplus_trio.book.state import DepthState
from tplus_trio.codec import decode_depth_frame, decode_float_depth_batch
from tplus_trio.errors import DecodeError

D = Decimal
LEVELS = st.lists(st.tuples(SPELLED_NUMBERS, SPELLED_NUMBERS), max_size=4)


def digits(value: Any) -> Any:
    """What is compared: each number with its digits and exponent."""
    if isinstance(value, Decimal):
        return value.as_tuple()
    if isinstance(value, tuple):
        return tuple(map(digits, value))
    return value


def read(book: BookReader[Any], prices: Iterable[Decimal]) -> list[Any]:
    """Read everything."""
    found = [book.best_bid, book.best_ask, book.bids(2), book.asks(2), book.spread, book.mid, book.sequence_number]
    found += [book.quantity_at(side, price) for side in ("Buy", "Sell") for price in prices]
    found += [book.vwap(side, D(3)) for side in ("Buy", "Sell")]
    found += [book.bids(), book.asks(), book.bids(0), book.asks(0)]
    return [digits(one) for one in found]


def state_of(text: str) -> tuple[DepthState, LocalBook]:
    (first,) = decode_depth_frame(text.encode())
    snapshot = OrderBook(first.asks, first.bids, first.sequence_number)
    state = DepthState()
    state.add_consumer("state")
    state.apply([snapshot])
    return state, LocalBook(snapshot)


Levels = list[tuple[str, str]]
#: The changes of both sides, and whether the book is read after them.
Changes = list[tuple[Levels, Levels, bool]]


def changes_of(levels: st.SearchStrategy[Levels]) -> st.SearchStrategy[Changes]:
    return st.lists(st.tuples(levels, levels, st.booleans()), max_size=8)


def check_state(bids: Levels, asks: Levels, changes: Changes, size: int, depth: int) -> DepthState:
    """Compare the state with the exact book over changes that come ``size`` at a time; return the state."""
    # A large side remembers which of its prices moved; a small one is sorted as a whole.
    more_bids = [(f"{n}", "1") for n in range(1, depth + 1)]
    more_asks = [(f"{n}", "1") for n in range(5000, 5000 + depth)]
    state, oracle = state_of(depth_text([*more_bids, *bids], [*asks, *more_asks], 10))
    prices = {D(10), D("10.5"), D("10.500000000000000000001"), D("1e90")}
    frames = [depth_text(more, less, 11 + index).encode() for index, (more, less, _) in enumerate(changes)]
    for start in range(0, len(frames), size):
        batch = frames[start : start + size]
        found = state.decode_batch(batch)
        exact = [diff for frame in batch for diff in decode_depth_frame(frame)]
        state.apply(exact if found is None else found)
        for diff in exact:
            oracle.apply(diff)
            prices |= {level.price for level in (*diff.bids, *diff.asks)}
        assert state.book is not None
        if changes[start][2]:  # not after each batch, so that levels of several texts wait to be read
            assert read(state.book, prices) == read(oracle, prices)
    assert state.book is not None
    assert read(state.book, prices) == read(oracle, prices)
    assert digits(tuple(state.book.snapshot().bids)) == digits(oracle.snapshot().bids)
    return state


SIZES, DEPTHS = st.integers(1, 3), st.sampled_from((0, 20, 100))
#: Levels that a book of floats takes. Few prices, so that changes meet levels that are there.
PLAIN_LEVELS = st.lists(
    st.tuples(
        st.sampled_from(["100", "100.0", "101", "102.5", "103", "104", "105"]), st.sampled_from(["0", "1", "2.50"])
    ),
    max_size=4,
)


@given(LEVELS, LEVELS, changes_of(LEVELS), SIZES, DEPTHS)
@settings(max_examples=500)
def test_the_state_reads_as_the_exact_book(bids: Levels, asks: Levels, changes: Changes, size: int, depth: int) -> None:
    check_state(bids, asks, changes, size, depth)


@given(PLAIN_LEVELS, PLAIN_LEVELS, changes_of(PLAIN_LEVELS), SIZES, DEPTHS)
@settings(max_examples=500)
def test_a_book_of_floats_reads_as_the_exact_book(
    bids: Levels, asks: Levels, changes: Changes, size: int, depth: int
) -> None:
    state = check_state(bids, asks, changes, size, depth)
    assert isinstance(state.book, FloatBook)


def test_the_first_price_that_needs_it_makes_the_book_exact_until_the_next_snapshot() -> None:
    state, _ = state_of(depth_text([("10", "1")], [("11", "1")], 1))
    assert isinstance(state.book, FloatBook)
    odd = depth_text([("10.00000000000000001", "2")], [], 2).encode()
    found = state.decode_batch([odd])
    state.apply(decode_depth_frame(odd) if found is None else found)
    assert isinstance(state.book, LocalBook)
    assert state.book.bids() == (PriceLevel(D("10.00000000000000001"), D(2)), PriceLevel(D(10), D(1)))
    late = decode_float_depth_batch([depth_text([("12", "1")], [("10", "0")], 3).encode()])
    assert late is not None
    state.apply(late)  # it was decoded before
    assert (state.book.best_bid, state.book.sequence_number) == (PriceLevel(D(12), D(1)), 3)
    state.apply([OrderBook([("2", 1)], [("1", 1)], 7)])
    assert isinstance(state.book, FloatBook)
    state.apply([OrderBook([("2.00000000000000001", 1)], [("1", 1)], 8)])
    assert isinstance(state.book, LocalBook)


def test_a_change_that_does_not_follow_is_refused() -> None:
    state, _ = state_of(depth_text([("10", "1")], [("11", "1")], 1))
    before = None if state.book is None else state.book.snapshot()
    late = decode_float_depth_batch([depth_text([("12", "1")], [("10", "0")], 3).encode()])
    assert late is not None
    with pytest.raises(SequenceGap):
        state.apply(late)
    assert state.book is not None
    assert state.book.snapshot() == before


def test_small_prices_are_compared_as_floats_however_they_are_spelled() -> None:
    state, _ = state_of(depth_text([("0.00000089", "1"), ("8.8e-7", "2")], [("0.0000009", "1")], 1))
    assert isinstance(state.book, FloatBook)
    found = state.decode_batch([depth_text([("0.00000088", "0"), ("0.00000090", "3")], [("9e-7", "0")], 2).encode()])
    assert found is None  # the exponent is read by the frame decoder
    found = state.decode_batch([depth_text([("0.00000088", "0")], [("0.00000090", "3")], 2).encode()])
    assert found is not None
    state.apply(found)
    assert isinstance(state.book, FloatBook)
    assert digits(state.book.bids()) == digits((PriceLevel(D("0.00000089"), D(1)),))
    assert digits(state.book.asks()) == digits((PriceLevel(D("0.00000090"), D(3)),))


@pytest.mark.parametrize("levels", [10, 5000])
def test_a_large_change_is_merged(levels: int) -> None:
    state, oracle = state_of(depth_text([], [(f"{price}.5", "1") for price in range(levels)], 1))
    changes = [(f"{price / 2:.1f}", "0" if price % 3 else "2.0") for price in range(0, 2 * levels, 5)]
    text = depth_text([], changes[::-1], 2).encode()
    found = state.decode_batch([text])
    assert found is not None
    state.apply(found)
    (diff,) = decode_depth_frame(text)
    oracle.apply(diff)
    assert state.book is not None
    assert digits(state.book.asks()) == digits(oracle.asks())


def test_a_bad_frame_is_no_change() -> None:
    with pytest.raises(DecodeError):
        decode_depth_frame(depth_text([("1", "1" * 101)], [], 2).encode())
    assert decode_float_depth_batch([depth_text([("1", "1" * 101)], [], 2).encode()] * 2) is None


def test_a_level_that_changed_since_is_not_read_from_an_older_message() -> None:
    state, _ = state_of(depth_text([], [], 1))
    frames = [
        depth_text([("10", "1"), ("9", "2"), ("8", "3")], [], 2).encode(),
        depth_text([("10", "4.50"), ("8", "0")], [], 3).encode(),
    ]
    found = state.decode_batch(frames)
    assert found is not None
    state.apply(found)
    assert state.book is not None
    assert state.book.quantity_at("Buy", D(9)) == D(2)  # read from the older message, which has the other levels too
    assert digits(state.book.bids()) == digits((PriceLevel(D(10), D("4.50")), PriceLevel(D(9), D(2))))
