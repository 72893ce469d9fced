"""`LocalBook` compared with a book of two plain dicts. Its cost is counted, not timed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import LinkedDiff, LocalBook, OrderBook, OrderBookDiff, PriceLevel, SequenceGap, Side
from tplus_trio.book.reader import BookReader
from tplus_trio.levels import matches_changes
from tplus_trio.streams.recovery import conflate_depth

D = Decimal


class NaiveBook:
    """Sorts everything at each question."""

    def __init__(self, book: OrderBook) -> None:
        self.bids = {price: quantity for price, quantity in book.bids if quantity}
        self.asks = {price: quantity for price, quantity in book.asks if quantity}

    def apply(self, diff: OrderBookDiff) -> None:
        for side, levels in ((self.bids, diff.bids), (self.asks, diff.asks)):
            for price, quantity in levels:
                side[price] = quantity
                if not quantity:
                    del side[price]

    def best_first(self) -> tuple[list[PriceLevel], list[PriceLevel]]:
        return (
            [PriceLevel(*level) for level in sorted(self.bids.items(), reverse=True)],
            [PriceLevel(*level) for level in sorted(self.asks.items())],
        )

    def vwap(self, levels: Iterable[PriceLevel], quantity: Decimal) -> Decimal | None:
        units = [price for price, size in levels for _ in range(int(size))][: int(quantity)]
        return sum(units, D(0)) / quantity if len(units) == quantity else None


def assert_same(book: LocalBook, naive: NaiveBook) -> None:
    bids, asks = naive.best_first()
    assert list(book.bids()) == bids
    assert list(book.asks()) == asks
    for n in (0, 1, 2, 50):
        assert list(book.bids(n)) == bids[:n]
        assert list(book.asks(n)) == asks[:n]
    assert book.best_bid == (bids[0] if bids else None)
    assert book.best_ask == (asks[0] if asks else None)
    if bids and asks:
        assert book.spread == asks[0].price - bids[0].price
        assert book.mid == (asks[0].price + bids[0].price) / 2
    else:
        assert book.spread is book.mid is None
    for price in range(12):
        assert book.quantity_at(Side.BUY, price) == naive.bids.get(D(price), 0)
        assert book.quantity_at("ask", D(price)) == naive.asks.get(D(price), 0)
    for quantity in (1, 3, 10):
        assert book.vwap(Side.BUY, quantity) == naive.vwap(asks, D(quantity))
        assert book.vwap("Sell", quantity) == naive.vwap(bids, D(quantity))
    assert book.snapshot() == OrderBook(asks=asks, bids=bids, sequence_number=book.sequence_number)


levels = st.lists(st.tuples(st.integers(0, 10).map(D), st.integers(0, 4).map(D)), max_size=6)


@settings(deadline=None)
@given(bids=levels, asks=levels, changes=st.lists(st.tuples(levels, levels), max_size=8))
def test_a_book_equals_one_of_two_dicts(bids: Any, asks: Any, changes: Any) -> None:
    snapshot = OrderBook(bids=bids, asks=asks, sequence_number=7)
    book, naive = LocalBook(snapshot), NaiveBook(snapshot)
    assert_same(book, naive)
    for number, (bid_changes, ask_changes) in enumerate(changes):
        diff = OrderBookDiff(bid_changes, ask_changes, 8 + number)
        book.apply(diff)
        naive.apply(diff)
        assert_same(book, naive)
    assert book == LocalBook(book.snapshot())


@pytest.fixture
def book() -> LocalBook:
    """99 x 2, 98 x 1 | 101 x 1, 103 x 3, at number 5."""
    return LocalBook(OrderBook(bids=[(99, 2), (98, 1)], asks=[(101, 1), (103, 3)], sequence_number=5))


def test_what_can_be_read(book: LocalBook) -> None:
    assert book.best_bid == (D(99), D(2))
    assert book.best_ask == (D(101), D(1))
    assert (book.spread, book.mid, book.sequence_number) == (D(2), D(100), 5)
    assert book.vwap("Buy", 2) == 102
    assert book.vwap(Side.SELL, "2.5") == D("98.8")
    assert book.vwap("Buy", 4) == D("102.5")
    assert book.vwap("Buy", "4.001") is None
    assert book.quantity_at("Buy", "99.00") == 2
    assert book.quantity_at("Buy", 101) == 0
    assert isinstance(book, BookReader)
    assert "99" in repr(book)


@pytest.mark.parametrize("number", [0, 4, 5, 7, 2000])
def test_a_gap_leaves_the_book_as_it_was(book: LocalBook, number: int) -> None:
    before = book.snapshot()
    with pytest.raises(SequenceGap) as caught:
        book.apply(OrderBookDiff([(99, 0), (97, 5)], [(100, 1)], number))
    assert (caught.value.expected, caught.value.received) == (6, number)
    assert book.snapshot() == before
    book.apply(OrderBookDiff([(99, 0)], [], 6))
    assert (book.best_bid, book.sequence_number) == ((D(98), D(1)), 6)


def test_a_change_may_name_its_previous_number(book: LocalBook) -> None:
    merged = LinkedDiff([(97, 1)], [], 9, follows=5)
    book.apply(merged)
    assert book.sequence_number == 9
    with pytest.raises(SequenceGap):
        book.apply(LinkedDiff([], [], 10, follows=8))


def test_removing_a_level_that_does_not_exist_is_legal(book: LocalBook) -> None:
    book.apply(OrderBookDiff([(50, 0)], [(50, 0)], 6))
    assert len(book.bids()) == len(book.asks()) == 2


def test_long_numbers_are_not_rounded() -> None:
    """Numbers may have 100 digits. Decimal's default context keeps 28 of them."""
    asks = [("10000000000000000000000000000.5", "1e-18"), ("10000000000000000000000000001.5", "999999999999.9")]
    asks.append(("10000000000000000000000000002", "0.099999999999999999"))
    book = LocalBook(OrderBook(asks=asks, bids=[("1.25", 1)]))
    assert book.spread == D("9999999999999999999999999999.25")
    assert book.mid == D("5000000000000000000000000000.875")
    assert book.vwap("Buy", "1e12") is not None, "that is just what the book holds"
    assert book.vwap("Buy", "1000000000000.000000000000000001") is None


def test_an_empty_book() -> None:
    book = LocalBook(OrderBook())
    assert book.best_bid is book.best_ask is None
    assert book.spread is book.mid is None
    assert book.bids() == book.asks() == book.bids(3) == ()
    assert book.vwap("Buy", 1) is None


def test_books_are_compared_by_what_they_hold(book: LocalBook) -> None:
    other = LocalBook(book.snapshot())
    assert book == other
    other.apply(OrderBookDiff([], [], 6))
    assert book != other
    assert book != book.snapshot()
    with pytest.raises(TypeError, match="unhashable"):
        hash(book)


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        ("quantity_at", ("Buy", 99.0), TypeError),
        ("quantity_at", ("Buy", True), TypeError),
        ("quantity_at", ("Buy", "ninety"), ValueError),
        ("quantity_at", ("Buy", "nan"), ValueError),
        ("quantity_at", ("Up", 99), ValueError),
        ("vwap", ("Buy", 1.5), TypeError),
        ("vwap", ("Buy", 0), ValueError),
        ("vwap", ("Buy", -1), ValueError),
        ("vwap", ("Buy", "inf"), ValueError),
        ("vwap", ("Buy", "1e9999999"), ValueError),
        ("vwap", ("Up", 1), ValueError),
        ("bids", (-1,), ValueError),
        ("asks", (1.5,), TypeError),
        ("asks", (True,), TypeError),
        ("apply", (None,), TypeError),
        ("apply", (OrderBook(sequence_number=8),), TypeError),
        ("__init__", (None,), TypeError),
    ],
)
def test_bad_arguments(book: LocalBook, call: str, arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(book, call)(*arguments)


class Counted(Decimal):
    """A price that counts how often any price is compared or looked up."""

    looks = 0

    def __lt__(self, other: Any) -> bool:
        Counted.looks += 1
        return super().__lt__(other)

    def __gt__(self, other: Any) -> bool:
        Counted.looks += 1
        return super().__gt__(other)

    def __le__(self, other: Any) -> bool:
        Counted.looks += 1
        return super().__le__(other)

    def __ge__(self, other: Any) -> bool:
        Counted.looks += 1
        return super().__ge__(other)

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        Counted.looks += 1
        return super().__hash__()


def big_book(size: int) -> LocalBook:
    return LocalBook(
        OrderBook(
            bids=[PriceLevel(Counted(10_000 - n), D(1)) for n in range(size)],
            asks=[PriceLevel(Counted(10_001 + n), D(1)) for n in range(size)],
            sequence_number=0,
        )
    )


def looks(book: LocalBook, diff: OrderBookDiff | None = None) -> int:
    """Count the prices that are looked at to apply a small diff, or to read the best levels."""
    Counted.looks = 0
    if diff is not None:
        book.apply(diff)
    else:
        assert book.best_bid is not None
        assert book.best_ask is not None
        assert len(book.bids(3)) == len(book.asks(3)) == 3
    return Counted.looks


def small_diff(number: int, at: int, quantity: str) -> OrderBookDiff:
    return OrderBookDiff(
        [PriceLevel(Counted(10_000 - at), D(quantity))], [PriceLevel(Counted(10_001 + at), D(quantity))], number
    )


@pytest.mark.parametrize("at", [0, 25, 49])
def test_5000_levels_a_side_cost_no_scan(at: int) -> None:
    small, big = big_book(50), big_book(5000)
    assert looks(big) == looks(small) <= 10
    costs = []
    for number, quantity in enumerate(["7", "0", "5"], start=1):  # changed, removed, put back
        diff = small_diff(number, at, quantity)
        cheap, dear = looks(small, diff), looks(big, diff)
        # A hundred times as many levels may cost one binary search more, and nothing else.
        assert dear <= cheap + 2 * 7
        costs.append(dear)
    assert max(costs) <= 2 * (13 + 6)
    assert looks(big) <= 10


def test_the_count_counts() -> None:
    Counted.looks = 0
    assert max([Counted(n) for n in range(100)]) == 99
    assert Counted.looks >= 99


def test_a_side_that_is_none() -> None:
    book = LocalBook(OrderBook())
    with pytest.raises(ValueError, match="side is one of Buy, Sell, not 'up'"):
        book.quantity_at("up", 1)
    with pytest.raises(ValueError, match="side is one of Buy, Sell, not 'up'"):
        book.vwap("up", 1)


# Many levels at once.


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=200),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), min_size=65, max_size=300),
)
def test_a_large_diff_is_many_small_ones(levels: Any, changes: Any) -> None:
    at_once = LocalBook(OrderBook(asks=levels, bids=levels, sequence_number=0))
    one_by_one = LocalBook(at_once.snapshot())
    at_once.apply(OrderBookDiff(changes, changes, 1))
    for number, change in enumerate(changes, 1):
        one_by_one.apply(OrderBookDiff([change], [change], number))
    assert at_once.bids() == one_by_one.bids()
    assert at_once.asks() == one_by_one.asks()
    assert all(at_once.quantity_at("bid", price) == one_by_one.quantity_at("bid", price) for price in range(200))


class Flooded(Decimal):
    """A price that counts all comparisons. All of them have the same hash."""

    compared = 0

    def __lt__(self, other: object) -> bool:
        Flooded.compared += 1
        return super().__lt__(other)  # type: ignore[operator]  # a price too

    def __eq__(self, other: object) -> bool:
        Flooded.compared += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        return 1


def counted(prices: Iterable[int]) -> list[PriceLevel]:
    return [PriceLevel(Flooded(price), D(1)) for price in prices]


def comparisons(n: int, what: str) -> int:
    """Count the comparisons to apply, merge or check diffs of ``n`` levels, in a book of as many levels."""
    snapshot = OrderBook(bids=counted(range(2 * n, 0, -2)), sequence_number=1)
    diff = OrderBookDiff(counted(range(1, 2 * n, 2)), [], 2)
    book = LocalBook(snapshot)
    Flooded.compared = 0
    if what == "apply":
        book.apply(diff)
    elif what == "merge":
        conflate_depth(deque([diff, OrderBookDiff(diff.bids, [], 3)]))
    else:
        assert not matches_changes(snapshot.bids, [*diff.bids[:-1], *snapshot.bids[-1:]])
    return Flooded.compared


@pytest.mark.parametrize("what", ["apply", "merge", "check"])
def test_levels_are_looked_at_a_few_times_each(what: str) -> None:
    """Prices can be chosen so that their hashes are equal, and so that each insertion into a large book moves all."""
    assert comparisons(4000, what) < 2.5 * comparisons(2000, what) < 2.5 * 40 * 2000


def test_a_side_is_compared_with_changes_to_it() -> None:
    book = [PriceLevel(D(price), D(1)) for price in (3, 1, 2)]
    for changes, same in (
        ([(1, 1)], True),
        ([(1, 5), (1, 1)], True),
        ([(1, 1), (1, 5)], False),
        ([(4, 0), (0, 0)], True),
        ([(4, 1)], False),
        ([(0, 1)], False),
        ([(2, 0)], False),
        ([], True),
    ):
        assert matches_changes(book, [PriceLevel(D(price), D(quantity)) for price, quantity in changes]) is same


# Averages.


@pytest.mark.parametrize("precision", [1, 6, 28, 200])
def test_an_average_does_not_depend_on_the_callers_context(precision: int) -> None:
    long = D("1" * 30 + ".25")
    wide = LocalBook(OrderBook(asks=[(long, 3), ("1" * 29 + "2.25", 3)], sequence_number=1))
    thirds = LocalBook(OrderBook(asks=[(1, 1), (2, 2)], sequence_number=1))
    with localcontext(Context(prec=precision)):
        assert wide.vwap("Buy", 1) == wide.vwap("Buy", "0.001") == long
        assert str(wide.vwap("Buy", 3)) == str(long)
        assert str(wide.vwap("Buy", 6)) == "1" * 30 + ".75"
        assert str(thirds.vwap("Buy", 3)) == "1.666666666666666666666666667"
