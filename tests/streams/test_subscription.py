"""A subscription: what it counts, when it is live, and which failures of its connection it notices."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, open_world
from tplus_trio import Depth, OrderBook, OrderBookDiff, Stream, StreamState

CONNECTING, SYNCING, LIVE, BACKOFF, CLOSED = StreamState


def names(states: list[tuple[StreamState, float]]) -> list[StreamState]:
    return [state for state, _ in states]


async def receive_until(stream: Stream[Depth], until: int) -> list[Depth]:
    """Receive items up to a sequence number."""
    items: list[Depth] = []
    async for item in stream:
        items.append(item)
        if isinstance(item, OrderBook | OrderBookDiff) and item.sequence_number >= until:
            break
    return items


# States.


async def test_the_states_follow_the_connection(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        stream = world.md.stream_depth(ASSET)
        assert stream.state is CONNECTING
        async with stream:
            await stream.wait_live()
            assert stream.state is LIVE
            await trio.sleep(1)
            world.network.reset_connections()
            await trio.sleep(1)
        assert stream.state is CLOSED
    assert states == [
        (SYNCING, 0.0),
        (LIVE, 0.0),
        (CONNECTING, 1.0),
        (BACKOFF, 1.0),
        (CONNECTING, 1.25),
        (SYNCING, 1.25),
        (LIVE, 1.25),
        (CONNECTING, 2.0),
        (CLOSED, 2.0),
    ]


async def test_a_lost_message_on_an_open_connection_means_syncing(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        world.exchange.faults.delay_requests(SNAPSHOT, 3.0)
        states.clear()
        world.exchange.faults.send_garbage(DEPTH)
        await trio.sleep(1)
        assert stream.state is SYNCING
        await stream.wait_live()
        assert states == [(SYNCING, 0.0), (LIVE, 3.0)]
        assert world.network.connects == 2  # the stream's, and REST's


async def test_resync_delivers_a_new_snapshot_over_the_same_connection(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        stream.resync()  # each connection begins with a snapshot anyway
        await receive_until(stream, 1005)
        world.change()
        await trio.sleep(0.1)
        stream.resync()
        assert stream.state is SYNCING
        await stream.wait_live()
        world.change()
        change, book, next_change = await receive_until(stream, 1007)
        assert isinstance(change, OrderBookDiff)
        assert isinstance(book, OrderBook)
        assert isinstance(next_change, OrderBookDiff)
        assert stream.stats.connects == 1
        assert stream.stats.resyncs == 1


# Counts.


async def test_stats_count_and_are_a_copy(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        before = stream.stats
        assert (before.messages, before.connects, before.gaps, before.resyncs) == (0, 1, 0, 0)
        assert before.last_message_at is None
        await trio.sleep(5)
        world.change(3)
        world.exchange.faults.send_garbage(DEPTH)
        await trio.sleep(1)
        world.network.reset_connections()
        await trio.sleep(1)
        world.change()
        await trio.sleep(1)
        after = stream.stats
        assert (after.messages, after.malformed, after.connects, after.gaps, after.resyncs, after.dropped) == (
            5,
            1,
            2,
            2,
            2,
            0,
        )
        assert after.bytes > before.bytes + 4 * 40
        assert after.last_message_at == pytest.approx(7.0)
        assert before.messages == 0, "stats are a copy"


async def test_bad_frames_are_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        for _ in range(5):
            world.exchange.faults.send_garbage(DEPTH)
            await trio.sleep(1)
        assert (stream.stats.malformed, stream.stats.gaps) == (5, 5)
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1
        assert len(warnings[0].getMessage()) < 400


# Failures that it notices.


async def test_a_peer_that_answers_no_ping_is_disconnected(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    async with open_world(ping_interval=4.0, ping_timeout=3.0) as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        await trio.sleep(100)
        assert stream.stats.connects == 1  # pongs came
        world.network.stall()
        states.clear()
        world.change()
        await trio.sleep(30)  # REST finds that its idle connection is dead too
        assert names(states)[:2] == [CONNECTING, BACKOFF]
        assert 103 <= states[0][1] <= 107
        assert stream.state is LIVE
        assert [item.sequence_number for item in await receive_until(stream, 1006)] == [1005, 1006]  # type: ignore[union-attr]  # no gap among them


async def test_idle_timeout_reconnects_a_stream_without_data(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET, idle_timeout=30.0) as stream:
        await stream.wait_live()
        for _ in range(5):
            await trio.sleep(29)
            world.change()
        assert stream.stats.connects == 1
        states.clear()
        await trio.sleep(29)
        assert states == []
        await trio.sleep(2)
        assert names(states) == [CONNECTING, BACKOFF, CONNECTING, SYNCING, LIVE]


async def test_without_idle_timeout_a_quiet_market_stays_live(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        await trio.sleep(3600)
        assert (stream.state, stream.stats.connects) == (LIVE, 1)


async def test_a_stream_reconnects_after_a_close_frame_of_the_exchange(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        world.exchange.faults.close_streams(DEPTH, 1012, "restarting")
        await trio.sleep(0.2)
        assert stream.state is BACKOFF
        await stream.wait_live()
        assert stream.stats.connects == 2
