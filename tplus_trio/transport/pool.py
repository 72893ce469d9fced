"""The pool of HTTP/1.1 connections to one endpoint. Idle connections are kept while they are known to be good.

httpcore reads and writes HTTP; its own pool is not used. That pool lets requests wait for connections, and loses a
connection for each request that is cancelled at the moment it gets one (docs/httpcore.md). Here nothing waits: the
pacer bounds how many requests are under way before they come here.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import httpcore
import trio

from tplus_trio.errors import ConnectionFailed, DecodeError
from tplus_trio.secret import SecretBytes
from tplus_trio.transport.connector import Connector, Endpoint, open_stream
from tplus_trio.transport.tcp import TcpStream

__all__ = ["Connection", "ConnectionLeft", "ConnectionPool"]

#: How many idle connections are kept, and for how many seconds.
_MOST_IDLE: Final = 8
_KEPT_FOR: Final = 15.0
#: Seconds. The service may be closing a connection that was idle for longer, so no order is sent over it.
_FRESH_FOR: Final = 2.0
#: Scheduler steps in which a read finds waiting bytes, also through several streams that wrap each other.
_TURNS: Final = 4


class ConnectionLeft(ConnectionFailed):
    """The peer had closed a kept connection before a byte of the next request left. Nothing was sent."""

    nothing_sent = True


class _ByteStream(httpcore.AsyncNetworkStream):
    """A trio stream as httpcore reads and writes it.

    The caller sets time limits: one scope around a whole request. The size of an answer is limited here, below
    everything that collects bytes: heads, bodies, and bytes that are neither.
    """

    def __init__(self, stream: trio.abc.Stream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._received = 0
        #: Whether bytes came since the last request was sent.
        self.answered: bool = False
        self._on_sent: Callable[[], object] | None = None
        self._body_follows = self._is_reused = False
        self._head = b""

    def begin(self, on_sent: Callable[[], object], *, body_follows: bool, is_reused: bool) -> None:
        """Prepare for a request.

        Args:
            on_sent: Called in the step before its first byte may leave.
            body_follows: Whether a body follows the head. The head is then sent together with it.
            is_reused: Whether the stream has carried a request before.
        """
        self._on_sent, self._body_follows, self._is_reused = on_sent, body_follows, is_reused

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see the class
        try:
            data = SecretBytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.ReadError(str(exc)) from exc
        self._received += len(data)
        self.answered = self.answered or bool(data)
        if self._received > self._limit:
            msg = f"the answer is larger than {self._limit} bytes"
            raise DecodeError(msg)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see the class
        if self._body_follows:
            self._head, self._body_follows = SecretBytes(buffer), False
            return
        if not buffer:
            return  # the end of a message
        buffer, self._head = SecretBytes(self._head + buffer), b""
        # A request that is cancelled here has sent nothing: the next checkpoint is the stream's own.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._on_sent is not None:
            if self._is_reused and self.tells_quiet() is False:
                msg = "the peer has closed the connection"
                raise ConnectionLeft(msg)
            on_sent, self._on_sent = self._on_sent, None
            self._received, self.answered = 0, False
            on_sent()
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        # The exchange is finished or broken: the peer expects no close_notify, and a cancelled caller must not wait.
        await trio.aclose_forcefully(self._stream)

    def tells_quiet(self) -> bool | None:
        """Whether no bytes are waiting, as has to be between two answers; None if the stream cannot tell."""
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = cast("trio.SSLStream[trio.abc.Stream]", stream).transport_stream
        if isinstance(stream, (TcpStream, trio.SocketStream)):
            return not stream.socket.is_readable()
        is_readable: Any = getattr(stream, "is_readable", None)
        return not is_readable() if callable(is_readable) else None

    async def tries_quiet(self) -> bool:
        """As `tells_quiet` for any other stream: whether a read finds nothing within a few scheduler steps."""
        found = False

        async def read() -> None:
            nonlocal found
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.receive_some(1)
            found = True

        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            nursery.start_soon(read)
            for _ in range(_TURNS):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        return not found


class Connection:
    """One connection. It carries one request at a time."""

    def __init__(self, origin: httpcore.Origin, stream: trio.abc.Stream, limit: int, generation: int) -> None:
        self._bytes = _ByteStream(stream, limit)
        self._http = httpcore.AsyncHTTP11Connection(origin, self._bytes)
        #: How often the pool had been retired when this connection was opened.
        self.generation: int = generation
        self.used_at: float = trio.current_time()
        #: Whether it has carried a request before.
        self.is_reused: bool = False

    @property
    def answered(self) -> bool:
        """Whether any byte came back since the request was sent."""
        return self._bytes.answered

    @property
    def is_idle(self) -> bool:
        """Whether the last answer was read to its end, and another request may follow."""
        return self._http.is_idle()

    @property
    def tells_quiet(self) -> bool | None:
        """Whether neither bytes nor an end came since the last answer; None if the stream cannot tell."""
        return self._bytes.tells_quiet()

    async def is_quiet(self) -> bool:
        """As `tells_quiet`, by a read if the stream cannot tell. If cancelled, the connection has to be closed."""
        quiet = self._bytes.tells_quiet()
        return await self._bytes.tries_quiet() if quiet is None else quiet

    async def send(self, request: httpcore.Request, on_sent: Callable[[], object]) -> httpcore.Response:
        """Send a request and wait for the head of its answer.

        Args:
            request: The request.
            on_sent: Called in the step before its first byte may leave.

        Raises:
            ConnectionLeft: the peer had closed the connection before that.
        """
        body_follows = any(name == b"content-length" and length != b"0" for name, length in request.headers)
        self._bytes.begin(on_sent, body_follows=body_follows, is_reused=self.is_reused)
        return await self._http.handle_async_request(request)

    async def aclose(self) -> None:
        """Close at once, even if cancelled."""
        # The shield is harmless: closing the file descriptor waits for nothing.
        with trio.CancelScope(shield=True):
            await self._bytes.aclose()


class ConnectionPool:
    """Opens connections to one endpoint and keeps idle ones, within one ``trio.run``.

    Args:
        endpoint: The service.
        connector: Opens byte streams.
        tls: TLS settings; None means plain HTTP.
        limit: The most bytes of an answer, including its head.
    """

    def __init__(self, endpoint: Endpoint, connector: Connector, tls: ssl.SSLContext | None, limit: int) -> None:
        self._endpoint = endpoint
        self._connector = connector
        self._tls = tls
        self._limit = limit
        self.origin: httpcore.Origin = httpcore.Origin(endpoint.scheme.encode(), endpoint.host.encode(), endpoint.port)
        #: The connection that was used last is at the end.
        self._idle: deque[Connection] = deque()
        self._generation = 0

    @property
    def idle(self) -> int:
        """How many idle connections are kept."""
        return len(self._idle)

    async def take(self, *, repeatable: bool) -> Connection:
        """Take an idle connection that is known to be good, else open one.

        Args:
            repeatable: Whether the request may be sent twice. If not, a connection is used again only within 2 seconds
                of its last use, and only if its stream tells that the peer has not closed it.

        Raises:
            ConnectionFailed: none could be opened.
        """
        while self._idle:
            last = self._idle[-1]
            unused_for = trio.current_time() - last.used_at
            if not repeatable and unused_for <= _KEPT_FOR and (last.tells_quiet is None or unused_for > _FRESH_FOR):
                break  # it stays for a request that may be repeated
            connection = self._idle.pop()
            try:
                if unused_for <= _KEPT_FOR and await connection.is_quiet():
                    connection.is_reused = True
                    return connection
            except BaseException:
                await connection.aclose()
                raise
            await connection.aclose()
        return await self.open()

    async def open(self) -> Connection:
        """Open a connection.

        Raises:
            ConnectionFailed: it could not be opened.
        """
        endpoint, generation = self._endpoint, self._generation
        stream = await open_stream(self._connector, endpoint.host, endpoint.port, tls=self._tls)
        return Connection(self.origin, stream, self._limit, generation)

    async def give_back(self, connection: Connection) -> None:
        """Keep a connection whose request has ended, or close it, even if cancelled."""
        is_good = connection.is_idle and connection.tells_quiet is not False
        if not is_good or connection.generation != self._generation:
            await connection.aclose()
            return
        connection.used_at = trio.current_time()
        self._idle.append(connection)
        if len(self._idle) > _MOST_IDLE:
            await self._idle.popleft().aclose()

    async def retire(self) -> None:
        """Close the idle connections now, and each connection that is in use when its request has ended."""
        self._generation += 1
        while self._idle:
            await self._idle.pop().aclose()
