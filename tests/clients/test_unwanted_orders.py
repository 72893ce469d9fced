"""An order that was stated not to exist, or was taken back, is taken back again if a copy of it comes late."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import NO_RULES, open_orders_world, outcome_of, place
from tests.helpers.world import ASSET
from tplus_trio import GTC, OrderStatus


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


async def test_a_copy_of_a_refused_order_is_taken_back(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        world.exchange.place(world.user, ASSET, "Sell", 900, 1, order_id="ask")
        world.exchange.faults.repeat_requests(1.0, answer="first", path="/orders/create" if way == "rest" else "")
        refusal = await outcome_of(lambda: place(world, "mine", time_in_force=GTC(post_only=True)))
        assert refusal == "POST_ONLY_WOULD_CROSS"
        world.exchange.cancel(world.user, "ask")
        await trio.sleep(5)
        (row,) = [order for order in world.exchange.orders(world.user) if order.order_id == "mine"]
        assert row.status is OrderStatus.CANCELLED
        assert world.oms.orders_in_doubt == ()


async def test_a_signed_order_that_is_sent_again_after_a_refusal_is_wanted(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        world.exchange.place(world.user, ASSET, "Sell", 900, 1, order_id="ask")
        _, request = await world.oms.prepare_limit_order_request(
            ASSET, 900, 5, "Buy", None, GTC(post_only=True), order_id="mine"
        )
        (refused,) = (await world.oms.send_multiple_orders([request])).batch_order_status
        assert refused.error is not None
        world.exchange.cancel(world.user, "ask")
        (taken,) = (await world.oms.send_multiple_orders([request])).batch_order_status
        assert taken.error is None
        await trio.sleep(5)
        assert world.exchange.is_open(world.user, "mine")


async def test_an_order_that_uses_the_id_of_one_that_was_taken_back_is_left_alone(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        world.exchange.faults.forget_ids(0.0)
        world.exchange.faults.act_then_answer("nothing")
        with trio.move_on_after(0.5):
            await place(world, "mine")
        await trio.sleep(5)
        assert not world.exchange.is_open(world.user, "mine")
        await place(world, "mine", price=890)
        await trio.sleep(5)
        assert world.exchange.is_open(world.user, "mine")
