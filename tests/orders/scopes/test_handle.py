"""A handle says what is known of its order, and its waits end with what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import open_orders_world
from tests.helpers.world import ASSET, World
from tplus_trio import (
    OrderEnded,
    OrderHandle,
    OrderRejected,
    OrderScope,
    OrderState,
    OrderTrigger,
    Side,
    TriggerAbove,
    User,
)

OTHER = User()


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def trade(world: World, price: int, quantity: int) -> None:
    """Let another user sell to the orders of the user."""
    world.exchange.place(OTHER, ASSET, "Sell", price, quantity)


async def bid(orders: OrderScope, **options: Any) -> OrderHandle:
    return await orders.create_limit_order(5, 900, "Buy", **options)


async def test_an_order_that_rests_and_trades(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        market = await world.oms.get_market(ASSET)
        unit = Decimal(1).scaleb(-market.book_quantity_decimals)
        handle = await bid(orders, order_id="mine")
        assert (handle.order_id, handle.asset_id, handle.side, handle.key) == ("mine", ASSET, Side.BUY, None)
        assert handle.quantity == handle.remaining_quantity == 5 * unit
        assert await handle.wait_open() is OrderState.OPEN
        assert not handle.is_in_doubt
        assert not handle.ambiguous
        trade(world, 900, 2)
        await trio.sleep(1)
        assert handle.state is OrderState.OPEN
        assert not handle.is_done
        assert handle.end is None
        assert (handle.filled_quantity, handle.remaining_quantity) == (2 * unit, 3 * unit)
        assert handle.is_complete
        trade(world, 900, 3)
        assert await handle.wait_filled() is OrderState.FILLED
        assert await handle.wait_done() is OrderState.FILLED
        assert (handle.filled_quantity, handle.remaining_quantity) == (5 * unit, Decimal(0))
        assert sum(one.quantity for one in handle.trades) == 5 * unit
        assert handle.end is not None
        assert handle.end.reason == "Completed"
        assert orders.open == ()


async def test_an_order_that_waits_for_its_trigger(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        handle = await orders.create_limit_order(5, 910, "Sell", trigger=OrderTrigger(None, TriggerAbove(2000)))
        assert await handle.wait_open() is OrderState.WAITING
        await orders.cancel_order(handle)
        assert await handle.wait_done() is OrderState.CANCELED


async def test_an_order_that_is_cancelled_after_a_trade(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        handle = await bid(orders)
        trade(world, 900, 2)
        await orders.cancel_order(handle)
        assert await handle.wait_open() is OrderState.CANCELED
        with pytest.raises(OrderEnded) as caught:
            await handle.wait_filled()
        assert caught.value.order_id == handle.order_id
        assert handle.remaining_quantity == 0
        assert sum(one.quantity for one in handle.trades) == handle.filled_quantity


async def test_an_order_that_never_took_effect(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        trade(world, 950, 5)
        kept = await orders.keep("bid", "Buy", 900, 5)
        assert kept is not None
        await orders.cancel_all()
        taken = orders._kept_orders._orders
        with pytest.raises(OrderRejected):
            await orders.keep("bid", "Buy", 960, 5)
        (refused,) = [one.handle for one in taken.values()]
        assert refused is not None
        assert refused.state is await refused.wait_done() is OrderState.REJECTED
        for wait in (refused.wait_open, refused.wait_filled):
            with pytest.raises(OrderRejected):
                await wait()
        assert orders.open == ()


@pytest.mark.parametrize("wait", ["wait_open", "wait_filled", "wait_done", "wait_final"])
async def test_a_wait_that_is_cancelled_changes_nothing(way: str, wait: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        handle = await bid(orders)
        run: Callable[[], Awaitable[object]] = getattr(handle, wait)
        with trio.CancelScope() as scope:
            scope.cancel()
            await run()
        assert scope.cancelled_caught
        with trio.move_on_after(5):
            await run()
        assert [order.order_id for order in world.exchange.resting(world.user)] == [handle.order_id]
        assert world.oms._fates.news._lots == {}


async def test_waits_of_several_tasks_end_together(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        handle = await bid(orders)
        ended: list[OrderState] = []

        async def wait(one: Callable[[], Awaitable[OrderState]]) -> None:
            ended.append(await one())

        async with trio.open_nursery() as nursery:
            for one in (handle.wait_done, handle.wait_filled, handle.wait_done, handle.wait_final):
                nursery.start_soon(wait, one)
            await trio.sleep(1)
            assert ended == []
            trade(world, 900, 5)
            await trio.sleep(1)
            for made in world.exchange.trades(ASSET):
                world.exchange.change_trade(made, "Confirmed")
        assert ended == [OrderState.FILLED] * 4


async def test_a_trade_that_is_rolled_back_lowers_what_was_filled(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        handle = await bid(orders)
        trade(world, 900, 5)
        await handle.wait_filled()
        for made in world.exchange.trades(ASSET):
            world.exchange.change_trade(made, "Rollbacked")
        await trio.sleep(1)
        assert await handle.wait_final() is OrderState.FILLED
        assert handle.filled_quantity == 0


async def test_the_last_wait_is_for_the_confirmation_of_trades(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        world.exchange.faults.confirm_after(10.0)
        handle = await bid(orders)
        trade(world, 900, 5)
        await handle.wait_filled()
        with trio.move_on_after(5) as scope:
            await handle.wait_final()
        assert scope.cancelled_caught
        assert await handle.wait_final() is OrderState.FILLED
        assert {one.status for one in handle.trades} == {"Confirmed"}


async def test_an_order_can_be_read_after_its_scope(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        async with world.oms.order_scope(ASSET) as orders:
            handle = await bid(orders)
            trade(world, 900, 2)
        assert await handle.wait_done() is OrderState.CANCELED
        assert await handle.wait_open() is OrderState.CANCELED
        assert handle.remaining_quantity == 0
        assert handle.filled_quantity > 0
    assert handle.state is OrderState.CANCELED


async def test_an_order_in_doubt_says_so(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, deadline=20.0) as orders:
        handle = await bid(orders)
        world.network.partition(5)
        with trio.move_on_after(0.5):
            await orders.replace_order(handle, 4, 905)
        assert handle.is_in_doubt
        await orders.cancel_order(handle)  # a change that was lost may take effect for as long as the order rests
        await trio.sleep(10)
        assert not handle.is_in_doubt
        assert handle.state is OrderState.CANCELED


async def test_what_is_renewed_is_one_order(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, lease=4.0) as orders:
        handle = await bid(orders)
        first, quantity = handle.order_id, handle.quantity
        trade(world, 900, 2)
        await trio.sleep(3)
        second = handle.order_id
        assert second != first
        assert orders.open == (handle,)
        assert handle.quantity == quantity
        trade(world, 900, 1)
        await trio.sleep(1)
        assert [one.order_id for one in handle.trades] == [first, second]
        assert (handle.filled_quantity, handle.remaining_quantity) == (
            sum(one.quantity for one in handle.trades),
            (quantity or 0) - handle.filled_quantity,
        )
        assert not handle.is_done
        assert handle.end is None
        (resting,) = world.exchange.resting(world.user)
        assert (resting.order_id, resting.remaining) == (second, 2)
