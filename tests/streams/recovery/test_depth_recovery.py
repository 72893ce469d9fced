"""How a depth stream becomes complete again: one example for each rule."""

from __future__ import annotations

import pytest

from tests.helpers.depth_recovery import Recovery, diff, lost, numbers, subscribed, synced
from tplus_trio import OrderBook, OrderBookDiff
from tplus_trio.streams.counts import ConnectionCounts


def test_changes_wait_for_the_snapshot() -> None:
    recovery = subscribed()
    assert (recovery.pending_request, recovery.synced) == (0, False)
    assert recovery.changes(5, 6) == recovery.changes(7) == []
    assert recovery.held == 3
    assert recovery.snapshot(5) == ["B5", "6", "7"]
    assert (recovery.pending_request, recovery.synced, recovery.held) == (None, True, 0)
    assert recovery.changes(8, 9) == ["8", "9"]
    assert recovery.stats == ConnectionCounts()


def test_a_snapshot_that_is_too_old_is_requested_again() -> None:
    recovery = subscribed()
    recovery.changes(10, 11)
    assert recovery.snapshot(7) == recovery.snapshot(8) == []
    assert recovery.pending_request == 0
    assert recovery.snapshot(9) == ["B9", "10", "11"]


def test_changes_up_to_a_snapshot_ahead_of_the_connection_are_dropped() -> None:
    recovery = subscribed()
    recovery.changes(10)
    assert recovery.snapshot(13) == ["B13"]
    assert recovery.changes(11, 12) == []
    assert recovery.changes(13, 14) == ["14"]
    assert recovery.stats.gaps == 0


def test_an_early_snapshot_is_used_once_the_next_change_follows_it() -> None:
    recovery = Recovery()
    assert recovery.eager
    assert recovery.snapshot(10, early=True) == []
    recovery.subscribed()
    assert not recovery.synced
    assert recovery.changes(11) == ["B10", "11"]
    assert recovery.synced


def test_an_early_snapshot_that_no_change_follows_is_dropped() -> None:
    recovery = Recovery()
    recovery.snapshot(10, early=True)
    recovery.subscribed()
    assert recovery.changes(12) == []  # 11 was lost between the two
    assert recovery.changes(13) == []
    assert recovery.snapshot(12) == ["B12", "13"]


def test_an_early_snapshot_from_before_a_restart_is_dropped() -> None:
    recovery = Recovery()
    recovery.snapshot(500, early=True)
    recovery.subscribed()
    assert recovery.changes(1, 2) == []  # 500 is ahead of the connection, or from before a restart of the service
    assert recovery.snapshot(2) == ["B2"]
    assert recovery.changes(3) == ["3"]


@pytest.mark.parametrize(
    ("early", "delivered"),
    [
        (OrderBook((), [(100, 3), (7, 1)], 3), ["B3", "4"]),
        (OrderBook((), [(7, 1)], 3), []),  # the service started over, and counts up to the same number
        (OrderBook((), [(100, 2)], 3), []),
        (OrderBook([(100, 3)], (), 3), []),
    ],
)
def test_an_early_snapshot_is_used_only_if_it_agrees_with_the_changes(early: OrderBook, delivered: list[str]) -> None:
    recovery = Recovery()
    assert recovery.answer(0, early, early=True) == ()
    recovery.subscribed()
    assert recovery.changes(1, 2, 3, 4) == delivered
    assert recovery.synced == bool(delivered)
    assert recovery.snapshot(4) == ["B4"]


def test_with_increasing_numbers_an_early_snapshot_is_never_used() -> None:
    recovery = Recovery("increasing")
    assert not recovery.eager
    recovery.snapshot(10, early=True)
    recovery.subscribed()
    assert recovery.changes(11) == []
    assert recovery.snapshot(11) == ["B11"]


def test_a_jump_requests_a_snapshot_and_keeps_the_changes_after_it() -> None:
    recovery = synced()
    generation = recovery.generation
    assert recovery.changes(101, 103, 104) == ["101"]
    assert recovery.generation != generation
    assert (recovery.pending_request, recovery.synced, recovery.held, recovery.stats.gaps) == (0, False, 2, 1)
    assert recovery.snapshot(101) == []
    assert recovery.snapshot(102) == ["B102", "103", "104"]
    assert recovery.stats.resyncs == 1


def test_swapped_changes_count_as_a_jump() -> None:
    recovery = synced()
    assert recovery.changes(102, 101, 103) == []
    assert recovery.snapshot(100) == []  # 101 came after 102: a snapshot is accepted from 101 on
    assert recovery.snapshot(103) == ["B103"]


def test_repeats_are_dropped() -> None:
    recovery = synced()
    assert recovery.changes(101, 101, 102, 102, 101, 103) == ["101", "102", "103"]
    assert recovery.stats.gaps == 0


@pytest.mark.parametrize(
    "change",
    [diff(102, 100, 7), diff(102, 101), OrderBookDiff((), [(100, 102)], 102), diff(99)],
    ids=["quantity", "price", "side", "unknown number"],
)
def test_an_old_number_with_other_content_requests_one_snapshot(change: OrderBookDiff) -> None:
    recovery = synced()
    recovery.changes(101, 102, 103)
    number = change.sequence_number
    assert numbers(recovery.receive([change])) == []
    assert (recovery.pending_request, recovery.synced, recovery.held) == (0, False, 0)
    assert recovery.snapshot(number - 1) == []  # older than the change that broke the chain
    assert recovery.snapshot(number) == [f"B{number}"]
    assert recovery.changes(number + 1) == [str(number + 1)]
    assert recovery.stats.gaps == 1


def test_after_an_old_number_with_other_content_a_higher_snapshot_is_accepted() -> None:
    recovery = synced()
    recovery.changes(101, 102, 103)
    recovery.receive([diff(102, 100, 7)])
    assert recovery.snapshot(104) == ["B104"]
    assert recovery.changes(104, 105) == ["105"]


def test_an_old_number_during_a_request_makes_its_answer_stale() -> None:
    recovery = subscribed()
    recovery.changes(500, 501)
    generation = recovery.generation
    recovery.changes(1, 2)
    assert recovery.generation != generation
    assert recovery.held == 1
    assert recovery.snapshot(501) == ["B501"]  # an old answer, or the service did not restart
    recovery = subscribed()
    recovery.changes(500, 501)
    recovery.changes(1, 2)
    assert recovery.snapshot(1) == ["B1", "2"]


def test_after_a_hole_repeats_of_the_same_connection_are_dropped() -> None:
    recovery = synced()
    recovery.changes(101, 102)
    recovery.hole("a bad frame")
    assert recovery.changes(101, 102) == []
    assert recovery.held == 0
    assert recovery.snapshot(102) == ["B102"]
    assert recovery.changes(102, 103) == ["103"]


def test_a_new_connection_may_catch_up_with_the_snapshot() -> None:
    recovery = synced()
    recovery.changes(101, 102)
    lost(recovery)
    assert recovery.snapshot(103) == ["B103"]
    assert recovery.changes(101, 102, 103, 104) == ["104"]  # the numbers rise towards the snapshot's: it is catching up
    assert recovery.synced


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_numbers_that_fall_far_back_count_as_a_restart(seen: int) -> None:
    recovery = synced(5000)
    recovery.changes(*range(5001, 5001 + seen))
    assert recovery.changes(1, 2) == []
    assert (recovery.synced, recovery.held) == (False, 2)
    assert recovery.snapshot(1) == ["B1", "2"]


def test_too_many_repeats_count_as_a_restart() -> None:
    recovery = synced(100)
    recovery.changes(101)
    for _ in range(49):
        assert recovery.changes(101) == []
        assert recovery.synced
    recovery.changes(101)
    assert not recovery.synced
    assert recovery.snapshot(101) == ["B101"]
    # If a service repeats forever, the snapshots are requested ever less often.
    for _ in range(99):
        recovery.changes(101)
        assert recovery.synced
    recovery.changes(101)
    assert not recovery.synced


def test_catching_up_for_too_long_counts_as_a_restart() -> None:
    # No change came since the snapshot, so the snapshot may be ahead of 1, 2, 3…
    recovery, given = synced(1000), 0
    while recovery.synced:
        given += 1
        recovery.changes(given)
        assert given < 100
    assert recovery.snapshot(given) == [f"B{given}"]
    assert recovery.changes(given + 1) == [f"{given + 1}"]


def test_a_connection_far_behind_causes_few_snapshot_requests() -> None:
    recovery, newest, requests = subscribed(), 5000, 0
    for number in range(1, newest + 1):
        assert recovery.changes(number) == []
        if recovery.pending_request is not None:
            requests += 1
            recovery.snapshot(newest)
    assert recovery.changes(newest + 1) == [str(newest + 1)]
    assert requests <= 14  # four of these snapshots are rejected before one so far ahead is accepted


def test_a_restart_during_a_request_makes_its_answer_stale() -> None:
    recovery = subscribed()
    recovery.changes(5000, 5001)
    generation = recovery.generation
    recovery.changes(1)
    assert recovery.generation != generation  # the answer on its way may be of the old book
    assert recovery.held == 1
    assert recovery.snapshot(1) == ["B1"]
    assert recovery.changes(2) == ["2"]


def test_a_snapshot_after_a_loss_contains_every_change_received_before() -> None:
    recovery = synced()
    recovery.changes(101)
    generation = recovery.generation
    recovery.lost("reset")
    assert (recovery.pending_request, recovery.synced, recovery.generation != generation) == (0, False, True)
    recovery.subscribed()
    recovery.changes(150)
    recovery.lost("reset")
    recovery.subscribed()
    assert recovery.held == 0
    assert recovery.snapshot(140) == []  # 150 came before the second loss
    assert recovery.snapshot(150) == ["B150"]
    assert (recovery.stats.gaps, recovery.stats.resyncs) == (2, 1)


def test_the_fifth_snapshot_from_before_the_loss_is_accepted() -> None:
    recovery = synced(100)
    recovery.changes(101, 102)
    lost(recovery)
    for _ in range(4):
        assert recovery.snapshot(101) == []
        assert not recovery.synced
    assert recovery.snapshot(101) == ["B101"]
    assert lost(recovery).snapshot(101) == ["B101"]


def test_a_snapshot_from_before_the_loss_is_accepted_if_changes_follow_it() -> None:
    recovery = synced(100)
    recovery.changes(101, 102, 103)
    lost(recovery)
    recovery.changes(102)
    assert recovery.snapshot(101) == ["B101", "102"]


def test_after_a_restart_a_snapshot_of_the_old_book_is_not_accepted() -> None:
    recovery = synced(1113)
    lost(recovery)
    recovery.subscribed()
    recovery.changes(1, 2, 3)
    # A replica answers with the old book, which contains every number of the connection, and is not below it.
    assert recovery.snapshot(1107) == recovery.snapshot(1113) == []
    assert not recovery.synced
    assert recovery.snapshot(3) == ["B3"]
    assert recovery.changes(4) == ["4"]


def test_a_snapshot_far_below_the_last_number_counts_as_a_restart() -> None:
    recovery = lost(synced(5000))
    assert recovery.snapshot(7) == ["B7"]
    assert recovery.changes(8) == ["8"]


def test_after_a_restart_jumps_to_old_numbers_are_not_accepted() -> None:
    recovery = synced(5000, "increasing")
    assert recovery.changes(5010) == ["5010"]
    assert lost(recovery).snapshot(0) == ["B0"]
    for _ in range(2):
        assert recovery.changes(5020, 5030) == []  # they were on their way when the service restarted
        assert recovery.snapshot(0) == ["B0"]
    assert recovery.changes(10, 20) == ["10", "20"]
    assert recovery.changes(6000) == ["6000"]
