"""The traders of the embedded exchange."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tplus_trio import codec
from tplus_trio.models import OrderBook, OrderBookDiff
from tplus_trio.testing import Exchange, Population


def replay(book: OrderBook, frames: list[bytes]) -> OrderBook:
    """A book after some diffs, each of which must follow."""
    bids, asks, number = dict(book.bids), dict(book.asks), book.sequence_number
    for data in frames:
        diff = codec.decode(data, OrderBookDiff)
        assert diff.sequence_number == number + 1
        number = diff.sequence_number
        for side, levels in ((bids, diff.bids), (asks, diff.asks)):
            for price, quantity in levels:
                side[price] = quantity
                if not quantity:
                    del side[price]
    return OrderBook(asks=sorted(asks.items()), bids=sorted(bids.items(), reverse=True), sequence_number=number)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_diffs_of_a_busy_market_make_its_book(seed: int) -> None:
    exchange = Exchange()
    traders = Population(exchange, [200, 201], seed=seed)
    feed = exchange.subscribe("/marketdepth/diff/200")
    book = exchange.book(200)
    traders.settle()
    for _ in range(200):
        traders.step()
    assert replay(book, feed.take()) == exchange.book(200)


def test_a_population_keeps_books_alive() -> None:
    exchange = Exchange()
    traders = Population(exchange, [200], seed=4)
    traders.settle()
    book = exchange.book(200)
    for _ in range(3000):
        traders.step()
        book = exchange.book(200)
        assert book.bids[0].price < book.asks[0].price
    assert 10 <= len(book.bids) <= 40
    assert 10 <= len(book.asks) <= 40
    assert len(exchange.trades(200)) > 100
    assert {order.order_id for order in exchange.orders(traders.traders[0])}


def test_the_same_seed_does_the_same() -> None:
    def books(seed: int) -> list[OrderBook]:
        exchange = Exchange()
        traders = Population(exchange, [200, 201], seed=seed)
        traders.settle()
        for _ in range(300):
            traders.step()
        return [exchange.book(200), exchange.book(201)]

    assert books(7) == books(7) != books(8)


async def test_a_population_runs_at_its_rate(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    with trio.move_on_after(20):
        await Population(exchange, [200], rate=10.0).run()
    changes = exchange.book(200).sequence_number - 1000 - 72  # less those of the first filling
    assert 120 < changes < 280
    for rate, assets in ((0.0, [200]), (1.0, [])):
        with pytest.raises(ValueError, match=r"population|rate"):
            Population(exchange, assets, rate=rate)
