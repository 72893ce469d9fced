"""``tplus-trio stream``: every feed of the clients, how it ends, and that gaps and snapshots are items."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.commands_page import SAMPLES
from tests.helpers.printed_lines import PrintedLines
from tests.helpers.world import ASSET, URL
from tplus_trio import HandshakeRejected, MarketDataClient, OrderBookClient, User
from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.services import Services
from tplus_trio.cli.stream_command import stream
from tplus_trio.cli.watch import watch
from tplus_trio.testing import Exchange, MemoryNetwork

#: What the first item of each feed is.
KINDS = {
    "depth": "OrderBook",
    "klines": "KlineUpdate",
    "ticker": "Ticker",
    "tickers": "Ticker",
    "trades": "Trade",
    "orders": "OrderCreatedEvent",
    "user-trades": "UserTrade",
    "user-finalized-trades": "UserTrade",
    "positions": "PositionUpdate",
    "user-events": "DepositLanded",
    "intent": "IntentAggregateUpdate",
}
INTENT = {
    "asset_id": str(ASSET),
    "watchers_delta": 1,
    "quantity_delta": "0.5",
    "watchers": 3,
    "quantity": "1.5",
    "window_end_ns": 1,
}


@attrs.frozen
class Feeds:
    exchange: Exchange
    network: MemoryNetwork
    user: User
    services: Services

    async def watch(self, name: str, **options: Any) -> list[Any]:
        """Run the command, and return the items that it printed."""
        lines = PrintedLines()
        asset = ASSET if FEEDS[name].of_market else None
        user = self.user if FEEDS[name].of_user else None
        program = partial(watch, lines, name, asset, services=self.services, user=user)
        with trio.fail_after(60):
            assert await program(**{"json": True, **options}) == 0
        return [json.loads(line) if line.startswith("{") else line for line in lines.lines]


@asynccontextmanager
async def open_feeds() -> AsyncIterator[Feeds]:
    """An exchange where something of every kind happens once a second."""
    exchange, user, other = Exchange(), User(), User()
    exchange.add_market(ASSET)
    exchange.add_market_maker(user)

    async def act() -> None:
        while True:
            await trio.sleep(1)
            exchange.place(other, ASSET, "Sell", 1000, 5)
            exchange.place(user, ASSET, "Buy", 1000, 5)
            exchange.deposit(user, ASSET, 1)
            exchange.publish("/intent/ws", INTENT)

    async with MemoryNetwork(exchange) as network, trio.open_nursery() as nursery:
        nursery.start_soon(act)
        options = {"connector": network, "now_ns": exchange.now_ns, "jitter": lambda: 1.0}
        yield Feeds(exchange, network, user, Services(URL, URL, options))
        nursery.cancel_scope.cancel()
    assert exchange.crashes == []


def test_there_is_a_feed_for_every_stream_of_the_clients() -> None:
    methods = {
        name for client in (MarketDataClient, OrderBookClient) for name in dir(client) if name.startswith("stream_")
    }
    assert {feed.method for feed in FEEDS.values()} == methods
    for name, feed in FEEDS.items():
        assert hasattr(OrderBookClient if feed.of_user else MarketDataClient, feed.method)
        assert re.search(rf"^ +{name} ", stream.help or "", re.MULTILINE)


@pytest.mark.parametrize("name", FEEDS)
async def test_each_feed(autojump_clock: MockClock, name: str) -> None:
    async with open_feeds() as feeds:
        first, second = await feeds.watch(name, count=2)
        text, *_ = await feeds.watch(name, count=1, json=False)
    assert first["kind"] == KINDS[name]
    assert second["kind"]
    assert "signature" not in f"{first}{second}"
    for item in (first, second):
        if item["kind"] != "OrderCreatedEvent":  # whose many fields the page leaves to the reference
            assert list(item) == list(SAMPLES[item["kind"]])
    assert text.split()[0] == name


async def test_it_ends_after_a_time(autojump_clock: MockClock) -> None:
    async with open_feeds() as feeds:
        began = trio.current_time()
        found = await feeds.watch("trades", seconds=3.5)
        assert 3.5 <= trio.current_time() - began < 4.5
    assert 3 <= len(found) <= 4


async def test_what_comes_first_ends_it(autojump_clock: MockClock) -> None:
    async with open_feeds() as feeds:
        assert len(await feeds.watch("trades", seconds=100.0, count=3)) == 3
        assert len(await feeds.watch("trades", seconds=1.5, count=30)) < 3


async def test_gaps_and_snapshots_are_items(autojump_clock: MockClock) -> None:
    async with open_feeds() as feeds, trio.open_nursery() as nursery:
        nursery.start_soon(drop_after, feeds.network, 2.5)
        trades = await feeds.watch("user-trades", seconds=10.0)
        nursery.start_soon(drop_after, feeds.network, 2.5)
        orders = await feeds.watch("orders", seconds=10.0)
    (gap,) = (item for item in trades if item["kind"] == "Gap")
    assert list(gap) == list(SAMPLES["Gap"])
    (snapshot,) = (item for item in orders if item["kind"] == "OrdersSnapshot")
    assert list(snapshot) == list(SAMPLES["OrdersSnapshot"])


async def drop_after(network: MemoryNetwork, seconds: float) -> None:
    await trio.sleep(seconds)
    network.drop_connections()


async def test_the_first_connection_must_succeed(autojump_clock: MockClock) -> None:
    async with open_feeds() as feeds:
        feeds.exchange.faults.reject_handshakes(503)
        with pytest.raises(HandshakeRejected):
            await feeds.watch("trades", count=1)
