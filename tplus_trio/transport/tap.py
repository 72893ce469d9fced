"""The byte stream between a socket and trio-websocket: watched, and from the handshake on read by somebody else."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import trio

from tplus_trio.secret import SecretBytes

__all__ = ["Tap"]

#: Bytes asked of the network at once: few to begin with, more where there were more. Each read takes that much memory
#: for a moment, which is felt where hundreds of streams bring little each.
_LEAST_READ: Final = 4 * 1024
_READ: Final = 64 * 1024
#: A handshake's answer is a head and, for a refusal, a short body. Both are added to at each read, however little that
#: brings, so there must not be much of them.
_MAX_HANDSHAKE: Final = _READ
#: As h11 reads them: a head's lines may end without the carriage return.
_SWITCHING: Final = re.compile(rb"HTTP/[0-9]\.[0-9] 101")
_HEAD_END: Final = re.compile(rb"\n\r?\n")


class Tap(trio.abc.Stream):
    """The byte stream under trio-websocket, watched, and from the handshake on read by somebody else.

    It remembers how the stream ended, which trio-websocket does not tell. It knows when nobody waits for the peer:
    while a slow consumer holds the reader up, a pong may be waiting unread, and its absence proves nothing. And it
    splits the bytes: up to the end of the handshake, trio-websocket reads them; then `WebSocket` does, and hands over
    what it does not understand, until it leaves the stream to trio-websocket for good.
    """

    def __init__(self, stream: trio.abc.Stream, *, divert: bool) -> None:
        self._stream = stream
        self._divert = divert
        #: Whether somebody else than trio-websocket reads.
        self.diverted: bool = False
        self._size = _LEAST_READ
        #: How many tasks wait for the peer: for its bytes, or for it to take ours.
        self._waiting = 0
        self._patience: trio.CancelScope | None = None
        self._patience_left = 0.0
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
        self.limit: float = _MAX_HANDSHAKE
        self.ended: trio.Event = trio.Event()
        self.cause: Exception | None = None

    @contextmanager
    def patience(self, seconds: float) -> Generator[trio.CancelScope]:
        """A scope that is cancelled when the peer has been waited for ``seconds`` in all."""
        with trio.CancelScope() as scope:
            self._patience, self._patience_left = scope, seconds
            if self._waiting:
                scope.deadline = trio.current_time() + seconds
            try:
                yield scope
            finally:
                self._patience = None

    def _begin_to_wait(self) -> None:
        self._waiting += 1
        if self._waiting == 1 and self._patience is not None:
            self._patience.deadline = trio.current_time() + self._patience_left

    def _end_to_wait(self) -> None:
        self._waiting -= 1
        if not self._waiting and self._patience is not None:
            self._patience_left = self._patience.deadline - trio.current_time()
            self._patience.deadline = math.inf

    async def read(self) -> bytes:
        """Read from the network; nothing, if that has ended."""
        self._begin_to_wait()
        try:
            data = bytes(await self._stream.receive_some(self._size))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            self._end(exc)
            raise
        finally:
            self._end_to_wait()
        self.received += len(data)
        if len(data) == self._size:
            self._size = min(2 * self._size, _READ)
        elif len(data) < self._size // 4:
            self._size = max(self._size // 2, _LEAST_READ)
        if self.received > self.limit:
            self._end(ValueError(f"more than {self.limit} bytes, and no handshake"))
            return b""
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
            return self._take() if self._handed else self._split(await self.read())
        self._hungry = True
        self._is_hungry.unpark_all()
        while not self._handed and self.diverted:
            await self._has_bytes.park()
        self._hungry = False
        return self._take() if self._handed else await self.read()

    def _take(self) -> bytes:
        handed, self._handed = self._handed, b""
        return handed

    def _split(self, data: bytes) -> bytes:
        """Find the end of the handshake; what is behind it is not for trio-websocket."""
        if self.limit is math.inf:
            return data
        before = len(self.head)
        self.head += data
        if not self._divert or not _SWITCHING.match(self.head):
            return data
        found = _HEAD_END.search(self.head)
        if found is None:
            return data
        end = found.end()
        self.early = self.head[end:]
        self.diverted = True
        return data[: end - before]

    def opened(self) -> None:
        """The handshake is done."""
        self.limit = math.inf
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
        """Send, as the stream does. A peer that takes nothing is waited for as one that sends nothing is."""
        data = SecretBytes(data)  # a handshake holds a token
        self._begin_to_wait()
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            if self.limit is not math.inf:
                self._end(exc)  # a handshake that could not be sent will not be answered; trio-websocket says nothing
            raise
        finally:
            self._end_to_wait()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait, as the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
