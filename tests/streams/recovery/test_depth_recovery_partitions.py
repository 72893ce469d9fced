"""An hour of partitions with five books: a book in sync is always one that the exchange had."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.depth_model import State, books_of
from tplus_trio import BookNotSynced, LiveBook, MarketDataClient
from tplus_trio.testing import Exchange, MemoryNetwork, assert_no_leaks

MARKETS = range(1, 6)
HOUR = 3600.0
EVERY = 20.0


class History:
    """Every state of the exchange's books."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.known: dict[tuple[str, int], State] = {}
        for market in MARKETS:
            self.record(market)

    def record(self, market: int) -> None:
        book = self.exchange.book(market)
        self.known[str(market), book.sequence_number] = books_of(book)

    async def change_books(self) -> None:
        """Change a level of each market every two seconds."""
        rng = random.Random(1)
        while True:
            await trio.sleep(2.0)
            for market in MARKETS:
                buys = rng.random() < 0.5
                level = [(rng.randrange(80, 100) if buys else rng.randrange(101, 120), rng.randrange(4))]
                self.exchange.publish_diff(market, level if buys else (), () if buys else level)
                self.record(market)

    async def check(self, books: list[LiveBook], seen: dict[str, int]) -> None:
        """Check every two seconds that a book in sync is one that the exchange had."""
        while True:
            for book in books:
                try:
                    state = book.snapshot()
                except BookNotSynced:
                    seen["not in sync"] += 1
                else:
                    assert books_of(state) == self.known[book.asset_id, state.sequence_number]
                    seen["in sync"] += 1
            await trio.sleep(2.0)


async def cut(network: MemoryNetwork) -> int:
    rng, times = random.Random(2), 0
    while trio.current_time() < HOUR:
        await trio.sleep(EVERY)
        network.partition(rng.uniform(1.0, 15.0), refuse=rng.random() < 0.5)
        times += 1
    await trio.sleep(15.0)
    return times


@pytest.mark.tplus_network(latency=(0.001, 0.05), seed=3)
async def test_a_book_survives_an_hour_of_partitions(
    exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    seen = {"in sync": 0, "not in sync": 0}
    for market in MARKETS:
        exchange.add_market(market)
    async with (
        assert_no_leaks(),
        MarketDataClient(network.url, connector=network) as md,
        trio.open_nursery() as nursery,
    ):
        books = [md.open_book(market) for market in MARKETS]
        for book in books:
            nursery.start_soon(keep_open, book)
        history = History(exchange)
        nursery.start_soon(history.change_books)
        nursery.start_soon(history.check, books, seen)
        times = await cut(network)
        for book in books:
            await book.wait_synced()
        nursery.cancel_scope.cancel()
    assert times > 100
    assert all(book.stats.connects > times / 2 for book in books)
    assert min(seen.values()) > 1000


async def keep_open(book: LiveBook) -> None:
    async with book:
        await trio.sleep_forever()
