"""The phases of a backfill: every row of their table."""

from __future__ import annotations

from itertools import product

from tplus_trio.streams.recovery.backfill_phases import TRANSITIONS, BackfillEvent, BackfillPhase

#: Every legal change of phase.
CHANGES = {
    (BackfillPhase.LIVE, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
    (BackfillPhase.RECOVERING, BackfillEvent.PROVING_ITEM): BackfillPhase.CHECKING,
    (BackfillPhase.RECOVERING, BackfillEvent.CLOSED): BackfillPhase.LIVE,
    (BackfillPhase.RECOVERING, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.UNCONFIRMED,
    (BackfillPhase.RECOVERING, BackfillEvent.GIVEN_UP): BackfillPhase.LIVE,
    (BackfillPhase.UNCONFIRMED, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
    (BackfillPhase.UNCONFIRMED, BackfillEvent.PROVING_ITEM): BackfillPhase.LIVE,
    (BackfillPhase.UNCONFIRMED, BackfillEvent.UNPROVED_ITEM): BackfillPhase.CONFIRMING,
    (BackfillPhase.CONFIRMING, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
    (BackfillPhase.CONFIRMING, BackfillEvent.CLOSED): BackfillPhase.LIVE,
    (BackfillPhase.CONFIRMING, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.UNCONFIRMED,
    (BackfillPhase.CONFIRMING, BackfillEvent.GIVEN_UP): BackfillPhase.LIVE,
    (BackfillPhase.CHECKING, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
    (BackfillPhase.CHECKING, BackfillEvent.CHECKED): BackfillPhase.LIVE,
}


def test_every_event_in_every_phase_has_a_row() -> None:
    assert set(TRANSITIONS) == set(product(BackfillPhase, BackfillEvent))


def test_the_changes_of_phase_are_these_and_no_others() -> None:
    assert {key: phase for key, phase in TRANSITIONS.items() if phase is not key[0]} == CHANGES


def test_rest_is_asked_while_something_is_open() -> None:
    assert {phase for phase in BackfillPhase if phase.asks_rest} == {
        BackfillPhase.RECOVERING,
        BackfillPhase.CONFIRMING,
        BackfillPhase.CHECKING,
    }
