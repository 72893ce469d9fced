"""Trades behind real streams: REST supplies missed trades once and in order, also if it lags; else a gap."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.recovered_streams import (
    assert_nothing_comes,
    ids,
    ids_and_gaps,
    lose_connections,
    make_trades,
    take,
)
from tests.helpers.world import ASSET, World, open_world
from tplus_trio import Gap, StreamState, Trade
from tplus_trio.testing import Response


async def repeat_answer(world: World, times: int) -> None:
    """Let REST repeat its present answer a number of times."""
    listed = await world.md.get_trades()
    world.exchange.faults.answer_requests("/trades", Response(200, listing(listed)), times)


def listing(trades: Sequence[Trade]) -> bytes:
    return json.dumps(
        [
            {
                "asset_id": str(trade.asset_id),
                "trade_id": trade.trade_id,
                "price": str(trade.price),
                "quantity": str(trade.quantity),
                "timestamp_ns": trade.timestamp_ns,
                "buyer_is_maker": trade.buyer_is_maker,
                "status": str(trade.status),
            }
            for trade in trades
        ]
    ).encode()


# REST lags behind the feed.


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("times", [1, 4, 20])
async def test_a_stream_waits_for_rest_to_catch_up_with_the_feed(
    times: int, jitter: float, autojump_clock: MockClock
) -> None:
    async with open_world(jitter=lambda: jitter) as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        made = [world.exchange.publish_trade(ASSET, 100, 1) for _ in range(3)]
        assert ids_and_gaps(await take(trades, 3)) == [1, 2, 3]
        world.network.reset_connections()
        made += [world.exchange.publish_trade(ASSET, 100, 1) for _ in range(2)]
        make_trades(world)  # 6 is missed, and REST does not list it yet
        world.exchange.faults.answer_requests("/trades", Response(200, listing(made[::-1]), delay=0.1), times)
        await trades._consumer.wait_for(StreamState.SYNCING)
        make_trades(world)
        begun = trio.current_time()
        items = ids_and_gaps(await take(trades, 4))
        # The stream waits for a cache that is a second or two old. A cache that never catches up costs a gap.
        assert items == ([4, 5, "gap", 7] if times == 20 else [4, 5, 6, 7])
        assert trio.current_time() - begun < 4
        make_trades(world)
        assert ids_and_gaps(await take(trades, 1)) == [8]


@pytest.mark.parametrize("confirm_timeout", [0.0, 0.5, 1.0, 7.0])
async def test_the_first_live_trade_is_held_for_a_read(confirm_timeout: float, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades(confirm_timeout=confirm_timeout) as trades:
        await trades.wait_live()
        make_trades(world, 3)
        await take(trades, 3)
        await lose_connections(world)
        make_trades(world, 2)
        await repeat_answer(world, 1)
        make_trades(world)
        await trades.wait_live()
        assert ids_and_gaps(await take(trades, 2)) == [4, 5]
        make_trades(world)  # it is held; REST is up to date now
        if confirm_timeout:
            assert ids_and_gaps(await take(trades, 2)) == [6, 7]
        else:
            assert ids_and_gaps(await take(trades, 2)) == ["gap", 7]
        # The same if REST does not answer in time.
        await lose_connections(world)
        await repeat_answer(world, 1)
        make_trades(world)
        await trades.wait_live()
        world.exchange.faults.delay_requests("/trades", 20.0)
        make_trades(world, 2)
        begun = trio.current_time()
        assert trades.state is StreamState.LIVE
        assert ids_and_gaps(await take(trades, 3)) == ["gap", 9, 10]
        assert trio.current_time() - begun == pytest.approx(confirm_timeout, abs=0.01)


@pytest.mark.parametrize("value", [-1, "1", None])
async def test_an_invalid_confirm_timeout_is_refused(value: Any, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with pytest.raises((TypeError, ValueError), match="confirm_timeout"):
            world.md.stream_klines(ASSET, confirm_timeout=value)


async def test_a_backfill_does_not_fail_a_waiting_consumer(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades(overflow="error", buffer=5) as trades:
        await trades.wait_live()
        make_trades(world, 1)
        await take(trades, 1)
        await lose_connections(world)
        missed = make_trades(world, 60)
        assert ids_and_gaps(await take(trades, 60)) == missed


# Reads of pages.


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("latency", [0.0, 0.05])
@pytest.mark.parametrize("early", [0, 3])
async def test_twenty_missed_trades_arrive_from_three_pages(
    latency: float, early: int, autojump_clock: MockClock
) -> None:
    async with open_world(latency=latency) as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        assert ids(await take(trades, 0)) == []
        before = make_trades(world, 1 + early)
        assert ids(await take(trades, 1 + early)) == before
        await lose_connections(world)
        missed = make_trades(world, 20)
        asked = sum(world.exchange.requests.values())
        await trades.wait_live()
        live = make_trades(world, 2)
        assert ids(await take(trades, 22)) == missed + live
        await assert_nothing_comes(trades)
        # Three pages, and one more read for trades before the first live one.
        assert sum(world.exchange.requests.values()) - asked == 4
        assert (trades.stats.gaps, trades.stats.resyncs) == (1, 1)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("latency", [0.0, 0.05])
async def test_trades_missed_before_the_first_delivery_arrive_once(latency: float, autojump_clock: MockClock) -> None:
    async with open_world(latency=latency) as world:
        make_trades(world, 5)
        await trio.sleep(1)
        async with world.md.stream_finalized_trades() as trades:
            await trades.wait_live()
            await lose_connections(world)
            missed = make_trades(world, 20)
            await trades.wait_live()
            live = make_trades(world, 2)
            assert ids(await take(trades, 22)) == missed + live
            await assert_nothing_comes(trades)


@pytest.mark.usefixtures("small_pages")
async def test_trades_made_during_the_rest_request_arrive_once(autojump_clock: MockClock) -> None:
    async with open_world(latency=0.02) as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        made = make_trades(world, 5)
        await take(trades, 5)
        await lose_connections(world)
        # During the outage, the handshake, all three pages, and after them.
        while trio.current_time() < 2 or trades.state is not StreamState.LIVE:
            made += make_trades(world, 1)
            await trio.sleep(0.02)
        assert ids(await take(trades, len(made) - 5)) == made[5:]


@pytest.mark.usefixtures("small_pages")
async def test_a_second_loss_during_the_rest_request_loses_nothing(autojump_clock: MockClock) -> None:
    async with open_world(latency=0.02) as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        made = make_trades(world, 2)
        await take(trades, 2)
        for _ in range(3):
            await lose_connections(world)
            made += make_trades(world, 5)
            await trades._consumer.wait_for(StreamState.SYNCING)
            made += make_trades(world, 1)
        assert ids(await take(trades, len(made) - 2)) == made[2:]
        await assert_nothing_comes(trades)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("status", [429, 503])
async def test_failed_pages_are_requested_again(status: int, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        made = make_trades(world, 2)
        await take(trades, 2)
        await lose_connections(world)
        made += make_trades(world, 20)
        world.exchange.faults.fail_requests("/trades", status, 2)
        assert ids(await take(trades, 20)) == made[2:]


@pytest.mark.usefixtures("small_pages")
async def test_a_loss_beyond_the_page_limit_is_one_gap(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades(backfill_pages=2) as trades:
        await trades.wait_live()
        await trio.sleep(10)
        make_trades(world, 1)
        await take(trades, 1)
        seen_ns = world.exchange.now_ns()
        await trio.sleep(10)
        await lose_connections(world)
        make_trades(world, 20)
        await trades.wait_live()
        live = make_trades(world, 3)
        gap, *rest = await take(trades, 4)
        assert isinstance(gap, Gap)
        assert gap.since_ns == pytest.approx(seen_ns, abs=10**6)
        assert gap.until_ns - gap.since_ns == pytest.approx(10.25e9, rel=1e-3)
        assert gap.reason
        assert ids(rest) == live
        await assert_nothing_comes(trades)
        # A small hole after it is closed.
        await lose_connections(world)
        missed = make_trades(world, 5)
        assert ids(await take(trades, 5)) == missed
