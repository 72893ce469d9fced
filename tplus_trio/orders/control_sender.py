"""Sends order requests over ``/control``, each over the channel of its user."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from tplus_trio.arguments import check_count
from tplus_trio.errors import AuthError
from tplus_trio.orders.control_channel import ControlChannel
from tplus_trio.orders.control_frames import PATH
from tplus_trio.orders.control_statistics import ControlStatistics
from tplus_trio.orders.sending import Delivery, OrderAnswers
from tplus_trio.service import Service
from tplus_trio.streams.client_scope import ClientScope
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.streams.session import Session
from tplus_trio.transport.websocket import WebSocketLimits
from tplus_trio.users import User

__all__ = ["ControlSender"]

#: Requests in flight on one channel, unless the caller says otherwise.
_MAX_IN_FLIGHT: Final = 512


class ControlSender:
    """Sends order requests over ``/control``: one channel for each user, opened at the user's first request.

    The channels are tasks of the client's scope: they end when the client is left, with a close frame if it is left in
    order. A channel that lost its connection connects again, also while no request waits. A channel that failed for
    good fails the requests that wait; the next request opens another one.

    Args:
        service: The order book service.
        client_scope: The scope of the client.
        limits: Of each connection. ``connect_timeout`` is also the time for each request; ``idle_timeout`` is ignored.
        restart: When a channel connects again after a failure; None means never.
        draw: Draws from [0, 1) for delays.
        max_in_flight: How many requests may be in flight on one channel, at least 1. Others wait for their turn.

    Raises:
        TypeError, ValueError: ``max_in_flight`` is not a whole number of at least 1.
    """

    def __init__(
        self,
        service: Service,
        client_scope: ClientScope,
        *,
        limits: WebSocketLimits,
        restart: RestartPolicy | None,
        draw: Callable[[], float] = random.random,
        max_in_flight: int = _MAX_IN_FLIGHT,
    ) -> None:
        self._service = service
        self._client_scope = client_scope
        self._max_in_flight = check_count("max_in_flight", max_in_flight)
        self._limits = limits
        self._restart = restart
        self._draw = draw
        self._channels: dict[str, ControlChannel] = {}

    def statistics(self) -> tuple[ControlStatistics, ...]:
        """Return the counts of each open channel, in the order of the users' public keys."""
        return tuple(self._channels[key].statistics() for key in sorted(self._channels))

    async def prepare(self, owner: User) -> None:
        """Open the channel of a user and sign in; see `OrderSender`. It does not wait for the channel."""
        if not self._channel(owner).is_signed_in:
            await self._service.sign_in(owner)

    async def send(self, delivery: Delivery) -> OrderAnswers:
        """Send a request, and wait for the answers; see `OrderSender`.

        Requests of one user are sent in the order of their calls. Cancel requests are sent before others that wait,
        but not before one about the same order.

        Args:
            delivery: The request. It is sent over the next connection if no byte left, or if its token was refused.

        Returns:
            The answers. If a batch got some answers and no others, ``failure`` says why.

        Raises:
            RuntimeError: the client was not entered, or has been left. Nothing was sent.
            ConnectionFailed: the connection was lost, or there was no answer within the timeout. ``nothing_sent`` says
                whether no byte of the request has left.
            HandshakeRejected: the service refused the channel, for a reason that will not pass. Nothing was sent.
            RestartLimitExceeded: the channel failed more often than the restart policy allows. Nothing was sent.
            RateLimitError: the service refused the request, or asks for a pause before the channel may connect.
            DecodeError: the answer cannot be decoded.
            ApiError: the service refused the sign-in or the request, or failed; `AuthError` if it refused the token
                twice.

        A request whose token is refused is sent once more with a new one, as over REST, if ``may_repeat`` allows it.
        One that is cancelled before its turn is never sent.
        """
        channel = self._channel(delivery.request.owner)
        try:
            return await channel.send(delivery)
        except AuthError as exc:
            if exc.status != 401 or not delivery.refused():
                raise
        return await self._channel(delivery.request.owner).send(delivery)

    def _channel(self, user: User) -> ControlChannel:
        key = user.public_key
        if key not in self._channels:
            session = Session(
                PATH,
                restart=self._restart,
                draw=self._draw,
                observer=self._service.observer,
            )
            channel = ControlChannel(
                self._service,
                user,
                session,
                limits=self._limits,
                timeout=self._limits.connect_timeout,
                max_in_flight=self._max_in_flight,
            )
            self._client_scope.start_session(session, partial(self._run, channel))
            self._channels[key] = channel
        return self._channels[key]

    async def _run(self, channel: ControlChannel) -> None:
        try:
            await channel.run()
        finally:
            self._channels = {key: other for key, other in self._channels.items() if other is not channel}
