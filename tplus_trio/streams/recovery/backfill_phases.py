"""The phases of a backfill, what can happen in each, and the table of transitions. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["TRANSITIONS", "BackfillEvent", "BackfillPhase"]


class BackfillPhase(enum.Enum):
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
        return self in {BackfillPhase.RECOVERING, BackfillPhase.CONFIRMING, BackfillPhase.CHECKING}


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
TRANSITIONS: Final[Mapping[tuple[BackfillPhase, BackfillEvent], BackfillPhase]] = MappingProxyType(
    {
        (BackfillPhase.LIVE, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
        (BackfillPhase.LIVE, BackfillEvent.PROVING_ITEM): BackfillPhase.LIVE,
        (BackfillPhase.LIVE, BackfillEvent.UNPROVED_ITEM): BackfillPhase.LIVE,
        (BackfillPhase.LIVE, BackfillEvent.CLOSED): BackfillPhase.LIVE,
        (BackfillPhase.LIVE, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.LIVE,
        (BackfillPhase.LIVE, BackfillEvent.GIVEN_UP): BackfillPhase.LIVE,
        (BackfillPhase.LIVE, BackfillEvent.CHECKED): BackfillPhase.LIVE,
        (BackfillPhase.RECOVERING, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
        (BackfillPhase.RECOVERING, BackfillEvent.PROVING_ITEM): BackfillPhase.CHECKING,
        (BackfillPhase.RECOVERING, BackfillEvent.UNPROVED_ITEM): BackfillPhase.RECOVERING,
        (BackfillPhase.RECOVERING, BackfillEvent.CLOSED): BackfillPhase.LIVE,
        (BackfillPhase.RECOVERING, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.UNCONFIRMED,
        (BackfillPhase.RECOVERING, BackfillEvent.GIVEN_UP): BackfillPhase.LIVE,
        (BackfillPhase.RECOVERING, BackfillEvent.CHECKED): BackfillPhase.RECOVERING,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.PROVING_ITEM): BackfillPhase.LIVE,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.UNPROVED_ITEM): BackfillPhase.CONFIRMING,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.CLOSED): BackfillPhase.UNCONFIRMED,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.UNCONFIRMED,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.GIVEN_UP): BackfillPhase.UNCONFIRMED,
        (BackfillPhase.UNCONFIRMED, BackfillEvent.CHECKED): BackfillPhase.UNCONFIRMED,
        (BackfillPhase.CONFIRMING, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
        (BackfillPhase.CONFIRMING, BackfillEvent.PROVING_ITEM): BackfillPhase.CONFIRMING,
        (BackfillPhase.CONFIRMING, BackfillEvent.UNPROVED_ITEM): BackfillPhase.CONFIRMING,
        (BackfillPhase.CONFIRMING, BackfillEvent.CLOSED): BackfillPhase.LIVE,
        (BackfillPhase.CONFIRMING, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.UNCONFIRMED,
        (BackfillPhase.CONFIRMING, BackfillEvent.GIVEN_UP): BackfillPhase.LIVE,
        (BackfillPhase.CONFIRMING, BackfillEvent.CHECKED): BackfillPhase.CONFIRMING,
        (BackfillPhase.CHECKING, BackfillEvent.LOSS): BackfillPhase.RECOVERING,
        (BackfillPhase.CHECKING, BackfillEvent.PROVING_ITEM): BackfillPhase.CHECKING,
        (BackfillPhase.CHECKING, BackfillEvent.UNPROVED_ITEM): BackfillPhase.CHECKING,
        (BackfillPhase.CHECKING, BackfillEvent.CLOSED): BackfillPhase.CHECKING,
        (BackfillPhase.CHECKING, BackfillEvent.CLOSED_WITHOUT_ITEM): BackfillPhase.CHECKING,
        (BackfillPhase.CHECKING, BackfillEvent.GIVEN_UP): BackfillPhase.CHECKING,
        (BackfillPhase.CHECKING, BackfillEvent.CHECKED): BackfillPhase.LIVE,
    }
)
