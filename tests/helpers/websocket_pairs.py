"""Clients and streams for the tests of WebSockets."""

from __future__ import annotations

from tplus_trio import MarketDataClient, Stream, Ticker
from tplus_trio.testing import MemoryNetwork


def client(network: MemoryNetwork, **options: float) -> MarketDataClient:
    return MarketDataClient("http://exchange", connector=network, restart=None, **options)  # type: ignore[arg-type]  # options of any kind


async def collect(stream: Stream[Ticker], into: list[int]) -> None:
    """Return the prices that identify a stream's tickers, until the stream ends."""
    async for item in stream:
        into.append(int(item.last_price or 0))  # noqa: PERF401 - what came before the end counts
