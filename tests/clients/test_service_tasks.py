"""What a client runs behind a block serves the block until it was left, its shielded cleanup included; then it ends."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.world import ASSET, URL, World, open_world
from tplus_trio import LiveBook, MarketDataClient, OrderBook, Stream, StreamState
from tplus_trio.scopes import open_service_tasks
from tplus_trio.testing import Exchange, MemoryNetwork


async def use_everything(world: World, md: MarketDataClient, book: LiveBook, trades: Stream[Any], bare: Any) -> None:
    """What cleanup may want: all of it works, and is as fresh as in the body."""
    with trio.fail_after(30):
        await book.wait_synced()
        world.change()
        await trio.sleep(0.5)
        number = world.exchange.book(ASSET).sequence_number
        assert book.sequence_number == number
        world.exchange.publish_trade(ASSET, 100, 1)
        assert (await trades.receive()).price == 100
        assert (await anext(bare)).price == 100
        assert (await md.get_orderbook_snapshot(ASSET)).sequence_number == number
        resyncs = book.stats.resyncs
        book.resync()
        await book.wait_synced()
        assert book.stats.resyncs == resyncs + 1
        trades.reconnect()
        await trades.wait_live()
        assert trades.stats.connects >= 2
        async with md.stream_depth(ASSET) as late:
            assert isinstance(await late.receive(), OrderBook)


def at_once(scope: trio.CancelScope) -> None:
    scope.cancel()


def by_a_deadline(scope: trio.CancelScope) -> None:
    scope.deadline = trio.current_time()


@pytest.mark.parametrize("cancel", [at_once, by_a_deadline])
async def test_shielded_cleanup_can_use_everything(
    cancel: Callable[[trio.CancelScope], None], autojump_clock: MockClock
) -> None:
    draw = random.Random(7)
    for _ in range(15):
        done = False
        async with open_world(changes=5) as world:
            began = 0.0
            with trio.CancelScope() as scope:
                async with (
                    MarketDataClient(URL, connector=world.network) as md,
                    md.open_book(ASSET) as book,
                    md.stream_finalized_trades() as trades,
                ):
                    bare = aiter(md.stream_finalized_trades())
                    try:
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(anext, bare)  # started, and cancelled with the rest
                            await trades.wait_live()
                            await trio.sleep(draw.uniform(0, 0.2))
                            cancel(scope)
                            await trio.sleep_forever()
                    finally:
                        with trio.CancelScope(shield=True):
                            await trio.sleep(draw.uniform(0, 20))
                            await use_everything(world, md, book, trades, bare)
                            done = True
                        began = trio.current_time()
            assert done
            assert scope.cancelled_caught
            assert trio.current_time() - began <= 1
            assert book.state is trades.state is StreamState.CLOSED
            assert world.exchange.connections == 0
            assert world.network.open_connections == 0


async def test_cancelled_at_random_moments_from_connecting_on(autojump_clock: MockClock) -> None:
    draw = random.Random(11)
    for _ in range(40):
        async with open_world(latency=(0.01, 0.1)) as world:
            with trio.move_on_after(draw.uniform(0, 1.5)):
                async with MarketDataClient(URL, connector=world.network) as md, md.open_book(ASSET) as book:
                    try:
                        while True:
                            await trio.sleep(0.05)
                            world.change()
                    finally:
                        with trio.CancelScope(shield=True), trio.fail_after(60):
                            await book.wait_synced()
                            world.change()
                            await trio.sleep(1)
                            assert book.sequence_number == world.exchange.book(ASSET).sequence_number
            assert world.network.open_connections == 0
            await trio.sleep(1)  # on its way to the exchange
            assert world.exchange.connections == 0


async def test_the_network_in_memory_serves_cleanup_too(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(ASSET)
    with trio.move_on_after(1) as scope:
        async with (
            MemoryNetwork(exchange) as network,
            MarketDataClient(URL, connector=network) as md,
            md.open_book(ASSET) as book,
        ):
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True), trio.fail_after(10):
                    book.reconnect()
                    await book.wait_synced()
                    assert await md.get_tickers() is not None
    assert scope.cancelled_caught


async def test_cleanup_of_a_neighbour_that_crashed(autojump_clock: MockClock) -> None:
    """An exception anywhere in the body cancels the tasks beside it, whose cleanup finds everything at work."""
    seen: list[Decimal] = []

    async def crash() -> None:
        await trio.sleep(1)
        raise KeyError("mine")

    async def quote(world: World, book: LiveBook) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                world.exchange.publish_diff(ASSET, bids=[(Decimal(50), 3)])
                await trio.sleep(1)
                seen.append(book.quantity_at("bid", 50))

    async with open_world() as world:
        with pytest.RaisesGroup(KeyError):
            async with (
                MarketDataClient(URL, connector=world.network) as md,
                md.open_book(ASSET) as book,
                trio.open_nursery() as nursery,
            ):
                await book.wait_synced()
                nursery.start_soon(quote, world, book)
                nursery.start_soon(crash)
    assert seen == [3]


async def test_a_stream_ends_with_its_own_block_in_cleanup(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with trio.move_on_after(1):
            async with MarketDataClient(URL, connector=world.network) as md:
                try:
                    async with md.stream_depth(ASSET) as stream:
                        await trio.sleep_forever()
                finally:
                    assert stream.state is StreamState.CLOSED
                    with trio.CancelScope(shield=True):
                        assert isinstance(await md.get_orderbook_snapshot(ASSET), OrderBook)
                        with pytest.raises(trio.ClosedResourceError):
                            await stream.receive()


async def test_a_service_task_that_crashes_cancels_the_body_and_is_raised(autojump_clock: MockClock) -> None:
    served: list[str] = []

    async def crash() -> None:
        await trio.sleep(1)
        raise KeyError("mine")

    async def serve() -> None:
        try:
            await trio.sleep(100)
            served.append("to the end")
        finally:
            served.append("ended")

    with pytest.RaisesGroup(KeyError):
        async with open_service_tasks() as services:
            services.start_soon(serve)
            services.start_soon(crash)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)
                    assert served == []  # another's crash is no end for it: the block still stands on it
    assert served == ["ended"]


async def test_a_service_task_that_begins_when_the_block_was_left_ends_at_its_first_checkpoint() -> None:
    async def late(steps: list[int]) -> None:
        steps.append(1)
        await trio.lowlevel.checkpoint()
        steps.append(2)

    async def starter(services: Any, steps: list[int]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            services.start_soon(late, steps)

    steps: list[int] = []
    async with open_service_tasks() as services:
        services.start_soon(starter, services, steps)
        await wait_all_tasks_blocked()
    assert steps == [1]


async def test_a_generator_that_holds_a_stream_and_is_closed(autojump_clock: MockClock) -> None:
    """``aclosing`` a generator that loops over a stream ends the stream, also when all is cancelled from outside."""

    async def prices(md: MarketDataClient) -> AsyncGenerator[Any]:
        async for item in md.stream_finalized_trades():
            yield item

    for cancelled in (False, True):
        async with open_world() as world:
            world.exchange.publish_trade(ASSET, 100, 1)
            with trio.CancelScope() as scope:
                async with (
                    MarketDataClient(URL, connector=world.network) as md,
                    aclosing(prices(md)) as generator,
                ):
                    assert world.network._nursery is not None
                    world.network._nursery.start_soon(_trade_soon, world)
                    assert (await anext(generator)).price == 100
                    if cancelled:
                        scope.cancel()
            await trio.sleep(1)
            assert world.exchange.connections == 0


async def _trade_soon(world: World) -> None:
    await trio.sleep(1)
    world.exchange.publish_trade(ASSET, 100, 1)


@asynccontextmanager
async def mute_world() -> AsyncIterator[World]:
    """A world whose network goes silent as a whole: close frames stay unanswered."""
    async with open_world() as world:
        yield world
        world.network.resume()


async def enter_many(world: World, n: int, **options: Any) -> tuple[AsyncExitStack, MarketDataClient]:
    stack = AsyncExitStack()
    md = await stack.enter_async_context(MarketDataClient(URL, connector=world.network, **options))
    streams = [await stack.enter_async_context(md.stream_tickers()) for _ in range(n)]
    for stream in streams:
        await stream.wait_live()
    return stack, md


@pytest.mark.parametrize(("close_timeout", "most"), [(1.0, 2.7), (0.0, 0.7), (0.3, 1.0)])
async def test_leaving_streams_in_turn_is_bounded_for_the_client(
    close_timeout: float, most: float, autojump_clock: MockClock
) -> None:
    async with mute_world() as world:
        stack, _ = await enter_many(world, 30, close_timeout=close_timeout)
        world.network.stall()
        began = trio.current_time()
        await stack.aclose()
        assert trio.current_time() - began <= most


async def test_leaving_a_client_with_hundreds_of_streams(autojump_clock: MockClock) -> None:
    async with mute_world() as world, MarketDataClient(URL, connector=world.network) as md:
        streams = [md.stream_tickers() for _ in range(400)]
        loops = [aiter(stream) for stream in streams]
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                for loop in loops:
                    nursery.start_soon(anext, loop)
        assert {stream.state for stream in streams} == {StreamState.LIVE}
        world.network.stall()
        began = trio.current_time()
        await md.__aexit__(None, None, None)
        assert trio.current_time() - began <= 2.1
