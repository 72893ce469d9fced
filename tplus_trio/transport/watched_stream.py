"""A stream directly above the network, which measures how long the peer is silent."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol, runtime_checkable

import trio

__all__ = ["SLICES", "SendsNow", "WatchedStream"]

#: The number of parts in which a silence is measured. If the event loop was blocked for longer than one part, only that
#: part counts, so that the reader runs before the peer counts as silent.
SLICES: Final = 4
#: Scheduler steps that the reader gets after a silence: a connector's own stream may need a few to pass bytes on.
_TURNS: Final = 32


@runtime_checkable
class SendsNow(Protocol):
    """What a stream may have besides the methods of `trio.abc.Stream`. Without it, orders take longer to leave."""

    def send_now(self, data: bytes) -> int:
        """Send without waiting, while no other task sends.

        Returns:
            How many bytes the network took; 0 also if the connection is broken or closed, which `send_all` reports.
        """
        ...


class WatchedStream(trio.abc.Stream):
    """A byte stream that counts what the peer sends, and measures how long the peer is silent.

    It is below TLS: a TLS record of up to 16 KiB can be read only when it is complete, and on a slow link that takes
    longer than a peer may be silent.

    Args:
        stream: The connection. The watched stream owns it.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._immediate = stream if isinstance(stream, SendsNow) else None
        #: How many tasks wait for the peer, either for its bytes or for room to send.
        self._waiting = 0
        self._patience: trio.CancelScope | None = None
        self._patience_left = 0.0
        self._byte: trio.Event | None = None

    async def wait_for_byte(self, seconds: float) -> bool:
        """Wait until the peer sends something.

        Time counts only while a task waits for the peer: if a slow consumer holds up the reader, bytes may have arrived
        unread. For the same reason, the time of a blocked event loop counts as at most a quarter of ``seconds``.

        Args:
            seconds: How long the peer may be silent, in seconds.

        Returns:
            True if a byte came, False after ``seconds`` without one.
        """
        self._byte = byte = trio.Event()
        try:
            for _ in range(SLICES):
                with self._waiting_at_most(seconds / SLICES):
                    await byte.wait()
                    return True
            for _ in range(_TURNS):
                if byte.is_set():
                    return True
                await trio.lowlevel.checkpoint()
            return byte.is_set()
        finally:
            self._byte = None

    @contextmanager
    def _waiting_at_most(self, seconds: float) -> Generator[None]:
        """Open a scope that is cancelled once tasks have waited for the peer for ``seconds`` in total."""
        with trio.CancelScope() as scope:
            self._patience, self._patience_left = scope, seconds
            if self._waiting:
                scope.deadline = trio.current_time() + seconds
            try:
                yield
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

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, as the stream does."""
        self._begin_to_wait()
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            self._end_to_wait()
        if self._byte is not None and data:
            self._byte.set()
        return data

    def send_now(self, data: bytes) -> int:
        """Send without waiting, if the stream can. Return how many bytes it took; a stream that cannot takes none."""
        return 0 if self._immediate is None else self._immediate.send_now(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as the stream does. Time in which the peer accepts no bytes counts as silence."""
        self._begin_to_wait()
        try:
            await self._stream.send_all(data)
        finally:
            self._end_to_wait()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait, as the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
