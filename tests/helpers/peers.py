"""Servers that send exactly the bytes of a test, and the frames for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import trio
import wsproto
import wsproto.events as ws

from tplus_trio.testing.wire_frames import text_frame

Handler = Callable[[trio.abc.Stream], Awaitable[None]]

#: Options of a client that makes no REST request, so that a script serves one connection.
FEED = "/tickers/ws"


def ticker(number: int) -> bytes:
    """Return a frame of the tickers' feed with one ticker, identified by its price."""
    return b'[{"asset_id":"200","last_price":"%d","volume_24h":"0","timestamp_ns":%d}]' % (number, number)


def answer(status: int, body: bytes = b"", *headers: str, length: bool = True) -> bytes:
    """Return an HTTP answer; without ``length``, its body ends with the connection."""
    head = [f"HTTP/1.1 {status} Whatever", *headers]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


async def read_head(stream: trio.abc.ReceiveStream) -> bytes:
    """Return what a client sends up to the first empty line or further; ``b""`` if it sends nothing more."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            return b""
        head += data
    return head


def answers(*scripted: bytes) -> Handler:
    """Make a server that gives these answers on each connection, one per request, and closes."""

    async def handler(stream: trio.abc.Stream) -> None:
        for data in scripted:
            if not await read_head(stream):
                return
            await stream.send_all(data)

    return handler


class Peer:
    """The server's end of one WebSocket, after the handshake."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.closed_with: int | None = None
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self._lock = trio.Lock()

    @classmethod
    async def accept(cls, stream: trio.abc.Stream, *, then: bytes = b"") -> Self:
        """Accept a handshake, and send bytes together with the answer."""
        return await cls.upgrade(stream, await read_head(stream), then=then)

    @classmethod
    async def upgrade(cls, stream: trio.abc.Stream, head: bytes, *, then: bytes = b"") -> Self:
        """Accept a handshake whose request has been read."""
        peer = cls(stream)
        peer._protocol.receive_data(head)
        assert isinstance(next(peer._protocol.events()), ws.Request)
        await peer.send(peer._protocol.send(ws.AcceptConnection()) + then)
        return peer

    async def send(self, data: bytes) -> None:
        """Send raw bytes."""
        async with self._lock:
            await self.stream.send_all(data)

    async def text(self, *payloads: bytes) -> None:
        for payload in payloads:
            await self.send(text_frame(payload))

    async def ignore(self) -> None:
        """Read what the client sends, without an answer."""
        await self.serve(answering=False)

    async def serve(self, *, answering: bool = True) -> None:
        """Answer pings and the close frame until the client is gone."""
        with suppress(trio.BrokenResourceError):
            while data := await self.stream.receive_some():
                if self.closed_with is not None:
                    continue  # a pong: the client answers pings until it has the close frame (RFC 6455, 5.5.2)
                self._protocol.receive_data(bytes(data))
                for event in self._protocol.events():
                    if isinstance(event, ws.CloseConnection):
                        self.closed_with = event.code
                    if answering and isinstance(event, ws.Ping | ws.CloseConnection):
                        await self.send(self._protocol.send(event.response()))


def websocket(script: Callable[[Peer], Awaitable[None]], *, then: bytes = b"") -> Handler:
    """Make a server that accepts a handshake and runs a script. The connection ends with the script."""

    async def handler(stream: trio.abc.Stream) -> None:
        await script(await Peer.accept(stream, then=then))

    return handler


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    """Serve TCP on loopback; return the port."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, handler, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
