"""Who reads a WebSocket's byte stream, as one enum and one table of transitions. Pure: no I/O.

A connection has two readers. trio-websocket reads the handshake's answer. After that, `WebSocket` reads the stream and
parses whole text frames itself; trio-websocket gets the other bytes from it (control frames, fragments, binary frames)
and asks for more when it has processed them. In the end, or from the handshake on where the fast path is off,
trio-websocket reads the stream alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

__all__ = ["TRANSITIONS", "ReaderEvent", "ReaderPhase", "next_phase"]


class ReaderPhase(Enum):
    """Who reads from the network."""

    if not TYPE_CHECKING:
        # Members are equal if they are identical. Enum's own hash is a Python function, and the table is read often.
        __hash__ = object.__hash__

    #: trio-websocket. The head of the handshake's answer is not complete.
    HEAD = "head"
    #: trio-websocket. The answer is no 101; its body is read up to a limit.
    REFUSAL = "refusal"
    #: `WebSocket`. trio-websocket waits for bytes.
    PARSING = "parsing"
    #: `WebSocket`. trio-websocket processes the bytes that it has.
    FEEDING = "feeding"
    #: `WebSocket`. trio-websocket processes bytes that complete a message.
    FEEDING_MESSAGE = "feeding a message"
    #: `WebSocket`. trio-websocket has a whole message, which `WebSocket.receive` returns next.
    MESSAGE_DUE = "message due"
    #: trio-websocket, for the rest of the connection.
    DELEGATED = "delegated"
    #: Nobody. The network ended, or trio-websocket has stopped.
    ENDED = "ended"


class ReaderEvent(Enum):
    """What changes the phase, or might."""

    if not TYPE_CHECKING:
        __hash__ = object.__hash__  # as above

    #: The answer's head is complete, and its status is 101: `WebSocket` reads what follows.
    ACCEPTED = "accepted"
    #: The same where the fast path is off.
    ACCEPTED_PLAIN = "accepted plain"
    #: The answer's head is complete, and its status is another one.
    REFUSED = "refused"
    #: trio-websocket says that the handshake succeeded.
    OPENED = "opened"
    #: trio-websocket asks for bytes.
    ASKED = "asked"
    #: `WebSocket` gives trio-websocket bytes that complete no message.
    HANDED_PART = "handed part"
    #: `WebSocket` gives trio-websocket bytes that complete a message.
    HANDED_MESSAGE = "handed message"
    #: `WebSocket.receive` takes a message from trio-websocket.
    TAKEN = "taken"
    #: `WebSocket` stops reading.
    LEFT = "left"
    #: The network ended, or trio-websocket has stopped.
    END = "end"


_P, _E = ReaderPhase, ReaderEvent
#: The next phase, by the present one and the event. A pair that is not here cannot occur.
TRANSITIONS: Final[Mapping[ReaderPhase, Mapping[ReaderEvent, ReaderPhase]]] = MappingProxyType(
    {
        _P.HEAD: {
            _E.ACCEPTED: _P.FEEDING,
            _E.ACCEPTED_PLAIN: _P.DELEGATED,
            _E.REFUSED: _P.REFUSAL,
            _E.ASKED: _P.HEAD,
            _E.END: _P.ENDED,
        },
        _P.REFUSAL: {
            # An informational answer before the 101, if trio-websocket accepts one.
            _E.OPENED: _P.DELEGATED,
            _E.ASKED: _P.REFUSAL,
            _E.END: _P.ENDED,
        },
        _P.PARSING: {
            _E.OPENED: _P.PARSING,
            _E.ASKED: _P.PARSING,
            _E.HANDED_PART: _P.FEEDING,
            _E.HANDED_MESSAGE: _P.FEEDING_MESSAGE,
            _E.LEFT: _P.DELEGATED,
            _E.END: _P.ENDED,
        },
        _P.FEEDING: {
            _E.OPENED: _P.FEEDING,
            _E.ASKED: _P.PARSING,
            # `WebSocket.receive` was cancelled while trio-websocket processed the bytes before.
            _E.HANDED_PART: _P.FEEDING,
            _E.HANDED_MESSAGE: _P.FEEDING_MESSAGE,
            _E.LEFT: _P.DELEGATED,
            _E.END: _P.ENDED,
        },
        _P.FEEDING_MESSAGE: {
            _E.ASKED: _P.MESSAGE_DUE,
            # trio-websocket hands a message out before it asks for more bytes.
            _E.TAKEN: _P.FEEDING,
            _E.LEFT: _P.DELEGATED,
            _E.END: _P.ENDED,
        },
        _P.MESSAGE_DUE: {
            _E.ASKED: _P.MESSAGE_DUE,
            _E.TAKEN: _P.PARSING,
            _E.LEFT: _P.DELEGATED,
            _E.END: _P.ENDED,
        },
        _P.DELEGATED: {
            _E.OPENED: _P.DELEGATED,
            _E.ASKED: _P.DELEGATED,
            _E.TAKEN: _P.DELEGATED,
            _E.LEFT: _P.DELEGATED,
            _E.END: _P.ENDED,
        },
        _P.ENDED: {
            _E.OPENED: _P.ENDED,
            _E.ASKED: _P.ENDED,
            # Frames that came before the end are still handed over and taken.
            _E.HANDED_PART: _P.ENDED,
            _E.HANDED_MESSAGE: _P.ENDED,
            _E.TAKEN: _P.ENDED,
            _E.LEFT: _P.ENDED,
            _E.END: _P.ENDED,
        },
    }
)


def next_phase(phase: ReaderPhase, event: ReaderEvent) -> ReaderPhase:
    """The phase that follows.

    Raises:
        RuntimeError: the event cannot occur in this phase.
    """
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        msg = f"the event {event.value!r} cannot occur in the phase {phase.value!r}"
        raise RuntimeError(msg) from None
