"""The byte stream between the network and trio-websocket, whose reader changes after the handshake."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

import trio

from tplus_trio.secret import SecretBytes
from tplus_trio.transport.handshake_answer import HandshakeAnswer
from tplus_trio.transport.reader_phase import ReaderEvent, ReaderPhase, next_phase
from tplus_trio.transport.sizes import READ_SIZE
from tplus_trio.transport.watched_stream import WatchedStream

__all__ = ["HandshakeStream"]

#: Bytes asked of the network at once: few at first, up to `READ_SIZE` where reads fill the buffer. Each read allocates
#: that much for a moment, which costs memory where hundreds of streams bring little each.
_LEAST_READ: Final = 4 * 1024
#: Looked up once: an enum's member is slow to find, and each read of trio-websocket's is compared with this one.
_DELEGATED: Final = ReaderPhase.DELEGATED
_HANDSHAKE_PHASES: Final = frozenset({ReaderPhase.HEAD, ReaderPhase.REFUSAL})
_FEEDING_PHASES: Final = frozenset({ReaderPhase.FEEDING, ReaderPhase.FEEDING_MESSAGE})
_WAITING_PHASES: Final = frozenset({ReaderPhase.PARSING, ReaderPhase.MESSAGE_DUE})


class HandshakeStream(trio.abc.Stream):
    """The byte stream that trio-websocket works on, and that `WebSocket` reads after the handshake.

    trio-websocket gets the head of the handshake's answer in one piece, because it accepts a head of more than 16 KiB
    in no other way. Who reads after that is the ``phase``, of which `transport.reader_phase` holds the table. The
    stream also keeps the error with which the network ended, which trio-websocket does not report.

    Args:
        stream: The connection. The handshake stream owns it.
        split: Whether `WebSocket` reads after the handshake. If not, trio-websocket does.
    """

    # Eleven attributes: the phase, and what each direction has to remember of its bytes.
    def __init__(self, stream: trio.abc.Stream, *, split: bool) -> None:
        self._stream = stream
        self.phase: ReaderPhase = ReaderPhase.HEAD
        self._phase_changed = trio.lowlevel.ParkingLot()
        self.answer: HandshakeAnswer = HandshakeAnswer(split=split)
        #: Bytes asked of the network in the next read.
        self._size = _LEAST_READ
        #: Bytes that `WebSocket` handed to trio-websocket and that it has not taken yet.
        self._handed = b""
        #: Bytes read so far.
        self.received: int = 0
        #: Called after each send.
        self.on_sent: Callable[[], None] | None = None
        #: trio-websocket and the pings send at the same time.
        self._sending = trio.StrictFIFOLock()
        #: The end of what `send_now` sent, which the network has not taken. It goes before anything else.
        self._rest = b""
        #: The error with which the network ended; None before the end, and after an orderly end.
        self.cause: Exception | None = None

    @property
    def is_ended(self) -> bool:
        """Whether the network ended or trio-websocket has stopped."""
        return self.phase is ReaderPhase.ENDED

    async def wait_ended(self) -> None:
        """Wait until ``is_ended``."""
        while self.phase is not ReaderPhase.ENDED:
            await self._phase_changed.park()

    def _move(self, event: ReaderEvent) -> None:
        phase = next_phase(self.phase, event)
        if phase is not self.phase:
            self.phase = phase
            self._phase_changed.unpark_all()

    async def read(self) -> bytes:
        """Read from the network. Cancelled, it has taken nothing.

        Returns:
            One byte or more; ``b""`` after the peer ended its side.

        Raises:
            trio.BrokenResourceError: the connection is broken.
            trio.ClosedResourceError: the stream was closed here.
        """
        try:
            data = bytes(await self._stream.receive_some(self._size))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            self._end(exc)
            raise
        self.received += len(data)
        if len(data) == self._size:
            self._size = min(2 * self._size, READ_SIZE)
        elif len(data) < self._size // 4:
            self._size = max(self._size // 2, _LEAST_READ)
        if not data:
            self._end(None)
        return data

    def _end(self, cause: Exception | None) -> None:
        if self.phase is not ReaderPhase.ENDED and cause is not None:
            # A copy: the error itself refers to the frames that it passes through, and one of them refers to this.
            self.cause = copy.copy(cause)
            self.cause.__cause__ = cause.__cause__
        self._move(ReaderEvent.END)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - this stream sizes its reads
        """Receive, as trio-websocket does: the handshake's answer, bytes handed over, or the stream itself."""
        if self.phase is _DELEGATED and not self._handed:
            return await self.read()
        self._move(ReaderEvent.ASKED)
        while self.phase in _WAITING_PHASES and not self._handed:
            await self._phase_changed.park()
        if self._handed:
            handed, self._handed = self._handed, b""
            return handed
        if self.phase in _HANDSHAKE_PHASES:
            return await self._read_answer()
        if self.phase is ReaderPhase.ENDED:
            await trio.lowlevel.checkpoint()
            return b""
        return await self.read()

    async def _read_answer(self) -> bytes:
        """Read on in the handshake's answer: the head in one piece, then the body as it comes."""
        while data := await self.read():
            try:
                if self.phase is ReaderPhase.REFUSAL:
                    self.answer.add_to_body(data)
                    return data
                event = self.answer.add_to_head(data)
            except ValueError as exc:
                self._end(exc)
                break
            if event is not None:
                self._move(event)
                return self.answer.for_trio_websocket
        return b""

    def opened(self) -> bytes:
        """Note that the handshake is done.

        Returns:
            The bytes that came together with the handshake's answer, after it. They are the beginning of the frames.
        """
        self._move(ReaderEvent.OPENED)
        return self.answer.forget()

    async def hand_over(self, data: bytes, *, completes_message: bool) -> None:
        """Give bytes to trio-websocket, and wait until it asks for more: then it has processed them.

        Cancelled, the bytes are with trio-websocket all the same.

        Args:
            data: Bytes of frames.
            completes_message: Whether they complete a message.
        """
        self._handed += data
        self._move(ReaderEvent.HANDED_MESSAGE if completes_message else ReaderEvent.HANDED_PART)
        while self.phase in _FEEDING_PHASES:
            await self._phase_changed.park()

    def message_taken(self) -> None:
        """Note that trio-websocket gave a message out."""
        self._move(ReaderEvent.TAKEN)

    def delegate(self, data: bytes = b"") -> None:
        """Let trio-websocket read the stream from here on.

        Args:
            data: What was read and not parsed. trio-websocket gets it first.
        """
        self._handed += data
        self._move(ReaderEvent.LEFT)

    def finish(self) -> None:
        """Note that trio-websocket has stopped and reads no more."""
        self._end(None)

    @property
    def has_rest(self) -> bool:
        """Whether a part of what `send_now` sent waits for the next `send_all`."""
        return bool(self._rest)

    def send_now(self, data: SecretBytes) -> bool:
        """Send without waiting, if the network can, above no TLS, and nothing else is being sent.

        Returns:
            False if no byte was sent. True otherwise: what the network did not take goes before the next `send_all`.
        """
        if self._rest or self._sending.locked() or not isinstance(self._stream, WatchedStream):
            return False
        sent = self._stream.send_now(data)
        if 0 < sent < len(data):
            self._rest = SecretBytes(data[sent:])
        return sent > 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as the stream does. Concurrent calls take turns in the order in which they began."""
        data = SecretBytes(data)  # a handshake holds a token
        try:
            async with self._sending:
                rest, self._rest = self._rest, b""
                await self._stream.send_all(SecretBytes(rest + data) if rest else data)
            if self.on_sent is not None:
                self.on_sent()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            if self.phase in _HANDSHAKE_PHASES:
                self._end(exc)  # no answer comes to a handshake that was not sent, and trio-websocket raises nothing
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait, as the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
