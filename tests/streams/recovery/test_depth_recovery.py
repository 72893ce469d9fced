"""How depth becomes complete: each rule by example, then all of them against a model of exchange and network."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.depth_model import Checker, DepthModel
from tplus_trio import Depth, LocalBook, OrderBook, OrderBookDiff, Sequencing
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import DepthRecovery, check_sequencing, conflate_depth


def diff(number: int, price: int = 100, quantity: int | None = None) -> OrderBookDiff:
    return OrderBookDiff([(price, number if quantity is None else quantity)], (), number)


def diffs(*numbers: int) -> list[OrderBookDiff]:
    return [diff(number) for number in numbers]


def book(number: int) -> OrderBook:
    return OrderBook(sequence_number=number)


def numbers(items: Sequence[Depth]) -> list[str]:
    """Delivered items in short: ``B5`` is a book, ``6`` a change."""
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

    def come(self, *given: int) -> list[str]:
        return numbers(self.receive(diffs(*given)))

    def told(self, number: int, *, early: bool = False) -> list[str]:
        return numbers(self.answer(0, book(number), early=early))


def subscribed(sequence: Sequencing = "auto") -> Recovery:
    recovery = Recovery(sequence)
    recovery.subscribed()
    return recovery


def synced(number: int = 100, sequence: Sequencing = "auto") -> Recovery:
    recovery = subscribed(sequence)
    recovery.told(number)
    return recovery


def test_changes_wait_for_the_snapshot() -> None:
    recovery = subscribed()
    assert (recovery.pending_request, recovery.synced) == (0, False)
    assert recovery.come(5, 6) == recovery.come(7) == []
    assert recovery.held == 3
    assert recovery.told(5) == ["B5", "6", "7"]
    assert (recovery.pending_request, recovery.synced, recovery.held) == (None, True, 0)
    assert recovery.come(8, 9) == ["8", "9"]
    assert recovery.stats == ConnectionCounts()


def test_a_snapshot_that_is_too_old_is_asked_for_again() -> None:
    recovery = subscribed()
    recovery.come(10, 11)
    assert recovery.told(7) == recovery.told(8) == []
    assert recovery.pending_request == 0
    assert recovery.told(9) == ["B9", "10", "11"]


def test_a_snapshot_ahead_of_the_connection() -> None:
    recovery = subscribed()
    recovery.come(10)
    assert recovery.told(13) == ["B13"]
    assert recovery.come(11, 12) == []
    assert recovery.come(13, 14) == ["14"]
    assert recovery.stats.gaps == 0


def test_an_early_snapshot_needs_proof() -> None:
    recovery = Recovery()
    assert recovery.eager
    assert recovery.told(10, early=True) == []
    recovery.subscribed()
    assert not recovery.synced
    assert recovery.come(11) == ["B10", "11"]
    assert recovery.synced


def test_an_early_snapshot_that_proves_nothing_is_dropped() -> None:
    recovery = Recovery()
    recovery.told(10, early=True)
    recovery.subscribed()
    assert recovery.come(12) == []  # 11 fell between the two
    assert recovery.come(13) == []
    assert recovery.told(12) == ["B12", "13"]


def test_an_early_snapshot_may_be_of_the_book_before() -> None:
    recovery = Recovery()
    recovery.told(500, early=True)
    recovery.subscribed()
    assert recovery.come(1, 2) == []  # 500 is ahead of the connection, or from before a restart of the service
    assert recovery.told(2) == ["B2"]
    assert recovery.come(3) == ["3"]


@pytest.mark.parametrize(
    ("early", "told"),
    [
        (OrderBook((), [(100, 3), (7, 1)], 3), ["B3", "4"]),
        (OrderBook((), [(7, 1)], 3), []),  # the service started over, and has reached the number again
        (OrderBook((), [(100, 2)], 3), []),
        (OrderBook([(100, 3)], (), 3), []),
    ],
)
def test_an_early_snapshot_has_what_the_changes_say(early: OrderBook, told: list[str]) -> None:
    recovery = Recovery()
    assert recovery.answer(0, early, early=True) == ()
    recovery.subscribed()
    assert recovery.come(1, 2, 3, 4) == told
    assert recovery.synced == bool(told)
    assert recovery.told(4) == ["B4"]


def test_increasing_numbers_never_prove_an_early_snapshot() -> None:
    recovery = Recovery("increasing")
    assert not recovery.eager
    recovery.told(10, early=True)
    recovery.subscribed()
    assert recovery.come(11) == []
    assert recovery.told(11) == ["B11"]


def test_a_jump_asks_for_a_new_snapshot_and_keeps_what_came_with_it() -> None:
    recovery = synced()
    generation = recovery.generation
    assert recovery.come(101, 103, 104) == ["101"]
    assert recovery.generation != generation
    assert (recovery.pending_request, recovery.synced, recovery.held, recovery.stats.gaps) == (0, False, 2, 1)
    assert recovery.told(101) == []
    assert recovery.told(102) == ["B102", "103", "104"]
    assert recovery.stats.resyncs == 1


def test_a_swap_is_a_jump() -> None:
    recovery = synced()
    assert recovery.come(102, 101, 103) == []
    assert recovery.told(100) == []  # 101 came after 102: a snapshot is accepted from 101 on
    assert recovery.told(103) == ["B103"]


def test_repeats_are_dropped() -> None:
    recovery = synced()
    assert recovery.come(101, 101, 102, 102, 101, 103) == ["101", "102", "103"]
    assert recovery.stats.gaps == 0


@pytest.mark.parametrize(
    "change",
    [diff(102, 100, 7), diff(102, 101), OrderBookDiff((), [(100, 102)], 102), diff(99)],
    ids=["quantity", "price", "side", "never came"],
)
def test_an_old_number_with_another_content_asks_for_one_snapshot(change: OrderBookDiff) -> None:
    recovery = synced()
    recovery.come(101, 102, 103)
    number = change.sequence_number
    assert numbers(recovery.receive([change])) == []
    assert (recovery.pending_request, recovery.synced, recovery.held) == (0, False, 0)
    assert recovery.told(number - 1) == []  # older than the change that broke the chain
    assert recovery.told(number) == [f"B{number}"]
    assert recovery.come(number + 1) == [str(number + 1)]
    assert recovery.stats.gaps == 1


def test_after_a_doubt_the_service_may_as_well_have_gone_on() -> None:
    recovery = synced()
    recovery.come(101, 102, 103)
    recovery.receive([diff(102, 100, 7)])
    assert recovery.told(104) == ["B104"]
    assert recovery.come(104, 105) == ["105"]


def test_an_old_number_while_a_snapshot_is_awaited() -> None:
    recovery = subscribed()
    recovery.come(500, 501)
    generation = recovery.generation
    recovery.come(1, 2)
    assert recovery.generation != generation
    assert recovery.held == 1
    assert recovery.told(501) == ["B501"]  # an old answer, or the service did not restart
    recovery = subscribed()
    recovery.come(500, 501)
    recovery.come(1, 2)
    assert recovery.told(1) == ["B1", "2"]


def test_a_hole_leaves_known_what_the_connection_brought() -> None:
    recovery = synced()
    recovery.come(101, 102)
    recovery.hole("a bad frame")
    assert recovery.come(101, 102) == []
    assert recovery.held == 0
    assert recovery.told(102) == ["B102"]
    assert recovery.come(102, 103) == ["103"]


def test_another_connection_has_brought_nothing() -> None:
    recovery = synced()
    recovery.come(101, 102)
    lost(recovery)
    assert recovery.told(103) == ["B103"]
    assert recovery.come(101, 102, 103, 104) == ["104"]  # rising towards the snapshot's: catching up
    assert recovery.synced


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_numbers_that_fall_far_back_are_a_new_beginning(seen: int) -> None:
    recovery = synced(5000)
    recovery.come(*range(5001, 5001 + seen))
    assert recovery.come(1, 2) == []
    assert (recovery.synced, recovery.held) == (False, 2)
    assert recovery.told(1) == ["B1", "2"]


def test_repeats_without_end_are_a_new_beginning() -> None:
    recovery = synced(100)
    recovery.come(101)
    for _ in range(49):
        assert recovery.come(101) == []
        assert recovery.synced
    recovery.come(101)
    assert not recovery.synced
    assert recovery.told(101) == ["B101"]
    # If a service repeats forever, the snapshots are requested ever less often.
    for _ in range(99):
        recovery.come(101)
        assert recovery.synced
    recovery.come(101)
    assert not recovery.synced


def test_catching_up_without_end_is_a_new_beginning() -> None:
    # Nothing came since the snapshot, so the snapshot may be ahead of 1, 2, 3…
    recovery, given = synced(1000), 0
    while recovery.synced:
        given += 1
        recovery.come(given)
        assert given < 100
    assert recovery.told(given) == [f"B{given}"]
    assert recovery.come(given + 1) == [f"{given + 1}"]


def test_a_connection_that_is_far_behind_costs_few_snapshots() -> None:
    recovery, newest, requests = subscribed(), 5000, 0
    for number in range(1, newest + 1):
        assert recovery.come(number) == []
        if recovery.pending_request is not None:
            requests += 1
            recovery.told(newest)
    assert recovery.come(newest + 1) == [str(newest + 1)]
    assert requests <= 10


def test_a_new_beginning_while_a_snapshot_is_awaited() -> None:
    recovery = subscribed()
    recovery.come(5000, 5001)
    generation = recovery.generation
    recovery.come(1)
    assert recovery.generation != generation  # the answer under way may be about the old book
    assert recovery.held == 1
    assert recovery.told(1) == ["B1"]
    assert recovery.come(2) == ["2"]


def test_after_a_loss_all_begins_again() -> None:
    recovery = synced()
    recovery.come(101)
    generation = recovery.generation
    recovery.lost("reset")
    assert (recovery.pending_request, recovery.synced, recovery.generation != generation) == (0, False, True)
    recovery.subscribed()
    recovery.come(150)
    recovery.lost("reset")
    recovery.subscribed()
    assert recovery.held == 0
    assert recovery.told(140) == []  # 150 came before the second loss
    assert recovery.told(150) == ["B150"]
    assert (recovery.stats.gaps, recovery.stats.resyncs) == (2, 1)


def lost(recovery: Recovery) -> Recovery:
    recovery.lost("reset")
    recovery.subscribed()
    return recovery


def test_a_snapshot_from_before_the_loss_is_believed_when_it_has_been_told_five_times() -> None:
    recovery = synced(100)
    recovery.come(101, 102)
    lost(recovery)
    for _ in range(4):
        assert recovery.told(101) == []
        assert not recovery.synced
    assert recovery.told(101) == ["B101"]
    assert lost(recovery).told(101) == ["B101"]


def test_a_snapshot_from_before_the_loss_is_believed_when_changes_follow_it() -> None:
    recovery = synced(100)
    recovery.come(101, 102, 103)
    lost(recovery)
    recovery.come(102)
    assert recovery.told(101) == ["B101", "102"]


def test_a_snapshot_from_long_before_the_loss_is_of_a_new_beginning() -> None:
    recovery = lost(synced(5000))
    assert recovery.told(7) == ["B7"]
    assert recovery.come(8) == ["8"]


def test_after_a_new_beginning_jumping_numbers_of_before_are_not_taken_for_the_next() -> None:
    recovery = synced(5000, "increasing")
    assert recovery.come(5010) == ["5010"]
    assert lost(recovery).told(0) == ["B0"]
    for _ in range(2):
        assert recovery.come(5020, 5030) == []  # they were under way when the service went back
        assert recovery.told(0) == ["B0"]
    assert recovery.come(10, 20) == ["10", "20"]
    assert recovery.come(6000) == ["6000"]


def strike(recovery: Recovery, number: int) -> None:
    """Deliver a snapshot, then a change that jumps."""
    recovery.told(number)
    recovery.come(number + 10)


def test_five_fresh_snapshots_with_a_jump_prove_numbers_not_contiguous(caplog: pytest.LogCaptureFixture) -> None:
    recovery, at = subscribed(), 1000
    for _ in range(4):
        strike(recovery, at)
        assert not recovery.synced
        at += 10
    caplog.clear()
    assert recovery.told(at) == [f"B{at}"]
    (item,) = recovery.receive([diff(at + 10)])
    assert isinstance(item, OrderBookDiff)
    assert (item.sequence_number, item.previous_sequence_number) == (at + 10, at)
    assert recovery.come(at + 20, at + 20, at + 35) == [str(at + 20), str(at + 35)]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "not contiguous" in record.getMessage()
    # A hole changes nothing. Another connection has to prove it again, without a second warning.
    recovery.hole("a bad frame")
    recovery.come(at + 100)
    assert recovery.told(at + 95) == [f"B{at + 95}", str(at + 100)]
    lost(recovery)
    assert recovery.told(at + 100) == [f"B{at + 100}"]
    assert recovery.come(at + 110) == []
    at += 110
    for _ in range(3):
        strike(recovery, at)
        assert not recovery.synced
        at += 10
    recovery.told(at)
    assert recovery.come(at + 10) == [str(at + 10)]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == [record]


@pytest.mark.parametrize("between", ["a change that follows", "a jump later on"])
def test_jumps_of_a_service_that_counts_by_one_prove_nothing(between: str) -> None:
    recovery, at = subscribed(), 1000
    for _ in range(4):
        strike(recovery, at)
        at += 10
    recovery.told(at)
    recovery.come(at + 1)
    if between == "a jump later on":
        recovery.come(at + 11)
        recovery.told(at + 11)
    for _ in range(4):
        strike(recovery, at + 20)
        assert not recovery.synced
        at += 10


def test_contiguous_never_gives_in() -> None:
    recovery = subscribed("contiguous")
    for at in range(1000, 2000, 10):
        strike(recovery, at)
        assert not recovery.synced


def test_increasing_takes_any_higher_number() -> None:
    recovery = synced(100, "increasing")
    assert recovery.come(110, 110, 200) == ["110", "200"]
    chain = recovery.receive([diff(300), diff(301)])
    assert [item.previous_sequence_number for item in chain if isinstance(item, OrderBookDiff)] == [200, 300]
    assert recovery.stats.gaps == 0


def test_a_sequence_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="auto, contiguous, increasing"):
        check_sequencing("descending")


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(DepthModel.STEPS), st.integers(0, 5)), max_size=80),
    first=st.sampled_from([5000, 1000, 7]),
)
def test_whatever_happens_what_is_delivered_is_right(steps: list[tuple[str, int]], first: int) -> None:
    model = DepthModel(first=first)
    for name, n in steps:
        getattr(model, name)(n)
    model.settle()


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([name for name in DepthModel.STEPS if name not in ("lose", "swap")]), st.integers(0, 5)
        ),
        max_size=60,
    ),
    sequence=st.sampled_from(list[Sequencing](["increasing", "auto"])),
)
def test_numbers_by_tens(steps: list[tuple[str, int]], sequence: Sequencing) -> None:
    # With increasing numbers, a stale snapshot or a lost message cannot be noticed, so those steps are left out.
    model = DepthModel(sequence=sequence)
    model.step = 10
    for name, n in steps:
        if name not in ("be_stale", "hole"):
            getattr(model, name)(n)
    model.settle()


def chain(draws: Sequence[tuple[int, int]], books: Sequence[int]) -> list[Depth]:
    """A snapshot and changes that chain, with snapshots in between at some places."""
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


def test_prices_of_equal_hashes_cost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
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
