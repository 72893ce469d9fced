"""A scope under failures of the network and of the service, and around it a book that is lost."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import open_orders_world
from tests.helpers.world import ASSET, World
from tplus_trio import OrderScope, OrdersLeftResting


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def resting(world: World) -> list[str]:
    return [order.order_id for order in world.exchange.resting(world.user)]


async def leave(orders: OrderScope) -> None:
    await orders.__aexit__(None, None, None)


@pytest.mark.parametrize("answer", [500, 503, "garbage", "nothing"])
async def test_a_cancel_whose_answer_is_lost_is_proved(way: str, answer: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        async with world.oms.order_scope(ASSET) as orders:
            await orders.keep("bid", "Buy", 900, 5)
            world.exchange.faults.act_then_answer(answer)  # type: ignore[arg-type] # a status or a word
        assert resting(world) == []
        assert orders.left_resting == ()


async def test_a_short_failure_of_the_network_is_overcome(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        async with world.oms.order_scope(ASSET, deadline=30.0) as orders:
            await orders.keep("bid", "Buy", 900, 5)
            await orders.create_limit_order(5, 905, "Buy")
            world.network.partition(5)
        assert resting(world) == []
        assert orders.left_resting == ()
        await trio.sleep(30)
        assert world.oms.orders_in_doubt == ()


async def test_a_long_failure_ends_at_the_deadline_also_if_cancelled(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        orders = world.oms.order_scope(ASSET, deadline=3.0)
        with trio.move_on_after(1) as outside:
            async with orders:
                await orders.keep("bid", "Buy", 900, 5)
                world.network.partition(60)
                await trio.sleep_forever()
        assert outside.cancelled_caught
        assert trio.current_time() - outside.deadline == pytest.approx(3.0)
        assert [order.order_id for order in orders.left_resting] == resting(world)
        await trio.sleep(120)
        assert resting(world) == []


async def test_two_scopes_fail_apart(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        outer, inner = world.oms.order_scope(ASSET, deadline=2.0), world.oms.order_scope(ASSET, deadline=1.0)
        await outer.__aenter__()
        await inner.__aenter__()
        theirs = await outer.create_limit_order(5, 905, "Buy")
        own = await inner.create_limit_order(5, 900, "Buy")
        world.network.partition(30)
        with pytest.raises(OrdersLeftResting) as caught:
            await leave(inner)
        assert [order.order_id for order in caught.value.orders] == [own.order_id]
        with pytest.raises(OrdersLeftResting) as caught:
            await leave(outer)
        assert [order.order_id for order in caught.value.orders] == [theirs.order_id]
        await trio.sleep(60)
        assert resting(world) == []


async def test_a_client_that_is_left_keeps_the_names_of_what_may_rest(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        orders = world.oms.order_scope(ASSET, deadline=1.0)
        await orders.__aenter__()
        handle = await orders.create_limit_order(5, 905, "Buy")
        world.network.partition(1000)
        with pytest.raises(OrdersLeftResting):
            await leave(orders)
    assert [order.order_id for order in world.oms.orders_in_doubt] == [handle.order_id]


async def test_a_book_that_is_lost_takes_the_quotes_back(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.md.open_book(ASSET) as book:
        for _ in range(2):
            async with book.while_synced() as session, world.oms.order_scope(ASSET) as orders:
                await orders.keep("bid", "Buy", 900, 5)
                await orders.keep("ask", "Sell", 1100, 5)
                assert len(resting(world)) == 2
                world.network.reset_connections()
                await trio.sleep_forever()
            assert session.lost is not None
            assert resting(world) == []
            assert orders.left_resting == ()
