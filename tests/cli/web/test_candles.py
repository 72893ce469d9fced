"""The candles that the page shows: those of REST, then those of the feed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from tplus_trio import MarketDataClient
from tplus_trio.cli.web.candles import CandleMonitor
from tplus_trio.models import AssetIdentifier
from tplus_trio.testing import Exchange, MemoryNetwork

MINUTE = 60 * 10**9


@asynccontextmanager
async def open_candles(network: MemoryNetwork, asset: int = 200) -> AsyncGenerator[CandleMonitor]:
    async with MarketDataClient(network.url, connector=network) as client, trio.open_nursery() as nursery:
        candles = CandleMonitor(client, AssetIdentifier(asset))
        nursery.start_soon(candles.follow)
        await trio.sleep(1)
        yield candles
        nursery.cancel_scope.cancel()


async def test_history_and_feed(exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    now_ns = exchange.now_ns()
    for minutes in range(150, 0, -1):
        exchange.publish_trade(200, str(minutes), 1, timestamp_ns=now_ns - minutes * MINUTE)
    async with open_candles(network) as candles:
        assert [int(candle.close) for candle in candles.newest] == list(range(len(candles.newest), 0, -1))
        assert 1 < len(candles.newest) <= 120
        exchange.publish_trade(200, "500", 1)
        exchange.publish_trade(200, "501", 1)
        await trio.sleep(1)
        newest = candles.newest
        assert [int(newest[-1].high), int(newest[-2].close)] == [501, 1]
        for _ in range(130):
            await trio.sleep(60)
            exchange.publish_trade(200, "600", 1)
        await trio.sleep(1)
        assert len(candles.newest) == 120
        assert {int(candle.close) for candle in candles.newest} == {600}


async def test_after_an_outage(exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    async with open_candles(network) as candles:
        exchange.publish_trade(200, "10", 1)
        await trio.sleep(1)
        network.partition(100)
        for price in ("11", "12"):
            await trio.sleep(60)
            exchange.publish_trade(200, price, 1)
        await trio.sleep(60)
        exchange.publish_trade(200, "13", 1)
        await trio.sleep(1)
        assert [int(candle.close) for candle in candles.newest] == [10, 11, 12, 13]


async def test_after_a_gap_that_the_feed_cannot_fill(
    exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    async with open_candles(network) as candles:
        now_ns = exchange.now_ns()
        exchange.publish_trade(200, "1", 1, timestamp_ns=now_ns - 1500 * MINUTE)
        await trio.sleep(1)
        network.partition(100)
        for minutes in range(1400, 10, -1):
            exchange.publish_trade(200, "2", 1, timestamp_ns=now_ns - minutes * MINUTE)
        await trio.sleep(200)
        exchange.publish_trade(200, "3", 1)
        await trio.sleep(5)
        closes = [int(candle.close) for candle in candles.newest]
        assert len(closes) > 90
        assert closes[-2:] == [2, 3]


async def test_a_market_without_candles(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    async with open_candles(network, 999) as candles:
        assert candles.newest == ()
