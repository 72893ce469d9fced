"""The byte stream between a socket and trio-websocket: watched, and from the handshake on read by somebody else."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Final

import trio

from tplus_trio.secret import SecretBytes
from tplus_trio.transport.handshake_answer import HEAD_END, is_foreign

__all__ = ["Tap"]

#: Bytes asked of the network at once: few to begin with, more where there were more. Each read takes that much memory
#: for a moment, which is felt where hundreds of streams bring little each.
_LEAST_READ: Final = 4 * 1024
_READ: Final = 64 * 1024
#: A handshake's answer is a head and, for a refusal, a short body. Both are added to at each read, however little that
#: brings, so there must not be much of them.
_MAX_HANDSHAKE: Final = _READ
_SWITCHING: Final = re.compile(rb"HTTP/[0-9]\.[0-9] 101")


class Tap(trio.abc.Stream):
    """The byte stream under trio-websocket, watched, and from the handshake on read by somebody else.

    It remembers how the stream ended, which trio-websocket does not tell. And it splits the bytes: trio-websocket reads
    the handshake, whose head it gets in one piece, since it takes one of more than 16 KiB in no other way; then
    `WebSocket` reads, and hands over what it does not understand, until it leaves the stream to trio-websocket for
    good.
    """

    def __init__(self, stream: trio.abc.Stream, *, divert: bool) -> None:
        self._stream = stream
        self._divert = divert
        #: Whether somebody else than trio-websocket reads.
        self.diverted: bool = False
        self._size = _LEAST_READ
        #: What trio-websocket reads next, and the two tasks that may be waiting for each other.
        self._handed = b""
        self._has_bytes = trio.lowlevel.ParkingLot()
        self._is_hungry = trio.lowlevel.ParkingLot()
        self._hungry = False
        #: What came until the handshake was done: its answer, and the beginning of a refusal's body.
        self.head: bytes = b""
        #: What came behind the handshake together with it.
        self.early: bytes = b""
        self.received: int = 0
        #: Called whenever bytes were sent.
        self.on_sent: Callable[[], None] | None = None
        #: Whether the handshake's answer is still being read, and whether its head has come.
        self._shaking = True
        self._has_head = False
        #: Two tasks send: trio-websocket, and whoever pings.
        self._sending = trio.StrictFIFOLock()
        self.ended: trio.Event = trio.Event()
        self.cause: Exception | None = None

    async def read(self) -> bytes:
        """Read from the network; nothing, if that has ended."""
        try:
            data = bytes(await self._stream.receive_some(self._size))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            self._end(exc)
            raise
        self.received += len(data)
        if len(data) == self._size:
            self._size = min(2 * self._size, _READ)
        elif len(data) < self._size // 4:
            self._size = max(self._size // 2, _LEAST_READ)
        if not data:
            self._end(None)
        return data

    def _end(self, cause: Exception | None) -> None:
        if not self.ended.is_set():
            if cause is not None:
                # A copy: the error itself holds the frames that it passes through, and one of them holds this.
                self.cause = copy.copy(cause)
                self.cause.__cause__ = cause.__cause__
            self.ended.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - the amount is ours to choose
        """What trio-websocket reads: the handshake, what is handed over, and everything once it is left to it."""
        if not self.diverted:
            if self._handed:
                return self._take()
            return await (self._read_answer() if self._shaking else self.read())
        self._hungry = True
        self._is_hungry.unpark_all()
        while not self._handed and self.diverted:
            await self._has_bytes.park()
        self._hungry = False
        return self._take() if self._handed else await self.read()

    def _take(self) -> bytes:
        handed, self._handed = self._handed, b""
        return handed

    async def _read_answer(self) -> bytes:
        """Read on in the handshake's answer: first the head as a whole, then whatever comes."""
        while data := await self.read():
            searched = max(len(self.head) - 3, 0)
            self.head += data
            if self._has_head:
                if len(self.head) > _MAX_HANDSHAKE:
                    break  # a refusal's body; nobody needs more of it
                return data
            if is_foreign(self.head):
                self._end(ValueError("the answer is not HTTP/1.1"))
                return b""
            found = HEAD_END.search(self.head, searched)
            if (len(self.head) if found is None else found.end()) > _MAX_HANDSHAKE:
                break
            if found is not None:
                self._has_head = True
                return self._split(found.end())
        else:
            return b""
        what = "answer" if self._has_head else "head of the answer"
        self._end(ValueError(f"the {what} is longer than {_MAX_HANDSHAKE} bytes"))
        return b""

    def _split(self, end: int) -> bytes:
        """The head has come: what is behind one that accepts is not for trio-websocket."""
        head = self.head
        if not _SWITCHING.match(head):
            return head
        self._shaking = False
        if not self._divert:
            return head
        self.early = head[end:]
        self.diverted = True
        return head[:end]

    def opened(self) -> None:
        """The handshake is done."""
        self._shaking = False
        self.head = b""

    async def hand_over(self, data: bytes) -> None:
        """Give bytes to trio-websocket, and wait until it wants more, which is when it has done with them."""
        self._handed += data
        self._hungry = False
        self._has_bytes.unpark_all()
        while not self._hungry and not self.ended.is_set():
            await self._is_hungry.park()

    def leave(self, data: bytes = b"") -> None:
        """Leave the stream to trio-websocket from here on, beginning with these bytes."""
        self._handed += data
        self.diverted = False
        self._has_bytes.unpark_all()

    def finish(self) -> None:
        """Whatever happens: trio-websocket reads no more."""
        self._end(None)
        self._is_hungry.unpark_all()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as the stream does."""
        data = SecretBytes(data)  # a handshake holds a token
        try:
            async with self._sending:
                await self._stream.send_all(data)
            if self.on_sent is not None:
                self.on_sent()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            if self._shaking:
                self._end(exc)  # a handshake that could not be sent will not be answered; trio-websocket says nothing
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait, as the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
