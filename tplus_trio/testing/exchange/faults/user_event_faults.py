"""Faults of the events of one user's orders and trades: lost, repeated, out of order."""

from __future__ import annotations

from typing import Final

from tplus_trio.testing.exchange.accounts import public_key_of
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults
from tplus_trio.users.user import User

__all__ = ["UserEventFaults"]

_TRADES: Final = "/trades/user/"


class UserEventFaults(FaultGroup):
    """Faults of order events and user trade events; part of :class:`~tplus_trio.testing.Faults`.

    They act on ``/orders``, ``/trades/user/{key}`` and ``/trades/user/events/{key}``. A message that has no subscriber
    does not count.
    """

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._lost: PendingFaults[bool] = self._pending("lose_events")
        self._repeated: PendingFaults[bool] = self._pending("repeat_events")
        self._reordered: PendingFaults[bool] = self._pending("reorder_events")
        #: The event of each user and feed that waits for the next one.
        self._kept_events: dict[tuple[str, str], bytes] = {}
        self._on_clear("reorder_events", self._release)

    def lose_events(self, user: User | str, n: int = 1, *, seconds: float | None = None) -> None:
        """Do not send the next ``n`` events of a user's orders and trades.

        Args:
            user: The user, or the user's public key.
            n: The number of events, 0 or more.
            seconds: Lose every event for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._lost.add("lose_events", public_key_of(user), n, True, seconds)

    def repeat_events(self, user: User | str, n: int = 1, *, seconds: float | None = None) -> None:
        """Send the next ``n`` events of a user's orders and trades twice.

        Args:
            user: The user, or the user's public key.
            n: The number of events, 0 or more.
            seconds: Repeat every event for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._repeated.add("repeat_events", public_key_of(user), n, True, seconds)

    def reorder_events(self, user: User | str, n: int = 1, *, seconds: float | None = None) -> None:
        """Send each of the next ``n`` events of a user's orders and trades after the event that follows it on its feed.

        :meth:`clear` sends the events that wait.

        Args:
            user: The user, or the user's public key.
            n: The number of events that wait for the one after them, 0 or more.
            seconds: Do so with every second event for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._reordered.add("reorder_events", public_key_of(user), n, True, seconds)

    def _release(self) -> None:
        kept = self._kept_events.copy()
        self._kept_events.clear()
        for (user, path), message in kept.items():
            self._targets.hub.publish(path, message, user=user)

    # Called by the exchange

    def on_user_event(self, path: str, message: bytes, user: str | None) -> list[bytes]:
        """Return the messages to send in place of one message on ``path``."""
        if path.startswith(_TRADES):
            user = path.rpartition("/")[2]
        elif path != "/orders" or user is None:
            return [message]
        if self._lost.take(user):
            return []
        messages = [message, message] if self._repeated.take(user) else [message]
        if (before := self._kept_events.pop((user, path), None)) is not None:
            return [*messages, before]
        if self._reordered.take(user):
            self._kept_events[user, path] = messages.pop()
        return messages
