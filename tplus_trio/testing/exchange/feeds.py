"""Feeds: who listens to which path, and what is waiting to be sent to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

import attrs
import trio

__all__ = ["Subscription"]

#: A subscriber this far behind is closed rather than waited for.
MAX_BACKLOG: Final = 200_000
TRY_AGAIN_LATER: Final = 1013
GOING_AWAY: Final = 1001


@attrs.define(eq=False)
class Subscription:
    """One listener on one path.

    Messages wait here in order until :meth:`take` fetches them. Whoever fetches them sets :attr:`on_ready`,
    which is called (from the task that published) when there is something new, or the subscription was
    closed.

    Attributes:
        path: What it listens to.
        user: Whose token it was opened with, None for nobody's.
        on_ready: Called without arguments on every change.
        on_message: Called with each message that the client sends, where the feed takes any.
        subprotocol: What the handshake's answer names, if anything.
        close_code: Once closed: the code for the close frame.
        close_reason: Once closed: the reason for the close frame.
        stalled_until: Until when, on trio's clock, what waits is kept back; infinite while nothing is.
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
        """Whether nothing more will come, apart from what waits already."""
        return self._closed

    @property
    def backlog(self) -> int:
        """How many messages wait."""
        return len(self._messages)

    def push(self, message: bytes) -> None:
        """Add a message: a text's UTF-8, or :class:`~.frames.WireBytes` to be sent as they are."""
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
        """Fetch what waits, oldest first, at most ``limit`` messages; nothing while the feed is stalled."""
        if self.stalled_until < inf:
            if trio.current_time() < self.stalled_until:
                return []
            self.stalled_until = inf
        count = len(self._messages) if limit is None else min(limit, len(self._messages))
        return [self._messages.popleft() for _ in range(count)]

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Stop listening; what waits can still be fetched. Closing twice does nothing."""
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
        #: Until when which paths are stalled, by prefix.
        self._stalls: dict[str, float] = {}

    def __len__(self) -> int:
        return sum(len(listeners) for listeners in self._by_path.values())

    def add(self, subscription: Subscription) -> Subscription:
        """Let ``subscription`` hear what is published on its path from now on."""
        subscription._hub = self
        until = max(
            (until for prefix, until in self._stalls.items() if subscription.path.startswith(prefix)), default=-inf
        )
        if until > -inf and until > trio.current_time():
            subscription.stalled_until = until
        self._by_path.setdefault(subscription.path, []).append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget ``subscription``."""
        listeners = self._by_path.get(subscription.path, [])
        if subscription in listeners:
            listeners.remove(subscription)
            if not listeners:
                del self._by_path[subscription.path]

    def listens(self, path: str) -> bool:
        """Whether anyone listens on ``path``."""
        return path in self._by_path

    def publish(self, path: str, message: bytes, *, user: str | None = None) -> None:
        """Send ``message`` to everyone on ``path``, or to one user's listeners there."""
        for subscription in tuple(self._by_path.get(path, ())):
            if user is None or subscription.user == user:
                subscription.push(message)

    def matching(self, prefix: str = "") -> list[Subscription]:
        """The subscriptions whose path begins with ``prefix``."""
        return [s for path, listeners in self._by_path.items() if path.startswith(prefix) for s in listeners]

    def stall(self, prefix: str, seconds: float) -> None:
        """Keep back what is published on paths that begin with ``prefix``."""
        self._stalls[prefix] = until = trio.current_time() + seconds
        for subscription in self.matching(prefix):
            subscription.stalled_until = until
            if subscription.on_ready is not None:
                subscription.on_ready()

    def end_stalls(self) -> None:
        """Send what is kept back, and keep nothing back any more."""
        self._stalls.clear()
        for subscription in self.matching():
            if subscription.stalled_until < inf:
                subscription.stalled_until = inf
                if subscription.on_ready is not None:
                    subscription.on_ready()

    @property
    def backlog(self) -> int:
        """How many messages wait for the slowest subscriber."""
        return max((s.backlog for listeners in self._by_path.values() for s in listeners), default=0)
