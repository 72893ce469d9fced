"""Whether depth is continuous: the states, the events, and the table of transitions. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["TRANSITIONS", "Continuity", "Discontinuity", "Event"]


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


class Event(enum.Enum):
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
TRANSITIONS: Final[Mapping[tuple[Continuity, Event], Continuity]] = MappingProxyType(
    {
        (_AWAITING, Event.SNAPSHOT): _FRESH,
        (_AWAITING, Event.NEXT): _AWAITING,
        (_AWAITING, Event.OLD): _AWAITING,
        (_AWAITING, Event.BREAK): _AWAITING,
        (_FRESH, Event.SNAPSHOT): _FRESH,
        (_FRESH, Event.NEXT): _CHAINED,
        (_FRESH, Event.OLD): _FRESH,
        (_FRESH, Event.BREAK): _AWAITING,
        (_CHAINED, Event.SNAPSHOT): _FRESH,
        (_CHAINED, Event.NEXT): _CHAINED,
        (_CHAINED, Event.OLD): _REPEATING,
        (_CHAINED, Event.BREAK): _AWAITING,
        (_REPEATING, Event.SNAPSHOT): _FRESH,
        (_REPEATING, Event.NEXT): _CHAINED,
        (_REPEATING, Event.OLD): _REPEATING,
        (_REPEATING, Event.BREAK): _AWAITING,
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
