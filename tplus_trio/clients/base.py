"""The base of all clients: a service, a default user, the scope of the streams, and checks of arguments."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypedDict, TypeVar, Unpack

import attrs
import trio

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.book.live import LiveBook, open_live_book
from tplus_trio.clients.connection_options import check_connector, check_headers, check_prefix
from tplus_trio.clients.statistics import ClientStatistics
from tplus_trio.errors import MissingUserError
from tplus_trio.models import AssetIdentifier
from tplus_trio.observer import ObserverGuard
from tplus_trio.scopes import Scoped, open_service_tasks
from tplus_trio.service import Service
from tplus_trio.streams.client_scope import ClientScope
from tplus_trio.streams.consumer import Consumer
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.opening import Opening
from tplus_trio.streams.overflow import Overflow, check_overflow
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.streams.recovery import CONFIRM_TIMEOUT, Depth
from tplus_trio.streams.sink import ConsumerSink
from tplus_trio.streams.stream import Stream, open_stream
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.transport.tls import tls_context
from tplus_trio.transport.websocket import WebSocketLimits
from tplus_trio.users import User

__all__ = ["BookOptions", "Client", "ClientOptions", "StreamOptions"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

#: The dispatch of calls by the application, as opposed to requests of streams and orders.
CALL: Final = Dispatch()
_DEFAULT_RESTART: Final = RestartPolicy()
#: Seconds that closing idle connections may take at most.
_CLOSE: Final = 1.0


class BookOptions(TypedDict, total=False):
    """Options of a live book. The client provides the value of each option that is left out."""

    #: When to connect again after a failure; None means never.
    restart: RestartPolicy | None
    #: Seconds without data after which a connection counts as lost; None means never.
    idle_timeout: float | None
    #: Whether streams and books of the client share one connection if they ask for the same public feed.
    share: bool


class StreamOptions(BookOptions, total=False):
    """Options of every ``stream_…`` method. The client provides the value of each option that is left out."""

    #: How many items may wait for the consumer; at least 1.
    buffer: int
    #: What happens when more items wait: ``"block"``, ``"drop_oldest"``, ``"error"``, or on some feeds ``"conflate"``.
    overflow: Overflow
    #: Seconds, at least 0: how long the first trade or candle after an outage is held back for a REST read that shows
    #: what lies before it.
    confirm_timeout: float


class ClientOptions(StreamOptions, total=False):
    """Options of every client, besides its URL and its user. See `Client`."""

    connector: Connector
    verify: bool | ssl.SSLContext
    timeout: float
    ping_interval: float
    ping_timeout: float
    close_timeout: float
    max_message_size: int
    headers: Mapping[str, str]
    auth_path_prefix: str
    now_ns: Callable[[], int]
    jitter: Callable[[], float]
    observer: object


class Client(Scoped):
    """A client of one T+ service.

    ``async with`` opens the nursery of its streams. Leaving the block ends every stream that the client opened, and
    closes every connection. REST calls also work without ``async with``; such a client is closed with `aclose`.

    Args:
        base_url: ``http(s)://host[:port][/prefix]``.
        default_user: The user of calls and streams that name no user.
        connector: Opens byte streams for REST and WebSockets; it opens TCP connections by default.
        verify: True verifies TLS certificates, False does not; an `ssl.SSLContext` is used unchanged.
        timeout: Seconds, more than 0, for one REST call, and for one connection with its handshake.
        ping_interval: Seconds, more than 0, between pings on a WebSocket.
        ping_timeout: Seconds, more than 0, after a ping in which no byte arrives: the connection counts as lost.
        close_timeout: Seconds, at least 0, to wait for the answer to a close frame.
        idle_timeout: Seconds, more than 0, without data after which a connection counts as lost; None means never.
        max_message_size: Bytes, at least 1, of the largest message or answer that is accepted.
        headers: Added to every request and handshake. Names are tokens, values are printable ASCII.
        auth_path_prefix: The prefix of the sign-in paths: ``"/market-data"`` at a gateway.
        restart: When a stream connects again after a failure; None means never.
        buffer: How many items of a stream may wait for its consumer; at least 1.
        overflow: What happens when more items wait: ``"block"``, ``"drop_oldest"``, ``"error"`` or ``"conflate"``.
        confirm_timeout: Seconds, at least 0: how long a trade or candle stream holds back the first live item after an
            outage, at most, for a REST read that shows what lies before it. Then it delivers a `Gap` and the item.
        share: Whether streams and books that ask for the same public feed share one connection.
        now_ns: Returns the time in nanoseconds since the Unix epoch.
        jitter: Draws from [0, 1) for the delays before restarts.
        observer: Receives events for metrics: an `Observer`, or an object with some of its methods.

    Raises:
        TypeError, ValueError: an argument is not legal.

    The constructor opens no connection.
    """

    def __init__(
        self,
        base_url: str,
        *,
        default_user: User | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        _no_others(options, ClientOptions)
        if default_user is not None and not isinstance(default_user, User):
            msg = f"default_user is a User or None, not {type(default_user).__name__}"
            raise TypeError(msg)
        endpoint = Endpoint.from_url(base_url)
        timeout = check_number("timeout", options.get("timeout", 10.0), more=True)
        limits = WebSocketLimits(
            connect_timeout=timeout,
            ping_interval=check_number("ping_interval", options.get("ping_interval", 10.0), more=True),
            ping_timeout=check_number("ping_timeout", options.get("ping_timeout", 10.0), more=True),
            close_timeout=check_number("close_timeout", options.get("close_timeout", 1.0)),
            idle_timeout=_idle(options.get("idle_timeout")),
            max_message_size=check_count("max_message_size", options.get("max_message_size", 16 * 1024 * 1024)),
        )
        verify = options.get("verify", True)
        if not isinstance(verify, bool | ssl.SSLContext):
            msg = f"verify is True, False or an ssl.SSLContext, not {type(verify).__name__}"
            raise TypeError(msg)
        self._default_user = default_user
        self._restart = _policy(options.get("restart", _DEFAULT_RESTART))
        self._buffer = options.get("buffer", 1024)
        self._overflow: Overflow = options.get("overflow", "block")
        check_overflow(self._overflow, self._buffer, can_conflate=True)
        self._confirm_timeout = check_number("confirm_timeout", options.get("confirm_timeout", CONFIRM_TIMEOUT))
        self._share = check_instance("share", options.get("share", True), bool)
        self._jitter = _callable("jitter", options.get("jitter", random.random))
        self._service = Service(
            endpoint,
            check_connector(options.get("connector")),
            tls=tls_context(verify) if endpoint.secure else None,
            timeout=timeout,
            limits=limits,
            headers=check_headers(options.get("headers", {})),
            auth_prefix=check_prefix(options.get("auth_path_prefix", "")),
            now_ns=_callable("now_ns", options.get("now_ns", time.time_ns)),
            draw=self._jitter,
            observer=ObserverGuard(options.get("observer")),
        )
        self._client_scope = ClientScope()

    def __repr__(self) -> str:
        user = "" if self._default_user is None else f" as {self._default_user.public_key}"
        return f"<{type(self).__name__} {self._service.endpoint}{user}>"

    def statistics(self) -> ClientStatistics:
        """Return the current statistics of the running streams and live books, and of all REST requests.

        Raises:
            RuntimeError: the call does not come from inside ``trio.run``.
        """
        return ClientStatistics(
            streams=self._client_scope.statistics(),
            requests=self._service.request_statistics(),
            clock=self._service.clock_offset(),
        )

    # Lifetime.

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        scope = self._client_scope
        try:
            async with open_service_tasks() as scope.tasks:
                try:
                    try:
                        yield
                    finally:
                        await self._before_leaving()  # noqa: ASYNC102 - it limits its own time
                    await scope.close()
                finally:
                    await scope.leave()  # noqa: ASYNC102 - leave() limits its own time
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE):
                await self._service.aclose()

    async def _before_leaving(self) -> None:
        """Do what is left to do before the streams and tasks of the client end, in bounded time, also if cancelled."""

    async def aclose(self) -> None:
        """End the REST requests of a client that was not entered, and close its connections.

        It affects the current ``trio.run`` only. An entered client does this when its block is left.
        """
        await self._service.aclose()
        await trio.lowlevel.checkpoint()

    # For the methods of clients.

    def _stream(self, feed: Feed[T], options: StreamOptions) -> Stream[T]:
        """Make a stream from the defaults of the client and the options of a call."""
        overflow: Overflow = options.get("overflow", self._overflow)
        if overflow == "conflate" and "overflow" not in options and feed.conflate is None:
            overflow = "block"  # the default of the client, which this feed does not support
        return open_stream(
            self._opening(feed, options, StreamOptions),
            self._client_scope,
            buffer=options.get("buffer", self._buffer),
            overflow=overflow,
        )

    def _follow(self, feed: Feed[T], sink: ConsumerSink[T]) -> None:
        """Start a feed of the client's own, with the defaults of the client. It ends when the client is left."""
        self._client_scope.start_bare(Consumer(self._opening(feed, {}, StreamOptions), sink))

    def _confirm(self, options: StreamOptions) -> float:
        """Return how long a stream holds back the first live item after an outage, in seconds."""
        return check_number("confirm_timeout", options.get("confirm_timeout", self._confirm_timeout))

    def _book(self, feed: Feed[Depth], asset_id: AssetIdentifier, options: BookOptions) -> LiveBook:
        """Make a live book from the defaults of the client and the options of a call."""
        return open_live_book(asset_id, self._opening(feed, options, BookOptions), self._client_scope)

    def _opening(self, feed: Feed[T], options: BookOptions, legal: type[BookOptions]) -> Opening[T]:
        """Return how a feed is opened, from the defaults of the client and the options of a call."""
        _no_others(options, legal)
        limits = self._service.limits
        if "idle_timeout" in options:
            limits = attrs.evolve(limits, idle_timeout=_idle(options["idle_timeout"]))
        return Opening(
            feed=feed,
            service=self._service,
            turns=self._client_scope.turns,
            restart=_policy(options.get("restart", self._restart)),
            limits=limits,
            draw=self._jitter,
            share=check_instance("share", options.get("share", self._share), bool),
        )

    def _user(self, user: User | None) -> User:
        """Return the user of a call that needs one.

        Raises:
            MissingUserError: neither the call nor the client names a user.
            TypeError: the user is not a `User`.
        """
        chosen = user if user is not None else self._default_user
        if chosen is None:
            raise MissingUserError
        if not isinstance(chosen, User):
            msg = f"user is a User, not {type(chosen).__name__}; load one with load_user(name)"
            raise TypeError(msg)
        return chosen

    async def _get(
        self,
        path: str,
        *,
        user: User | None = None,
        required: bool = False,
        dispatch: Dispatch = CALL,
        **params: Any,
    ) -> bytes:
        """Send a GET request to the client's service; see `get`."""
        return await get(self._service, path, user=user, required=required, dispatch=dispatch, **params)


async def get(
    service: Service, path: str, *, user: User | None, required: bool, dispatch: Dispatch, **params: Any
) -> bytes:
    """Send a GET request and return the body of its answer. Parameters that are None are left out.

    Args:
        service: The service.
        path: The path, quoted, with a leading slash.
        user: The user to sign in as; None sends the request anonymously.
        required: Whether the service requires a user. If not, a failed sign-in leaves the request anonymous.
        dispatch: The request's priority, and what to call when it is sent.
        params: The query.

    Raises:
        TplusError: as for `Service.request`.
    """
    given = {name: value for name, value in params.items() if value is not None}
    return await service.request("GET", path, params=given or None, user=user, required=required, dispatch=dispatch)


def asset(asset_id: AssetIdentifier | str | int, name: str = "asset_id") -> AssetIdentifier:
    """Return the asset that an argument names.

    Args:
        asset_id: The argument.
        name: Its name in the error message.

    Raises:
        TypeError, ValueError: the argument names no asset.
    """
    if isinstance(asset_id, AssetIdentifier):
        return asset_id
    try:
        return AssetIdentifier(asset_id)
    except (TypeError, ValueError) as exc:
        msg = f"{name}: {exc}"
        raise type(exc)(msg) from None


def _no_others(options: Mapping[str, object], legal: Any) -> None:
    """Raise `TypeError` for unknown keyword arguments, as a call of a function without ``**options`` does."""
    unknown = options.keys() - legal.__optional_keys__
    if unknown:
        names = ", ".join(sorted(legal.__optional_keys__))
        msg = f"unknown arguments: {', '.join(sorted(unknown))}; legal are {names}"
        raise TypeError(msg)


def _idle(value: float | None) -> float | None:
    return None if value is None else check_number("idle_timeout", value, more=True)


def _policy(restart: RestartPolicy | None) -> RestartPolicy | None:
    return None if restart is None else check_instance("restart", restart, RestartPolicy)


def _callable(name: str, value: F) -> F:
    if not callable(value):
        msg = f"{name} is a callable, not {type(value).__name__}"
        raise TypeError(msg)
    return value
