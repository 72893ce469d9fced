"""A consumer that needs 10 ms an item, and 5,000 changes a second: each overflow rule keeps its promise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.depth_model import Checker, State, books_of
from tests.helpers.world import ASSET, World, open_world
from tplus_trio import (
    Depth,
    Gap,
    OrderBook,
    Overflow,
    SlowConsumer,
    Stream,
)

SECONDS = 1
CHANGES = 5000 * SECONDS


class Slow:
    """The consumer, and the history of the exchange."""

    def __init__(self, world: World, stream: Stream[Depth]) -> None:
        self.world = world
        self.stream = stream
        self.items: list[Depth] = []
        self.states: dict[int, State] = {}
        self.over = trio.Event()
        self._note()

    def _note(self) -> None:
        book = self.world.exchange.book(ASSET)
        self.states[book.sequence_number] = books_of(book)

    @property
    def newest(self) -> int:
        return self.world.exchange.book(ASSET).sequence_number

    @property
    def most(self) -> int:
        """The most items that have waited in the stream's buffer."""
        return self.stream.statistics().consumer.peak_buffer_used

    async def trade(self) -> None:
        for _ in range(SECONDS * 1000):
            for _ in range(5):
                self.world.change()
                self._note()
            await trio.sleep(0.001)
        self.over.set()

    async def take(self) -> Depth:
        with trio.fail_after(60):
            item = await self.stream.receive()
        self.items.append(item)
        await trio.sleep(0.01)
        return item


@asynccontextmanager
async def slow(overflow: Overflow, buffer: int = 1024, **options: Any) -> AsyncIterator[Slow]:
    async with (
        open_world() as world,
        world.md.stream_depth(ASSET, overflow=overflow, buffer=buffer, **options) as stream,
        trio.open_nursery() as nursery,
    ):
        await stream.wait_live()
        consumer = Slow(world, stream)
        nursery.start_soon(consumer.trade)
        yield consumer
        nursery.cancel_scope.cancel()


async def test_block_delivers_every_change(autojump_clock: MockClock) -> None:
    async with slow("block") as consumer:
        first = consumer.newest
        checker = Checker()
        while checker.number != first + CHANGES:
            checker.take([await consumer.take()])
            assert checker.number is not None
            assert checker.state == consumer.states[checker.number]
        assert checker.snapshots == 1
        assert len(consumer.items) == 1 + CHANGES
        assert consumer.stream.stats.dropped == consumer.stream.stats.gaps == 0
        assert consumer.stream.stats.connects == 1, "a slow consumer is no dead connection"
        # Messages without room wait in the network and at the exchange.
        assert consumer.most <= 1024 + 512


async def test_conflate_delivers_a_book_that_is_right_and_recent(autojump_clock: MockClock) -> None:
    async with slow("conflate", 16) as consumer:
        checker, lags = Checker(), list[int]()
        while not consumer.over.is_set() or checker.number != consumer.newest:
            newest = consumer.newest
            checker.take([await consumer.take()])
            assert checker.number is not None
            assert checker.state == consumer.states[checker.number]
            lags.append(newest - checker.number)
        assert max(lags) <= 5, "the book is behind what has arrived"
        assert consumer.most <= 64 + 5, "memory does not stay flat"
        assert checker.snapshots == 1
        assert len(consumer.items) < 100 * SECONDS + 10
        stats = consumer.stream.stats
        assert stats.dropped == CHANGES + 1 - len(consumer.items)
        assert (stats.gaps, stats.resyncs) == (0, 0)


@pytest.mark.parametrize("buffer", [1, 16, 1024])
async def test_drop_oldest_puts_a_gap_where_it_dropped_items(buffer: int, autojump_clock: MockClock) -> None:
    async with slow("drop_oldest", buffer) as consumer:
        checker, gaps, after_gap = Checker(), list[Gap](), False
        gaps_in_a_row = 0
        started = consumer.world.exchange.now_ns()
        while not consumer.over.is_set() or checker.number != consumer.newest:
            item = await consumer.take()
            if isinstance(item, Gap):
                gaps.append(item)
                gaps_in_a_row = gaps_in_a_row + 1 if after_gap else 1
                assert gaps_in_a_row <= 2, "a consumer that sees nothing but gaps"
                after_gap = True
                continue
            # A snapshot follows a gap, and stands nowhere else.
            assert isinstance(item, OrderBook) == (after_gap or checker.number is None)
            after_gap = False
            checker.take([item])
            assert checker.number is not None
            assert checker.state == consumer.states[checker.number]
        assert gaps
        assert len(gaps) / 2 <= checker.snapshots - 1 <= len(gaps)
        for gap in gaps:
            assert started <= gap.since_ns <= gap.until_ns <= consumer.world.exchange.now_ns()
            assert "items were dropped" in gap.reason
        stats = consumer.stream.stats
        assert stats.dropped > 0
        assert consumer.most <= max(buffer, 2) + 1
        assert checker.snapshots > 3, "the consumer sees the book now and then"
        asked = consumer.world.exchange.snapshot_requests
        print(f"buffer {buffer}: {len(gaps)} gaps, {stats.dropped} dropped, {asked} snapshots")
        assert asked <= len(gaps) + 10, "snapshots that nobody sees"


async def test_drop_oldest_reports_what_it_drops_before_the_first_receive(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET, overflow="drop_oldest", buffer=4) as stream:
        await stream.wait_live()
        for _ in range(20):
            world.change()
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert isinstance(await stream.receive(), Gap)
        checker, taken = Checker(), 0
        while checker.number != world.exchange.book(ASSET).sequence_number:
            checker.take([await stream.receive()])
            taken += 1
        assert checker.state == books_of(world.exchange.book(ASSET))
        assert taken <= 4
        assert stream.stats.dropped == 21 - taken
        assert (stream.stats.gaps, checker.snapshots) == (0, 1)


async def test_error_raises_slow_consumer_after_the_buffered_items(autojump_clock: MockClock) -> None:
    async with slow("error", 100) as consumer:
        checker = Checker()
        with suppress(SlowConsumer):
            while True:
                checker.take([await consumer.take()])
        # The items that waited are delivered before the error.
        assert checker.number is not None
        assert checker.number >= 1005 + 95
        assert trio.current_time() < 3
        with pytest.raises(SlowConsumer) as caught:
            await consumer.stream.receive()
        assert caught.value.buffer == 100


async def test_changes_that_wait_for_a_snapshot_do_not_count_as_a_slow_consumer(autojump_clock: MockClock) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        world.exchange.faults.delay_requests("/marketdepth", 1.0, 2)
        async with world.md.stream_depth(ASSET, overflow="drop_oldest", buffer=20) as stream:

            async def trade() -> None:
                for _ in range(300):
                    await trio.sleep(0.01)
                    world.change()

            nursery.start_soon(trade)
            checker = Checker()
            with trio.fail_after(30):
                while checker.number != 1305:
                    item = await stream.receive()
                    if not isinstance(item, Gap):
                        checker.take([item])
        assert checker.state == books_of(world.exchange.book(ASSET))


async def test_resync_fails_a_stream_whose_buffer_has_no_room_for_the_gap(autojump_clock: MockClock) -> None:
    async with (
        open_world() as world,
        world.oms.stream_user_trade_events(overflow="error", buffer=1) as stream,
    ):
        await stream.wait_live()
        stream.resync()
        stream.resync()
        assert isinstance(await stream.receive(), Gap)
        # There is no room for the second gap, and the stream must not drop it.
        with pytest.raises(SlowConsumer):
            await stream.receive()
