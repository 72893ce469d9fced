"""`statistics()` of streams, live books and clients: a connection's counts apart from a consumer's."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.world import ASSET, DEPTH, open_world
from tplus_trio import (
    ConnectionStatistics,
    Gap,
    NotFoundError,
    StreamState,
    StreamStats,
)
from tplus_trio.streams.counts import ConnectionCounts


def test_the_counts_have_the_attributes_that_are_shown() -> None:
    counts = ConnectionCounts(1, 2, 3, 4, 5, 6, 7.0)
    shown = counts.statistics()
    assert attrs.asdict(shown) == attrs.asdict(counts)
    assert {*attrs.fields_dict(StreamStats)} == {*attrs.fields_dict(ConnectionStatistics), "dropped"}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        shown.messages = 8  # type: ignore[misc]  # that is what must not work


async def test_a_stream_shows_its_connection_apart_from_its_consumer(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET, buffer=10) as stream:
        await stream.wait_live()
        for _ in range(4):
            world.change()
            await trio.sleep(0.1)
        for _ in range(3):
            await stream.receive()
        shown = stream.statistics()
        assert (shown.path, shown.state) == (DEPTH, StreamState.LIVE)
        assert (shown.connection.messages, shown.connection.connects) == (4, 1)
        assert shown.connection.bytes == stream.stats.bytes > 0
        consumer = shown.consumer
        assert (consumer.delivered, consumer.current_buffer_used, consumer.peak_buffer_used) == (3, 2, 5)
        assert (consumer.overflow, consumer.max_buffer_size) == ("block", 10)
        assert (consumer.dropped, consumer.merged) == (0, 0)


async def test_statistics_are_of_one_moment(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        before = stream.statistics()
        copy = attrs.evolve(before)
        world.change()
        await trio.sleep(1)
        assert before == copy != stream.statistics()


async def test_who_waits_for_whom(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET, buffer=2) as stream, trio.open_nursery() as nursery:
        await stream.receive()
        nursery.start_soon(stream.receive)
        await wait_all_tasks_blocked()
        consumer = stream.statistics().consumer
        assert (consumer.tasks_waiting_receive, consumer.tasks_waiting_send) == (1, 0)
        world.change(5)
        await trio.sleep(1)
        consumer = stream.statistics().consumer
        assert (consumer.tasks_waiting_receive, consumer.tasks_waiting_send) == (0, 1)
        assert consumer.current_buffer_used > consumer.max_buffer_size


async def test_what_is_dropped_is_counted_with_the_consumer(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades(overflow="drop_oldest", buffer=3) as trades:
        await trades.wait_live()
        for n in range(20):
            world.exchange.publish_trade(ASSET, price=100 + n, quantity=1)
            await trio.sleep(0.1)
        taken = [await trades.receive() for _ in range(4)]
        assert isinstance(taken[0], Gap)
        consumer = trades.statistics().consumer
        assert (consumer.delivered, consumer.dropped, consumer.merged) == (4, 17, 0)
        assert trades.stats.dropped == 17


async def test_what_is_merged_is_counted_apart_from_what_is_dropped(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET, overflow="conflate", buffer=3) as depth:
        await depth.wait_live()
        for _ in range(20):
            world.change()
            await trio.sleep(0.1)
        assert depth.statistics().consumer.current_buffer_used == 21
        assert [(await depth.receive()).sequence_number for _ in range(2)] == [1005, 1025]  # type: ignore[union-attr]  # no gap among them
        consumer = depth.statistics().consumer
        assert (consumer.delivered, consumer.dropped, consumer.merged) == (2, 0, 19)
        assert depth.stats.dropped == 19


async def test_a_book_counts_what_it_applied(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        await book.wait_synced()
        changes = book.changes()
        await anext(changes)
        world.change(3)
        await trio.sleep(1)
        await anext(changes)
        nursery.start_soon(anext, changes)
        await wait_all_tasks_blocked()
        shown = book.statistics()
        assert (shown.path, shown.state, shown.connection.messages) == (DEPTH, StreamState.LIVE, 3)
        assert (shown.consumer.delivered, shown.consumer.overflow) == (4, "conflate")
        assert shown.consumer.tasks_waiting_receive == 1
        nursery.cancel_scope.cancel()


async def test_a_client_shows_the_streams_that_run(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        assert world.md.statistics().streams == ()
        unstarted = world.md.stream_depth(ASSET)
        async with world.md.stream_finalized_trades() as trades, world.md.open_book(ASSET) as book:
            bare = world.md.stream_depth(ASSET)
            await bare.receive()
            await trades.wait_live()
            await book.wait_synced()
            shown = world.md.statistics().streams
            assert [each.path for each in shown] == sorted(each.path for each in shown)
            assert {*shown} == {trades.statistics(), book.statistics(), bare.statistics()}
            await bare.aclose()
        assert world.md.statistics().streams == ()
        await unstarted.aclose()


async def test_a_client_counts_requests_by_what_became_of_them(autojump_clock: MockClock) -> None:
    async with open_world(timeout=5.0) as world, trio.open_nursery() as nursery:
        before = world.md.statistics().requests
        assert (before.answers, before.unanswered, before.under_way) == ({}, 0, 0)
        await world.md.get_orderbook_snapshot(ASSET)
        with pytest.raises(NotFoundError):
            await world.md.get_orderbook_snapshot(999)
        world.exchange.faults.delay_requests("/marketdepth", 3.0, 1)
        nursery.start_soon(world.md.get_orderbook_snapshot, ASSET)
        await wait_all_tasks_blocked()
        now = world.md.statistics().requests
        assert (now.answers, now.unanswered, now.under_way) == ({200: 1, 404: 1}, 0, 1)
        nursery.cancel_scope.cancel()
    after = world.md.statistics().requests
    assert (after.answers, after.unanswered, after.under_way, after.idle_connections) == ({200: 1, 404: 1}, 1, 0, 0)
