"""The continuity of depth: every row of its table."""

from __future__ import annotations

from itertools import product

import pytest

from tplus_trio.streams.recovery.continuity import TRANSITIONS, Continuity, ContinuityEvent


def test_every_event_in_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(product(Continuity, ContinuityEvent))


@pytest.mark.parametrize("state", Continuity)
def test_a_break_awaits_a_snapshot_and_a_snapshot_is_fresh(state: Continuity) -> None:
    assert TRANSITIONS[state, ContinuityEvent.BREAK] is Continuity.AWAITING_SNAPSHOT
    assert TRANSITIONS[state, ContinuityEvent.SNAPSHOT] is Continuity.FRESH


def test_only_a_snapshot_ends_the_wait() -> None:
    for event in set(ContinuityEvent) - {ContinuityEvent.SNAPSHOT}:
        assert TRANSITIONS[Continuity.AWAITING_SNAPSHOT, event] is Continuity.AWAITING_SNAPSHOT


def test_the_next_change_chains_and_old_ones_are_noticed_after_it() -> None:
    for state in (Continuity.FRESH, Continuity.CHAINED, Continuity.REPEATING):
        assert TRANSITIONS[state, ContinuityEvent.NEXT] is Continuity.CHAINED
    # Changes that the snapshot contains leave it fresh: a jump after them still counts.
    assert TRANSITIONS[Continuity.FRESH, ContinuityEvent.OLD] is Continuity.FRESH
    assert TRANSITIONS[Continuity.CHAINED, ContinuityEvent.OLD] is Continuity.REPEATING
    assert TRANSITIONS[Continuity.REPEATING, ContinuityEvent.OLD] is Continuity.REPEATING
