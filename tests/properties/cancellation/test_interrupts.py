"""Ctrl-C is a plain KeyboardInterrupt for the program, whatever code runs when the signal arrives."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, URL
from tplus_trio import MarketDataClient, OrderBookClient, User
from tplus_trio.testing import Exchange, MemoryNetwork


class Striker:
    """Sends this process a SIGINT at its n-th call."""

    def __init__(self, n: int) -> None:
        self.left = n

    def strike(self) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


class StrikingConnector:
    """A connector that interrupts the process before or after it has connected."""

    def __init__(self, network: MemoryNetwork, striker: Striker, *, after: bool) -> None:
        self._network = network
        self._striker = striker
        self._after = after

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        if not self._after:
            self._striker.strike()
        stream = await self._network.connect(host, port)
        if self._after:
            self._striker.strike()
        return stream


async def wait_live(md: MarketDataClient) -> None:
    async with md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        await trio.sleep_forever()


async def receive(md: MarketDataClient) -> None:
    async with md.stream_finalized_trades() as stream:
        while True:
            await stream.receive()


async def bare_loop(md: MarketDataClient) -> None:
    async for _ in md.stream_depth(ASSET):
        pass


async def wait_synced(md: MarketDataClient) -> None:
    async with md.open_book(ASSET) as book:
        await book.wait_synced()
        await trio.sleep_forever()


async def changes(md: MarketDataClient) -> None:
    async with md.open_book(ASSET) as book:
        async for _ in book.changes():
            pass


async def all_at_once(md: MarketDataClient) -> None:
    async with md.open_book(ASSET) as book, md.stream_tickers(), md.stream_depth(ASSET) as depth:
        await book.wait_synced()
        while True:
            await depth.receive()


PROGRAMS = [wait_live, receive, bare_loop, wait_synced, changes, all_at_once]
PLACES = ["connector", "connector, after", "clock", "jitter"]


def interrupted(program: Callable[[MarketDataClient], Awaitable[object]], place: str, n: int) -> BaseException | None:
    """Run a program that a signal interrupts; return the run's error, and check what remains open."""
    striker = Striker(n)
    exchange = Exchange()
    exchange.add_market(ASSET)
    network = MemoryNetwork(exchange)

    def now_ns() -> int:
        if place == "clock":
            striker.strike()
        return exchange.now_ns()

    def jitter() -> float:
        if place == "jitter":
            striker.strike()
        return 0.5

    async def shake() -> None:
        """Make the client call its clock and its jitter."""
        for _ in range(40):
            await trio.sleep(1)
            exchange.publish_trade(ASSET, 100, 1)
            exchange.publish_diff(ASSET, bids=[(5, 1)])
            network.reset_connections()

    async def main() -> None:
        async with network:
            network._nursery.start_soon(shake)  # type: ignore[union-attr]  # it is entered
            network.refuse(1)
            connector: Any = network
            if place.startswith("connector"):
                connector = StrikingConnector(network, striker, after=place.endswith("after"))
            with trio.move_on_after(60):
                async with MarketDataClient(URL, connector=connector, now_ns=now_ns, jitter=jitter) as md:
                    await program(md)

    raised: BaseException | None = None
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    except BaseException as exc:  # noqa: BLE001 - what it is, the test looks at
        raised = exc
    assert network.open_connections == 0
    assert striker.left <= 0 or raised is None
    return raised if striker.left <= 0 else KeyboardInterrupt()  # the n-th call never happens


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_ctrl_c_inside_functions_that_our_tasks_call(
    program: Callable[[MarketDataClient], Awaitable[object]], place: str
) -> None:
    for n in range(1, 5):
        raised = interrupted(program, place, n)
        assert type(raised) is KeyboardInterrupt, (n, raised)


@pytest.mark.filterwarnings("ignore:.*strict_exception_groups=False.*:trio.TrioDeprecationWarning")
@pytest.mark.parametrize("strict", [True, False])
def test_ctrl_c_in_the_programs_code_between_items(strict: bool) -> None:
    for n in range(1, 33):
        exchange = Exchange()
        exchange.add_market(ASSET)

        async def main(exchange: Exchange = exchange, n: int = n) -> None:
            striker = Striker(n)

            async def trade() -> None:
                while True:
                    for _ in range(5):
                        exchange.publish_trade(ASSET, 100, 1)
                    await trio.sleep(0.01)

            async with MemoryNetwork(exchange) as network:
                network._nursery.start_soon(trade)  # type: ignore[union-attr]  # it is entered
                async with MarketDataClient(URL, connector=network) as md, md.stream_finalized_trades() as trades:
                    async for _ in trades:
                        striker.strike()

        with pytest.raises(KeyboardInterrupt):
            trio.run(main, clock=MockClock(autojump_threshold=0), strict_exception_groups=strict)


def test_ctrl_c_during_an_orderly_exit() -> None:
    """While it waits for answers to close frames, or inside the code that it calls."""
    for delay in (0.0, 0.25, 0.5):
        exchange = Exchange()
        exchange.add_market(ASSET)
        network = MemoryNetwork(exchange, latency=0.4)

        async def main(network: MemoryNetwork = network, delay: float = delay) -> None:
            async def strike() -> None:
                await trio.sleep(delay)
                signal.raise_signal(signal.SIGINT)

            async with network:
                oms = OrderBookClient(URL, connector=network, default_user=User())
                async with oms, MarketDataClient(URL, connector=network) as md, md.stream_tickers() as tickers:
                    await tickers.wait_live()
                    start = trio.lowlevel.enable_ki_protection(strike)
                    network._nursery.start_soon(start)  # type: ignore[union-attr]  # it is entered

        with pytest.raises(KeyboardInterrupt):
            trio.run(main, clock=MockClock(autojump_threshold=0))
        assert network.open_connections == 0


_BUSY = """
import os, random, signal, sys, threading, time
import trio
from tplus_trio import MarketDataClient
from tplus_trio.testing import Exchange, MemoryNetwork

def run(seed):
    exchange = Exchange()
    exchange.add_market(200)
    draw = random.Random(seed)
    began = threading.Event()

    def strike():
        began.wait()
        time.sleep(draw.uniform(0, 0.02))
        os.kill(os.getpid(), signal.SIGINT)

    async def trade():
        while True:
            for _ in range(20):
                exchange.publish_trade(200, 100, 1)
                exchange.publish_diff(200, bids=[(5, 1 + draw.randrange(9))])
            await trio.sleep(0)

    async def main():
        async with MemoryNetwork(exchange) as network:
            network._nursery.start_soon(trade)
            async with MarketDataClient("http://exchange", connector=network) as md, md.open_book(200) as book:
                async with md.stream_finalized_trades() as trades:
                    await book.wait_synced()
                    began.set()
                    async for _ in trades:
                        book.best_bid if book.is_synced else None

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        trio.run(main)
    except KeyboardInterrupt:
        return "plain"
    except BaseException as exc:
        return repr(exc)
    finally:
        thread.join()

for seed in range(int(sys.argv[1])):
    print(run(seed), flush=True)
"""


def test_ctrl_c_at_any_moment_on_a_busy_feed() -> None:
    done = subprocess.run([sys.executable, "-c", _BUSY, "32"], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split("\n")[:-1] == ["plain"] * 32, done.stdout + done.stderr
