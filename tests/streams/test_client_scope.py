"""The scope of a client's streams: what runs before the client is entered, and that nothing outlives it."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.peers import Peer, websocket
from tests.helpers.world import drain, served_streams, trading_market
from tplus_trio import (
    ConnectionFailed,
    HandshakeRejected,
    MarketDataClient,
    OrderBook,
    OrderBookClient,
    OrderBookDiff,
    Stream,
    StreamState,
    User,
)
from tplus_trio.testing import MemoryNetwork

# Before a client is entered.


async def test_a_bare_stream_needs_an_entered_client(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        md = MarketDataClient("http://exchange", connector=network)
        stream = md.stream_finalized_trades()
        with pytest.raises(RuntimeError, match="enter the client first"):
            await stream.receive()
        with pytest.raises(RuntimeError, match="enter the client first"):
            await drain(stream)
        async with md, stream:
            await stream.wait_live()
        assert network.connects == 1


async def test_rest_works_on_a_client_that_was_not_entered(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.exchange.add_market(200)
        md = MarketDataClient("http://exchange", connector=network)
        assert isinstance(await md.get_orderbook_snapshot(200), OrderBook)
        async with md.stream_finalized_trades() as stream:  # it has a nursery of its own
            await stream.wait_live()
        assert network.open_connections == 1
        await md.aclose()
        assert network.open_connections == 0


async def test_a_closed_client_starts_no_stream_and_no_request(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md):
        stream = md.stream_finalized_trades()
        other = md.stream_finalized_trades()
        book = md.open_book(200)
        kept = network
    connects = kept.connects
    with pytest.raises(RuntimeError, match="left"):
        await stream.receive()
    for late in (other, book):
        with pytest.raises(RuntimeError, match="left"):
            await late.__aenter__()
    with pytest.raises(RuntimeError, match="the client was closed: its `async with` block was left"):
        await md.get_trades()
    with pytest.raises(RuntimeError, match="entered already"):
        await md.__aenter__()
    assert kept.connects == connects


# Leaving a client.


async def test_leaving_the_client_ends_streams_in_other_tasks(autojump_clock: MockClock) -> None:
    ended: list[str] = []

    async def entered(md: MarketDataClient) -> None:
        async with md.stream_depth(200) as stream:
            with pytest.raises(trio.ClosedResourceError):
                await drain(stream)
        ended.append("entered")

    async def bare(md: MarketDataClient) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await drain(md.stream_finalized_trades())
        ended.append("bare")

    async def late(md: MarketDataClient) -> None:
        await left.wait()
        with suppress(trio.ClosedResourceError, RuntimeError):
            async with md.stream_finalized_trades() as stream:
                await drain(stream)
        ended.append("late")

    async def leave(how: str) -> None:
        async with trading_market() as (network, md):
            for task in (entered, bare, late):
                nursery.start_soon(task, md)  # noqa: ASYNC111 - it has to outlive the client
            await trio.sleep(3)
            assert served_streams(network) == 2
            left.set()
            if how == "by an exception":
                raise KeyError
            if how == "cancelled":
                scope.cancel()
                await trio.sleep_forever()

    for how in ("in order", "by an exception", "cancelled"):
        left = trio.Event()
        ended.clear()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope, suppress(KeyError):
                await leave(how)
        assert sorted(ended) == ["bare", "entered", "late"]


async def test_leaving_a_client_sends_a_close_frame_on_each_stream(autojump_clock: MockClock) -> None:
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.serve()

    async def watch(md: MarketDataClient) -> None:
        async with md.stream_tickers() as stream:
            with pytest.raises(trio.ClosedResourceError):
                await drain(stream)

    async with MemoryNetwork(handler=websocket(script), latency=0.1) as network, trio.open_nursery() as nursery:
        async with MarketDataClient("http://exchange", connector=network) as md:
            nursery.start_soon(watch, md)  # noqa: ASYNC111 - it has to outlive the client
            bare = aiter(md.stream_tickers(share=False))
            with trio.move_on_after(1):
                await anext(bare)
        assert network.open_connections == 0
    assert [peer.closed_with for peer in peers] == [1000, 1000]


async def test_a_request_in_another_task_fails_when_the_client_is_left(autojump_clock: MockClock) -> None:
    async def ask(md: MarketDataClient) -> None:
        with pytest.raises(ConnectionFailed):
            await md.get_trades()

    async with MemoryNetwork(latency=1.0) as network, trio.open_nursery() as nursery:
        async with MarketDataClient("http://exchange", connector=network) as md:
            nursery.start_soon(ask, md)  # noqa: ASYNC111 - it has to outlive the client
            await trio.sleep(2.5)
        assert network.open_connections == 0


# Streams side by side.


async def test_streams_and_requests_share_a_client(autojump_clock: MockClock) -> None:
    seen: set[str] = set()

    async def watch(name: str, stream: Stream[object]) -> None:
        async with stream:
            async for _ in stream:
                seen.add(name)

    async with trading_market() as (network, md):
        oms = OrderBookClient("http://exchange", connector=network, default_user=User())
        async with oms, trio.open_nursery() as nursery:
            nursery.start_soon(watch, "trades", md.stream_finalized_trades())
            nursery.start_soon(watch, "depth", md.stream_depth(200))
            nursery.start_soon(watch, "klines", md.stream_klines(200))
            nursery.start_soon(watch, "orders", oms.stream_orders())
            nursery.start_soon(watch, "mine", oms.stream_user_trade_events())
            await trio.sleep(1)
            for n in range(20):
                nursery.start_soon(md.get_trades)
                await oms.create_limit_order(1, 1000 + n, "Sell", asset_id=200)
            network.exchange.place("a" * 64, 200, "Buy", 1000, 1)
            await trio.sleep(2)
            assert seen == {"trades", "depth", "klines", "orders", "mine"}
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert served_streams(network) == 0


async def test_a_failed_stream_does_not_affect_other_streams(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md), md.stream_depth(200) as depth:
        assert isinstance(await depth.receive(), OrderBook)
        network.exchange.faults.reject_handshakes(2, 404, path="/trades")
        for stream in (md.stream_finalized_trades(), md.stream_finalized_trades()):
            with pytest.raises(HandshakeRejected) as caught:
                await stream.receive()
            assert caught.value.status == 404
            assert stream.state is StreamState.CLOSED
            with pytest.raises(HandshakeRejected):
                await stream.wait_live()
        for _ in range(5):
            assert isinstance(await depth.receive(), OrderBookDiff)
        assert depth.stats.connects == 1
