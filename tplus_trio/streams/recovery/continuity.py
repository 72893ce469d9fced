"""Whether depth is continuous: the states, the events, and the table of transitions. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["TRANSITIONS", "Continuity", "ContinuityEvent", "Discontinuity"]


class Continuity(enum.Enum):
    """How the next change relates to what was delivered."""

    #: No snapshot stands. Changes are held until one does.
    AWAITING_SNAPSHOT = enum.auto()
    #: A snapshot was delivered, and no change has followed it yet.
    FRESH = enum.auto()
    #: The last change followed the item before it.
    CHAINED = enum.auto()
    #: As `CHAINED`, but old sequence numbers have come since. They were dropped, and are counted.
    REPEATING = enum.auto()


class ContinuityEvent(enum.Enum):
    """What can happen to the continuity."""

    #: A snapshot is delivered.
    SNAPSHOT = enum.auto()
    #: A change came whose number is the next one. (A jump that is accepted changes no state.)
    NEXT = enum.auto()
    #: A change came whose number is not new, and was dropped as a repeat or because the snapshot contains it.
    OLD = enum.auto()
    #: Continuity was lost: a jump, a number that cannot be explained, a bad frame, a lost connection.
    BREAK = enum.auto()


_AWAITING, _FRESH, _CHAINED, _REPEATING = Continuity

#: The state after each event in each state. While a snapshot is awaited, changes are only held.
TRANSITIONS: Final[Mapping[tuple[Continuity, ContinuityEvent], Continuity]] = MappingProxyType(
    {
        (_AWAITING, ContinuityEvent.SNAPSHOT): _FRESH,
        (_AWAITING, ContinuityEvent.NEXT): _AWAITING,
        (_AWAITING, ContinuityEvent.OLD): _AWAITING,
        (_AWAITING, ContinuityEvent.BREAK): _AWAITING,
        (_FRESH, ContinuityEvent.SNAPSHOT): _FRESH,
        (_FRESH, ContinuityEvent.NEXT): _CHAINED,
        (_FRESH, ContinuityEvent.OLD): _FRESH,
        (_FRESH, ContinuityEvent.BREAK): _AWAITING,
        (_CHAINED, ContinuityEvent.SNAPSHOT): _FRESH,
        (_CHAINED, ContinuityEvent.NEXT): _CHAINED,
        (_CHAINED, ContinuityEvent.OLD): _REPEATING,
        (_CHAINED, ContinuityEvent.BREAK): _AWAITING,
        (_REPEATING, ContinuityEvent.SNAPSHOT): _FRESH,
        (_REPEATING, ContinuityEvent.NEXT): _CHAINED,
        (_REPEATING, ContinuityEvent.OLD): _REPEATING,
        (_REPEATING, ContinuityEvent.BREAK): _AWAITING,
    }
)


class Discontinuity(NamedTuple):
    """Why a change cannot be part of the chain.

    Attributes:
        reason: The text for the log.
        has_restarted: Whether the service has started over with its numbers. Then any snapshot is accepted.
    """

    reason: str
    has_restarted: bool
