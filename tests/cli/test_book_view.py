"""Reading a live book for a screen: its states, its losses, its trades, its rate."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from tests.cli.screens import LOST, make_view
from tplus_trio import MarketDataClient, OrderBook
from tplus_trio.cli.book_view import BookMonitor, describe_state
from tplus_trio.streams.stats import StreamState
from tplus_trio.testing import Exchange, MemoryNetwork


@asynccontextmanager
async def open_monitor(exchange: Exchange, network: MemoryNetwork) -> AsyncGenerator[BookMonitor]:
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    async with (
        MarketDataClient(network.url, connector=network) as client,
        client.open_book(200) as book,
        client.stream_finalized_trades() as trades,
        trio.open_nursery() as nursery,
    ):
        monitor = BookMonitor(book, trades)
        nursery.start_soon(monitor.follow)
        yield monitor
        nursery.cancel_scope.cancel()


async def test_a_book_that_is_lost_and_found(
    exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    async with open_monitor(exchange, network) as monitor:
        first = monitor.view(5)
        assert (first.word, first.book, first.lost, first.state) == ("CONNECTING", None, None, StreamState.CONNECTING)
        await monitor.book.wait_synced()
        await trio.sleep(1)
        live = monitor.view(None)
        assert (live.word, live.book, live.lost) == ("LIVE", exchange.book(200), None)
        network.partition(30)
        await trio.sleep(21)
        lost = monitor.view(5)
        assert (lost.word, lost.book) == ("LOST", None)
        assert lost.lost is not None
        assert "no pong" in lost.lost.reason
        assert lost.error
        await trio.sleep(20)
        again = monitor.view(5)
        assert (again.word, again.lost, again.error) == ("LIVE", None, "")
        assert again.stats.gaps == 1
        assert again.stats.connects == 2


async def test_at_most_so_many_levels(exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    async with open_monitor(exchange, network) as monitor:
        exchange.publish_diff(200, bids=[("9.4", 1), ("9.6", 1)])
        await monitor.book.wait_synced()
        book = monitor.view(1).book
        assert book == OrderBook(asks=[("10.5", 20)], bids=[("9.6", 1)], sequence_number=1002)


async def test_the_trades_of_the_market(exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    exchange.add_market(201)
    old = [exchange.publish_trade(200, "10", 1), exchange.publish_trade(200, "11", 1)]
    async with open_monitor(exchange, network) as monitor:
        await monitor.book.wait_synced()
        await trio.sleep(1)
        exchange.publish_trade(201, "99", 1)
        new = exchange.publish_trade(200, "12", 2)
        await trio.sleep(1)
        assert monitor.view(1).trades == (new,)
        monitor.add_trades((new, old[1], old[0]))
        assert monitor.view(1).trades == (new, old[1], old[0])
        newest = exchange.publish_trade(200, "13", 1)
        await trio.sleep(1)
        view = monitor.view(1)
        assert view.trades[0] == newest
        assert view.lag is not None


async def test_a_service_without_the_feed_of_trades(
    exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    exchange.faults.reject_handshakes(5, 404, path="/trades")
    async with open_monitor(exchange, network) as monitor:
        await trio.sleep(1)
        assert monitor.view(1).word == "LIVE"


async def test_the_rate(exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    async with open_monitor(exchange, network) as monitor:
        await monitor.book.wait_synced()
        rates: list[float] = []
        for i in range(30):
            exchange.publish_diff(200, bids=[("9.4", i + 1), ("9.6", 1)])
            await trio.sleep(0.1)
            rates.append(monitor.view(1).rate)
        assert rates[-1] == pytest.approx(10, abs=1.5)
        await trio.sleep(2)
        monitor.view(1)
        await trio.sleep(0.5)
        assert monitor.view(1).rate == 0
        assert monitor.view(1).silence == pytest.approx(2.6, abs=0.2)


def test_a_line_of_text() -> None:
    line = describe_state(make_view())
    assert line == (
        "LIVE  #1234  bid 10.00 x 5  ask 10.05 x 2.5  spread 0.05  49.88 bp  mid 10.025  "
        "5012 messages/s  gaps 0  resyncs 0  connects 0"
    )
    empty = describe_state(make_view(book=OrderBook()))
    assert empty.startswith("LIVE  #0  bid -  ask -  the book is empty")
    small = OrderBook(bids=[(Decimal("1E-7"), Decimal("1E+3"))])
    assert "bid 0.0000001 x 1000" in describe_state(make_view(book=small))
    assert describe_state(make_view(lost=LOST)).startswith("LOST  no pong within 1 s  (backoff)  ")
    connecting = make_view(book=None, state=StreamState.CONNECTING, error="refused")
    assert describe_state(connecting).startswith("CONNECTING  refused  (connecting)  ")
