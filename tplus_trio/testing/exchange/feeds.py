"""Feeds: the subscriptions to each path, and the messages that wait for each subscription."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

import attrs
import trio

__all__ = ["Subscription"]

#: A subscription with this many waiting messages is closed.
MAX_BACKLOG: Final = 200_000
TRY_AGAIN_LATER: Final = 1013
GOING_AWAY: Final = 1001
#: The close code of a connection that ends without a close frame.
ABNORMAL: Final = 1006


# Eleven attributes: what the exchange, the server, the client and a fault each set for one WebSocket.
@attrs.define(eq=False)
class Subscription:
    """One subscription to one path.

    Messages wait here in order until :meth:`take` fetches them. The server sets :attr:`on_ready`, which is called, in
    the task that publishes, when a message was added or the subscription was closed.

    Attributes:
        path: The feed's path.
        user: The public key of the user whose token opened it; None without a token.
        on_ready: Called without arguments on every change.
        on_message: Called with each message of the client; None if the feed ignores them.
        subprotocol: The subprotocol in the handshake's answer; None is none.
        close_code: After closing, the code of the close frame.
        close_reason: After closing, the text of the close frame.
        stalled_until: The time, on trio's clock, until which messages are held back; infinite if they are not.
    """

    path: str
    user: str | None = None
    on_ready: Callable[[], object] | None = None
    on_message: Callable[[str | bytes], object] | None = None
    subprotocol: str | None = None
    close_code: int = 1000
    close_reason: str = ""
    stalled_until: float = inf
    _messages: deque[bytes] = attrs.field(factory=deque[bytes], init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False)
    _hub: Hub | None = attrs.field(default=None, init=False, repr=False)

    @property
    def closed(self) -> bool:
        """Whether the subscription is closed; waiting messages can still be fetched."""
        return self._closed

    @property
    def backlog(self) -> int:
        """The number of waiting messages."""
        return len(self._messages)

    def push(self, message: bytes) -> None:
        """Add a message: the UTF-8 of a text, or :class:`~tplus_trio.testing.wire_frames.WireBytes`, sent unchanged."""
        if self._closed:
            return
        if len(self._messages) >= MAX_BACKLOG:
            self._messages.clear()
            self.close(TRY_AGAIN_LATER, "too slow")
            return
        self._messages.append(message)
        if self.on_ready is not None:
            self.on_ready()

    def take(self, limit: int | None = None) -> list[bytes]:
        """Fetch the waiting messages, oldest first, at most ``limit``; none while the feed is stalled."""
        if self._hub is not None and self._hub.before_take is not None:
            self._hub.before_take()
        if self.stalled_until < inf:
            if trio.current_time() < self.stalled_until:
                return []
            self.stalled_until = inf
        count = len(self._messages) if limit is None else min(limit, len(self._messages))
        return [self._messages.popleft() for _ in range(count)]

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the subscription; waiting messages can still be fetched. Closing twice does nothing.

        With code 1006 the connection ends without a close frame.
        """
        if self._closed:
            return
        self._closed = True
        self.close_code, self.close_reason = code, reason
        if self._hub is not None:
            self._hub.remove(self)
        if self.on_ready is not None:
            self.on_ready()


class Hub:
    """All subscriptions, by path."""

    def __init__(self) -> None:
        self._by_path: dict[str, list[Subscription]] = {}
        #: Called when a subscription was removed.
        self.on_remove: Callable[[], object] = lambda: None
        #: Called before messages are fetched: it may publish what is due.
        self.before_take: Callable[[], object] | None = None
        #: The end of each stall, by the prefix of its paths.
        self._stalls: dict[str, float] = {}

    def __len__(self) -> int:
        return sum(len(listeners) for listeners in self._by_path.values())

    def add(self, subscription: Subscription) -> Subscription:
        """Add a subscription, which gets the messages published on its path from now on."""
        subscription._hub = self
        until = max(
            (until for prefix, until in self._stalls.items() if subscription.path.startswith(prefix)), default=-inf
        )
        if until > -inf and until > trio.current_time():
            subscription.stalled_until = until
        self._by_path.setdefault(subscription.path, []).append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription."""
        listeners = self._by_path.get(subscription.path, [])
        if subscription in listeners:
            listeners.remove(subscription)
            if not listeners:
                del self._by_path[subscription.path]
            self.on_remove()

    def listens(self, path: str) -> bool:
        """Return whether ``path`` has a subscription."""
        return path in self._by_path

    def publish(self, path: str, message: bytes, *, user: str | None = None) -> None:
        """Send ``message`` to all subscriptions to ``path``, or to those of one user."""
        for subscription in tuple(self._by_path.get(path, ())):
            if user is None or subscription.user == user:
                subscription.push(message)

    def matching(self, prefix: str = "") -> list[Subscription]:
        """Return the subscriptions whose path begins with ``prefix``."""
        return [s for path, listeners in self._by_path.items() if path.startswith(prefix) for s in listeners]

    def stall(self, prefix: str, seconds: float) -> None:
        """Hold back messages on paths that begin with ``prefix``, for ``seconds`` of trio's clock."""
        self._stalls[prefix] = until = trio.current_time() + seconds
        for subscription in self.matching(prefix):
            subscription.stalled_until = until
            if subscription.on_ready is not None:
                subscription.on_ready()

    def end_stalls(self) -> None:
        """End all stalls, and send the messages that they held back."""
        self._stalls.clear()
        for subscription in self.matching():
            if subscription.stalled_until < inf:
                subscription.stalled_until = inf
                if subscription.on_ready is not None:
                    subscription.on_ready()

    @property
    def backlog(self) -> int:
        """The number of messages that wait in the slowest subscription."""
        return max((s.backlog for listeners in self._by_path.values() for s in listeners), default=0)
