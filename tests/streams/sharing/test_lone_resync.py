"""A resync that one of several consumers of a depth feed orders: only that one begins again."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.helpers.depth_readings import Reading, snapshots
from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, World
from tplus_trio import StreamState


async def test_a_resync_of_one_is_not_seen_by_the_others(world: World, autojump_clock: MockClock) -> None:
    async with (
        world.md.stream_depth(ASSET) as one,
        world.md.stream_depth(ASSET) as two,
        world.md.open_book(ASSET) as book,
        trio.open_nursery() as nursery,
    ):
        readings = [Reading(one), Reading(two)]
        for reading in readings:
            nursery.start_soon(reading.run)
        await book.wait_synced()
        world.change(3)
        await trio.sleep(0.1)
        asked = snapshots(world)
        world.exchange.faults.delay_requests(SNAPSHOT, 1.0)
        one.resync()
        assert [one.state, two.state, book.is_synced] == [StreamState.SYNCING, StreamState.LIVE, True]
        for _ in range(5):
            world.change(2)
            await trio.sleep(0.5)
        assert snapshots(world) == asked + 1
        assert [reading.snapshots for reading in readings] == [2, 1]
        assert all(reading.is_right(world) for reading in readings)
        assert one.state is StreamState.LIVE
        book.resync()
        assert not book.is_synced
        world.change(2)
        await book.wait_synced()
        for _ in range(5):
            world.change(2)
            await trio.sleep(0.5)
            assert book.snapshot() == world.exchange.book(ASSET)
        assert [reading.snapshots for reading in readings] == [2, 1]
        # The next loss is one for all.
        world.network.reset_connections()
        await trio.sleep(5)
        world.change(2)
        await trio.sleep(1)
        assert [reading.snapshots for reading in readings] == [3, 2]
        assert all(reading.is_right(world) for reading in readings)
        assert book.snapshot() == world.exchange.book(ASSET)
        nursery.cancel_scope.cancel()


async def test_a_resync_of_one_ends_with_the_connection_or_with_its_consumer(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.md.open_book(ASSET) as book:
        async with world.md.open_book(ASSET) as other:
            await book.wait_synced()
            world.exchange.faults.delay_requests(SNAPSHOT, 5.0)
            other.resync()
            await trio.sleep(1)
        assert book.is_synced
        async with world.md.open_book(ASSET) as third:
            world.exchange.faults.delay_requests(SNAPSHOT, 5.0)
            third.resync()
            await trio.sleep(1)
            world.network.reset_connections()
            await third.wait_synced()
            assert third.snapshot() == book.snapshot() == world.exchange.book(ASSET)


async def test_a_resync_of_one_that_the_service_refuses_ends_one(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as book, world.md.open_book(ASSET) as other:
        await book.wait_synced()
        world.exchange.faults.fail_requests(SNAPSHOT, 404)
        other.resync()
        await trio.sleep(1)
        assert other.state is StreamState.CLOSED
        assert other.last_error is not None
        assert book.is_synced


async def test_a_snapshot_that_is_ahead_of_the_feed_is_not_followed_by_what_it_contains(
    world: World, autojump_clock: MockClock
) -> None:
    async with (
        world.md.stream_depth(ASSET) as one,
        world.md.stream_depth(ASSET) as two,
        world.md.open_book(ASSET) as book,
        trio.open_nursery() as nursery,
    ):
        readings = [Reading(one), Reading(two)]
        for reading in readings:
            nursery.start_soon(reading.run)
        await book.wait_synced()
        for reader in (one, book):
            world.exchange.faults.stall_feed(DEPTH, 5.0)
            world.change(5)
            before = world.exchange.book(ASSET)
            reader.resync()
            await trio.sleep(1)
            assert reader.state is StreamState.LIVE
            ahead = readings[0].book if reader is one else book
            assert ahead is not None
            assert ahead.snapshot() == before
            await trio.sleep(10)
            world.change(5)
            await trio.sleep(1)
            assert all(reading.is_right(world) for reading in readings)
            assert book.snapshot() == world.exchange.book(ASSET)
        assert [reading.snapshots for reading in readings] == [2, 1]
        nursery.cancel_scope.cancel()
