"""`cancel_all_orders` leaves no order resting without saying so, whatever the listing looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import DecodeError, OrderRateLimit
from tplus_trio.testing import Response


async def buy(world: World, *names: str) -> None:
    for name in names:
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id=name)


def open_ids(world: World) -> set[str]:
    return {order.order_id for order in world.exchange.orders(world.user) if order.is_open}


async def rows(world: World) -> list[dict[str, Any]]:
    """The user's orders as the exchange lists them."""
    body = await world.oms._get(f"/orders/user/{world.user.public_key}", user=world.user, required=True)
    found: list[dict[str, Any]] = json.loads(body)["orders"]
    return found


def list_orders(world: World, listed: list[dict[str, Any]]) -> None:
    """Let the next listing be another one."""
    world.exchange.faults.answer_requests("/orders/user", Response(200, json.dumps({"orders": listed}).encode()))


@pytest.mark.parametrize("others", [(), ("b",)])
async def test_an_order_that_cannot_be_decoded_is_canceled_by_its_id(
    others: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        await buy(world, "a", *others)
        world.exchange.faults.spoil_rows("/orders/user", change={"limit_price": "a lot"})
        results = await world.oms.cancel_all_orders()
        assert {result.order_id for result in results} == {"a", *others}
        assert {result.asset_id for result in results} == {ASSET}
        assert open_ids(world) == set()


async def test_an_undecodable_order_of_another_market_is_left_alone(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a")
        world.exchange.faults.spoil_rows("/orders/user", change={"limit_price": "a lot"})
        assert await world.oms.cancel_all_orders(900) == ()
        assert open_ids(world) == {"a"}


async def test_an_order_that_cannot_be_named_is_reported_after_the_others_are_canceled(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        await buy(world, "a", "b", "c")
        world.exchange.faults.spoil_rows("/orders/user", missing=("order_id",))
        with pytest.raises(DecodeError, match=r"^1 of the listed orders cannot be read .* 2 others are canceled"):
            await world.oms.cancel_all_orders()
        assert len(open_ids(world)) == 1
        await world.oms.cancel_all_orders()
        assert open_ids(world) == set()


async def test_an_undecodable_order_that_has_ended_is_left_alone(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a")
        await world.oms.cancel_order("a", ASSET)
        (row,) = await rows(world)
        list_orders(world, [{**row, "limit_price": "a lot"}])
        assert await world.oms.cancel_all_orders() == ()
        assert world.exchange.requests["DELETE", "/orders/cancel"] == 1


async def test_an_id_that_no_request_can_name_does_not_stop_the_others(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a", "b")
        first, *others = await rows(world)
        list_orders(world, [{**first, "order_id": "liquidation-" + "x" * 40}, *others, first])
        results = await world.oms.cancel_all_orders()
        assert [type(result.error) for result in results] == [DecodeError, type(None), type(None)]
        assert results[0].order_id.startswith("liquidation-")
        assert open_ids(world) == set()


async def test_one_id_in_two_markets_is_two_orders(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a")
        (row,) = await rows(world)
        list_orders(world, [{**row, "base_asset": "900"}, row])
        results = await world.oms.cancel_all_orders()
        assert [(result.asset_id, result.order_id) for result in results] == [("900", "a"), (ASSET, "a")]
        assert open_ids(world) == set()


@pytest.mark.parametrize("use_ws_control", [False, True])
async def test_a_slow_limit_delays_cancellations_and_refuses_none(
    use_ws_control: bool, autojump_clock: MockClock
) -> None:
    limit = OrderRateLimit(rate=1.0)
    async with open_world(orders={"order_rate_limit": limit, "use_ws_control": use_ws_control}) as world:
        for number in range(40):
            world.exchange.place(world.user, ASSET, "Buy", 9_000, 5, order_id=f"a{number}")
        results = await world.oms.cancel_all_orders()
        assert [result.error for result in results] == [None] * 40
        assert open_ids(world) == set()
