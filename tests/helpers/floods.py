"""A server that sends without end, and streams from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import trio

from tests.helpers.hostile import URL, accepted, forever
from tests.helpers.peers import read_head, ticker
from tplus_trio import MarketDataClient, Stream, Ticker
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import text_frame

MIB = 1 << 20


class Flood:
    """A server that accepts a WebSocket, sends a ticker, and then sends the given pieces until it is stopped.

    Args:
        pieces: The pieces to send, made one by one.
        reads: Whether it reads what the client sends. It answers none of it.
    """

    def __init__(self, pieces: Iterable[bytes], *, reads: bool = True) -> None:
        self.pieces = pieces
        self.reads = reads
        self.sent = 0
        #: The number of bytes that the client sent after the handshake.
        self.answered = 0

    async def __call__(self, stream: trio.abc.Stream) -> None:
        await stream.send_all(accepted(await read_head(stream)) + text_frame(ticker(1)))

        async def read() -> None:
            with suppress(trio.BrokenResourceError):
                while data := await stream.receive_some():
                    self.answered += len(data)

        async with trio.open_nursery() as nursery:
            if self.reads:
                nursery.start_soon(read)
            self.sent = await forever(self.pieces)(stream)
            if not self.reads:
                await trio.sleep_forever()


@asynccontextmanager
async def flooded(server: Flood, *, capacity: int = 65536, **options: float) -> AsyncIterator[Stream[Ticker]]:
    """Open a stream from that server, and receive its first ticker."""
    async with MemoryNetwork(handler=server, capacity=capacity) as network:
        async with (
            MarketDataClient(URL, connector=network, restart=None, **options) as md,  # type: ignore[arg-type]  # numbers
            md.stream_tickers() as stream,
        ):
            assert (await stream.receive()).last_price == 1
            yield stream
        assert network.open_connections == 0
