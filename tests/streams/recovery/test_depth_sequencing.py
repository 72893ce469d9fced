"""What the next sequence number is: contiguous, increasing, or found out."""

from __future__ import annotations

import logging

import pytest

from tests.helpers.depth_recovery import Recovery, diff, lost, subscribed, synced
from tplus_trio import OrderBookDiff
from tplus_trio.streams.recovery import check_sequencing


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
