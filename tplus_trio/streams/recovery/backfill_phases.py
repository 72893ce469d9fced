"""The phases of a backfill, what can happen in each, and the table of transitions. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["TRANSITIONS", "BackfillEvent", "Phase"]


class Phase(enum.Enum):
    """Where a backfill stands."""

    #: Nothing is missing. Items are delivered as they come.
    LIVE = enum.auto()
    #: Items may be missing before those that are held. REST is asked.
    RECOVERING = enum.auto()
    #: REST has answered, and the feed has brought nothing since the loss. REST may have been behind.
    UNCONFIRMED = enum.auto()
    #: The first live item and those after it are held for one more read of REST.
    CONFIRMING = enum.auto()
    #: The feed has closed the gap itself. REST is asked once for changes of items that were delivered before.
    CHECKING = enum.auto()

    @property
    def asks_rest(self) -> bool:
        """Whether REST has to be asked."""
        return self in {Phase.RECOVERING, Phase.CONFIRMING, Phase.CHECKING}


class BackfillEvent(enum.Enum):
    """What can happen to a backfill."""

    #: Items may have been missed.
    LOSS = enum.auto()
    #: A live item came that shows that nothing is missing before it. No item does while others are held before it.
    PROVING_ITEM = enum.auto()
    #: A live item came that does not show it.
    UNPROVED_ITEM = enum.auto()
    #: REST's rows reach from what was delivered to the first item that the feed brought after the loss.
    CLOSED = enum.auto()
    #: REST's rows reach what was delivered, and the feed has brought nothing after the loss.
    CLOSED_WITHOUT_ITEM = enum.auto()
    #: The gap cannot be closed in time or within the bound. A `Gap` is delivered.
    GIVEN_UP = enum.auto()
    #: REST was asked for changes, and has answered or cannot answer.
    CHECKED = enum.auto()


#: The phase after each event in each phase. An event that has no meaning in a phase leaves it as it is.
TRANSITIONS: Final[Mapping[tuple[Phase, BackfillEvent], Phase]] = MappingProxyType(
    {
        (Phase.LIVE, BackfillEvent.LOSS): Phase.RECOVERING,
        (Phase.LIVE, BackfillEvent.PROVING_ITEM): Phase.LIVE,
        (Phase.LIVE, BackfillEvent.UNPROVED_ITEM): Phase.LIVE,
        (Phase.LIVE, BackfillEvent.CLOSED): Phase.LIVE,
        (Phase.LIVE, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.LIVE,
        (Phase.LIVE, BackfillEvent.GIVEN_UP): Phase.LIVE,
        (Phase.LIVE, BackfillEvent.CHECKED): Phase.LIVE,
        (Phase.RECOVERING, BackfillEvent.LOSS): Phase.RECOVERING,
        (Phase.RECOVERING, BackfillEvent.PROVING_ITEM): Phase.CHECKING,
        (Phase.RECOVERING, BackfillEvent.UNPROVED_ITEM): Phase.RECOVERING,
        (Phase.RECOVERING, BackfillEvent.CLOSED): Phase.LIVE,
        (Phase.RECOVERING, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.UNCONFIRMED,
        (Phase.RECOVERING, BackfillEvent.GIVEN_UP): Phase.LIVE,
        (Phase.RECOVERING, BackfillEvent.CHECKED): Phase.RECOVERING,
        (Phase.UNCONFIRMED, BackfillEvent.LOSS): Phase.RECOVERING,
        (Phase.UNCONFIRMED, BackfillEvent.PROVING_ITEM): Phase.LIVE,
        (Phase.UNCONFIRMED, BackfillEvent.UNPROVED_ITEM): Phase.CONFIRMING,
        (Phase.UNCONFIRMED, BackfillEvent.CLOSED): Phase.UNCONFIRMED,
        (Phase.UNCONFIRMED, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.UNCONFIRMED,
        (Phase.UNCONFIRMED, BackfillEvent.GIVEN_UP): Phase.UNCONFIRMED,
        (Phase.UNCONFIRMED, BackfillEvent.CHECKED): Phase.UNCONFIRMED,
        (Phase.CONFIRMING, BackfillEvent.LOSS): Phase.RECOVERING,
        (Phase.CONFIRMING, BackfillEvent.PROVING_ITEM): Phase.CONFIRMING,
        (Phase.CONFIRMING, BackfillEvent.UNPROVED_ITEM): Phase.CONFIRMING,
        (Phase.CONFIRMING, BackfillEvent.CLOSED): Phase.LIVE,
        (Phase.CONFIRMING, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.UNCONFIRMED,
        (Phase.CONFIRMING, BackfillEvent.GIVEN_UP): Phase.LIVE,
        (Phase.CONFIRMING, BackfillEvent.CHECKED): Phase.CONFIRMING,
        (Phase.CHECKING, BackfillEvent.LOSS): Phase.RECOVERING,
        (Phase.CHECKING, BackfillEvent.PROVING_ITEM): Phase.CHECKING,
        (Phase.CHECKING, BackfillEvent.UNPROVED_ITEM): Phase.CHECKING,
        (Phase.CHECKING, BackfillEvent.CLOSED): Phase.CHECKING,
        (Phase.CHECKING, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.CHECKING,
        (Phase.CHECKING, BackfillEvent.GIVEN_UP): Phase.CHECKING,
        (Phase.CHECKING, BackfillEvent.CHECKED): Phase.LIVE,
    }
)
