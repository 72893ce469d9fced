"""How a WebSocket connection that brings nothing is noticed: by pings, and by a limit on the silence of data."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import trio

from tplus_trio.errors import ConnectionFailed
from tplus_trio.scopes import ProtectedNursery
from tplus_trio.transport.handshake_stream import HandshakeStream
from tplus_trio.transport.watched_stream import SLICES, WatchedStream

__all__ = ["IdleTimer", "keep_alive"]

T = TypeVar("T")

#: A ping's opcode, and its size (no payload) with the bit that announces a mask. Four bytes of mask follow.
_PING: Final = b"\x89\x80"


class IdleTimer:
    """Counts the seconds for which a connection brought no data while a task waited for some.

    Args:
        limit: Seconds without data after which the connection counts as lost.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        #: Seconds waited since the last data.
        self.silence: float = 0.0

    async def receive(self, receive: Callable[[], Awaitable[T]]) -> T:
        """Receive within what is left of the limit. A time for which the loop was blocked counts as a quarter at most.

        Raises:
            ConnectionFailed: there was no data for so many seconds.
        """
        limit = self._limit
        while self.silence < limit:
            patience = min(limit - self.silence, limit / SLICES)
            began = trio.current_time()
            with trio.move_on_after(patience):
                received = await receive()
                self.silence += min(trio.current_time() - began, patience)
                return received
            self.silence += patience
        msg = f"no data for {limit:g} s"
        raise ConnectionFailed(msg)


async def keep_alive(
    stream: HandshakeStream,
    watched: WatchedStream,
    is_over: Callable[[], bool],
    *,
    interval: float,
    timeout: float,
) -> ConnectionFailed | None:
    """Ping until the connection ends, or the peer sends no byte for too long after a ping.

    Args:
        stream: Where pings are sent.
        watched: The same connection below TLS, where the peer's bytes are counted.
        is_over: Whether the connection is being closed.
        interval: Seconds between pings.
        timeout: Seconds after a ping within which at least one byte has to come.

    Returns:
        Why the connection counts as lost; None if it ended otherwise. The stream is not closed here.
    """
    failure: ConnectionFailed | None = None
    async with trio.open_nursery(strict_exception_groups=True) as pings:
        nursery = ProtectedNursery(pings)
        while True:
            await trio.sleep(interval)
            if is_over():
                break
            if not pings.child_tasks:  # else the ping before it is still on its way
                nursery.start_soon(_ping, stream)
            if not await watched.wait_for_byte(timeout):
                failure = ConnectionFailed(f"no pong within {timeout:g} s, nor any other byte")
                break
        nursery.cancel_scope.cancel()
    return failure


async def _ping(stream: HandshakeStream) -> None:
    """Send a ping. trio-websocket is not used: it keeps each ping until its pong comes, and a peer may send none."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(_PING + secrets.token_bytes(4))
