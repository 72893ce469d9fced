"""Which sequence number may come next: the next one, any higher one, or the rule that the service shows."""

from __future__ import annotations

import logging

import pytest

from tests.helpers.depth_recovery import Recovery, diff, lost, subscribed, synced
from tplus_trio import OrderBookDiff
from tplus_trio.streams.recovery import check_sequencing


def jump_after_snapshot(recovery: Recovery, number: int) -> None:
    """Deliver a snapshot, then a change that jumps."""
    recovery.snapshot(number)
    recovery.changes(number + 10)


def test_five_fresh_snapshots_with_a_jump_prove_numbers_not_contiguous(caplog: pytest.LogCaptureFixture) -> None:
    recovery, at = subscribed(), 1000
    for _ in range(4):
        jump_after_snapshot(recovery, at)
        assert not recovery.synced
        at += 10
    caplog.clear()
    assert recovery.snapshot(at) == [f"B{at}"]
    (item,) = recovery.receive([diff(at + 10)])
    assert isinstance(item, OrderBookDiff)
    assert (item.sequence_number, item.previous_sequence_number) == (at + 10, at)
    assert recovery.changes(at + 20, at + 20, at + 35) == [str(at + 20), str(at + 35)]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "not contiguous" in record.getMessage()
    # A hole changes nothing. Another connection has to prove it again, without a second warning.
    recovery.hole("a bad frame")
    recovery.changes(at + 100)
    assert recovery.snapshot(at + 95) == [f"B{at + 95}", str(at + 100)]
    lost(recovery)
    assert recovery.snapshot(at + 100) == [f"B{at + 100}"]
    assert recovery.changes(at + 110) == []
    at += 110
    for _ in range(3):
        jump_after_snapshot(recovery, at)
        assert not recovery.synced
        at += 10
    recovery.snapshot(at)
    assert recovery.changes(at + 10) == [str(at + 10)]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == [record]


@pytest.mark.parametrize("between", ["a change that follows", "a jump later on"])
def test_jumps_of_a_service_that_counts_by_one_prove_nothing(between: str) -> None:
    recovery, at = subscribed(), 1000
    for _ in range(4):
        jump_after_snapshot(recovery, at)
        at += 10
    recovery.snapshot(at)
    recovery.changes(at + 1)
    if between == "a jump later on":
        recovery.changes(at + 11)
        recovery.snapshot(at + 11)
    for _ in range(4):
        jump_after_snapshot(recovery, at + 20)
        assert not recovery.synced
        at += 10


def test_contiguous_accepts_no_jump_however_many_come() -> None:
    recovery = subscribed("contiguous")
    for at in range(1000, 2000, 10):
        jump_after_snapshot(recovery, at)
        assert not recovery.synced


def test_increasing_takes_any_higher_number() -> None:
    recovery = synced(100, "increasing")
    assert recovery.changes(110, 110, 200) == ["110", "200"]
    chain = recovery.receive([diff(300), diff(301)])
    assert [item.previous_sequence_number for item in chain if isinstance(item, OrderBookDiff)] == [200, 300]
    assert recovery.stats.gaps == 0


def test_an_unknown_sequencing_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, contiguous, increasing"):
        check_sequencing("descending")
