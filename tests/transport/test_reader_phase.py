"""The table of who reads a WebSocket's byte stream: every phase, every event, and what must hold for all phases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio.transport.reader_phase import TRANSITIONS, ReaderEvent, ReaderPhase, next_phase

#: One line for each phase: what follows each event that can occur, in the order of `ReaderEvent`; "-" if it cannot.
TABLE = """
                  ACCEPTED ACCEPTED_PLAIN REFUSED OPENED          ASKED       HANDED_PART HANDED_MESSAGE  TAKEN     LEFT      END
HEAD              FEEDING  DELEGATED      REFUSAL -               HEAD        -           -               -         -         ENDED
REFUSAL           -        -              -       DELEGATED       REFUSAL     -           -               -         -         ENDED
PARSING           -        -              -       PARSING         PARSING     FEEDING     FEEDING_MESSAGE -         DELEGATED ENDED
FEEDING           -        -              -       FEEDING         PARSING     FEEDING     FEEDING_MESSAGE -         DELEGATED ENDED
FEEDING_MESSAGE   -        -              -       -               MESSAGE_DUE -           -               FEEDING   DELEGATED ENDED
MESSAGE_DUE       -        -              -       -               MESSAGE_DUE -           -               PARSING   DELEGATED ENDED
DELEGATED         -        -              -       DELEGATED       DELEGATED   -           -               DELEGATED DELEGATED ENDED
ENDED             -        -              -       ENDED           ENDED       ENDED       ENDED           ENDED     ENDED     ENDED
"""  # noqa: E501 - a table is read by its columns


def rows() -> list[tuple[ReaderPhase, ReaderEvent, ReaderPhase | None]]:
    head, *lines = [line.split() for line in TABLE.strip().splitlines()]
    return [
        (ReaderPhase[phase], ReaderEvent[event], None if cell == "-" else ReaderPhase[cell])
        for phase, *cells in lines
        for event, cell in zip(head, cells, strict=True)
    ]


def test_the_table_has_a_cell_for_each_phase_and_event() -> None:
    assert {(phase, event) for phase, event, _ in rows()} == {(p, e) for p in ReaderPhase for e in ReaderEvent}


@pytest.mark.parametrize(("phase", "event", "following"), rows(), ids=lambda part: part.name if part else "impossible")
def test_each_event_in_each_phase(phase: ReaderPhase, event: ReaderEvent, following: ReaderPhase | None) -> None:
    assert TRANSITIONS[phase].get(event) is following
    if following is None:
        with pytest.raises(RuntimeError, match=f"{event.value}.*{phase.value}"):
            next_phase(phase, event)
    else:
        assert next_phase(phase, event) is following


def test_every_phase_can_be_reached_and_can_end() -> None:
    reached, waiting = set[ReaderPhase](), [ReaderPhase.HEAD]
    while waiting:
        phase = waiting.pop()
        if phase not in reached:
            reached.add(phase)
            waiting += TRANSITIONS[phase].values()
        assert TRANSITIONS[phase][ReaderEvent.END] is ReaderPhase.ENDED
    assert reached == set(ReaderPhase)


@given(events=st.lists(st.sampled_from(ReaderEvent)))
def test_a_reader_that_gave_the_stream_up_never_gets_it_back(events: list[ReaderEvent]) -> None:
    """Two readers of one stream would take bytes from each other."""
    by_websocket = {ReaderPhase.PARSING, ReaderPhase.FEEDING, ReaderPhase.FEEDING_MESSAGE, ReaderPhase.MESSAGE_DUE}
    phase, given_up = ReaderPhase.HEAD, False
    for event in events:
        if event in TRANSITIONS[phase]:
            phase = next_phase(phase, event)
        given_up = given_up or phase in {ReaderPhase.DELEGATED, ReaderPhase.ENDED}
        assert not (given_up and phase in by_websocket)
