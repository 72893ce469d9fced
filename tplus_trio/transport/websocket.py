"""One WebSocket connection that is read: messages come in, in batches; only control frames go out.

trio-websocket does the handshake, the control frames and the close. This room adds what it leaves open: every wait is
bounded, every failure is one of our types with its cause, and a peer that no longer answers is noticed.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final, cast

import attrs
import trio
import trio_websocket

from tplus_trio.errors import ConnectionFailed
from tplus_trio.exits import PlainExitStack
from tplus_trio.scopes import ProtectedNursery, open_plain_nursery
from tplus_trio.secret import Redactor
from tplus_trio.transport.close_budget import CloseBudget
from tplus_trio.transport.connector import Connector, Endpoint, open_stream
from tplus_trio.transport.text_frame_parser import FrameCutter, Other
from tplus_trio.transport.handshake_answer import describe_foreign, handshake_failure, is_foreign, refusal
from tplus_trio.transport.handshake_stream import Tap
from tplus_trio.transport.watched_stream import SLICES, WatchedStream

__all__ = [
    "BadMessage",
    "BinaryMessage",
    "LongMessage",
    "WebSocket",
    "WebSocketLimits",
    "open_websocket",
]

#: A ping's opcode, its size (no payload) with the bit of a mask; four bytes of mask follow.
_PING: Final = b"\x89\x80"
_NO_STATUS: Final = 1006  # RFC 6455: no close frame was received
_TOO_BIG: Final = 1009


@attrs.frozen(kw_only=True)
class WebSocketLimits:
    """The bounds that a connection is held to; times in seconds, sizes in bytes."""

    #: For the TCP connection, TLS and the handshake together.
    connect_timeout: float = 10.0
    ping_interval: float = 10.0
    ping_timeout: float = 10.0
    close_timeout: float = 1.0
    #: How long a connection may bring no data; None is for ever.
    idle_timeout: float | None = None
    max_message_size: int = 16 * 1024 * 1024
    #: How much is handed on at a time, about.
    batch_size: int = 32 * 1024
    #: Whether plain frames are cut out in bulk. Without, trio-websocket reads every frame: slower, and the same.
    fast: bool = True


class BadMessage(bytes):
    """A message that need not be decoded to be a bad one."""

    why: ClassVar[str]


class BinaryMessage(BadMessage):
    """A message that came as binary, which no feed's do."""

    why = "a binary message"


class LongMessage(BadMessage):
    """Stands for a message beyond the limit, which nobody waited for. The connection ends over it."""

    why = "longer than max_message_size"


class WebSocket:
    """An open connection, as :func:`open_websocket` yields it."""

    def __init__(self, tap: Tap, watched: WatchedStream, limits: WebSocketLimits, redactor: Redactor) -> None:
        self._tap = tap
        self._watched = watched
        self._limits = limits
        self._connection: trio_websocket.WebSocketConnection
        self._cutter: FrameCutter | None = None
        self._failure: ConnectionFailed | None = None
        self._told_of_long = False
        #: Whether trio-websocket was given a whole message that nobody was told of yet.
        self._owed = False
        #: Seconds that were waited since there was data.
        self._silent = 0.0
        self._redactor = redactor

    @property
    def bytes_received(self) -> int:
        """Bytes read from the network, handshake and frame heads included."""
        return self._tap.received

    async def receive(self) -> Sequence[str | bytes]:
        """Wait for the next messages: one or more, whole and in order.

        A text message comes as text or as its UTF-8, whichever was at hand; a binary one as `BinaryMessage`, and one
        that is too long as a `LongMessage`, after which nothing comes. Cancelled, it has taken nothing.

        Raises:
            ConnectionFailed: the connection was closed or lost, or brought no data for ``idle_timeout``.
        """
        limit = self._limits.idle_timeout
        try:
            return await (self._receive() if limit is None else self._receive_within(limit))
        except trio_websocket.ConnectionClosed as exc:
            # trio-websocket says so; a server has no reason to, since nothing is sent to it.
            if exc.reason is not None and exc.reason.code == _TOO_BIG and not self._told_of_long:
                await trio.lowlevel.checkpoint()
                self._told_of_long = True
                return (LongMessage(),)
            failure = self._failure or _closed(exc.reason, self._tap.cause, self._redactor)
        try:
            # Not in the handler: trio-websocket's error holds all that the server said, and would hang on ours.
            raise failure from self._tap.cause
        finally:
            del failure

    def heard(self) -> None:
        """What came was data: a service that says nothing but that it is there is silent all the same."""
        self._silent = 0.0

    async def _receive_within(self, limit: float) -> Sequence[str | bytes]:
        """The next messages. A time for which the loop was blocked counts as a quarter of ``limit`` at most.

        Raises:
            ConnectionFailed: there was no data for ``limit`` seconds.
        """
        while self._silent < limit:
            patience = min(limit - self._silent, limit / SLICES)
            began = trio.current_time()
            with trio.move_on_after(patience):
                messages = await self._receive()
                self._silent += min(trio.current_time() - began, patience)
                return messages
            self._silent += patience
        msg = f"no data for {limit:g} s"
        raise ConnectionFailed(msg)

    async def _receive(self) -> Sequence[str | bytes]:
        has_waited = False
        while (cutter := self._cutter) is not None and not self._owed:
            if cutter.exhausted:
                await self._read(cutter)
                has_waited = True
                continue
            if not has_waited:
                await trio.lowlevel.checkpoint()
                has_waited = True
            if messages := cutter.messages():
                return messages
            if (other := cutter.other()) is None:
                continue
            if other.final:
                self._stop_cutting(other.data)
            elif await self._pass_on(other):
                break
        return (await self._message(),)

    async def _read(self, cutter: FrameCutter) -> None:
        """Wait for more bytes. Their end is left to trio-websocket, which finds the same and says what it means."""
        try:
            data = await self._tap.read()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data:
            cutter.feed(data)
        else:
            self._stop_cutting()

    async def _pass_on(self, other: Other) -> bool:
        """Let trio-websocket have bytes; say whether it has a message, or an end, to tell of.

        Raises:
            ConnectionFailed: they are of a message that is too long, and trio-websocket, which counts characters and no
                frames, did not find so.
        """
        self._owed = other.completes
        await self._tap.hand_over(other.data)
        if self._connection.closed is not None or self._tap.ended.is_set():
            self._stop_cutting()  # over that, trio-websocket has broken off
            return True
        if other.excess:
            msg = f"a message is longer than {self._limits.max_message_size} bytes, or in too many frames"
            raise ConnectionFailed(msg)
        return other.completes

    async def _message(self) -> str | bytes:
        """The next message from trio-websocket."""
        message = await self._connection.get_message()
        self._owed = False
        return BinaryMessage(message) if isinstance(message, bytes) else message

    def _stop_cutting(self, data: bytes = b"") -> None:
        """Leave the rest of the connection to trio-websocket."""
        if self._cutter is not None:
            self._tap.leave(self._cutter.rest() + data)
            self._cutter = None

    async def aclose(self, budget: CloseBudget) -> None:
        """Send a close frame and wait for the answer, as long as the budget allows."""
        with budget.wait() as self._tap.on_sent:
            self._stop_cutting()
            await self._connection.aclose()

    async def keep_alive(self) -> None:
        """Ping until the connection ends. A peer that sends nothing at all for too long after a ping ends it."""
        limits = self._limits
        async with trio.open_nursery(strict_exception_groups=True) as pings:
            nursery = ProtectedNursery(pings)
            while True:
                await trio.sleep(limits.ping_interval)
                if self._connection.closed is not None or self._tap.ended.is_set():
                    break
                if not pings.child_tasks:  # else the ping before it is still on its way
                    nursery.start_soon(self._ping)
                if not await self._watched.wait_for_byte(limits.ping_timeout):
                    self._failure = ConnectionFailed(f"no pong within {limits.ping_timeout:g} s, nor any other byte")
                    await trio.aclose_forcefully(self._tap)
                    break
            nursery.cancel_scope.cancel()

    async def _ping(self) -> None:
        """Send a ping. Not by trio-websocket, which keeps each until its pong comes, and a peer may send none."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._tap.send_all(_PING + secrets.token_bytes(4))

    async def run(
        self,
        endpoint: Endpoint,
        path: str,
        headers: Mapping[str, str],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Shake hands, say so, and read for trio-websocket until the connection ends.

        Raises:
            ConnectionFailed: the handshake broke off.
            HandshakeRejected: the server answered, and said no.
        """
        opening = trio.CancelScope()
        failure: Exception | None = None
        try:
            async with trio.open_nursery(strict_exception_groups=True) as plain_nursery:
                nursery = ProtectedNursery(plain_nursery)
                # trio-websocket would wait for ever for a handshake whose connection is gone.
                nursery.start_soon(self._fail_when_ended, opening)
                self._connection = await trio_websocket.wrap_client_stream(
                    cast("trio.Nursery", nursery),  # nothing but its start_soon is used
                    self._tap,  # type: ignore[arg-type]  # any trio.abc.Stream serves; its annotation is too narrow
                    endpoint.netloc,
                    endpoint.prefix + path,
                    extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                    max_message_size=self._limits.max_message_size,
                    receive_buffer_size=65536,
                )
                opening.cancel()
                self._tap.opened()
                if self._tap.diverted:
                    self._cutter = FrameCutter(self._limits.max_message_size, self._limits.batch_size)
                    self._cutter.feed(self._tap.early)
                    self._tap.early = b""
                task_status.started()
        except Exception as exc:  # noqa: BLE001 - bare or in groups, it is stated in terms of ours, and raised
            failure = handshake_failure(exc, self._tap.head, self._redactor)
        finally:
            self._tap.finish()
        if failure is None:
            return
        if not opening.cancel_called:
            try:
                raise failure
            finally:
                failure = None
        # The protocol engine broke on what it was sent; whoever receives is told.
        self._failure = ConnectionFailed(f"the connection broke: {failure}")

    async def _fail_when_ended(self, opening: trio.CancelScope) -> None:
        with opening:
            await self._tap.ended.wait()
            if not opening.cancel_called:
                raise _unanswered(self._tap, self._redactor) from self._tap.cause


class _Watching:
    """A connector that puts a `WatchedStream` on what another one opens, below TLS."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.stream: WatchedStream

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.stream = WatchedStream(await self._connector.connect(host, port))
        return self.stream


def _closed(reason: trio_websocket.CloseReason | None, cause: Exception | None, redactor: Redactor) -> ConnectionFailed:
    """Say how an open connection came to its end."""
    if reason is None or reason.code == _NO_STATUS:
        return ConnectionFailed(f"the connection was lost: {cause}" if cause else "the connection was lost")
    text = f": {redactor.text(reason.reason)}" if reason.reason else ""
    failure = ConnectionFailed(f"the connection was closed with code {reason.code} ({reason.name}){text}")
    failure.close_code = reason.code
    return failure


def _unanswered(tap: Tap, redactor: Redactor) -> Exception:
    """Say how a connection came to its end before the handshake did."""
    foreign = describe_foreign(tap.head, redactor) if is_foreign(tap.head, ended=True) else None
    reason = foreign or str(tap.cause or "closed by the server")
    broken = ConnectionFailed(f"the connection ended before the WebSocket handshake was done: {reason}")
    return refusal(tap.head, redactor) or redactor.error(broken)


@asynccontextmanager
async def open_websocket(
    connector: Connector,
    endpoint: Endpoint,
    path: str,
    *,
    tls: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    limits: WebSocketLimits | None = None,
    redactor: Redactor | None = None,
    closing: CloseBudget | None = None,
) -> AsyncGenerator[WebSocket]:
    """Open a WebSocket connection for as long as the context lasts.

    Left in order, it sends a close frame and waits for the answer: at most ``close_timeout``, together with all others
    that share ``closing``. Left by cancellation or an exception, it closes the socket at once.

    Raises:
        ConnectionFailed: the connection could not be made within ``connect_timeout``.
        CertificateRefused: the server's certificate did not verify.
        HandshakeRejected: the server answered, and said no.
    """
    limits = limits or WebSocketLimits()
    # In lower case, so that none is sent twice.
    sent = {"origin": endpoint.origin} | {name.lower(): value for name, value in (headers or {}).items()}
    redactor = redactor or Redactor(headers)
    tap: Tap | None = None
    async with open_plain_nursery() as nursery, PlainExitStack() as stack:
        try:
            with trio.fail_after(limits.connect_timeout):
                watching = _Watching(connector)
                stream = await open_stream(watching, endpoint.host, endpoint.port, tls=tls)
                tap = Tap(stream, divert=limits.fast)
                stack.push_async_callback(trio.aclose_forcefully, tap)
                websocket = WebSocket(tap, watching.stream, limits, redactor)
                await nursery.start(websocket.run, endpoint, path, sent)
        except trio.TooSlowError:
            msg = f"no connection to {endpoint.origin}{endpoint.prefix}{path} within {limits.connect_timeout:g} s"
            refused = None
            if tap is not None:
                refused = refusal(tap.head, redactor)
                if is_foreign(tap.head, ended=True):
                    msg += f": {describe_foreign(tap.head, redactor)}"
            raise refused or ConnectionFailed(msg) from None
        nursery.start_soon(websocket.keep_alive)
        yield websocket
        await websocket.aclose(closing or CloseBudget(limits.close_timeout))
