"""`DepthState` while nobody reads the book: what is kept, when it is applied, and when it is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, DecimalTuple
from typing import cast

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.spelled_numbers import SPELLED_NUMBERS, depth_text
from tplus_trio import LocalBook, OrderBook, OrderBookDiff
from tplus_trio.book.packed import PackedBook
from tplus_trio.book.state import DepthState
from tplus_trio.book.upkeep import Upkeep
from tplus_trio.codec import decode_depth_frame
from tplus_trio.models import PriceLevel
from tplus_trio.streams.feed_state import Needs
from tplus_trio.streams.recovery import Depth
from tplus_trio.transport.websocket import BinaryMessage


def level(price: int, quantity: int) -> PriceLevel:
    return PriceLevel(Decimal(price), Decimal(quantity))


SNAPSHOT = OrderBook(asks=(level(101, 1),), bids=(level(99, 1),), sequence_number=0)


@attrs.define
class Clock:
    """Each look at it takes some time."""

    now: float = 0.0
    step: float = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@attrs.define
class Pair:
    """A state, and a book that applies each change at once."""

    clock: Clock = attrs.field(factory=Clock)
    state: DepthState = attrs.field(init=False)
    book: LocalBook = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.state = DepthState(Upkeep(self.clock))
        self.state.add_consumer("items")
        self.put([SNAPSHOT])

    def put(self, items: Sequence[Depth]) -> None:
        self.state.apply(items)
        if self.state.needs_upkeep:  # as the feed does, once its consumers have taken the items
            self.state.keep_up()
        for item in items:
            if isinstance(item, OrderBook):
                self.book = LocalBook(item)
            elif isinstance(item, OrderBookDiff):
                self.book.apply(item)

    def change(self, n: int) -> None:
        for _ in range(n):
            number = self.book.sequence_number + 1
            self.put([OrderBookDiff(bids=(level(1 + number % 99, number % 5),), asks=(), sequence_number=number)])


@pytest.mark.parametrize("count", [0, 1, 64, 65, 1000, 1023])
def test_what_was_kept_is_applied_for_who_comes(count: int) -> None:
    pair = Pair()
    pair.change(count)
    assert pair.state.begin() == (pair.book.snapshot(),)
    pair.change(3)
    assert pair.state.begin() == (pair.book.snapshot(),)
    pair.state.add_consumer("state")
    assert pair.state.book == pair.book
    pair.change(3)
    assert pair.state.book == pair.book


def test_a_flood_is_forgotten_and_a_snapshot_brings_the_book_back() -> None:
    pair = Pair()
    pair.state._upkeep = Upkeep(pair.clock, share=1e-9, most=0.01)
    pair.clock.step = 0.001
    pair.change(5000)
    assert (pair.state.is_known, pair.state.begin(), pair.state.book) == (False, None, None)
    pair.change(5)
    assert pair.state.begin() is None
    pair.state.add_consumer("state")
    pair.change(5)
    assert pair.state.book is None, "a reader cannot read what is not known"
    assert pair.state.restore([pair.book.snapshot()])
    pair.change(5)
    assert pair.state.book == pair.book
    assert not pair.state.restore([SNAPSHOT]), "it is known"


def test_a_busy_feed_is_remembered() -> None:
    pair = Pair()
    pair.clock.step = 0.0001
    for _ in range(20):
        pair.clock.now += 0.2
        pair.change(1000)
    assert pair.state.begin() == (pair.book.snapshot(),)
    assert pair.state._kept_count <= 128


def test_feeds_share_the_time_for_upkeep() -> None:
    clock = Clock(step=0.004)
    upkeep = Upkeep(clock)
    for _ in range(5):
        assert upkeep.is_affordable()
        upkeep.spend(0.0045)
    assert not upkeep.is_affordable()
    clock.now += 0.2  # three per cent of it
    assert upkeep.is_affordable()


def test_an_idle_feed_keeps_few_changes() -> None:
    pair = Pair()
    for _ in range(500):
        pair.clock.now += 1.0
        pair.change(1)
    assert pair.state._kept_count <= 65
    assert pair.state.begin() == (pair.book.snapshot(),)


#: Changed levels. A book of floats takes some of these prices and not others.
CHANGES = st.lists(st.tuples(st.one_of(st.integers(1, 30).map(str), SPELLED_NUMBERS), SPELLED_NUMBERS), max_size=3)


WAYS = st.sampled_from(["as decoded", "copied", "one by one"])


@given(st.lists(st.tuples(st.lists(CHANGES, min_size=1, max_size=12), WAYS, st.booleans()), max_size=12))
@settings(max_examples=300)
def test_messages_that_are_kept_are_read_exactly(
    batches: list[tuple[list[list[tuple[str, str]]], str, bool]],
) -> None:
    """What waits is kept as messages where it arrives as it was decoded, and as changes otherwise."""
    batches.append(([[]], "as decoded", True))
    pair = Pair()
    pair.clock.step = 0.001
    for changes, way, is_read in batches:
        first = pair.book.sequence_number + 1
        frames = [depth_text(levels, levels[::-1], first + n).encode() for n, levels in enumerate(changes)]
        for some in [[frame] for frame in frames] if way == "one by one" else [frames]:
            found = cast("Sequence[Depth] | None", pair.state.decode_batch(some))
            arrived = [diff for frame in some for diff in decode_depth_frame(frame)] if found is None else found
            pair.put(list(arrived) if way == "copied" else arrived)
        if is_read:
            (book,) = pair.state.begin() or ()
            assert isinstance(book, OrderBook)
            assert digits(book) == digits(pair.book.snapshot())


def digits(book: OrderBook) -> list[tuple[DecimalTuple, DecimalTuple]]:
    return [(price.as_tuple(), quantity.as_tuple()) for price, quantity in (*book.asks, *book.bids)]


def test_what_is_kept_are_messages() -> None:
    """Decoded changes take ten times their memory, and the garbage collector looks at them."""
    pair = Pair()
    for n in range(1, 60):
        found = pair.state.decode_batch([depth_text([("98", "2")], [], n).encode()])
        assert found is not None
        pair.put(cast("Sequence[Depth]", found))
    assert len(pair.state._kept) == 60
    assert not any(items for _, items in pair.state._kept)


@pytest.mark.parametrize("needs", ["items", "state"])
def test_a_binary_message_is_not_decoded_whatever_it_holds(needs: Needs) -> None:
    state = DepthState()
    state.add_consumer(needs)
    change = depth_text([("98", "2")], [], 1)
    assert state.decode_batch([BinaryMessage(change.encode())]) is None
    assert state.decode_batch([change.encode()])


def test_what_was_decoded_and_did_not_arrive_is_not_kept() -> None:
    pair = Pair()
    assert pair.state.decode_batch([depth_text([("98", "2")], [], 1).encode()]) is not None
    pair.change(1)
    pair.change(1)
    assert pair.state.begin() == (pair.book.snapshot(),)


def test_a_snapshot_ends_what_was_kept() -> None:
    pair = Pair()
    pair.change(10)
    pair.put([OrderBook(asks=(), bids=(level(5, 5),), sequence_number=500)])
    pair.change(2)
    assert pair.state.begin() == (pair.book.snapshot(),)


@given(st.lists(st.tuples(SPELLED_NUMBERS, SPELLED_NUMBERS), max_size=6))
def test_a_packed_book_is_the_same_digit_by_digit(levels: list[tuple[str, str]]) -> None:
    (diff,) = decode_depth_frame(depth_text(levels, levels, 7).encode())
    book = OrderBook(diff.asks, diff.bids, 7)
    again = PackedBook(book).unpack()
    assert again == book
    assert digits(again) == digits(book)


def test_changes_that_were_decoded_for_a_book_are_exact_for_a_stream() -> None:
    state = DepthState()
    state.add_consumer("state")
    frame = b'{"asks":[],"bids":[["98.5","2.50"]],"sequence_number":1}'
    held = state.decode_batch([frame])
    assert held is not None
    state.add_consumer("items")
    first = state.apply([SNAPSHOT, *held])
    assert list(first) == [SNAPSHOT, *decode_depth_frame(frame)]
    assert type(first[1]) is OrderBookDiff


def test_changes_that_are_decoded_exactly_come_in_smaller_batches() -> None:
    """They become so many objects that a larger batch would start the garbage collector."""
    state = DepthState()
    state.add_consumer("state")
    whole = state.batch_size()
    state.add_consumer("items")
    exact = state.batch_size()
    state.remove_consumer("items")
    assert (whole, exact, state.batch_size()) == (32 * 1024, 8 * 1024, 32 * 1024)
