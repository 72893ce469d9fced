"""Depth streams and live books that share a connection: what each of them sees, and what one does to the others."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.depth_readings import Reading, snapshots, take
from tests.helpers.world import ASSET, SNAPSHOT, World, open_world, served_streams
from tplus_trio import BookLost, ConnectionFailed, LocalBook, SlowConsumer, StreamState
from tplus_trio.book.state import DepthState


async def test_ten_consumers_of_a_feed_have_one_connection_and_one_snapshot(
    world: World, autojump_clock: MockClock
) -> None:
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        readings = [Reading(await stack.enter_async_context(world.md.stream_depth(ASSET))) for _ in range(5)]
        books = [await stack.enter_async_context(world.md.open_book(ASSET)) for _ in range(5)]
        for reading in readings:
            nursery.start_soon(reading.run)
        for _ in range(20):
            world.change(3)
            await trio.sleep(0.1)
        assert served_streams(world.network) == 1
        assert snapshots(world) <= 2, "one while the connection is made, and one once it stands"
        assert all(reading.is_right(world) and reading.snapshots == 1 for reading in readings)
        assert all(book.snapshot() == world.exchange.book(ASSET) for book in books)
        assert len(world.md.statistics().streams) == 10
        assert {each.connection.connects for each in world.md.statistics().streams} == {1}
        nursery.cancel_scope.cancel()
    assert served_streams(world.network) == 0


async def test_who_joins_late_begins_with_the_book_of_that_moment_and_asks_nothing(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.md.stream_depth(ASSET) as first, trio.open_nursery() as nursery:
        nursery.start_soon(Reading(first).run)
        await first.wait_live()
        for _ in range(50):
            world.change(10)
            await trio.sleep(0.01)
        asked = snapshots(world)
        async with world.md.stream_depth(ASSET) as late:
            assert late.state is StreamState.LIVE
            assert (await take(late, 1))[0] == world.exchange.book(ASSET)
            world.change()
            (diff,) = await take(late, 1)
            assert diff.sequence_number == world.exchange.book(ASSET).sequence_number
        async with world.md.open_book(ASSET) as book:
            assert book.snapshot() == world.exchange.book(ASSET), "without a checkpoint"
        assert snapshots(world) == asked
        assert served_streams(world.network) == 1
        nursery.cancel_scope.cancel()


async def test_a_stream_that_joins_a_live_book_gets_exact_changes(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.change(5)
        await trio.sleep(0.1)
        async with world.md.stream_depth(ASSET) as stream, trio.open_nursery() as nursery:
            reading = Reading(stream)
            nursery.start_soon(reading.run)
            for _ in range(10):
                world.change(3)
                await trio.sleep(0.1)
                assert book.snapshot() == world.exchange.book(ASSET)
            assert reading.is_right(world)
            assert type(reading.book) is LocalBook
            assert reading.diffs == 30
            nursery.cancel_scope.cancel()
        world.change(3)
        await trio.sleep(0.1)
        assert book.snapshot() == world.exchange.book(ASSET)
        assert served_streams(world.network) == 1


async def test_a_stream_that_joins_while_a_book_of_floats_waits_for_its_snapshot(
    world: World, autojump_clock: MockClock
) -> None:
    world.exchange.faults.delay_requests(SNAPSHOT, 1.0, 2)
    async with world.md.open_book(ASSET) as book:
        await trio.sleep(0.1)
        world.change(5)  # are decoded to floats, and held
        await trio.sleep(0.1)
        async with world.md.stream_depth(ASSET) as stream, trio.open_nursery() as nursery:
            reading = Reading(stream)
            nursery.start_soon(reading.run)
            await book.wait_synced()
            world.change(5)
            await trio.sleep(0.1)
            assert book.snapshot() == world.exchange.book(ASSET)
            assert reading.is_right(world)
            nursery.cancel_scope.cancel()


async def test_cancelling_one_leaves_the_others_alone(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as book:
        await book.wait_synced()
        with trio.move_on_after(1):
            async with world.md.stream_depth(ASSET) as stream:
                async for _ in stream:
                    pass
        assert stream.state is StreamState.CLOSED
        assert book.is_synced
        with pytest.raises(ValueError, match="mine"):
            async with world.md.open_book(ASSET) as other:
                raise ValueError("mine")
        assert other.state is StreamState.CLOSED
        assert book.is_synced
        async for _ in world.md.stream_depth(ASSET):  # bare
            break
        await trio.sleep(0.1)
        assert len(world.md.statistics().streams) == 1
        world.change()
        await trio.sleep(0.1)
        assert book.snapshot() == world.exchange.book(ASSET)
        assert book.statistics().connection.connects == 1
    assert served_streams(world.network) == 0


async def test_the_first_may_leave_and_the_last_one_closes(world: World, autojump_clock: MockClock) -> None:
    async with AsyncExitStack() as last:
        async with world.md.stream_depth(ASSET) as first:
            await take(first, 1)
            book = await last.enter_async_context(world.md.open_book(ASSET))
        assert served_streams(world.network) == 1
        world.change(2)
        await trio.sleep(0.1)
        assert book.snapshot() == world.exchange.book(ASSET)
    assert served_streams(world.network) == 0
    async with world.md.open_book(ASSET) as again:
        await again.wait_synced()
        assert again.statistics().connection.connects == 1


@pytest.mark.parametrize(
    "alone", [{"share": False}, {"idle_timeout": 77.0}, {"sequence": "contiguous"}, {"restart": None}]
)
async def test_who_asks_for_something_else_has_a_connection_of_its_own(
    world: World, autojump_clock: MockClock, alone: dict[str, Any]
) -> None:
    async with world.md.open_book(ASSET) as book, world.md.open_book(ASSET, **alone) as other:
        await book.wait_synced()
        await other.wait_synced()
        assert served_streams(world.network) == 2


async def test_a_client_may_share_nothing(autojump_clock: MockClock) -> None:
    async with (
        open_world(share=False) as world,
        world.md.open_book(ASSET),
        world.md.open_book(ASSET),
        world.md.open_book(ASSET, share=True) as third,
        world.md.open_book(ASSET, share=True) as fourth,
    ):
        await third.wait_synced()
        await fourth.wait_synced()
        assert served_streams(world.network) == 3


async def test_a_full_consumer_delays_no_other_and_begins_again(world: World, autojump_clock: MockClock) -> None:
    async with world.md.stream_depth(ASSET, buffer=3) as slow, world.md.stream_depth(ASSET) as fast:
        quick = Reading(fast)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quick.run)
            await slow.wait_live()
            for _ in range(50):
                world.change(1)
                await trio.sleep(0.01)
            assert quick.is_right(world)
            assert (slow.state, fast.state) == (StreamState.SYNCING, StreamState.LIVE)
            asked = snapshots(world)
            late = Reading(slow)
            while slow.statistics().consumer.current_buffer_used:
                late.add(await slow.receive())
            assert not late.is_right(world)
            late.add(await slow.receive())
            assert late.is_right(world)
            assert (late.snapshots, late.gaps) == (2, 0)
            assert slow.state == fast.state
            counts = slow.statistics().consumer
            assert counts.dropped == 51 - late.diffs - 1  # and the snapshot, which was delivered
            assert fast.statistics().consumer.dropped == 0
            world.change(1)
            late.add(await slow.receive())
            assert late.is_right(world)
            assert snapshots(world) == asked
            nursery.cancel_scope.cancel()


async def test_a_consumer_that_stops_the_socket_lets_go_when_another_joins(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.md.stream_depth(ASSET, buffer=2) as slow:
        await slow.wait_live()
        for _ in range(50):
            world.change(1)
            await trio.sleep(0.01)
        assert slow.statistics().consumer.tasks_waiting_send == 1
        async with world.md.open_book(ASSET) as book:
            await trio.sleep(0.1)
            assert book.snapshot() == world.exchange.book(ASSET)
            late = Reading(slow)
            with trio.move_on_after(1):
                await late.run()
            assert late.is_right(world)
        # It is alone again, and is waited for again.
        for _ in range(50):
            world.change(1)
            await trio.sleep(0.01)
        assert slow.statistics().consumer.tasks_waiting_send == 1
        with trio.move_on_after(1):
            await late.run()
        assert late.is_right(world)


async def test_a_consumer_that_may_not_be_slow_ends_alone(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as book, world.md.stream_depth(ASSET, buffer=2, overflow="error") as strict:
        await book.wait_synced()
        world.change(10)
        await trio.sleep(0.1)
        assert book.snapshot() == world.exchange.book(ASSET)
        with pytest.raises(SlowConsumer):
            await take(strict, 20)
        assert strict.state is StreamState.CLOSED
        assert isinstance(strict.last_error, SlowConsumer)
        assert book.is_synced


async def test_who_joins_a_feed_that_waits_to_try_again_lets_it_try_now(autojump_clock: MockClock) -> None:
    async with open_world(jitter=lambda: 1.0) as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.network.partition(40.0, refuse=True)
        await trio.sleep(42.0)
        assert book.state is StreamState.BACKOFF
        async with world.md.open_book(ASSET) as other:
            with trio.fail_after(1.0):
                await other.wait_synced()
            assert book.is_synced


@pytest.mark.parametrize("share", [True, False])
async def test_a_stream_that_dropped_its_items_gets_a_book_shared_or_not(
    share: bool, autojump_clock: MockClock
) -> None:
    async with open_world(share=share) as world:
        async with world.md.stream_depth(ASSET, overflow="drop_oldest", buffer=3) as slow:
            await slow.wait_live()
            reading = Reading(slow)
            for _ in range(5):
                for _ in range(5):
                    world.change(10)
                    await trio.sleep(0.1)
                with trio.move_on_after(1):
                    await reading.run()
                assert reading.is_right(world)
            assert slow.state is StreamState.LIVE
            assert reading.gaps
        assert slow.statistics().consumer.merged + slow.statistics().consumer.dropped > 0


async def test_losses_are_told_to_each(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as book, world.md.open_book(ASSET) as other:
        await book.wait_synced()
        await other.wait_synced()
        async with book.while_synced() as one, other.while_synced() as two:
            world.network.reset_connections()
            await trio.sleep(60)
        assert one.lost is not None
        assert two.lost is not None
        await book.wait_synced()
        seen = list[BookLost]()
        async with other.while_synced() as two:
            book.resync()
            seen.append(await book.wait_lost())
            await trio.sleep(1)
        assert (seen[0].reason, two.lost) == ("ordered", None)


async def test_a_failure_for_good_is_an_exception_of_its_own_for_each(autojump_clock: MockClock) -> None:
    async with (
        open_world(restart=None) as world,
        world.md.stream_depth(ASSET) as one,
        world.md.stream_depth(ASSET) as two,
    ):
        await one.wait_live()
        world.network.reset_connections()
        raised = list[BaseException]()
        for stream in (one, two):
            with pytest.raises(ConnectionFailed) as caught:
                await take(stream, 10)
            raised.append(caught.value)
        assert raised[0] is not raised[1]
        assert repr(raised[0]) == repr(raised[1])


async def test_leaving_the_client_ends_all(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        book = world.md.open_book(ASSET)
        stream = world.md.stream_depth(ASSET)
        bare = aiter(world.md.stream_depth(ASSET))
        async with world.md.open_book(ASSET) as keeps:
            await keeps.wait_synced()
            await anext(bare)
            del bare
        assert book.state is stream.state is StreamState.CONNECTING


async def test_a_silence_limit_of_one_is_a_limit_for_all(world: World, autojump_clock: MockClock) -> None:
    async with world.md.open_book(ASSET) as book, world.md.open_book(ASSET) as other:
        await book.wait_synced()
        async with other.while_synced(max_silence=1.0) as block:
            world.network.stall()
            await trio.sleep(30)
        assert block.lost is not None
        assert not book.is_synced
        world.network.resume()
        await book.wait_synced()


async def test_a_consumer_does_not_wait_for_the_book_that_nobody_reads(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changes are applied to it after the consumer has taken them."""
    waiting: list[int] = []

    def keep_up(state: DepthState) -> None:
        waiting.append(stream.statistics().consumer.current_buffer_used)
        proper(state)

    proper = DepthState.keep_up
    monkeypatch.setattr(DepthState, "keep_up", keep_up)
    async with world.md.stream_depth(ASSET) as stream:
        await stream.receive()
        for _ in range(400):
            world.change(1)
            await stream.receive()
        await trio.sleep(1)
    assert len(waiting) > 1
    assert not any(waiting)
