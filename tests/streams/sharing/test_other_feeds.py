"""Trades, candles and tickers that are shared: what a consumer begins with that comes late, or that was too slow."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world, served_streams
from tplus_trio import Gap, KlineUpdate, StreamState, Ticker, Trade


async def test_a_late_stream_of_trades_begins_with_the_next_one(world: World, autojump_clock: MockClock) -> None:
    async with world.md.stream_finalized_trades() as first:
        await first.wait_live()
        world.exchange.publish_trade(ASSET, 5, 1)
        assert isinstance(await first.receive(), Trade)
        async with world.md.stream_finalized_trades() as late:
            assert late.state is StreamState.LIVE
            world.exchange.publish_trade(ASSET, 6, 1)
            trade = await late.receive()
            assert isinstance(trade, Trade)
            assert trade.price == 6
            assert await first.receive() == trade
        assert served_streams(world.network) == 1


async def test_a_stream_of_trades_that_was_too_slow_shows_a_gap(world: World, autojump_clock: MockClock) -> None:
    async with world.md.stream_finalized_trades(buffer=2) as slow, world.md.stream_finalized_trades() as fast:
        await slow.wait_live()
        for price in range(1, 11):
            world.exchange.publish_trade(ASSET, price, 1)
            await trio.sleep(1)
        prices, gaps = list[int](), list[Gap]()
        for _ in range(4):
            item = await slow.receive()
            if isinstance(item, Gap):
                gaps.append(item)
            else:
                prices.append(int(item.price))
        missed = [await fast.receive() for _ in range(10)][3:]
        assert prices == [1, 2, 3]
        times = [trade.timestamp_ns for trade in missed if isinstance(trade, Trade)]
        assert gaps == [Gap(times[0], times[-1], "the consumer was slow: 7 items were dropped")]
        assert slow.statistics().consumer.dropped == 7
        assert slow.state is StreamState.LIVE
        world.exchange.publish_trade(ASSET, 20, 1)
        assert await slow.receive() == await fast.receive()


async def test_a_late_stream_of_candles_begins_with_the_newest(world: World, autojump_clock: MockClock) -> None:
    async with world.md.stream_klines(ASSET) as first:
        await first.wait_live()
        world.exchange.publish_trade(ASSET, 5, 1)
        candle = await first.receive()
        async with world.md.stream_klines(ASSET) as late:
            assert await late.receive() == candle
        world.exchange.publish_trade(ASSET, 7, 1)
        candle = await first.receive()
        async with world.md.stream_klines(ASSET, buffer=1) as late:
            assert await late.receive() == candle
            for price in range(10, 20):
                world.exchange.publish_trade(ASSET, price, 1)
                await trio.sleep(0.1)
            items = [await late.receive() for _ in range(4)]
            assert isinstance(items[2], Gap)
            newest = items[3]
            assert isinstance(newest, KlineUpdate)
            assert newest.close == 19
        assert served_streams(world.network) == 1


async def test_a_late_stream_of_tickers_begins_with_the_latest_of_each_market(
    world: World, autojump_clock: MockClock
) -> None:
    world.exchange.add_market(201)
    async with world.md.stream_tickers() as first, trio.open_nursery() as nursery:
        seen = dict[str, Ticker]()

        async def read() -> None:
            async for ticker in first:
                seen[ticker.asset_id] = ticker

        nursery.start_soon(read)
        await first.wait_live()
        for price, market in ((5, 200), (6, 201), (7, 200)):
            world.exchange.publish_trade(market, price, 1)
            await trio.sleep(0.1)
        assert len(seen) == 2
        async with world.md.stream_tickers() as late:
            latest = [await late.receive(), await late.receive()]
            assert {ticker.asset_id: ticker for ticker in latest} == seen
        async with world.md.stream_tickers(buffer=1) as slow:
            for price in range(10, 20):
                world.exchange.publish_trade(ASSET, price, 1)
                await trio.sleep(0.1)
            last = dict[str, Ticker]()
            with trio.move_on_after(1):
                async for ticker in slow:
                    last[ticker.asset_id] = ticker
            assert last == seen
            assert slow.statistics().consumer.dropped > 0
        nursery.cancel_scope.cancel()


async def test_a_consumer_that_was_full_but_missed_nothing_goes_on(world: World, autojump_clock: MockClock) -> None:
    async with world.md.stream_finalized_trades(buffer=1) as slow, world.md.stream_finalized_trades() as fast:
        await fast.wait_live()
        for price in (1, 2):
            world.exchange.publish_trade(ASSET, price, 1)
            await trio.sleep(1)
        assert slow.state is StreamState.LIVE
        assert [(await slow.receive()) for _ in range(2)] == [(await fast.receive()) for _ in range(2)]
        assert slow.statistics().consumer.dropped == 0


async def test_a_resync_of_trades_is_one_for_all(world: World, autojump_clock: MockClock) -> None:
    async with world.md.stream_finalized_trades() as one, world.md.stream_finalized_trades() as two:
        await one.wait_live()
        world.exchange.publish_trade(ASSET, 5, 1)
        assert await one.receive() == await two.receive()
        one.resync()
        assert one.state is two.state is StreamState.SYNCING
        await one.wait_live()
        world.exchange.publish_trade(ASSET, 6, 1)
        assert await one.receive() == await two.receive()


async def test_feeds_of_a_user_are_not_shared(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.stream_orders() as one, world.oms.stream_orders() as two:
        await one.wait_live()
        await two.wait_live()
        assert served_streams(world.network) == 2
