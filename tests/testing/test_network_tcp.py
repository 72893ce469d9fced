"""The network's faults over real sockets: what a TCP peer sees of each."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trustme
from trio.testing import MockClock

from tplus_trio import Depth, Gap, MarketDataClient, OrderBook
from tplus_trio.testing import Exchange, MemoryNetwork


async def echo(stream: trio.abc.Stream) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in stream:
            await stream.send_all(data)


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[MemoryNetwork, int]]:
    async with MemoryNetwork(handler=echo) as network, network.serve() as url:
        assert network.url == url
        yield network, int(url.rpartition(":")[2])
    assert network.url == "http://exchange"


def number_of(item: Depth) -> int:
    assert not isinstance(item, Gap)
    return item.sequence_number


async def said(stream: trio.SocketStream, text: bytes) -> bytes:
    await stream.send_all(text)
    return bytes(await stream.receive_some())


async def test_bytes_pass() -> None:
    async with echoing() as (network, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await said(stream, b"hello") == b"hello"
            assert network.open_connections == 1
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert network.open_connections == 0


async def test_a_dropped_connection_ends_in_order() -> None:
    async with echoing() as (network, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await said(stream, b"hello")
        network.drop_connections()
        assert await stream.receive_some() == b""


async def test_a_reset_connection_is_reset() -> None:
    async with echoing() as (network, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await said(stream, b"hello")
        network.reset_connections()
        with pytest.raises(trio.BrokenResourceError) as failure:
            await stream.receive_some()
        assert isinstance(failure.value.__cause__, ConnectionResetError)


async def test_a_stalled_connection_says_nothing_until_it_goes_on() -> None:
    async with echoing() as (network, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await said(stream, b"hello")
        network.stall()
        with trio.move_on_after(0.1) as scope:
            await said(stream, b"still there?")
        assert scope.cancelled_caught
        network.resume()
        assert await stream.receive_some() == b"still there?"


async def test_refused_and_partitioned() -> None:
    async with echoing() as (network, port):
        network.refuse()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await said(stream, b"hello")
        network.partition(0.1)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            before = trio.current_time()
            assert await said(stream, b"hello") == b"hello"
            assert trio.current_time() - before > 0.05


async def test_tls() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    exchange = Exchange()
    exchange.add_market(200)
    async with (
        MemoryNetwork(exchange) as network,
        network.serve(ssl_context=server) as url,
        MarketDataClient(url, verify=trusting) as client,
        client.stream_depth(200) as depth,
    ):
        assert url.startswith("https://")
        assert isinstance(await depth.receive(), OrderBook)
        network.reset_connections()
        assert isinstance(await depth.receive(), OrderBook)


async def test_a_stalled_feed_is_silent_and_then_tells_all(
    exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock
) -> None:
    async with market_data.stream_depth(200) as depth:
        assert isinstance(await depth.receive(), OrderBook)
        exchange.faults.stall_feed("/marketdepth", 30.0)
        first, _ = (exchange.publish_diff(200, bids=[(9, n)]) for n in (1, 2))
        async with market_data.stream_depth(200, share=False) as another:
            await another.wait_live()
            exchange.publish_diff(200, bids=[(9, 3)])
            start = trio.current_time()
            assert number_of(await depth.receive()) == first
            assert trio.current_time() - start == 30.0
            assert isinstance(await another.receive(), OrderBook)
            assert number_of(await another.receive()) == first + 2
        assert depth.stats.connects == 1
        exchange.publish_diff(200, bids=[(9, 4)])
        assert [number_of(await depth.receive()) for _ in range(3)] == [first + 1, first + 2, first + 3]


async def test_a_stalled_feed_goes_on_when_told_so(
    exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock
) -> None:
    with pytest.raises(ValueError, match="seconds is at least 0 and finite, not -1"):
        exchange.faults.stall_feed("", -1)
    async with market_data.stream_depth(200) as depth:
        await depth.receive()
        start = trio.current_time()
        exchange.faults.stall_feed("", 3600.0)
        number = exchange.publish_diff(200, bids=[(9, 1)])
        exchange.faults.stall_feed("", 0.0)
        assert number_of(await depth.receive()) == number
        assert trio.current_time() == start
