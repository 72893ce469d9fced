"""Streams whose consumer is cancelled at each checkpoint, of its own and of their tasks, in each state."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.sweep import MakeWorld, Tally, sweep
from tests.helpers.world import ASSET, SNAPSHOT, World, open_world
from tplus_trio import RestartPolicy, Stream


@pytest.fixture(scope="module")
def tally() -> Generator[Tally]:
    counted = Tally()
    yield counted
    print(counted)
    if len(counted.counts) == len(STREAMS) + len(CASES):
        assert counted.total > 2000, "the sweep was not thorough"


def act_soon(world: World, *, orders: bool = True) -> None:
    """Publish on each feed, or on all but the user's, a few times, from 50 ms on."""

    async def act() -> None:
        for _ in range(4):
            await trio.sleep(0.05)
            world.change()
            world.exchange.publish_trade(ASSET, 100, 1)
            for side, key in (("Buy", world.user.public_key), ("Sell", "b0b" + "0" * 61)) if orders else ():
                world.exchange.place(key, ASSET, side, 900, 1)

    assert world.network._nursery is not None
    world.network._nursery.start_soon(act)


STREAMS: dict[str, Callable[[World], Stream[Any]]] = {
    "stream_finalized_trades": lambda world: world.md.stream_finalized_trades(),
    "stream_depth": lambda world: world.md.stream_depth(ASSET),
    "stream_klines": lambda world: world.md.stream_klines(ASSET),
    "stream_ticker": lambda world: world.md.stream_ticker(ASSET),
    "stream_tickers": lambda world: world.md.stream_tickers(),
    "stream_orders": lambda world: world.oms.stream_orders(),
    "stream_user_trade_events": lambda world: world.oms.stream_user_trade_events(),
    "stream_user_finalized_trades": lambda world: world.oms.stream_user_finalized_trades(),
    "stream_user_positions": lambda world: world.oms.stream_user_positions(),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_each_stream(name: str, tally: Tally, autojump_clock: MockClock) -> None:
    async def operation(world: World) -> None:
        async for _ in STREAMS[name](world):
            break

    async def prepare(world: World) -> None:
        act_soon(world, orders=name not in {"stream_finalized_trades", "stream_depth", "stream_klines"})

    await sweep(tally, f"{name}, bare", operation, open_world, prepare=prepare, again=False)


# In each state, an operation for each way to use a stream.


async def entered(make: Callable[[World], Stream[Any]], world: World) -> None:
    async with make(world) as stream:
        await stream.receive()
        await stream.receive()


async def bare(make: Callable[[World], Stream[Any]], world: World) -> None:
    taken = 0
    async for _ in make(world):
        taken += 1
        if taken == 2:
            break


async def book(_: Callable[[World], Stream[Any]], world: World) -> None:
    async with world.md.open_book(ASSET) as live_book:
        taken = 0
        async for _change in live_book.changes():
            taken += 1
            if taken == 2:
                break


@attrs.frozen
class State:
    """Keeps a stream in a state for most of an operation."""

    prepare: Callable[[World], object] = lambda _: None
    make_world: MakeWorld[World] = open_world
    make: Callable[[World], Stream[Any]] = STREAMS["stream_depth"]


def flood(world: World) -> None:
    """Publish more than a buffer of one item holds."""

    async def act() -> None:
        await trio.sleep(0.01)
        world.change(20)

    assert world.network._nursery is not None
    world.network._nursery.start_soon(act)


def go_silent(world: World) -> None:
    """Let the exchange stop answering before the close; it answers later clients."""

    async def act() -> None:
        await trio.sleep(0.02)
        world.change()
        await trio.sleep(0.01)
        world.network.stall()
        await trio.sleep(2)
        world.network.resume()

    assert world.network._nursery is not None
    world.network._nursery.start_soon(act)


def lose_sync(world: World) -> None:
    """Let snapshots be late, too old, and fail."""
    world.exchange.faults.stale_snapshots(2, behind=4)
    world.exchange.faults.fail_requests(SNAPSHOT, 503)
    world.exchange.faults.delay_requests(SNAPSHOT, 0.3, 5)
    act_soon(world, orders=False)


def go_down(world: World) -> None:
    """Refuse connections, and then handshakes."""
    world.network.refuse(2)
    world.exchange.faults.reject_handshakes(2, 503)
    act_soon(world, orders=False)


def be_slow_to_sign_in(world: World) -> None:
    """Let a sign-in take its time, and be needed twice."""
    world.exchange.faults.delay_requests("/auth", 0.3, 3)
    world.exchange.faults.reject_handshakes(1, 401)
    act_soon(world)


STATES: dict[str, State] = {
    "connecting": State(partial(act_soon, orders=False), partial(open_world, latency=(0.01, 0.05))),
    "syncing": State(lose_sync),
    "live": State(partial(act_soon, orders=False)),
    "in backoff": State(go_down, partial(open_world, restart=RestartPolicy(initial_delay=0.2))),
    "closing": State(go_silent, partial(open_world, close_timeout=0.5)),
    "blocked on a full buffer": State(flood, make=lambda world: world.md.stream_depth(ASSET, buffer=1)),
    "mid-sign-in": State(be_slow_to_sign_in, make=STREAMS["stream_orders"]),
}


#: A book has no buffer and no user, so cases that equal a stream's are omitted.
CASES = [
    *((name, way) for name in STATES for way in (entered, bare)),
    *((name, book) for name in ("connecting", "syncing", "in backoff")),
]


@pytest.mark.parametrize(("name", "way"), CASES)
async def test_each_state(name: str, way: Callable[..., Any], tally: Tally, autojump_clock: MockClock) -> None:
    state = STATES[name]

    async def prepare(world: World) -> None:
        state.prepare(world)

    async def operation(world: World) -> None:
        # A stream without further events is left after a while.
        with trio.move_on_after(3):
            await way(state.make, world)

    async def after(world: World) -> None:
        world.network.resume()
        world.network.refuse(0)
        with trio.fail_after(60):
            assert await world.md.get_tickers()

    again = way is entered and name == "live"
    await sweep(
        tally,
        f"{name}, {way.__name__}",
        operation,
        state.make_world,
        prepare=prepare,
        after=after,
        again=again,
    )
