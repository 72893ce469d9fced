"""Consumers of one feed, and what happens in one step: none takes what does not follow, or suffers for another."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.depth_readings import Reading
from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, World, open_world, served_streams
from tplus_trio import (
    BookNotSynced,
    ConnectionFailed,
    NotFoundError,
    RestartPolicy,
    ServerError,
    SlowConsumer,
    Stream,
    StreamState,
)
from tplus_trio.streams.feed_state import NewestCandle


async def settle(world: World) -> None:
    """Let everything come to rest, with one more change."""
    await trio.sleep(5)
    world.change(1)
    await trio.sleep(1)


async def test_a_hole_of_the_feed_ends_a_resync_of_one_and_what_came_before_it_is_not_for_that_one(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.md.stream_depth(ASSET) as one, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        reading = Reading(one)
        nursery.start_soon(reading.run)
        await one.wait_live()
        await book.wait_synced()
        world.exchange.faults.delay_requests(SNAPSHOT, 1.0)
        one.resync()
        await trio.sleep(0.1)
        world.change(3)  # is held for the snapshot
        await trio.sleep(0.1)
        world.change(1)  # in one batch with a hole
        world.exchange.faults.lose_diffs(ASSET, 1)
        world.change(2)
        await settle(world)
        assert reading.is_right(world)
        assert book.snapshot() == world.exchange.book(ASSET)
        nursery.cancel_scope.cancel()


async def test_a_book_that_is_ahead_of_its_feed_survives_a_hole_of_it(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as other, world.md.open_book(ASSET) as book:
        await other.wait_synced()
        await book.wait_synced()
        world.exchange.faults.stall_feed(DEPTH, 5.0)
        world.change(3)
        world.exchange.faults.lose_diffs(ASSET, 1)
        world.change(2)
        book.resync()
        await trio.sleep(1)
        assert book.sequence_number > other.sequence_number
        await trio.sleep(9)
        assert book.snapshot() == other.snapshot() == world.exchange.book(ASSET)


@pytest.mark.parametrize("turns", range(8))
async def test_a_reconnect_that_another_orders_while_a_batch_is_read(
    turns: int, world: World, autojump_clock: MockClock
) -> None:
    async with world.md.stream_depth(ASSET) as one, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        reading = Reading(one)
        nursery.start_soon(reading.run)
        await one.wait_live()
        await book.wait_synced()
        world.exchange.faults.delay_requests(SNAPSHOT, 1.0)
        one.resync()
        await trio.sleep(0.1)
        world.change(3)
        await trio.sleep(0.1)
        world.change(1)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        book.reconnect()
        late: Stream[object] = world.md.stream_depth(ASSET)
        late._start_bare()  # as the first step of its iteration, in the same step
        joined = Reading(late)  # type: ignore[arg-type]  # of depth
        nursery.start_soon(joined.run)
        await settle(world)
        assert reading.is_right(world)
        assert joined.is_right(world)
        nursery.cancel_scope.cancel()


async def test_a_feed_ends_with_its_last_consumer_however_that_ends(world: World, autojump_clock: MockClock) -> None:
    async with (
        world.md.stream_depth(ASSET, buffer=2, overflow="error") as one,
        world.md.stream_depth(ASSET, buffer=2, overflow="error") as two,
    ):
        await one.wait_live()
        world.change(10)
        await trio.sleep(1)
        assert one.state is two.state is StreamState.CLOSED
        assert served_streams(world.network) == 0
    async with world.md.open_book(ASSET) as book:
        async with world.md.open_book(ASSET) as other:
            await book.wait_synced()
            world.exchange.faults.delay_requests(SNAPSHOT, 1.0)
            world.exchange.faults.fail_requests(SNAPSHOT, 404)
            book.resync()
            await trio.sleep(0.1)
        assert other.state is StreamState.CLOSED
        await trio.sleep(5)
        assert isinstance(book.last_error, NotFoundError)
        assert served_streams(world.network) == 0
    assert not world.md.statistics().streams


async def test_a_state_that_is_too_large_for_a_buffer_is_the_joiners_failure(
    world: World, autojump_clock: MockClock
) -> None:
    world.exchange.add_market(201)
    async with world.md.stream_tickers() as first:
        await first.wait_live()
        for market in (ASSET, 201):
            world.exchange.publish_trade(market, 5, 1)
            await trio.sleep(0.1)
        async with world.md.stream_tickers(buffer=1, overflow="error") as strict:
            assert strict.state is StreamState.CLOSED
            with pytest.raises(SlowConsumer):
                async for _ in strict:
                    pass
        assert len(world.md.statistics().streams) == 1
    assert served_streams(world.network) == 0


async def test_who_joins_a_feed_that_was_held_up_begins_with_a_fresh_book(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.md.stream_depth(ASSET, buffer=2) as slow:
        await slow.wait_live()
        for _ in range(600):
            world.change(1)
            await trio.sleep(1)
        async with world.md.open_book(ASSET) as book:
            with pytest.raises(BookNotSynced):
                _ = book.best_bid
            await book.wait_synced()
            assert book.snapshot() == world.exchange.book(ASSET)
            world.change(3)
            await trio.sleep(1)
            assert book.snapshot() == world.exchange.book(ASSET)
            assert slow.state is not StreamState.CLOSED


@pytest.mark.parametrize("ends", ["too slow", "closed by the service"])
async def test_who_joins_a_feed_as_it_ends_does_not_end_with_it(ends: str, autojump_clock: MockClock) -> None:
    async with open_world(restart=None) as world:
        options = {"buffer": 2, "overflow": "error"} if ends == "too slow" else {}
        async with world.md.stream_depth(ASSET, **options) as one:  # type: ignore[arg-type]  # options of a stream
            await one.wait_live()
            if ends == "too slow":
                world.change(10)
            else:
                world.exchange.faults.close_streams()
            while one.state is StreamState.LIVE:
                await trio.lowlevel.checkpoint()
            async with world.md.open_book(ASSET) as book:
                await book.wait_synced()
                with suppress(SlowConsumer, ConnectionFailed):
                    async for _ in one:
                        pass
                assert book.is_synced


async def test_joining_does_not_use_up_the_restarts_of_others(autojump_clock: MockClock) -> None:
    restart = RestartPolicy(max_restarts=3, within=60, initial_delay=20, max_delay=30)
    async with open_world(restart=restart) as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        await book.wait_synced()
        world.network.partition(10.0, refuse=True)
        await trio.sleep(1)

        async def join() -> None:
            async with world.md.open_book(ASSET):
                await trio.sleep(30)

        for _ in range(4):
            nursery.start_soon(join)
            await trio.sleep(1)
        await trio.sleep(60)
        assert book.is_synced


async def test_a_resync_of_one_holds_no_more_than_the_feed_would(
    monkeypatch: pytest.MonkeyPatch, world: World, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("tplus_trio.streams.lone_resync.MAX_HELD", 100)
    async with world.md.open_book(ASSET) as other, world.md.open_book(ASSET) as book:
        await other.wait_synced()
        world.exchange.faults.fail_requests(SNAPSHOT, 503, seconds=60.0)
        book.resync()
        for _ in range(30):
            world.change(20)
            await trio.sleep(1)
            lone = book._consumer._lone
            assert lone is not None
            assert lone._recovery.held <= 120
        assert isinstance(book.last_error, ServerError)
        assert other.is_synced
        with trio.fail_after(200):
            await book.wait_synced()
        world.change(1)
        await trio.sleep(1)
        assert book.snapshot() == other.snapshot() == world.exchange.book(ASSET)
        assert book.last_error is None


async def test_numbers_that_jump_are_linked_to_what_the_consumer_has(world: World, autojump_clock: MockClock) -> None:
    world.exchange.faults.number_by(ASSET, 2)
    async with (
        world.md.stream_depth(ASSET, sequence="increasing") as one,
        world.md.open_book(ASSET, sequence="increasing") as book,
        trio.open_nursery() as nursery,
    ):
        reading = Reading(one)
        nursery.start_soon(reading.run)
        await one.wait_live()
        world.change(2)
        await trio.sleep(0.1)
        world.exchange.faults.stall_feed(DEPTH, 2.0)
        world.change(3)
        one.resync()
        await settle(world)
        assert reading.is_right(world)
        assert book.snapshot() == world.exchange.book(ASSET)
        nursery.cancel_scope.cancel()


def test_the_newest_candle_of_a_batch_need_not_be_its_last() -> None:
    state: NewestCandle[int] = NewestCandle(lambda item: item if item >= 0 else None)
    state.apply([5, 7, 6, -1])
    assert state.begin() == (7,)
    state.apply([6])
    assert state.begin() == (7,)
    state.apply([7, 8])
    assert state.begin() == (8,)


async def test_an_observer_may_reconnect_when_it_hears_of_a_resync(autojump_clock: MockClock) -> None:
    class Reconnecting:
        def resync(self, path: str, reason: str) -> None:
            if reason == "ordered":
                book.reconnect()

    async with (
        open_world(observer=Reconnecting()) as world,
        world.md.open_book(ASSET) as book,
        world.md.open_book(ASSET) as other,
    ):
        await other.wait_synced()
        other.resync()
        await settle(world)
        assert other.snapshot() == world.exchange.book(ASSET)
