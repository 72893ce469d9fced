"""Ctrl-C is a plain `KeyboardInterrupt` for the program each time, wherever it strikes."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from commands import started
from trio.testing import MockClock
from world import ASSET, URL, World, open_world

from tplus_trio import LiveBook, MarketDataClient, Stream


class Struck:
    """Strikes when it is told to, in whatever task runs then."""

    def __init__(self) -> None:
        self.armed = False
        self.struck = 0

    def strike(self) -> None:
        if self.armed:
            self.armed = False
            self.struck += 1
            signal.raise_signal(signal.SIGINT)


class Connector:
    def __init__(self, world: World, struck: Struck) -> None:
        self._world = world
        self._struck = struck

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self._struck.strike()
        return await self._world.network.connect(host, port)


async def wait_live(stream: Stream[Any], _: LiveBook) -> None:
    await trio.sleep(0.5)
    while True:
        await stream.wait_live()
        await trio.sleep(0.01)


async def receive(stream: Stream[Any], _: LiveBook) -> None:
    while True:
        await stream.receive()


async def wait_synced(_: Stream[Any], book: LiveBook) -> None:
    await trio.sleep(0.5)
    while True:
        await book.wait_synced()
        await trio.sleep(0.01)


async def changes(_: Stream[Any], book: LiveBook) -> None:
    async for _change in book.changes():
        pass


async def sleep(_: Stream[Any], __: LiveBook) -> None:
    await trio.sleep_forever()


WAITS: tuple[Callable[[Stream[Any], LiveBook], Awaitable[None]], ...] = (
    wait_live,
    receive,
    wait_synced,
    changes,
    sleep,
)


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("where", ["connector", "clock", "jitter"])
def test_an_interrupt_in_a_callback_reaches_the_program(where: str, wait: Callable[..., Awaitable[None]]) -> None:
    struck = Struck()

    def jitter() -> float:
        if where == "jitter":
            struck.strike()
        return 0.5

    async def run() -> None:
        async with open_world() as world:

            def now_ns() -> int:
                if where == "clock":
                    struck.strike()
                return world.exchange.now_ns()

            connector = Connector(world, struck) if where == "connector" else world.network
            async with (
                MarketDataClient(URL, connector=connector, jitter=jitter, now_ns=now_ns) as md,
                md.stream_finalized_trades() as stream,
                md.open_book(ASSET) as book,
                trio.open_nursery() as nursery,
            ):
                await stream.wait_live()
                await book.wait_synced()
                nursery.start_soon(trouble, world)
                struck.armed = True
                await wait(stream, book)

    async def trouble(world: World) -> None:
        while True:
            await trio.sleep(1)
            world.exchange.publish_trade(ASSET, 100, 1)
            world.change()
            world.network.refuse(2)
            world.network.reset_connections()

    # The program's own nursery groups what its body raises; nothing else is in that group.
    with pytest.RaisesGroup(KeyboardInterrupt):
        trio.run(run, clock=MockClock(autojump_threshold=0))
    assert struck.struck == 1


@pytest.mark.parametrize("wait", WAITS)
def test_the_interrupt_comes_alone(wait: Callable[..., Awaitable[None]]) -> None:
    struck = Struck()

    async def run() -> None:
        async with (
            open_world() as world,
            MarketDataClient(URL, connector=Connector(world, struck), jitter=lambda: 0.5) as md,
            md.stream_depth(ASSET) as stream,
            md.open_book(ASSET) as book,
        ):
            await stream.wait_live()
            await book.wait_synced()
            struck.armed = True
            world.network.reset_connections()
            await wait(stream, book)

    with pytest.raises(KeyboardInterrupt):
        trio.run(run, clock=MockClock(autojump_threshold=0))
    assert struck.struck == 1


BUSY = """
import random, sys, threading, time, os, signal, trio
from tplus_trio import MarketDataClient
from tplus_trio.testing import Exchange, MemoryNetwork

rng = random.Random(int(sys.argv[1]))

def strike():
    time.sleep(0.05 + rng.uniform(0, 0.02))
    os.kill(os.getpid(), signal.SIGINT)

async def publish(exchange):
    while True:
        for number in range(50):
            exchange.publish_diff(200, bids=[(1 + number, rng.randrange(9))])
        await trio.sleep(0)

async def main():
    exchange = Exchange()
    exchange.add_market(200)
    async with MemoryNetwork(exchange) as network, MarketDataClient("http://x", connector=network) as md:
        network._nursery.start_soon(publish, exchange)
        async with md.stream_depth(200) as depth, md.open_book(200) as book:
            await book.wait_synced()
            threading.Thread(target=strike, daemon=True).start()
            async for _ in depth:
                pass

for _ in range(int(sys.argv[2])):
    try:
        trio.run(main)
    except KeyboardInterrupt:
        print("plain")
    except BaseException as exc:
        print(repr(exc))
"""


def test_an_interrupt_on_a_busy_feed_is_plain() -> None:
    # The signal comes from outside, at any moment, so the program is one of its own.
    with started("-c", BUSY, "1", "16") as process:
        out, err = process.communicate(timeout=60)
    assert out.split("\n") == ["plain"] * 16 + [""], err
