"""Recoveries behind real streams: REST that lags, frames that stay bad, and consumers that wait."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, World, open_world
from tplus_trio import Gap, NotFoundError, RestartPolicy, Stream, StreamState, Trade
from tplus_trio.testing import Response


async def take(stream: Stream[Any], n: int) -> list[Any]:
    with trio.fail_after(60):
        return [await stream.receive() for _ in range(n)]


def make(world: World, n: int = 1) -> list[int]:
    return [world.exchange.publish_trade(ASSET, 100 + k, 1).trade_id for k in range(n)]


def told(items: Sequence[Any]) -> list[Any]:
    return ["gap" if isinstance(item, Gap) else item.trade_id for item in items]


async def lag(world: World, times: int) -> None:
    """REST repeats its present answer so many times."""
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


async def end_of(stream: Stream[Any]) -> None:
    while True:
        await stream.receive()


async def go_down(world: World) -> None:
    world.network.reset_connections()
    await trio.sleep(0.01)


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("times", [1, 4, 20])
async def test_a_stream_waits_for_rest_to_catch_up_with_the_feed(
    times: int, jitter: float, autojump_clock: MockClock
) -> None:
    async with open_world(jitter=lambda: jitter) as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        made = [world.exchange.publish_trade(ASSET, 100, 1) for _ in range(3)]
        assert told(await take(trades, 3)) == [1, 2, 3]
        world.network.reset_connections()
        made += [world.exchange.publish_trade(ASSET, 100, 1) for _ in range(2)]
        make(world)  # 6 is missed, and REST does not list it yet
        world.exchange.faults.answer_requests("/trades", Response(200, listing(made[::-1]), delay=0.1), times)
        await trades._session.wait_for(StreamState.SYNCING)
        make(world)
        begun = trio.current_time()
        items = told(await take(trades, 4))
        # The stream waits for a cache that is a second or two old. One that never catches up costs a Gap.
        assert items == ([4, 5, "gap", 7] if times == 20 else [4, 5, 6, 7])
        assert trio.current_time() - begun < 4
        make(world)
        assert told(await take(trades, 1)) == [8]


@pytest.mark.parametrize("confirm_timeout", [0.0, 0.5, 1.0, 7.0])
async def test_the_first_live_trade_is_held_for_a_read(confirm_timeout: float, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades(confirm_timeout=confirm_timeout) as trades:
        await trades.wait_live()
        make(world, 3)
        await take(trades, 3)
        await go_down(world)
        make(world, 2)
        await lag(world, 1)
        make(world)
        await trades.wait_live()
        assert told(await take(trades, 2)) == [4, 5]
        make(world)  # it is held; REST is up to date now
        if confirm_timeout:
            assert told(await take(trades, 2)) == [6, 7]
        else:
            assert told(await take(trades, 2)) == ["gap", 7]
        # The same if REST does not answer in time.
        await go_down(world)
        await lag(world, 1)
        make(world)
        await trades.wait_live()
        world.exchange.faults.delay_requests("/trades", 20.0)
        make(world, 2)
        begun = trio.current_time()
        assert trades.state is StreamState.LIVE
        assert told(await take(trades, 3)) == ["gap", 9, 10]
        assert trio.current_time() - begun == pytest.approx(confirm_timeout, abs=0.01)


@pytest.mark.parametrize("value", [-1, "1", None])
async def test_an_invalid_confirm_timeout_is_refused(value: Any, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with pytest.raises((TypeError, ValueError), match="confirm_timeout"):
            world.md.stream_klines(ASSET, confirm_timeout=value)


async def test_a_backfill_does_not_fail_a_waiting_consumer(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_finalized_trades(overflow="error", buffer=5) as trades:
        await trades.wait_live()
        make(world, 1)
        await take(trades, 1)
        await go_down(world)
        missed = make(world, 60)
        assert told(await take(trades, 60)) == missed


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
                made += make(world)
            await trio.sleep(0.05)
        assert sum(world.exchange.requests.values()) - asked <= 25
        items = told(await take(trades, 10))
        assert items == made


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
            await end_of(depth)
        assert depth.state is StreamState.CLOSED
