"""Orders expire at their time."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tests.helpers.raw_client import SECOND, Clock
from tplus_trio import MarketDataClient, OrderBookClient, OrderRemovedEvent, User
from tplus_trio.models import GTC, GTD
from tplus_trio.testing import Exchange, MemoryNetwork, serve

ALICE = User()


@pytest.mark.parametrize("ways", [1, 2])
async def test_an_order_expires_at_its_time(autojump_clock: MockClock, ways: int) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    async with (
        MemoryNetwork(exchange) as network,
        MemoryNetwork(exchange) as other,
        OrderBookClient(network.url, connector=network, default_user=ALICE) as client,
        MarketDataClient(other.url, connector=other if ways == 2 else network) as md,
        client.stream_orders() as events,
        md.open_book(200) as book,
    ):
        await events.wait_live()
        await book.wait_synced()
        start = exchange.now_ns()
        for order_id, seconds in (("long", 30), ("short", 10), ("longest", 3600)):
            exchange.place(
                ALICE,
                200,
                "Buy",
                900 + seconds,
                5,
                order_id=order_id,
                time_in_force=GTD(False, start + seconds * SECOND),
            )
        exchange.cancel(ALICE, "longest")
        exchange.place(ALICE, 200, "Buy", 100, 5, time_in_force=GTC())
        removed: list[tuple[str, int]] = []
        with trio.move_on_after(100):
            async for event in events:
                if isinstance(event, OrderRemovedEvent):
                    second = (exchange.now_ns() - start) // SECOND
                    removed.append((event.order_id, second))
        assert removed == [("longest", 0), ("short", 10), ("long", 30)]
        assert book.best_bid is not None
        assert book.best_bid.price == 1


async def test_without_orders_that_expire_nothing_runs(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    async with MemoryNetwork(exchange):
        before = trio.lowlevel.current_statistics().tasks_living
        exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a", time_in_force=GTD(False, exchange.now_ns() + SECOND))
        await trio.lowlevel.checkpoint()
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
        exchange.cancel(ALICE, "a")
        await trio.sleep(0.1)
        assert trio.lowlevel.current_statistics().tasks_living == before
    exchange.place(ALICE, 200, "Buy", 900, 5, time_in_force=GTD(False, exchange.now_ns() + SECOND))


async def test_a_clock_that_stands_still_expires_nothing(autojump_clock: MockClock) -> None:
    clock = Clock()
    exchange = Exchange(now_ns=clock)
    exchange.add_market(200)
    async with MemoryNetwork(exchange):
        exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a", time_in_force=GTD(False, clock.now_ns + 5))
        await trio.sleep(1000)
        assert exchange.is_open(ALICE, "a")
        clock.now_ns += 5
        await trio.sleep(2)
        assert not exchange.is_open(ALICE, "a")


async def test_an_order_expires_at_its_time_over_tcp() -> None:
    exchange = Exchange()
    exchange.add_market(200)
    async with serve(exchange):
        exchange.place(
            ALICE, 200, "Buy", 900, 5, order_id="a", time_in_force=GTD(False, exchange.now_ns() + SECOND // 20)
        )
        with trio.fail_after(10):
            while exchange.is_open(ALICE, "a"):  # noqa: ASYNC110 - the exchange has no event for this
                await trio.sleep(0.01)
