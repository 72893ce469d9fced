"""A scope cancels its orders on request, also those that another task changes or that are being renewed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import open_orders_world
from tests.helpers.world import ASSET, World
from tplus_trio import OrderHandle, OrderScope, OrdersLeftResting, OrderState, TplusError


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def resting(world: World) -> list[str]:
    return [order.order_id for order in world.exchange.resting(world.user)]


async def test_one_order_is_cancelled_and_others_stay(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = await orders.create_limit_order(5, 905, "Buy")
        second = await orders.create_limit_order(5, 900, "Buy")
        await orders.cancel_order(first)
        assert first.state is OrderState.CANCELED
        assert resting(world) == [second.order_id]
        assert list(orders.open) == [second]
        await orders.cancel_order(first)  # it has gone
        await orders.cancel_all()
        assert resting(world) == []
        assert len(orders.open) == 0


async def test_orders_of_other_scopes_are_refused(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as outer:
        theirs = await outer.create_limit_order(5, 905, "Buy")
        async with world.oms.order_scope(ASSET) as inner:
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: inner.cancel_order(theirs),
                lambda: inner.replace_order(theirs, 4, 900),
                lambda: inner.amend_order(theirs, 4),
            ]
            for call in calls:
                with pytest.raises(ValueError, match=re.escape(theirs.order_id)):
                    await call()
        assert resting(world) == [theirs.order_id]


async def test_a_kept_order_is_changed_by_keep_alone(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        kept = await orders.keep("bid", "Buy", 900, 5)
        assert kept is not None
        with pytest.raises(ValueError, match="'bid'"):
            await orders.replace_order(kept, 4, 900)
        with pytest.raises(ValueError, match="'bid'"):
            await orders.amend_order(kept, 4)
        await orders.cancel_order(kept)
        assert resting(world) == []


async def cancel_all(orders: OrderScope, _: OrderHandle) -> None:
    await orders.cancel_all()


async def cancel_one(orders: OrderScope, order: OrderHandle) -> None:
    await orders.cancel_order(order)


@pytest.mark.parametrize("cancel", [cancel_all, cancel_one])
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_an_order_that_another_task_changes_is_cancelled_after_that(
    way: str,
    cancel: Callable[[OrderScope, OrderHandle], Awaitable[None]],
    is_cancelled: bool,
    autojump_clock: MockClock,
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, deadline=1.0) as orders:
        handle = await orders.create_limit_order(5, 905, "Buy")

        async def change() -> None:
            with suppress(TplusError):
                await orders.replace_order(handle, 4, 890)

        async with trio.open_nursery() as nursery:
            world.network.partition(3)
            nursery.start_soon(change)
            await trio.sleep(0.5)
            if is_cancelled:
                with trio.move_on_after(0.2) as scope:
                    await cancel(orders, handle)
                assert scope.cancelled_caught
            else:
                with pytest.raises(OrdersLeftResting) as caught:
                    await cancel(orders, handle)
                assert [order.order_id for order in caught.value.orders] == [handle.order_id]
        await trio.sleep(30)
        assert resting(world) == []
        assert handle.is_done
        assert len(orders.open) == 0


async def test_an_order_that_cannot_be_renewed_is_not_created_once_it_is_cancelled(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, deadline=0.5, lease=10.0) as orders:
        await orders.create_limit_order(5, 905, "Buy")
        world.network.delay(0.05)
        with trio.fail_after(6):
            while resting(world):  # noqa: ASYNC110 - the exchange has no such event
                await trio.sleep(0.01)
        world.network.partition(20)
        with pytest.raises(OrdersLeftResting):
            await orders.cancel_all()
        await trio.sleep(60)
        assert resting(world) == []
        assert len(orders.open) == 0
