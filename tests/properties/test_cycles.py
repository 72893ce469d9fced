"""Repeated operations leave nothing that only the garbage collector frees, because a bot may run without it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.cycles import uncollected
from tests.helpers.world import ASSET, World, open_world
from tplus_trio import LiveBook, MarketDataClient, TplusError
from tplus_trio.exits import PlainExitStack
from tplus_trio.testing import Exchange, MemoryNetwork

Step = Callable[[Exchange, MemoryNetwork, MarketDataClient, LiveBook], Awaitable[None]]


async def rest_call(_: Exchange, __: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    await client.get_orderbook_snapshot(200)


async def refused_call(exchange: Exchange, _: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    exchange.faults.fail_requests("/trades", 503)
    with suppress(TplusError):
        await client.get_trades()


async def call_out_of_time(exchange: Exchange, _: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    exchange.faults.delay_requests("/trades", 3600)
    with suppress(TplusError):
        await client.get_trades()


async def cancelled_call(exchange: Exchange, _: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    exchange.faults.delay_requests("/trades", 3600)
    with trio.move_on_after(1):
        await client.get_trades()


async def reconnection(_: Exchange, __: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    book.reconnect()
    await book.wait_synced()


async def lost_connection(exchange: Exchange, network: MemoryNetwork, _: MarketDataClient, book: LiveBook) -> None:
    network.reset_connections()
    await trio.sleep(1)
    await book.wait_synced()


async def close_frame(exchange: Exchange, _: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    exchange.faults.close_streams("/marketdepth")
    await trio.sleep(1)
    await book.wait_synced()


async def refused_handshake(exchange: Exchange, _: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    exchange.faults.reject_handshakes(1, path="/marketdepth")
    book.reconnect()
    await trio.sleep(1)
    await book.wait_synced()


async def bare_loop(_: Exchange, __: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    async for _item in client.stream_depth(200):
        break
    await trio.sleep(1)


async def entered_stream(_: Exchange, __: MemoryNetwork, client: MarketDataClient, book: LiveBook) -> None:
    async with client.stream_depth(200) as stream:
        await stream.receive()


STEPS = [
    rest_call,
    refused_call,
    call_out_of_time,
    cancelled_call,
    reconnection,
    lost_connection,
    close_frame,
    refused_handshake,
    bare_loop,
    entered_stream,
]


@pytest.fixture
async def client(network: MemoryNetwork) -> AsyncGenerator[MarketDataClient]:
    async with MarketDataClient(network.url, connector=network, jitter=lambda: 0.1) as client:
        yield client


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_nothing_is_left_to_the_collector(
    step: Step, exchange: Exchange, network: MemoryNetwork, client: MarketDataClient, autojump_clock: MockClock
) -> None:
    async with client.open_book(200) as book:
        await book.wait_synced()
        for _ in range(2):  # objects that are made once
            await step(exchange, network, client, book)
        with uncollected() as found:
            for _ in range(3):
                await step(exchange, network, client, book)
            await trio.sleep(1)
    assert not found


async def taken_order(world: World) -> None:
    await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)


async def canceled_order(world: World) -> None:
    answer = await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
    await world.oms.cancel_order(answer.order_id, ASSET)


async def refused_order(world: World) -> None:
    with suppress(TplusError):
        await world.oms.replace_order("unknown", ASSET, 5, 901)


async def cancelled_order_call(world: World) -> None:
    world.exchange.faults.hold_requests(0.5)
    with trio.move_on_after(0.1):
        await taken_order(world)


async def order_in_doubt(world: World) -> None:
    world.exchange.faults.act_then_answer("nothing")
    with suppress(TplusError):
        await taken_order(world)


@pytest.mark.parametrize("way", ["rest", "control"])
@pytest.mark.parametrize(
    "step",
    [taken_order, canceled_order, refused_order, cancelled_order_call, order_in_doubt],
    ids=lambda step: step.__name__,
)
async def test_no_order_is_left_to_the_collector(
    step: Callable[[World], Awaitable[None]], way: str, autojump_clock: MockClock
) -> None:
    async with open_world(orders={"use_ws_control": way == "control"}) as world:
        for _ in range(2):
            await step(world)
            await trio.sleep(10)
        with uncollected() as found:
            for _ in range(3):
                await step(world)
                await trio.sleep(10)
    assert not found


class TestPlainExitStack:
    @staticmethod
    def context(log: list[str], name: str, *, fails: Exception | None = None) -> Context:
        return Context(log, name, fails)

    async def test_the_latest_is_left_first(self) -> None:
        log: list[str] = []

        async def called(word: str) -> None:
            log.append(word)

        async with PlainExitStack() as stack:
            assert await stack.enter_async_context(self.context(log, "a")) == "a"
            stack.push_async_callback(called, "b")
            await stack.enter_async_context(self.context(log, "c"))
        assert log == ["c None", "b", "a None"]

    async def test_an_exception_passes_through_and_is_the_same(self) -> None:
        log: list[str] = []
        failure = ValueError("body")

        async def fail() -> None:
            async with PlainExitStack() as stack:
                await stack.enter_async_context(self.context(log, "a"))
                raise failure

        with pytest.raises(ValueError, match="body") as caught:
            await fail()
        assert caught.value is failure
        assert log == ["a ValueError('body')"]

    async def test_one_that_comes_up_on_the_way_out(self) -> None:
        log: list[str] = []

        async def fail() -> None:
            async with PlainExitStack() as stack:
                await stack.enter_async_context(self.context(log, "a"))
                await stack.enter_async_context(self.context(log, "b", fails=KeyError("exit")))
                raise ValueError("body")

        with pytest.raises(KeyError) as caught:
            await fail()
        assert log == ["b ValueError('body')", "a KeyError('exit')"]
        assert isinstance(caught.value.__context__, ValueError)

    async def test_it_keeps_no_exception(self) -> None:
        with uncollected() as found, suppress(ValueError):
            async with PlainExitStack() as stack:
                await stack.enter_async_context(self.context([], "a"))
                raise ValueError
        assert not found


class Context:
    def __init__(self, log: list[str], name: str, fails: Exception | None) -> None:
        self.log, self.name, self.fails = log, name, fails

    async def __aenter__(self) -> str:
        return self.name

    async def __aexit__(self, kind: object, value: BaseException | None, traceback: object) -> None:
        self.log.append(f"{self.name} {value!r}")
        if self.fails is not None:
            raise self.fails
