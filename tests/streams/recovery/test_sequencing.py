"""What a jump of sequence numbers means."""

from __future__ import annotations

import logging

import pytest

from tplus_trio.streams.recovery.sequencing import SequencingRule


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
