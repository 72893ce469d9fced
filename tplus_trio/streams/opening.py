"""Everything that it takes to open a feed, as data."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import attrs

from tplus_trio.service import Service
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.transport.turns import Turns
from tplus_trio.transport.websocket import WebSocketLimits

__all__ = ["Opening"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Opening(Generic[T]):
    """A feed, whom to ask for it, and how to supervise it."""

    #: What is subscribed to.
    feed: Feed[T]
    #: Whom to connect to and ask over REST.
    service: Service
    #: Whose turn it is to decode, among the client's public feeds.
    turns: Turns
    #: When to connect again after a failure; None means never.
    restart: RestartPolicy | None
    #: Bounds of the connection.
    limits: WebSocketLimits
    #: Draws from [0, 1) for delays.
    draw: Callable[[], float]
    #: Whether consumers that ask for the same may share a connection.
    share: bool = False

    @property
    def key(self) -> Hashable:
        """What consumers of one client have in common if they may share a connection; None if this one may not."""
        feed: Feed[Any] = self.feed
        if not self.share or feed.sharing is None:
            return None
        user = "" if feed.user is None else feed.user.public_key
        return (feed.path, user, feed.sharing, self.limits.idle_timeout, self.restart)
