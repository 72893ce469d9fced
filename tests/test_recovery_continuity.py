"""The continuity of depth: its table, and what judges numbers, repeats and snapshots, each alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from itertools import product

import pytest

from tplus_trio import OrderBook, OrderBookDiff, PriceLevel
from tplus_trio.streams.recovery.continuity import TRANSITIONS, Continuity, Event
from tplus_trio.streams.recovery.early_snapshot import Proof, examine_early
from tplus_trio.streams.recovery.repeats import RepeatDetector
from tplus_trio.streams.recovery.sequencing import SequencingRule
from tplus_trio.streams.recovery.snapshot_judge import SnapshotJudge


def diff(number: int, quantity: int = 1) -> OrderBookDiff:
    return OrderBookDiff([PriceLevel(Decimal(100), Decimal(quantity))], (), number)


def remembering(*numbers: int) -> RepeatDetector:
    detector = RepeatDetector()
    for number in numbers:
        detector.add(diff(number))
    return detector


# The table.


def test_every_event_in_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(product(Continuity, Event))


@pytest.mark.parametrize("state", Continuity)
def test_a_break_awaits_a_snapshot_and_a_snapshot_is_fresh(state: Continuity) -> None:
    assert TRANSITIONS[state, Event.BREAK] is Continuity.AWAITING_SNAPSHOT
    assert TRANSITIONS[state, Event.SNAPSHOT] is Continuity.FRESH


def test_only_a_snapshot_ends_the_wait() -> None:
    for event in set(Event) - {Event.SNAPSHOT}:
        assert TRANSITIONS[Continuity.AWAITING_SNAPSHOT, event] is Continuity.AWAITING_SNAPSHOT


def test_the_next_change_chains_and_old_ones_are_noticed_after_it() -> None:
    for state in (Continuity.FRESH, Continuity.CHAINED, Continuity.REPEATING):
        assert TRANSITIONS[state, Event.NEXT] is Continuity.CHAINED
    # What a snapshot contains already does not make it less fresh: a jump after it still counts.
    assert TRANSITIONS[Continuity.FRESH, Event.OLD] is Continuity.FRESH
    assert TRANSITIONS[Continuity.CHAINED, Event.OLD] is Continuity.REPEATING
    assert TRANSITIONS[Continuity.REPEATING, Event.OLD] is Continuity.REPEATING


# The sequencing rule.


def test_five_fresh_jumps_prove_that_numbers_are_not_contiguous(caplog: pytest.LogCaptureFixture) -> None:
    rule = SequencingRule("auto", "depth of 200")
    assert [rule.accepts_jump(is_fresh=True) for _ in range(5)] == [False] * 4 + [True]
    assert not rule.is_contiguous
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "depth of 200" in caplog.text


def test_a_jump_after_a_change_starts_the_count_again() -> None:
    rule = SequencingRule("auto", "depth")
    for _ in range(3):
        assert not any(rule.accepts_jump(is_fresh=True) for _ in range(4))
        assert not rule.accepts_jump(is_fresh=False)
        assert rule.fresh_jump_count == 0


def test_another_connection_has_to_prove_it_again_and_warns_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rule = SequencingRule("auto", "depth")
    for _ in range(2):
        rule.reset()
        assert rule.is_contiguous
        assert [rule.accepts_jump(is_fresh=True) for _ in range(5)].index(True) == 4
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]


def test_contiguous_and_increasing_are_fixed() -> None:
    contiguous, increasing = SequencingRule("contiguous", "depth"), SequencingRule("increasing", "depth")
    assert not any(contiguous.accepts_jump(is_fresh=True) for _ in range(100))
    assert contiguous.is_contiguous
    for _ in range(2):
        assert not increasing.is_contiguous
        increasing.reset()


# The repeat detector.


def test_a_repeat_has_the_same_content() -> None:
    detector = remembering(1, 2, 5)
    assert detector.examine(diff(2)) is None
    other = detector.examine(diff(2, quantity=3))
    assert other is not None
    assert (other.has_restarted, "2 came after 5" in other.reason) == (False, True)
    never_came = detector.examine(diff(4))
    assert never_came is not None
    assert not never_came.has_restarted


@pytest.mark.parametrize(("number", "has_restarted"), [(1000, False), (999, True)])
def test_a_number_far_back_is_a_restart(number: int, has_restarted: bool) -> None:
    found = remembering(2000).examine(diff(number))
    assert found is not None
    assert found.has_restarted is has_restarted


def run_of(detector: RepeatDetector) -> int:
    """How many repeats in a row are taken for a restart."""
    for count in range(1, 1000):
        if (found := detector.examine(diff(1))) is not None:
            assert found.has_restarted
            return count
    raise AssertionError


def test_too_many_repeats_in_a_row_are_a_restart_and_the_limit_doubles() -> None:
    detector = remembering(1)
    limits = [run_of(detector)]
    detector.end_run()
    limits.append(run_of(detector))
    detector.settle()
    limits.append(run_of(detector))
    assert limits == [50, 100, 50]


def test_a_new_change_ends_a_run_of_repeats() -> None:
    detector = remembering(1)
    for number in range(2, 100):
        assert all(detector.examine(diff(1)) is None for _ in range(49))
        detector.add(diff(number))


def test_the_memory_of_changes_is_bounded() -> None:
    detector = remembering(*range(1000))
    assert len(detector.recent) == 256
    assert detector.examine(diff(744)) is None
    assert detector.examine(diff(743)) is not None


@pytest.mark.parametrize(("numbers", "taken_back", "highest"), [((1, 2, 3), 2, 1), ((1, 2), 2, -1), ((1, 2), 0, 2)])
def test_changes_that_are_taken_back_are_forgotten(numbers: Sequence[int], taken_back: int, highest: int) -> None:
    detector = remembering(*numbers)
    detector.take_back([diff(number) for number in numbers[len(numbers) - taken_back :]])
    assert (detector.highest, len(detector.recent)) == (highest, len(numbers) - taken_back)


def test_after_forgetting_nothing_is_known() -> None:
    detector = remembering(1, 2)
    detector.forget()
    assert (detector.highest, len(detector.recent)) == (-1, 0)


# The snapshot judge.


def test_a_snapshot_has_to_contain_what_came_before_the_loss() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    judge.note_gap(90)
    assert judge.pre_gap_high == 100
    assert not judge.accepts(99, None)
    assert judge.accepts(100, None)


def test_changes_that_follow_a_snapshot_prove_it() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    assert not judge.accepts(50, 52)
    assert judge.accepts(50, 51)


@pytest.mark.parametrize("number", [98999, 0])
def test_a_snapshot_far_below_is_of_a_service_that_started_over(number: int) -> None:
    judge = SnapshotJudge()
    judge.note_gap(100_000)
    assert not judge.accepts(99_000, None)
    assert judge.accepts(number, None)


def test_the_fifth_old_snapshot_in_a_row_is_accepted() -> None:
    judge = SnapshotJudge()
    for _ in range(2):
        judge.note_gap(100)
        assert [judge.accepts(99, None) for _ in range(5)] == [False] * 4 + [True]
        judge.delivered(99)
        assert judge.rejected_snapshots == 0


def test_after_a_snapshot_that_went_back_a_jump_above_the_old_numbers_is_suspect() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    judge.delivered(60)
    assert judge.is_of_old_epoch(101)
    assert judge.is_of_old_epoch(101)
    assert not judge.is_of_old_epoch(100)  # the new book has reached these numbers
    assert not judge.is_of_old_epoch(101)


def test_a_snapshot_above_the_old_numbers_ends_the_suspicion() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    judge.delivered(60)
    judge.delivered(99)
    assert judge.is_of_old_epoch(101)
    judge.delivered(100)
    assert not judge.is_of_old_epoch(101)


def test_changes_behind_a_snapshot_are_catching_up_up_to_a_limit_that_doubles() -> None:
    judge = SnapshotJudge()

    def limit() -> int:
        judge.delivered(1000)
        return next(n for n in range(1000) if not judge.is_catching_up(5, is_first=False))

    assert [limit(), limit()] == [50, 100]
    judge.settle()
    assert limit() == 50


@pytest.mark.parametrize(
    ("distance", "is_first", "is_catching_up"), [(1001, True, False), (1000, True, True), (1001, False, True)]
)
def test_a_connection_that_begins_far_behind_a_snapshot(distance: int, is_first: bool, is_catching_up: bool) -> None:
    assert SnapshotJudge().is_catching_up(distance, is_first=is_first) is is_catching_up


# Early snapshots.


@pytest.mark.parametrize(
    ("number", "held", "proof"),
    [
        (10, (), Proof.OPEN),
        (10, (12,), Proof.USELESS),
        (10, (11,), Proof.USABLE),
        (10, (8, 9), Proof.OPEN),
        (10, (9, 10), Proof.USABLE),
    ],
)
def test_an_early_snapshot_needs_changes_from_its_number_on(number: int, held: Sequence[int], proof: Proof) -> None:
    snapshot = OrderBook(bids=[PriceLevel(Decimal(100), Decimal(1))], sequence_number=number)
    assert examine_early(snapshot, [diff(each) for each in held]) is proof


def test_an_early_snapshot_of_another_book_is_useless() -> None:
    snapshot = OrderBook(bids=[PriceLevel(Decimal(100), Decimal(1))], sequence_number=10)
    assert examine_early(snapshot, [diff(10, quantity=2)]) is Proof.USELESS
    assert examine_early(snapshot, [diff(10), diff(11, quantity=2)]) is Proof.USABLE
    asks = [PriceLevel(Decimal(101), Decimal(1))]
    change = OrderBookDiff((), asks, 10)
    assert examine_early(snapshot, [change]) is Proof.USELESS
    assert examine_early(OrderBook(asks=asks, sequence_number=10), [change]) is Proof.USABLE
