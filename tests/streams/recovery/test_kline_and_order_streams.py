"""Candles, orders and user trades behind real streams: a loss leads to reads, a new listing or a gap."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.recovered_streams import assert_nothing_comes, lose_connections, take
from tests.helpers.world import ASSET, World, open_world
from tplus_trio import (
    Gap,
    KlineUpdate,
    OrderCreatedEvent,
    OrdersSnapshot,
    UserTrade,
)
from tplus_trio.clients import user_orders

BOB = "b0b" + "0" * 61


async def trade_minutes(world: World, n: int) -> list[int]:
    """Make one trade a minute; return the opening times of their candles."""
    opened = []
    for _ in range(n):
        await trio.sleep(60)
        trade = world.exchange.publish_trade(ASSET, 100, 1)
        opened.append(trade.timestamp_ns - trade.timestamp_ns % (60 * 10**9))
    return opened


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("pages", [10, 2])
async def test_twenty_missed_candles_arrive_from_three_pages(pages: int, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_klines(ASSET, backfill_pages=pages) as klines:
        await klines.wait_live()
        (first,) = await trade_minutes(world, 1)
        world.exchange.publish_trade(ASSET, 101, 1)
        assert [item.open_timestamp_ns for item in await take(klines, 2)] == [first, first]
        world.exchange.faults.reject_handshakes(50, 503)  # the delay grows to half a minute each
        await lose_connections(world)
        world.exchange.publish_trade(ASSET, 102, 1)
        missed = await trade_minutes(world, 20)
        await klines.wait_live()
        (live,) = await trade_minutes(world, 1)
        if pages == 2:
            gap, candle = await take(klines, 2)
            assert isinstance(gap, Gap)
            assert candle.open_timestamp_ns == live
        else:
            candles = await take(klines, 22)
            assert all(isinstance(candle, KlineUpdate) for candle in candles)
            # The candle that was open when the connection was lost arrives in its last state.
            assert [candle.open_timestamp_ns for candle in candles] == [first, *missed, live]
            assert (candles[0].close, candles[0].volume) == (102, 3)
        await assert_nothing_comes(klines)


async def test_orders_that_move_between_pages_arrive_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_orders, "_ORDERS_PAGE", 2)
    async with open_world() as world, world.oms.stream_orders() as orders:
        place, key = world.exchange.place, world.user.public_key
        for name in "abcd":
            place(key, ASSET, "Buy", 900, 1, order_id=name)
        await orders.wait_live()
        await lose_connections(world)
        world.exchange.faults.delay_requests("/orders/user", 1.0)
        await trio.sleep(0.6)  # the first page is on its way
        place(key, ASSET, "Buy", 900, 1, order_id="e")
        snapshot, event = await take(orders, 2)
        assert isinstance(snapshot, OrdersSnapshot)
        # "c" was on both pages; "e" was added at the head of the list after the first page was made.
        assert [order.order_id for order in snapshot.orders] == ["d", "c", "b", "a"]
        assert snapshot.is_complete
        assert isinstance(event, OrderCreatedEvent)
        # Now beyond the page limit.
        monkeypatch.setattr(user_orders, "_ORDERS_PAGES", 2)
        await lose_connections(world)
        (cut,) = await take(orders, 1)
        assert isinstance(cut, OrdersSnapshot)
        assert ([order.order_id for order in cut.orders], cut.is_complete) == (["e", "d", "c", "b"], False)


async def test_a_listing_of_the_orders_follows_each_loss(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.stream_orders() as orders:
        await orders.wait_live()
        place, key = world.exchange.place, world.user.public_key
        place(key, ASSET, "Buy", 900, 1, order_id="a")
        (first,) = await take(orders, 1)
        assert isinstance(first, OrderCreatedEvent)
        await lose_connections(world)
        place(key, ASSET, "Buy", 901, 1, order_id="b")
        world.exchange.cancel(key, "a")
        await orders.wait_live()
        place(key, ASSET, "Buy", 902, 1, order_id="c")
        snapshot, event = await take(orders, 2)
        assert isinstance(snapshot, OrdersSnapshot)
        assert {order.order_id for order in snapshot.orders} >= {"b"}
        assert isinstance(event, OrderCreatedEvent)
        assert event.order_id == "c"
        # The same after each loss.
        await lose_connections(world)
        (again,) = await take(orders, 1)
        assert isinstance(again, OrdersSnapshot)
        assert {order.order_id for order in again.orders} >= {"b", "c"}


@pytest.mark.parametrize("finalized", [False, True])
async def test_a_gap_follows_each_loss_of_user_trades(finalized: bool, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        oms, place, key = world.oms, world.exchange.place, world.user.public_key
        async with oms.stream_user_finalized_trades() if finalized else oms.stream_user_trade_events() as trades:
            await trades.wait_live()

            def trade() -> int:
                place(key, ASSET, "Buy", 900, 1)
                place(BOB, ASSET, "Sell", 900, 1)
                return 1 if finalized else 2  # pending, then confirmed

            assert all(isinstance(item, UserTrade) for item in await take(trades, trade()))
            seen_ns = world.exchange.now_ns()
            await trio.sleep(7)
            await lose_connections(world)
            trade()
            await trades.wait_live()
            gap, *rest = await take(trades, 1 + trade())
            assert isinstance(gap, Gap)
            assert gap.since_ns == pytest.approx(seen_ns, abs=10**6)
            assert gap.until_ns - gap.since_ns == pytest.approx(7.25e9, rel=1e-3)
            assert all(isinstance(item, UserTrade) for item in rest)
            await assert_nothing_comes(trades)
