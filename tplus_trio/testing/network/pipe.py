"""A connection in memory that behaves like one on a network: it has latency, fills up, stalls and breaks.

It runs on trio's clock, so minutes of network traffic take no real time under a virtual clock (``autojump_clock``).
"""

from __future__ import annotations

import operator
import random
from collections import deque
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Final, final

import attrs
import trio
import trio.abc

__all__ = ["Conditions", "MemoryStream", "Pipe", "stream_pair"]

DEFAULT_CAPACITY: Final = 64 * 1024
_SEGMENT: Final = 4096  # with a bandwidth, a large write arrives in pieces of this size
_RECEIVE_LIMIT: Final = 256 * 1024


@attrs.define(eq=False)
class Conditions:
    """The latency and bandwidth that the connections of a network share; a change applies to bytes sent after it.

    Attributes:
        latency: Seconds from one end to the other; a pair (least, most) draws each piece's latency.
        bandwidth: Bytes per second, for each direction; None is unlimited.
        extra_delay: Seconds added to every latency.
        rng: The source of drawn latencies.
    """

    latency: float | tuple[float, float] = 0.0
    bandwidth: float | None = None
    extra_delay: float = 0.0
    rng: random.Random = attrs.field(factory=lambda: random.Random(0))

    def draw_latency(self) -> float:
        """Return the latency of one piece, in seconds."""
        if isinstance(self.latency, tuple):
            return self.rng.uniform(*self.latency) + self.extra_delay
        return self.latency + self.extra_delay


class _OneAtATime:
    """A guard that raises :exc:`trio.BusyResourceError` when a second task enters it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._busy = False

    def __enter__(self) -> None:
        if self._busy:
            raise trio.BusyResourceError(f"another task is already {self._what}")
        self._busy = True

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._busy = False


class Pipe:
    """One direction of a connection: bytes in order, each piece with the time at which it arrives.

    Args:
        conditions: The latency and bandwidth.
        capacity: The bytes that may be on their way or unread; a sender waits for room beyond it.
    """

    def __init__(self, conditions: Conditions, capacity: int = DEFAULT_CAPACITY) -> None:
        # Fourteen attributes: each end closes, fails and waits on its own, and both share one queue of bytes.
        self._conditions = conditions
        self._capacity = capacity
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._line_free_at = -inf
        self._eof_at: float | None = None
        self._sender_closed = False
        self._receiver_closed = False
        self._broken = False
        self._stalled = False
        self._sending = _OneAtATime("sending on this stream")
        self._receiving = _OneAtATime("receiving from this stream")
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    # Called by the two ends

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``, waiting for room; when cancelled, a part of it may have been sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_open_for_sending()
            rest = memoryview(data)
            while rest:
                await self._wait_for_room()
                room = self._capacity - self._size
                self._put(rest[:room])
                rest = rest[room:]

    def send_now(self, data: bytes) -> int:
        """Send the part of ``data`` for which there is room, and return its size; 0 if sending would fail."""
        try:
            with self._sending:
                self._check_open_for_sending()
                count = min(len(data), max(self._capacity - self._size, 0))
                if count:
                    self._put(memoryview(data)[:count])
                return count
        except (trio.BusyResourceError, trio.BrokenResourceError, trio.ClosedResourceError):
            return 0

    async def wait_for_room(self) -> None:
        """Wait until :meth:`send_all` of one byte would not wait."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_open_for_sending()
            await self._wait_for_room()

    async def receive_some(self, max_bytes: int | None) -> bytes:
        """Wait for bytes and return those that have arrived, at most ``max_bytes``; ``b""`` at the end."""
        limit = _RECEIVE_LIMIT if max_bytes is None else operator.index(max_bytes)
        if limit < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while True:
                if self._receiver_closed:
                    raise trio.ClosedResourceError("this stream is closed")
                if self._broken:
                    raise trio.BrokenResourceError("connection reset")
                arrival = self._next_arrival()
                if arrival <= trio.current_time():
                    return self._take(limit)  # no checkpoint follows, so cancellation loses no byte
                if arrival == inf:
                    await self._readers.park()
                else:
                    with trio.move_on_at(arrival):
                        await self._readers.park()

    def is_readable(self) -> bool:
        """Return whether :meth:`receive_some` would return or raise without waiting."""
        return self._receiver_closed or self._broken or self._next_arrival() <= trio.current_time()

    def close_sender(self) -> None:
        """Close the sending end; bytes on their way still arrive, and then the end."""
        self._sender_closed = True
        self.end()

    def close_receiver(self) -> None:
        """Close the receiving end; the sender finds the connection broken."""
        self._receiver_closed = True
        self._wake()

    # Called by the network

    def end(self) -> None:
        """End the pipe in order: the receiver reads the bytes on their way and then the end; sending fails."""
        if self._eof_at is None:
            self._eof_at = trio.current_time() + self._conditions.draw_latency()
        self._wake()

    def break_off(self) -> None:
        """Reset the pipe: both ends fail, and bytes on their way are lost."""
        self._broken = True
        self._wake()

    def stall(self) -> None:
        """Let nothing arrive; neither end sees an error."""
        self._stalled = True

    def resume(self) -> None:
        """End a stall; bytes that it held back arrive."""
        self._stalled = False
        self._wake()

    # Private

    def _wake(self) -> None:
        self._readers.unpark_all()
        self._writers.unpark_all()

    def _check_open_for_sending(self) -> None:
        if self._sender_closed:
            raise trio.ClosedResourceError("this stream is closed")
        if self._broken:
            raise trio.BrokenResourceError("connection reset")
        if not self._stalled and (self._receiver_closed or self._eof_at is not None):
            raise trio.BrokenResourceError("the other end is closed")

    async def _wait_for_room(self) -> None:
        while self._size >= self._capacity:
            await self._writers.park()
            self._check_open_for_sending()

    def _put(self, data: memoryview) -> None:
        bandwidth = self._conditions.bandwidth
        step = len(data) if bandwidth is None else _SEGMENT
        for start in range(0, len(data), step):
            piece = bytes(data[start : start + step])
            sent_at = max(self._line_free_at, trio.current_time())
            if bandwidth is not None:
                sent_at += len(piece) / bandwidth
            self._line_free_at = sent_at
            # A piece that draws a short latency still waits for the one before it: jitter does not reorder a stream.
            self._pieces.append((sent_at + self._conditions.draw_latency(), piece))
            self._size += len(piece)
        self._readers.unpark_all()

    def _next_arrival(self) -> float:
        if self._stalled:
            return inf
        if self._pieces:
            return self._pieces[0][0]
        return inf if self._eof_at is None else self._eof_at

    def _take(self, limit: int) -> bytes:
        now = trio.current_time()
        taken: list[bytes] = []
        while limit and self._pieces and self._pieces[0][0] <= now:
            arrival, piece = self._pieces.popleft()
            if len(piece) > limit:
                self._pieces.appendleft((arrival, piece[limit:]))
                piece = piece[:limit]
            taken.append(piece)
            limit -= len(piece)
            self._size -= len(piece)
        self._writers.unpark_all()
        return taken[0] if len(taken) == 1 else b"".join(taken)


@final
class MemoryStream(trio.abc.Stream):
    """One end of a connection in memory, from :func:`stream_pair` or a :class:`~tplus_trio.testing.MemoryNetwork`."""

    def __init__(self, outgoing: Pipe, incoming: Pipe, on_close: Callable[[], object] | None = None) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._on_close = on_close
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See :meth:`trio.abc.SendStream.send_all`."""
        await self._outgoing.send_all(data)

    def send_now(self, data: bytes) -> int:
        """Send without waiting what there is room for. Return how many bytes; 0 also if the connection is broken."""
        return self._outgoing.send_now(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See :meth:`trio.abc.SendStream.wait_send_all_might_not_block`."""
        await self._outgoing.wait_for_room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See :meth:`trio.abc.ReceiveStream.receive_some`."""
        return await self._incoming.receive_some(max_bytes)

    def is_readable(self) -> bool:
        """Return whether bytes or an end can be received; on an idle HTTP connection this means that it is closed."""
        return self._incoming.is_readable()

    def close(self) -> None:
        """Close without waiting; closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._outgoing.close_sender()
        self._incoming.close_receiver()
        if self._on_close is not None:
            self._on_close()

    async def aclose(self) -> None:
        """Close the stream; when cancelled, it is closed all the same."""
        self.close()
        await trio.lowlevel.checkpoint()


def stream_pair(
    conditions: Conditions | None = None, *, capacity: int = DEFAULT_CAPACITY
) -> tuple[MemoryStream, MemoryStream]:
    """Return two connected streams.

    Args:
        conditions: The latency and bandwidth; None is no latency and unlimited bandwidth.
        capacity: The bytes that each direction holds before its sender waits.
    """
    conditions = conditions or Conditions()
    there, back = Pipe(conditions, capacity), Pipe(conditions, capacity)
    return MemoryStream(there, back), MemoryStream(back, there)
