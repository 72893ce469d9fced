"""One WebSocket connection: messages come in, in batches, and text messages go out.

trio-websocket does the handshake, the control frames and the close. This module adds what it leaves open: every wait is
bounded, every failure is one of our types with its cause, and a peer that no longer answers is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, cast

import attrs
import trio
import trio_websocket

from tplus_trio.arguments import has_utf8
from tplus_trio.errors import ConnectionFailed
from tplus_trio.scopes import ProtectedNursery
from tplus_trio.secret import Redactor, conceal, kind_of
from tplus_trio.transport.close_budget import CloseBudget
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.handshake_answer import describe_foreign, handshake_failure, is_foreign, refusal
from tplus_trio.transport.handshake_stream import HandshakeStream
from tplus_trio.transport.liveness import IdleTimer, keep_alive
from tplus_trio.transport.message_writer import MessageWriter
from tplus_trio.transport.outbox import Outbox
from tplus_trio.transport.reader_phase import ReaderPhase
from tplus_trio.transport.silence import SilenceBound
from tplus_trio.transport.sizes import READ_SIZE
from tplus_trio.transport.text_frame_parser import BATCH_SIZE, Passthrough, TextFrameParser
from tplus_trio.transport.turns import Turns
from tplus_trio.transport.watched_stream import WatchedStream

__all__ = [
    "BadMessage",
    "BinaryMessage",
    "LongMessage",
    "WebSocket",
    "WebSocketLimits",
]

#: The phases in which `WebSocket` reads, and no message of trio-websocket's is due.
_PARSING: Final = (ReaderPhase.PARSING, ReaderPhase.FEEDING)
#: Looked up once: an enum's member is slow to find, and these are compared for each message.
_DELEGATED, _ENDED = ReaderPhase.DELEGATED, ReaderPhase.ENDED
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
    #: How long a connection may bring no data; None is no limit.
    idle_timeout: float | None = None
    max_message_size: int = 16 * 1024 * 1024
    #: Limits on the peer's silence that are stricter than the pings', for as long as somebody sets them.
    silence: SilenceBound = attrs.field(factory=SilenceBound, eq=False, repr=False)
    #: Whose turn it is to hand out messages, among connections that share a loop; None never waits.
    turns: Turns | None = attrs.field(default=None, eq=False, repr=False)
    #: Whether whole text frames are parsed here. If not, trio-websocket reads every frame: the same, but slower.
    fast: bool = True


class BadMessage(bytes):
    """A message that is bad whatever it holds."""

    why: ClassVar[str]


class BinaryMessage(BadMessage):
    """A binary message. No feed sends any."""

    why = "a binary message"


class LongMessage(BadMessage):
    """Stands for a message over ``max_message_size``, which was not read to its end. The connection ends with it."""

    why = "longer than max_message_size"


class WebSocket:
    """An open connection, as `open_websocket` yields it.

    One task receives; any number of tasks may send meanwhile.
    """

    # Eleven attributes: four are given, and the others are the two directions and how the connection ends.
    def __init__(
        self,
        stream: HandshakeStream,
        limits: WebSocketLimits,
        redactor: Redactor,
        nursery: ProtectedNursery,
    ) -> None:
        self._stream = stream
        self._limits = limits
        self._redactor = redactor
        #: The nursery of the connection's tasks.
        self._nursery = nursery
        self._connection: trio_websocket.WebSocketConnection
        self._parser = TextFrameParser(limits.max_message_size)
        self._idle = None if limits.idle_timeout is None else IdleTimer(limits.idle_timeout)
        #: Why the connection ended, where neither the network nor trio-websocket says so.
        self._failure: ConnectionFailed | None = None
        self._outbox: Outbox | None = None
        self._is_closing = False
        #: Whether `receive` has returned a `LongMessage`.
        self._has_told_of_long = False

    @property
    def bytes_received(self) -> int:
        """Bytes read from the network, with the handshake and the frame heads."""
        return self._stream.received

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose of those asked for; None if it chose none."""
        return self._connection.subprotocol

    @property
    def is_over(self) -> bool:
        """Whether the connection ended or is being closed."""
        return self._is_closing or self._connection.closed is not None or self._stream.is_ended

    async def receive(self, batch_size: int = BATCH_SIZE) -> Sequence[str | bytes]:
        """Wait for the next messages. Cancelled, it has taken none.

        Args:
            batch_size: About how many bytes of messages are returned at most.

        Returns:
            One message or more, whole and in order. A text message is a ``str`` or its UTF-8, whichever was at hand; a
            binary one is a `BinaryMessage`. A message that is too long is a `LongMessage`, and is the last.

        Raises:
            ConnectionFailed: the connection was closed or lost, or brought no data for ``idle_timeout``.
        """
        idle, self._parser.batch_size = self._idle, batch_size
        try:
            return await (self._receive() if idle is None else idle.receive(self._receive))
        except trio_websocket.ConnectionClosed as exc:
            # trio-websocket closes with this code; a server has no reason to, unless it is sent long messages.
            if exc.reason is not None and exc.reason.code == _TOO_BIG and not self._has_told_of_long:
                await trio.lowlevel.checkpoint()
                self._has_told_of_long = True
                return (LongMessage(),)
            failure = self._failure or _closed(exc.reason, self._stream.cause, self._redactor)
        try:
            # Not in the handler: trio-websocket's error holds all that the server said, and ours would refer to it.
            raise failure from self._stream.cause
        finally:
            del failure

    async def receive_answers(self) -> Sequence[bytes]:
        """Wait for the next messages, as `receive` does, and take secrets out of them.

        For connections on which signed requests are sent: a server may repeat a signature in its answer.

        Returns:
            The messages as UTF-8. A bad one keeps its type.
        """
        return [
            message
            if isinstance(message, BadMessage)
            else self._redactor.answer(message.encode() if isinstance(message, str) else message, signed=True)
            for message in await self.receive()
        ]

    def reset_idle_timer(self) -> None:
        """Note that data came. Heartbeats are no data: a service that sends nothing else counts as silent."""
        if self._idle is not None:
            self._idle.silence = 0.0

    async def send(self, text: str) -> None:
        """Send a text message, and wait until the byte stream has taken all of it.

        Concurrent calls send in the order in which they began. A call that is cancelled before its turn has sent
        nothing. A call that is cancelled later leaves its message to be sent whole, unless the connection ends first.
        Leaving the connection's block ends every call that is waiting, within ``close_timeout``.

        Args:
            text: The message. It may hold secrets: no error repeats it.

        Raises:
            TypeError: ``text`` is not a string.
            ValueError: ``text`` holds a lone surrogate, so it has no UTF-8. Nothing was sent.
            ConnectionFailed: the connection ended. ``nothing_sent`` is True if no byte of the message can have left; if
                not, the server may have received it.
        """
        text = conceal(text)
        if not isinstance(text, str):
            msg = f"text has to be a str, not {kind_of(text)}"
            raise TypeError(msg)
        if not has_utf8(text):
            msg = "text has to be Unicode that UTF-8 can write; it holds a lone surrogate"
            raise ValueError(msg)
        if self.is_over:
            await trio.lowlevel.checkpoint()
            raise self._ended(True)
        if self._outbox is None:
            self._outbox = Outbox(self._write, self._ended)
            self._nursery.start_soon(self._empty, self._outbox)
        await self._outbox.send(text)

    def writer(self) -> MessageWriter:
        """Return what sends text messages in place of `send`: faster, from one task, and without a wait if possible."""
        return MessageWriter(self._stream, lambda: self.is_over, self._ended)

    async def _empty(self, outbox: Outbox) -> None:
        try:
            await outbox.run()
        finally:
            self._outbox = None  # it refers to this, which would keep both until the garbage is collected

    async def _write(self, text: str) -> None:
        """Write one message to the stream. A stream that fails is closed, so that `receive` notices it as well."""
        was_over = self.is_over
        try:
            if not was_over:
                return await self._connection.send_message(text)
        except trio_websocket.ConnectionClosed:
            await trio.aclose_forcefully(self._stream)
        raise self._ended(was_over)

    def _ended(self, nothing_sent: bool = False) -> ConnectionFailed:
        """A new error that says why the connection ended, for each task that it concerns."""
        known = self._failure or _closed(self._connection.closed, self._stream.cause, self._redactor)
        failure = ConnectionFailed(str(known))
        failure.close_code, failure.nothing_sent = known.close_code, nothing_sent
        return failure

    async def _receive(self) -> Sequence[str | bytes]:
        stream, parser, turns = self._stream, self._parser, self._limits.turns
        has_waited = False
        # After the end, what came before it is still parsed.
        while (phase := stream.phase) in _PARSING or (phase is _ENDED and not parser.exhausted):
            if parser.exhausted:
                await self._read(parser)
                has_waited = True
                continue
            if not has_waited:
                await trio.lowlevel.checkpoint()
                has_waited = True
            if turns is not None and not turns.admits(self, parser.available):
                await turns.wait(self, parser.available)
            if messages := parser.messages():
                return messages
            if (passed := parser.passthrough()) is None:
                continue
            if passed.final:
                self._stop_parsing(passed.data)
            elif await self._pass_on(passed):
                break
        return (await self._message(),)

    async def _read(self, parser: TextFrameParser) -> None:
        """Wait for more bytes. If there are none, trio-websocket gets the stream, finds the same, and says why."""
        try:
            data = await self._stream.read()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data:
            parser.feed(data)
        else:
            self._stop_parsing()

    async def _pass_on(self, passed: Passthrough) -> bool:
        """Give trio-websocket bytes. Return whether it has a message, or has closed the connection over them.

        Raises:
            ConnectionFailed: they belong to a message that is too long, and trio-websocket, which counts characters and
                no frames, did not find so.
        """
        await self._stream.hand_over(passed.data, completes_message=passed.completes)
        if self.is_over:
            self._stop_parsing()
            return True
        if passed.excess:
            msg = f"a message is longer than {self._limits.max_message_size} bytes, or in too many frames"
            raise ConnectionFailed(msg)
        return passed.completes

    async def _message(self) -> str | bytes:
        """The next message from trio-websocket."""
        message = await self._connection.get_message()
        if self._stream.phase is not _DELEGATED:
            self._stream.message_taken()
        return BinaryMessage(message) if isinstance(message, bytes) else message

    def _stop_parsing(self, data: bytes = b"") -> None:
        """Let trio-websocket read the rest of the connection, beginning with what is not parsed, then ``data``."""
        self._stream.delegate(self._parser.rest() + data)

    async def aclose(self, budget: CloseBudget) -> None:
        """Send a close frame and wait for the answer, as long as the budget allows."""
        self._is_closing = True
        with budget.wait() as self._stream.on_sent:
            self._stop_parsing()
            await self._connection.aclose()

    async def keep_alive(self, watched: WatchedStream) -> None:
        """Ping until the connection ends, and end it if the peer no longer sends a byte.

        Args:
            watched: The connection below TLS, where the peer's bytes are counted.
        """
        limits = self._limits
        failure = await keep_alive(
            self._stream,
            watched,
            lambda: self.is_over,
            interval=limits.ping_interval,
            timeout=limits.ping_timeout,
            silence=limits.silence,
        )
        if failure is not None:
            self._failure = failure
            await trio.aclose_forcefully(self._stream)

    async def run(
        self,
        endpoint: Endpoint,
        path: str,
        headers: Mapping[str, str],
        subprotocols: Sequence[str],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Do the handshake, report that it succeeded, and run trio-websocket until the connection ends.

        Raises:
            ConnectionFailed: the handshake broke off.
            HandshakeRejected: the server refused it.
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
                    self._stream,  # type: ignore[arg-type]  # any trio.abc.Stream serves; its annotation is too narrow
                    endpoint.netloc,
                    endpoint.prefix + path,
                    subprotocols=subprotocols,
                    extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                    max_message_size=self._limits.max_message_size,
                    receive_buffer_size=READ_SIZE,
                )
                opening.cancel()
                self._parser.feed(self._stream.opened())
                task_status.started()
        except Exception as exc:  # noqa: BLE001 - bare or in groups, it is stated in terms of ours, and raised
            failure = handshake_failure(exc, self._stream.answer.received, self._redactor)
        finally:
            self._stream.finish()
        if failure is None:
            return
        if not opening.cancel_called:
            try:
                raise failure
            finally:
                failure = None
        # trio-websocket broke on what it was sent; `receive` raises this.
        self._failure = ConnectionFailed(f"the connection broke: {failure}")

    async def _fail_when_ended(self, opening: trio.CancelScope) -> None:
        with opening:
            await self._stream.wait_ended()
            if not opening.cancel_called:
                raise _unanswered(self._stream, self._redactor) from self._stream.cause


def _closed(reason: trio_websocket.CloseReason | None, cause: Exception | None, redactor: Redactor) -> ConnectionFailed:
    """Say how an open connection ended."""
    if reason is None or reason.code == _NO_STATUS:
        return ConnectionFailed(f"the connection was lost: {cause}" if cause else "the connection was lost")
    text = f": {redactor.text(reason.reason)}" if reason.reason else ""
    failure = ConnectionFailed(f"the connection was closed with code {reason.code} ({reason.name}){text}")
    failure.close_code = reason.code
    return failure


def _unanswered(stream: HandshakeStream, redactor: Redactor) -> Exception:
    """Say how a connection ended before its handshake did."""
    answer = stream.answer.received
    foreign = describe_foreign(answer, redactor) if is_foreign(answer, ended=True) else None
    reason = foreign or str(stream.cause or "closed by the server")
    broken = ConnectionFailed(f"the connection ended before the WebSocket handshake was done: {reason}")
    return refusal(answer, redactor) or redactor.error(broken)
