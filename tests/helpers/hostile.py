"""Hostile servers, and how a call of a client ends that meets one. Time is virtual, sizes are counted."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import attrs
import pytest
import trio

from tests.helpers.peers import Handler, read_head
from tplus_trio import MarketDataClient, OrderBookClient, TplusError, User
from tplus_trio.testing import MemoryNetwork

__all__ = [
    "CALLS",
    "SWITCHING",
    "URL",
    "USER",
    "Failed",
    "Pouring",
    "Recorder",
    "accepted",
    "failure_of",
    "forever",
    "turns",
]

URL: Final = "http://exchange"
USER: Final = User()
#: Bytes. A server that could send this much has met no limit.
_TOO_MUCH: Final = 200_000_000


SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\n"


def accepted(request: bytes, *more: bytes, status: bytes = SWITCHING, line: bytes = b"\r\n") -> bytes:
    """Return the answer that accepts a request for a WebSocket, with more headers."""
    match = re.search(rb"sec-websocket-key: *(\S+)", request, re.IGNORECASE)
    assert match is not None
    digest = hashlib.sha1(match[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    headers = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + base64.b64encode(digest)]
    return line.join([status.rstrip(), *headers, *more, b"", b""])


class Pouring:
    """A server that reads a request, answers with ``head``, and sends ``piece`` again and again.

    Args:
        head: The beginning of the answer.
        piece: The bytes that are repeated.
        every: Seconds between pieces.
    """

    def __init__(self, head: bytes = b"", piece: bytes = b"", *, every: float = 0.0) -> None:
        self.head = head
        self.piece = piece
        self.every = every
        #: The number of bytes that were sent, heads included.
        self.sent = 0

    async def __call__(self, stream: trio.abc.Stream) -> None:
        await read_head(stream)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(self.head)
            self.sent += len(self.head)
            while self.piece:
                await trio.sleep(self.every)
                await stream.send_all(self.piece)
                self.sent += len(self.piece)
                assert self.sent < _TOO_MUCH


class Recorder:
    """A connector that records its arguments."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.asked: list[tuple[str, int]] = []

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.asked.append((host, port))
        return await self._network.connect(host, port)


@attrs.frozen
class Failed:
    """How a call failed, after how many virtual seconds, and where it connected to."""

    error: TplusError
    seconds: float
    asked: list[tuple[str, int]]


async def _get(md: MarketDataClient, _: OrderBookClient) -> None:
    await md.get_orderbook_snapshot(200)


async def _sign_in(_: MarketDataClient, oms: OrderBookClient) -> None:
    await oms.get_user_orders()


async def _stream(md: MarketDataClient, _: OrderBookClient) -> None:
    await md.stream_tickers().receive()


async def _private_stream(_: MarketDataClient, oms: OrderBookClient) -> None:
    await oms.stream_user_events().receive()


#: The calls that meet a server: a request, a sign-in before a request, a handshake, a sign-in before a handshake.
CALLS: Final[dict[str, Callable[[MarketDataClient, OrderBookClient], Awaitable[None]]]] = {
    "request": _get,
    "sign-in": _sign_in,
    "handshake": _stream,
    "sign-in of a stream": _private_stream,
}


async def failure_of(handler: Handler, call: str, **options: float) -> Failed:
    """Return how a call to this server fails. The error must be one of this package, and nothing may remain open."""
    async with MemoryNetwork(handler=handler) as network:
        connector = Recorder(network)
        began = trio.current_time()
        async with (
            MarketDataClient(URL, connector=connector, restart=None, **options) as md,  # type: ignore[arg-type]  # numbers
            OrderBookClient(URL, default_user=USER, connector=connector, restart=None, **options) as oms,  # type: ignore[arg-type]  # options of any kind
        ):
            with pytest.raises(TplusError) as caught:
                await CALLS[call](md, oms)
            seconds = trio.current_time() - began
        await trio.testing.wait_all_tasks_blocked()
        assert network.open_connections == 0
        assert len(str(caught.value)) < 1000
        return Failed(caught.value, seconds, connector.asked)


def forever(pieces: Iterable[bytes]) -> Callable[[trio.abc.SendStream], Awaitable[int]]:
    """Make a sender of endless pieces that returns how many bytes were taken before the client ended."""

    async def send(stream: trio.abc.SendStream) -> int:
        sent = 0
        with suppress(trio.BrokenResourceError):
            for piece in pieces:
                await stream.send_all(piece)
                sent += len(piece)
                assert sent < _TOO_MUCH
        return sent

    return send


async def turns(counted: list[int]) -> None:
    """Count the steps of another task meanwhile."""
    while True:
        await trio.lowlevel.checkpoint()
        counted[0] += 1
