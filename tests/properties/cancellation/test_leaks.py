"""A thousand clients opened, used and closed in one process, half of them by cancellation, leave nothing."""

from __future__ import annotations

import gc
import random
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import ApiError, HandshakeRejected, MarketDataClient, OrderBookClient, User
from tplus_trio.testing import Exchange, MemoryNetwork, serve
from tplus_trio.transport.connector import Connector, TcpConnector

USER = User(bytes(range(32)))


async def watch(md: MarketDataClient) -> None:
    """Read market data: an entered stream, and a bare one."""
    async with md.stream_depth(200) as depth:
        await depth.receive()
        async for _ in md.stream_finalized_trades():
            break


async def read(md: MarketDataClient) -> None:
    """Keep a book, and make a request."""
    async with md.open_book(200) as book:
        await book.wait_synced()
        assert book.best_bid is not None
        await md.get_trades()


async def trade(oms: OrderBookClient) -> None:
    """Place orders: sign in, send, receive the event, cancel."""
    async with oms.stream_orders() as orders:
        await orders.wait_live()
        answer = await oms.create_limit_order(1, 1, "Buy", asset_id=200)
        await orders.receive()
        await oms.cancel_order(answer.order_id, 200)
        bare = oms.stream_user_trade_events(overflow="drop_oldest", buffer=1)
        with trio.move_on_after(0.05):
            await bare.receive()


async def fail(md: MarketDataClient) -> None:
    """Fail: a market and a feed that do not exist, and a request that is cancelled."""
    with pytest.raises(ApiError):
        await md.get_orderbook_snapshot(404)
    with trio.move_on_after(0.001):
        await md.get_trades()
    async with md.stream_depth(404) as stream:
        await stream.receive()


async def use(url: str, connector: Connector, rng: random.Random, patience: float) -> None:
    """Make, use and end one client; half of them are cancelled on the way."""
    deadline = rng.uniform(0, patience) if rng.random() < 0.5 else 10 * patience
    options = {"connector": connector, "timeout": 60.0}
    with trio.move_on_after(deadline):
        try:
            if rng.random() < 0.4:
                async with OrderBookClient(url, default_user=USER, **options) as oms:  # type: ignore[arg-type]  # options of any kind
                    await trade(oms)
            else:
                async with MarketDataClient(url, **options) as md:  # type: ignore[arg-type]  # options of any kind
                    await rng.choice([watch, read, fail])(md)
        except HandshakeRejected as exc:
            if exc.status != 404:
                raise


def tasks() -> int:
    """Count the tasks, including trio's own."""
    return trio.lowlevel.current_statistics().tasks_living


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def heartbeat(exchange: Exchange) -> None:
    """Publish something to receive."""
    while True:
        await trio.sleep(0.02)
        exchange.publish_trade(200, 5, 1)
        exchange.publish_diff(200, bids=[(5, 1)])


async def in_memory(count: int, rng: random.Random) -> None:
    """Use many clients, ten at a time, over one network in memory."""
    async with MemoryNetwork(latency=(0.0, 0.02), seed=rng.randrange(1000)) as network, trio.open_nursery() as nursery:
        network.exchange.add_market(200)
        network.exchange.publish_diff(200, bids=[(5, 1)])
        nursery.start_soon(heartbeat, network.exchange)
        before = tasks()
        for _ in range(count // 10):
            async with trio.open_nursery() as clients:
                for _ in range(10):
                    clients.start_soon(use, "http://exchange", network, rng, 0.5)
            assert network.open_connections == 0
        await trio.sleep(1)
        assert tasks() == before
        assert network.exchange.connections == 0
        assert network.exchange.crashes == []
        nursery.cancel_scope.cancel()


def test_hundreds_of_clients_in_memory() -> None:
    """Every fifty clients have a run of their own: trio's memory of past deadlines ends with a run."""
    rng, clients = random.Random(7), 50
    objects: list[int] = []
    blocks: list[int] = []
    before = 0
    for _ in range(9):
        trio.run(in_memory, clients, rng, clock=MockClock(autojump_threshold=0))
        gc.collect()
        objects.append(len(gc.get_objects()))
        blocks.append(sys.getallocatedblocks())
        before = before or descriptors()
    print(f"\nafter each {clients} clients: {objects} objects, {blocks} blocks of memory")
    assert descriptors() == before
    # The first run creates what stays. One leaked object per client would make 350.
    assert max(objects[2:]) - objects[1] < clients
    # This figure varies with the present size of caches. Two leaked blocks per client would make 400.
    assert min(blocks[5:]) - min(blocks[1:5]) < 400


async def test_a_hundred_clients_over_tcp() -> None:
    rng = random.Random(11)
    exchange = Exchange()
    exchange.add_market(200)
    exchange.publish_diff(200, bids=[(5, 1)])
    async with serve(exchange) as url, trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat, exchange)
        before = 0, 0
        for part in (1, 9):  # the first run creates what stays: caches, and the resolver's threads
            before = tasks(), descriptors()
            for _ in range(part):
                async with trio.open_nursery() as clients:
                    for _ in range(10):
                        clients.start_soon(use, url, TcpConnector(), rng, 0.1)
            with trio.fail_after(2):
                while tasks() > before[0] or descriptors() > before[1]:  # noqa: ASYNC110 - the other end takes its time
                    await trio.sleep(0.01)
        assert (tasks(), descriptors()) == before
        nursery.cancel_scope.cancel()
    assert exchange.crashes == []


async def test_garbage_needs_no_collector(autojump_clock: MockClock) -> None:
    """Sockets, tasks and tokens end with their scope, not with a garbage collection."""
    rng = random.Random(3)
    gc.collect()
    gc.disable()
    try:
        await in_memory(20, rng)
        await wait_all_tasks_blocked()
    finally:
        gc.enable()
