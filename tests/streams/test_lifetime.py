"""When streams and clients begin and end, and that nothing outlives its scope."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.peers import Peer, websocket
from tplus_trio import (
    ConnectionFailed,
    Gap,
    HandshakeRejected,
    MarketDataClient,
    OrderBook,
    OrderBookClient,
    OrderBookDiff,
    Stream,
    StreamState,
    Trade,
    User,
)
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.testing import MemoryNetwork

Trades = Stream[Trade | Gap]


@asynccontextmanager
async def market(**options: object) -> AsyncIterator[tuple[MemoryNetwork, MarketDataClient]]:
    """A client of an exchange with a market that trades once a second."""

    async def trade() -> None:
        while True:
            network.exchange.publish_trade(200, 5, 1)
            network.exchange.publish_diff(200, bids=[(5, 1)])
            await trio.sleep(1)

    async with MemoryNetwork() as network, open_plain_nursery() as nursery:
        network.exchange.add_market(200)
        nursery.start_soon(trade)
        async with MarketDataClient("http://exchange", connector=network, **options) as md:  # type: ignore[arg-type]  # options of any kind
            yield network, md
        assert network.open_connections == 0


def feeds(network: MemoryNetwork) -> int:
    """How many streams the exchange serves (a connection may be kept for REST besides)."""
    return network.exchange.connections


# The beginning


async def test_streams_and_books_connect_only_when_used(autojump_clock: MockClock) -> None:
    async with market() as (network, md):
        stream, book = md.stream_depth(200), md.open_book(200)
        iterator = aiter(md.stream_finalized_trades())
        await trio.sleep(10)
        assert network.connects == 0
        assert stream.state is book.state is StreamState.CONNECTING
        await anext(iterator)
        assert feeds(network) == 1


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
        async with md.stream_finalized_trades() as stream:  # with a nursery of its own, it needs no other
            await stream.wait_live()
        assert network.open_connections == 1
        await md.aclose()
        assert network.open_connections == 0


async def test_clients_streams_and_books_refuse_a_second_entry(autojump_clock: MockClock) -> None:
    async with market() as (_, md):
        with pytest.raises(RuntimeError, match="entered already"):
            await md.__aenter__()
        async with md.stream_finalized_trades() as stream:
            with pytest.raises(RuntimeError, match="entered already"):
                await stream.__aenter__()
            await stream.receive()
        with pytest.raises(RuntimeError, match="entered already"):
            await stream.__aenter__()
        bare = md.stream_finalized_trades()
        await bare.receive()
        with pytest.raises(RuntimeError, match="once"):
            await bare.__aenter__()
        async with md.open_book(200) as book:
            with pytest.raises(RuntimeError, match="entered already"):
                await book.__aenter__()


async def test_a_closed_client_starts_no_stream_and_no_request(autojump_clock: MockClock) -> None:
    async with market() as (network, md):
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
    with pytest.raises(RuntimeError, match="closed"):
        await md.get_trades()
    with pytest.raises(RuntimeError, match="entered already"):
        await md.__aenter__()
    assert kept.connects == connects


# The end of a bare loop


async def drain(stream: Stream[object]) -> None:
    async for _ in stream:
        pass


async def leave_by_break(stream: Trades) -> None:
    async for _ in stream:
        break


async def leave_by_exception(stream: Trades) -> None:
    with suppress(KeyError):
        async for _ in stream:
            raise KeyError


async def leave_by_return(stream: Trades) -> None:
    async for _ in stream:
        return


async def leave_by_cancellation(stream: Trades) -> None:
    with trio.move_on_after(2.5):
        async for _ in stream:
            pass


async def leave_by_dropping_the_iterator(stream: Trades) -> None:
    iterator = aiter(stream)
    await anext(iterator)
    del iterator


async def leave_by_taking_one(stream: Trades) -> None:
    assert isinstance(await anext(aiter(stream)), Trade)


async def leave_a_generator(stream: Trades) -> None:
    async def prices() -> AsyncIterator[object]:
        async for trade in stream:
            yield trade.timestamp_ns if isinstance(trade, Trade) else None

    async with aclosing(prices()) as generator:  # type: ignore[type-var]  # it is an async generator
        await anext(generator)


LEAVING = [
    leave_by_break,
    leave_by_exception,
    leave_by_return,
    leave_by_cancellation,
    leave_by_dropping_the_iterator,
    leave_by_taking_one,
    leave_a_generator,
]


@pytest.mark.parametrize("held", [True, False], ids=["held", "dropped"])
@pytest.mark.parametrize("leave", LEAVING, ids=lambda leave: leave.__name__)
async def test_leaving_a_bare_loop_ends_its_stream(
    leave: Callable[[Trades], Awaitable[None]], held: bool, autojump_clock: MockClock
) -> None:
    gc.disable()  # it has to do without
    try:
        async with market() as (network, md):
            streams = [md.stream_finalized_trades()]
            await leave(streams[0] if held else streams.pop())
            await trio.sleep(0.01)
            assert network.open_connections == feeds(network) == 0
            for stream in streams:
                assert stream.state is StreamState.CLOSED
                with pytest.raises(trio.ClosedResourceError):
                    await stream.receive()
    finally:
        gc.enable()


async def test_a_garbage_collected_stream_ends(autojump_clock: MockClock) -> None:
    async with market() as (network, md):
        stream = md.stream_finalized_trades()
        await stream.receive()
        assert network.open_connections == 1
        del stream
        await trio.sleep(0.01)
        assert network.open_connections == 0


async def test_a_stream_without_a_reference_delivers_its_first_item_and_ends(autojump_clock: MockClock) -> None:
    async with market() as (network, md):
        assert isinstance(await anext(md.stream_finalized_trades()), Trade)
        assert isinstance(await md.stream_finalized_trades().receive(), Trade)
        await trio.sleep(0.01)
        assert network.open_connections == feeds(network) == 0


async def test_aclose_ends_a_bare_stream(autojump_clock: MockClock) -> None:
    async with market() as (network, md):
        stream = md.stream_finalized_trades()
        await stream.receive()
        await stream.aclose()
        assert network.open_connections == 0
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive()
        await stream.aclose()
        unused = md.stream_finalized_trades()
        await unused.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await unused.receive()


async def test_an_iterator_may_be_collected_in_another_thread(autojump_clock: MockClock) -> None:
    async with market() as (network, md):
        holder = [aiter(md.stream_finalized_trades())]
        await anext(holder[0])
        await trio.to_thread.run_sync(holder.clear)
        await trio.sleep(0.01)
        assert network.open_connections == 0


def test_an_iterator_may_be_collected_after_the_run() -> None:
    holder: list[object] = []

    async def main() -> None:
        async with market() as (_, md):
            iterator = aiter(md.stream_finalized_trades())
            holder.append(iterator)
            await anext(iterator)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    holder.clear()
    gc.collect()


# The end of a client


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
        async with market() as (network, md):
            for task in (entered, bare, late):
                nursery.start_soon(task, md)  # noqa: ASYNC111 - it is to outlive the client
            await trio.sleep(3)
            assert feeds(network) == 2
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
            nursery.start_soon(watch, md)  # noqa: ASYNC111 - it is to outlive the client
            bare = aiter(md.stream_tickers())
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
            nursery.start_soon(ask, md)  # noqa: ASYNC111 - it is to outlive the client
            await trio.sleep(2.5)
        assert network.open_connections == 0


# Side by side


async def test_streams_and_requests_share_a_client(autojump_clock: MockClock) -> None:
    seen: set[str] = set()

    async def watch(name: str, stream: Stream[object]) -> None:
        async with stream:
            async for _ in stream:
                seen.add(name)

    async with market() as (network, md):
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
        assert feeds(network) == 0


async def test_a_failed_stream_does_not_affect_other_streams(autojump_clock: MockClock) -> None:
    async with market() as (network, md), md.stream_depth(200) as depth:
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
