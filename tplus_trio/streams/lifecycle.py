"""The life of a stream, or of any WebSocket session, as one pure table of transitions.

Theory of operation
===================

A session is always in exactly one `Phase`. A `Trigger` is a public method that was called, or an event that happened.
`TRANSITIONS` maps each pair of phase and trigger to a `Transition`: the next phase, and the one `Action` that the
session takes. Nothing else changes a phase, and nothing else decides whether a call has an effect.

Three kinds of rows:

1. Rows that change the phase, or take an action, or both. They are written out below, phase by phase.
2. Rows that change nothing: a method that has no effect in this phase (`reconnect` on a stream that has ended), or an
   event that another trigger overtook (the connection is made while the session closes).
3. Rows that cannot occur. Their triggers come from the one task that runs the session, in an order that its code fixes:
   a backoff cannot end while a connection is open. They are None, and `transition` raises for them.

Each pair is in the table; the tests check that, and that every phase can be reached, that CLOSED is terminal, and that
CANCELLING and CLOSING lead nowhere else. `docs/design.md` shows rows of the first kind; a test compares that page with
this table.

What the phases do not hold: whether items are held back for an answer of REST, and what has been delivered. That is the
recovery's state. A session knows only whether its protocol has caught up.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from tplus_trio.streams.stats import StreamState

__all__ = ["STATES", "TRANSITIONS", "Action", "Phase", "Transition", "Trigger", "transition"]


class Phase(enum.Enum):
    """Where a session is in its life."""

    #: Made, and not started. Nothing is connected.
    UNSTARTED = "unstarted"
    #: Started: an attempt to connect is under way, or is the next thing to happen.
    CONNECTING = "connecting"
    #: Connected; the protocol has not caught up with what was missed.
    SYNCING = "syncing"
    #: Connected; nothing is missing.
    LIVE = "live"
    #: The connection was lost or given up. It is being closed, and another attempt follows.
    DISCONNECTING = "disconnecting"
    #: Nothing is connected. The next attempt follows after a delay.
    BACKOFF = "backoff"
    #: `cancel` was called while the connection was served. Serving is stopped; then the run is cancelled.
    CANCELLING = "cancelling"
    #: `close` or `cancel` was called. The connection is being closed, and no other attempt follows.
    CLOSING = "closing"
    #: Over: closed, cancelled, or failed for good.
    CLOSED = "closed"


class Trigger(enum.Enum):
    """What may change the phase: first the methods that an owner calls, then the events."""

    START = "start()"
    CLOSE = "close()"
    CANCEL = "cancel()"
    CLOSE_UNSTARTED = "close_unstarted()"
    RECONNECT = "reconnect()"
    RESYNC = "resync()"
    #: The handshake is complete.
    CONNECTED = "connected"
    #: The protocol says that nothing is missing.
    CAUGHT_UP = "caught up"
    #: The protocol says that something was missed over a connection that lasts.
    HOLE = "hole"
    #: The protocol no longer serves the connection: it was lost, it failed, or serving was stopped.
    CONNECTION_LOST = "connection lost"
    #: A task beside the one that reads failed, so the connection is given up.
    TASK_FAILED = "task failed"
    #: The attempt is over, and the next one follows at once.
    RETRY_NOW = "retry now"
    #: The attempt failed: the service refused it, or the connection was lost. The next one follows after a delay.
    RETRY_LATER = "retry later"
    #: The delay before the next attempt is over.
    BACKOFF_OVER = "backoff over"
    #: A failure ended the session: it will not pass, or the restart policy allows no more attempts.
    FAILED_FOR_GOOD = "failed for good"
    #: The task that runs the session ends: it was closed or cancelled.
    FINISHED = "finished"


class Action(enum.Enum):
    """What a session does with a transition."""

    NOTHING = "nothing"
    #: Stop serving the connection, which is then closed with a close frame; or stop waiting for the next attempt.
    STOP_STEP = "stop the step"
    #: Cancel the attempt to connect, or the connection with its tasks, without waiting for an answer to a close frame.
    ABORT_CONNECTION = "abort the connection"
    #: Cancel everything that the session runs.
    CANCEL_RUN = "cancel the run"
    #: Make the feed whole again over the connection that there is.
    RESYNC = "resynchronise"
    #: Tell everybody who waits that the session is over.
    END = "end"


class Transition(NamedTuple):
    """One row: the next phase, and what is to be done."""

    phase: Phase
    action: Action


#: The public state of each phase.
STATES: Final[Mapping[Phase, StreamState]] = {
    Phase.UNSTARTED: StreamState.CONNECTING,
    Phase.CONNECTING: StreamState.CONNECTING,
    Phase.SYNCING: StreamState.SYNCING,
    Phase.LIVE: StreamState.LIVE,
    Phase.DISCONNECTING: StreamState.CONNECTING,
    Phase.BACKOFF: StreamState.BACKOFF,
    Phase.CANCELLING: StreamState.CONNECTING,
    Phase.CLOSING: StreamState.CONNECTING,
    Phase.CLOSED: StreamState.CLOSED,
}

_Row = tuple[Phase, Action]


#: The methods of an owner. Each can be called in every phase.
_METHODS: Final = frozenset(
    {
        Trigger.START,
        Trigger.CLOSE,
        Trigger.CANCEL,
        Trigger.CLOSE_UNSTARTED,
        Trigger.RECONNECT,
        Trigger.RESYNC,
    }
)
#: What a protocol and its tasks report, in every phase: another trigger may come first in the same turn of the loop.
_REPORTS: Final = frozenset({Trigger.CAUGHT_UP, Trigger.HOLE, Trigger.TASK_FAILED})
#: The task may end in every phase in which it runs: it is cancelled from outside too.
_ENDS: Final[Mapping[Trigger, _Row]] = {
    Trigger.FAILED_FOR_GOOD: (Phase.CLOSED, Action.END),
    Trigger.FINISHED: (Phase.CLOSED, Action.END),
}


def _rows(
    phase: Phase, changes: Mapping[Trigger, _Row], *, ignored: Collection[Trigger] = ()
) -> dict[tuple[Phase, Trigger], Transition | None]:
    """Complete the rows of one phase.

    Methods and reports that ``changes`` does not name change nothing, and so do the triggers in ``ignored``. Any other
    trigger cannot occur.
    """
    rows: dict[tuple[Phase, Trigger], Transition | None] = {}
    for trigger in Trigger:
        if trigger in changes:
            rows[phase, trigger] = Transition(*changes[trigger])
        elif trigger in _METHODS or trigger in _REPORTS or trigger in ignored:
            rows[phase, trigger] = Transition(phase, Action.NOTHING)
        else:
            rows[phase, trigger] = None
    return rows


#: The whole life: each pair of phase and trigger. None stands for what cannot occur.
TRANSITIONS: Final[Mapping[tuple[Phase, Trigger], Transition | None]] = {
    **_rows(
        Phase.UNSTARTED,
        {
            Trigger.START: (Phase.CONNECTING, Action.NOTHING),
            Trigger.CLOSE: (Phase.CLOSED, Action.END),
            Trigger.CANCEL: (Phase.CLOSED, Action.END),
            Trigger.CLOSE_UNSTARTED: (Phase.CLOSED, Action.END),
        },
    ),
    **_rows(
        Phase.CONNECTING,
        {
            Trigger.CLOSE: (Phase.CLOSING, Action.CANCEL_RUN),
            Trigger.CANCEL: (Phase.CLOSING, Action.CANCEL_RUN),
            # The attempt may be to reach an address where nobody answers.
            Trigger.RECONNECT: (Phase.CONNECTING, Action.ABORT_CONNECTION),
            Trigger.TASK_FAILED: (Phase.CONNECTING, Action.ABORT_CONNECTION),
            Trigger.CONNECTED: (Phase.SYNCING, Action.NOTHING),
            Trigger.RETRY_LATER: (Phase.BACKOFF, Action.NOTHING),
            **_ENDS,
        },
        # RETRY_NOW: the attempt was aborted by `reconnect`. BACKOFF_OVER: the wait was.
        ignored={Trigger.RETRY_NOW, Trigger.BACKOFF_OVER},
    ),
    **_rows(
        Phase.SYNCING,
        {
            Trigger.CLOSE: (Phase.CLOSING, Action.STOP_STEP),
            # Cancelled as a whole, a connection would leave its contexts in cycles, from Python 3.12 on.
            Trigger.CANCEL: (Phase.CANCELLING, Action.STOP_STEP),
            Trigger.RECONNECT: (Phase.DISCONNECTING, Action.STOP_STEP),
            Trigger.RESYNC: (Phase.SYNCING, Action.RESYNC),
            Trigger.CAUGHT_UP: (Phase.LIVE, Action.NOTHING),
            Trigger.CONNECTION_LOST: (Phase.DISCONNECTING, Action.NOTHING),
            Trigger.TASK_FAILED: (Phase.DISCONNECTING, Action.ABORT_CONNECTION),
            **_ENDS,
        },
    ),
    **_rows(
        Phase.LIVE,
        {
            Trigger.CLOSE: (Phase.CLOSING, Action.STOP_STEP),
            Trigger.CANCEL: (Phase.CANCELLING, Action.STOP_STEP),
            Trigger.RECONNECT: (Phase.DISCONNECTING, Action.STOP_STEP),
            # The phase follows with HOLE, if the feed has anything to ask for.
            Trigger.RESYNC: (Phase.LIVE, Action.RESYNC),
            Trigger.HOLE: (Phase.SYNCING, Action.NOTHING),
            Trigger.CONNECTION_LOST: (Phase.DISCONNECTING, Action.NOTHING),
            Trigger.TASK_FAILED: (Phase.DISCONNECTING, Action.ABORT_CONNECTION),
            **_ENDS,
        },
    ),
    **_rows(
        Phase.DISCONNECTING,
        {
            # The connection is being closed already, within the close timeout.
            Trigger.CLOSE: (Phase.CLOSING, Action.NOTHING),
            Trigger.CANCEL: (Phase.CLOSING, Action.CANCEL_RUN),
            # A second order does not wait for the answer to the close frame.
            Trigger.RECONNECT: (Phase.DISCONNECTING, Action.ABORT_CONNECTION),
            Trigger.TASK_FAILED: (Phase.DISCONNECTING, Action.ABORT_CONNECTION),
            Trigger.RETRY_NOW: (Phase.CONNECTING, Action.NOTHING),
            Trigger.RETRY_LATER: (Phase.BACKOFF, Action.NOTHING),
            **_ENDS,
        },
        # The order to reconnect comes before the connection is left.
        ignored={Trigger.CONNECTION_LOST},
    ),
    **_rows(
        Phase.BACKOFF,
        {
            Trigger.CLOSE: (Phase.CLOSING, Action.STOP_STEP),
            Trigger.CANCEL: (Phase.CLOSING, Action.CANCEL_RUN),
            Trigger.RECONNECT: (Phase.CONNECTING, Action.STOP_STEP),
            Trigger.BACKOFF_OVER: (Phase.CONNECTING, Action.NOTHING),
            **_ENDS,
        },
    ),
    **_rows(
        Phase.CANCELLING,
        {
            Trigger.CONNECTION_LOST: (Phase.CLOSING, Action.CANCEL_RUN),
            **_ENDS,
        },
    ),
    **_rows(
        Phase.CLOSING,
        {
            Trigger.CANCEL: (Phase.CLOSING, Action.CANCEL_RUN),
            Trigger.TASK_FAILED: (Phase.CLOSING, Action.ABORT_CONNECTION),
            **_ENDS,
        },
        # A second `close` waits for the end that the first one began. The task that runs the session may have taken its
        # next step before it was cancelled.
        ignored={Trigger.CONNECTED, Trigger.CONNECTION_LOST, Trigger.BACKOFF_OVER},
    ),
    # FINISHED: a session that was closed before it was run has nothing left to do.
    **_rows(Phase.CLOSED, {}, ignored={Trigger.FINISHED}),
}


def transition(phase: Phase, trigger: Trigger) -> Transition:
    """Look up what a trigger does in a phase.

    Raises:
        RuntimeError: the trigger cannot occur in this phase; the session has a bug.
    """
    row = TRANSITIONS[phase, trigger]
    if row is None:
        msg = f"{trigger.value!r} cannot occur while a session is {phase.value}"
        raise RuntimeError(msg)
    return row
