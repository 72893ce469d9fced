"""Requests to REST for a recovery: how soon, how often after failures, and what happens if they keep failing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.recovered_streams import ids_and_gaps, make_trades, take
from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, drain, failure_of, open_world
from tplus_trio import ApiError, NotFoundError, OrderBook, RestartPolicy, ServerError, StreamState
from tplus_trio.testing import Response

# How soon.


@pytest.mark.parametrize("quiet", [True, False], ids=["quiet", "busy"])
@pytest.mark.parametrize("one_way", [0.0, 0.025])
@pytest.mark.parametrize("known", [True, False], ids=["lost", "first"])
async def test_a_book_syncs_within_two_round_trips_of_a_busy_market_and_three_of_a_quiet_one(
    quiet: bool, one_way: float, known: bool, autojump_clock: MockClock
) -> None:
    """The handshake and the snapshot run side by side only if changes prove that the two fit together."""
    async with open_world(latency=one_way, jitter=lambda: 0.0) as world, trio.open_nursery() as nursery:

        async def trade() -> None:
            while True:
                world.change()
                await trio.sleep(0.001)

        if not quiet:
            nursery.start_soon(trade)
        begun = trio.current_time()
        async with world.md.open_book(ASSET) as book:
            await book.wait_synced()
            took = trio.current_time() - begun
            if known:
                await trio.sleep(3)
                world.network.reset_connections()
                lost = trio.current_time()
                while book.is_synced:
                    await trio.lowlevel.checkpoint()
                await book.wait_synced()
                took = trio.current_time() - lost
        nursery.cancel_scope.cancel()
        trips = took / (2 * one_way) if one_way else 0.0
        print(
            f"{'lost' if known else 'first'} connection, {'quiet' if quiet else 'busy'} market, "
            f"{2e3 * one_way:g} ms a round trip: synced after {1e3 * took:.1f} ms, {trips:.2f} round trips"
        )
        # In a quiet market nothing proves the early snapshot, so another is requested once the connection stands.
        assert took <= (3 if quiet else 2) * 2 * one_way + 0.002


# After failed requests.


async def test_a_failure_of_the_early_snapshot_request_counts(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for status, kind in ((404, NotFoundError), (400, ApiError)):
            world.exchange.faults.fail_requests(SNAPSHOT, status)
            assert isinstance(await failure_of(world.md.stream_depth(ASSET)), kind)
        world.exchange.faults.fail_requests(SNAPSHOT, 503)
        assert isinstance(await failure_of(world.md.stream_depth(ASSET, restart=None)), ServerError)
        started = trio.current_time()
        world.exchange.faults.fail_requests(SNAPSHOT, 429, retry_after=30.0)
        async with world.md.stream_depth(ASSET) as stream:
            assert isinstance(await stream.receive(), OrderBook)
            assert started + 30.0 <= trio.current_time() <= started + 30.4 + 1e-6


@pytest.mark.parametrize("failures", [1, 2, 3])
@pytest.mark.parametrize("slowness", [0.0, 0.01, 0.1])
async def test_a_book_of_a_quiet_market_syncs_after_failed_snapshots(
    failures: int, slowness: float, autojump_clock: MockClock
) -> None:
    async with open_world(latency=0.03) as world:
        # The first failure may arrive before the connection stands, or after.
        world.exchange.faults.fail_requests(SNAPSHOT, 503, failures)
        world.exchange.faults.delay_requests(SNAPSHOT, slowness, failures)
        async with world.md.open_book(ASSET) as book:
            with trio.fail_after(60):
                await book.wait_synced()


# After bad frames.


@pytest.mark.parametrize("text", ["", "{}", '{"asks":[', "[]"])
async def test_repeated_bad_frames_cause_few_snapshot_requests(text: str, autojump_clock: MockClock) -> None:
    async with open_world(jitter=lambda: 0.0) as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        asked = world.exchange.requests["GET", SNAPSHOT]
        for _ in range(400):
            world.exchange.faults.send_text(DEPTH, text)
            await trio.sleep(0.05)
        # In 20 seconds: twice at once, then after a delay that doubles up to 5 s.
        assert world.exchange.requests["GET", SNAPSHOT] - asked <= 10
        await trio.sleep(10)
        assert book.is_synced
        # After a quiet time, the next request is at once again.
        await trio.sleep(20)
        world.exchange.faults.send_text(DEPTH, text)
        await trio.sleep(0.1)
        assert book.is_synced


async def test_repeated_bad_frames_between_trades_cause_few_requests(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        items = list[Any]()
        asked = sum(world.exchange.requests.values())
        made = []
        for n in range(400):
            world.exchange.faults.send_text("/trades", "bad")
            if n % 40 == 0:
                made += make_trades(world)
            await trio.sleep(0.05)
        assert sum(world.exchange.requests.values()) - asked <= 25
        items = ids_and_gaps(await take(trades, 10))
        assert items == made


# After a market is removed.


@pytest.mark.parametrize("while_live", [True, False], ids=["over the connection", "after a loss"])
async def test_a_removed_market_ends_its_depth_stream(while_live: bool, autojump_clock: MockClock) -> None:
    gone = Response(404, b'{"error":{"code":"MARKET_NOT_FOUND","message":"no such market"}}')
    async with open_world(restart=RestartPolicy()) as world, world.md.stream_depth(ASSET) as depth:
        await depth.wait_live()
        await take(depth, 1)
        world.exchange.faults.answer_requests(SNAPSHOT, gone, 100)
        if while_live:
            depth.resync()
        else:
            world.network.reset_connections()
        with trio.fail_after(30), pytest.raises(NotFoundError, match="no such market"):
            await drain(depth)
        assert depth.state is StreamState.CLOSED
