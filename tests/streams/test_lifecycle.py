"""The table of a session's life: every row of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tplus_trio import StreamState
from tplus_trio.streams.lifecycle import STATES, TRANSITIONS, Action, Phase, Transition, Trigger, transition

DESIGN = Path(__file__).parents[2] / "docs" / "design.md"

METHODS = [trigger for trigger in Trigger if trigger.value.endswith("()")]
PAIRS = [(phase, trigger) for phase in Phase for trigger in Trigger]


def rows() -> Iterator[tuple[Phase, Trigger, Transition]]:
    """Return the rows that can occur."""
    for (phase, trigger), row in TRANSITIONS.items():
        if row is not None:
            yield phase, trigger, row


def reachable(start: Phase) -> set[Phase]:
    """Return the phases that some triggers lead to, including the first one."""
    found, new = {start}, {start}
    while new:
        new = {row.phase for phase, _, row in rows() if phase in new} - found
        found |= new
    return found


def diagram() -> str:
    """Draw the rows that change the phase or take an action, for `docs/design.md`."""
    lines: list[str] = []
    for phase in Phase:
        name = phase.name
        for before, trigger, (after, action) in rows():
            if before is phase and (after is not phase or action is not Action.NOTHING):
                line = f"{name:14} {trigger.value:18} → {after.name:14}"
                lines.append((line if action is Action.NOTHING else f"{line} {action.value}").rstrip())
                name = ""
    return "\n".join(lines)


def test_each_pair_of_phase_and_trigger_has_a_row() -> None:
    assert set(TRANSITIONS) == set(PAIRS)


def test_each_phase_has_a_public_state() -> None:
    assert set(STATES) == set(Phase)
    assert set(STATES.values()) == set(StreamState)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("phase", Phase)
def test_each_method_can_be_called_in_each_phase(phase: Phase, method: Trigger) -> None:
    assert isinstance(transition(phase, method), Transition)


def test_each_phase_can_be_reached() -> None:
    assert reachable(Phase.UNSTARTED) == set(Phase)


def test_closed_is_terminal() -> None:
    assert reachable(Phase.CLOSED) == {Phase.CLOSED}
    assert {row.action for phase, _, row in rows() if phase is Phase.CLOSED} == {Action.NOTHING}


def test_nothing_leads_back_after_close_or_cancel() -> None:
    for phase in Phase:
        for method in (Trigger.CLOSE, Trigger.CANCEL):
            assert reachable(transition(phase, method).phase) <= {Phase.CANCELLING, Phase.CLOSING, Phase.CLOSED}


def test_a_phase_that_can_be_left_leads_to_the_end() -> None:
    for phase in Phase:
        assert Phase.CLOSED in reachable(phase)


@pytest.mark.parametrize("order", [Trigger.RECONNECT, Trigger.RESYNC])
@pytest.mark.parametrize("phase", [Phase.UNSTARTED, Phase.CANCELLING, Phase.CLOSING, Phase.CLOSED])
def test_orders_change_nothing_before_the_start_and_after_the_end(phase: Phase, order: Trigger) -> None:
    assert transition(phase, order) == (phase, Action.NOTHING)


def test_a_resync_needs_a_connection() -> None:
    resyncing = {phase for phase in Phase if transition(phase, Trigger.RESYNC).action is Action.RESYNC}
    assert resyncing == {Phase.SYNCING, Phase.LIVE}


def test_only_a_session_that_was_not_started_is_closed_unstarted() -> None:
    closed = {phase for phase in Phase if transition(phase, Trigger.CLOSE_UNSTARTED) != (phase, Action.NOTHING)}
    assert closed == {Phase.UNSTARTED}


def test_a_cancelled_session_cancels_what_it_runs() -> None:
    at_once = {phase for phase in Phase if transition(phase, Trigger.CANCEL).action is Action.CANCEL_RUN}
    serving = {Phase.SYNCING, Phase.LIVE}
    assert at_once == set(Phase) - serving - {Phase.UNSTARTED, Phase.CANCELLING, Phase.CLOSED}
    for phase in serving:
        assert transition(phase, Trigger.CANCEL) == (Phase.CANCELLING, Action.STOP_STEP)
    assert transition(Phase.CANCELLING, Trigger.CONNECTION_LOST) == (Phase.CLOSING, Action.CANCEL_RUN)


def test_live_is_left_in_the_step_that_gives_up_the_connection() -> None:
    for trigger in (Trigger.RECONNECT, Trigger.CLOSE, Trigger.CANCEL, Trigger.TASK_FAILED, Trigger.HOLE):
        assert STATES[transition(Phase.LIVE, trigger).phase] is not StreamState.LIVE


def test_the_end_is_reported_exactly_once() -> None:
    for phase, _, row in rows():
        assert (row.action is Action.END) == (row.phase is Phase.CLOSED and phase is not Phase.CLOSED)


def test_an_impossible_transition_raises() -> None:
    impossible = [pair for pair in PAIRS if TRANSITIONS[pair] is None]
    assert impossible
    for phase, trigger in impossible:
        assert trigger not in METHODS
        with pytest.raises(RuntimeError, match="cannot occur while a session is"):
            transition(phase, trigger)


def test_the_design_page_shows_this_table() -> None:
    assert f"```text\n{diagram()}\n```" in DESIGN.read_text("utf-8")
