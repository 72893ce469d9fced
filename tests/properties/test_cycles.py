"""Repeated operations leave nothing that only the garbage collector frees, because a bot may run without it."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from tplus_trio import LiveBook, MarketDataClient, TplusError
from tplus_trio.exits import PlainExitStack
from tplus_trio.testing import Exchange, MemoryNetwork

Step = Callable[[Exchange, MemoryNetwork, MarketDataClient, LiveBook], Awaitable[None]]


@contextmanager
def uncollected() -> Generator[Counter[str]]:
    """Counts the client's objects that the body leaves in cycles. The exchange's do not count."""
    found = Counter[str]()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        names = [f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.garbage]
        names += [
            f"frame of {code.co_qualname}"
            for thing in gc.garbage
            if (code := getattr(thing, "f_code", None)) is not None and _is_ours(code.co_filename.replace("/", "."))
        ]
        found.update(name for name in names if _is_ours(name) or name.startswith("frame of "))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


def _is_ours(name: str) -> bool:
    return ("tplus_trio." in name and "tplus_trio.testing." not in name) or name.startswith("httpx.")


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
