"""Which snapshots are accepted, and when an accepted one turns out to be of another book."""

from __future__ import annotations

import pytest

from tplus_trio.streams.recovery.snapshot_judge import SnapshotJudge


def test_a_snapshot_has_to_contain_every_change_before_the_loss() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    judge.note_gap(90)
    assert judge.pre_gap_high == 100
    assert not judge.accepts(99, None)
    assert judge.accepts(100, None)


def test_a_snapshot_that_the_held_changes_follow_is_accepted() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    assert not judge.accepts(50, 52)
    assert judge.accepts(50, 51)


@pytest.mark.parametrize("number", [98999, 0])
def test_a_snapshot_far_below_is_accepted_as_of_a_restarted_service(number: int) -> None:
    judge = SnapshotJudge()
    judge.note_gap(100_000)
    assert not judge.accepts(99_000, None)
    assert judge.accepts(number, None)


def test_a_snapshot_far_above_every_change_of_the_connection_is_rejected_four_times() -> None:
    judge = SnapshotJudge()
    judge.note_gap(1113)
    assert not judge.accepts(1107, 1, 25)
    assert not judge.accepts(1113, 1, 25)
    assert judge.accepts(60, 1, 63)
    # If the connection is far behind instead, the fifth is accepted.
    judge.delivered(60)
    assert [judge.accepts(5000, 1, 25) for _ in range(5)] == [False] * 4 + [True]
    judge.delivered(5000)
    assert judge.accepts(6000, 1, 26)  # this connection has shown that it may be so far behind
    judge.begin_connection()
    assert not judge.accepts(6000, 1, 26)


def test_the_fifth_old_snapshot_in_a_row_is_accepted() -> None:
    judge = SnapshotJudge()
    for _ in range(2):
        judge.note_gap(100)
        assert [judge.accepts(99, None) for _ in range(5)] == [False] * 4 + [True]
        judge.delivered(99)
        assert judge.rejected_snapshots == 0


def test_after_a_restart_a_jump_above_the_old_numbers_is_of_the_old_epoch() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    judge.delivered(60)
    assert judge.is_of_old_epoch(101)
    assert judge.is_of_old_epoch(101)
    assert not judge.is_of_old_epoch(100)  # the new book counts up to these numbers
    assert not judge.is_of_old_epoch(101)


def test_a_snapshot_above_the_old_numbers_ends_the_old_epoch() -> None:
    judge = SnapshotJudge()
    judge.note_gap(100)
    judge.delivered(60)
    judge.delivered(99)
    assert judge.is_of_old_epoch(101)
    judge.delivered(100)
    assert not judge.is_of_old_epoch(101)


def test_changes_below_a_snapshot_count_as_catching_up_to_a_limit_that_doubles() -> None:
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
def test_a_first_change_more_than_1000_behind_is_not_catching_up(
    distance: int, is_first: bool, is_catching_up: bool
) -> None:
    assert SnapshotJudge().is_catching_up(distance, is_first=is_first) is is_catching_up
