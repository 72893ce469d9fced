"""Consumers of a shared feed that are cancelled at each checkpoint: those that share it do not notice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.sweep import Tally, sweep
from tests.helpers.world import ASSET, World, open_world
from tplus_trio import LiveBook, OrderBook

pytestmark = pytest.mark.long


@attrs.frozen
class SharedWorld(World):
    """A world in which a live book is open all the time."""

    book: LiveBook

    def act_soon(self) -> None:
        """Change the book a few times, from 50 ms on."""

        async def act() -> None:
            for _ in range(6):
                await trio.sleep(0.05)
                self.change(2)

        assert self.network._nursery is not None
        self.network._nursery.start_soon(act)


@asynccontextmanager
async def open_shared() -> AsyncGenerator[SharedWorld]:
    async with open_world(latency=0.02) as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        yield SharedWorld(**attrs.asdict(world, recurse=False), book=book)


@pytest.fixture(scope="module")
def tally() -> Generator[Tally]:
    counted = Tally()
    yield counted
    print(counted)
    if len(counted.counts) == len(OPERATIONS):
        assert counted.total > 600, "the sweep was not thorough"


async def entered(world: SharedWorld) -> None:
    world.act_soon()
    async with world.md.stream_depth(ASSET) as stream:
        assert isinstance(await stream.receive(), OrderBook)
        for _ in range(3):
            await stream.receive()


async def bare(world: SharedWorld) -> None:
    world.act_soon()
    count = 0
    async for _ in world.md.stream_depth(ASSET):
        if (count := count + 1) == 4:
            break


async def book(world: SharedWorld) -> None:
    world.act_soon()
    last = world.book.sequence_number + 3
    async with world.md.open_book(ASSET) as other, other.while_synced():
        await other.wait_for(lambda change: change.sequence_number >= last)


async def alone(world: SharedWorld) -> None:
    """A resync of one consumer."""
    world.act_soon()
    async with world.md.open_book(ASSET) as other:
        await other.wait_synced()
        other.resync()
        await other.wait_synced()
        assert world.book.is_synced


async def slow(world: SharedWorld) -> None:
    """A consumer that misses changes, and begins again."""
    world.act_soon()
    async with world.md.stream_depth(ASSET, buffer=1) as stream:
        await trio.sleep(0.4)
        books = 0
        while books < 2:
            books += isinstance(await stream.receive(), OrderBook)


async def reconnected(world: SharedWorld) -> None:
    """A connection that is lost while two consumers read."""
    async with world.md.stream_depth(ASSET) as stream:
        await stream.receive()
        stream.reconnect()
        assert isinstance(await stream.receive(), OrderBook)
        await world.book.wait_synced()


OPERATIONS: dict[str, Callable[[SharedWorld], Awaitable[None]]] = {
    function.__name__: function for function in (entered, bare, book, alone, slow, reconnected)
}


async def look(world: SharedWorld) -> None:
    """Check that the other consumer is alone again, and right."""
    await trio.sleep(1.0)
    with trio.fail_after(60):
        await world.book.wait_synced()
    world.change()
    await trio.sleep(0.5)
    assert world.book.snapshot() == world.exchange.book(ASSET)
    assert len(world.md.statistics().streams) == 1, "a consumer is still there"
    assert world.exchange.connections == 1
    home = world.md._client_scope.tasks
    assert home is not None
    assert len(home.nursery.child_tasks) == 1, "a task is still running"


@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_operation(name: str, tally: Tally, autojump_clock: MockClock) -> None:
    await sweep(tally, name, OPERATIONS[name], open_shared, look=look, again=False)
