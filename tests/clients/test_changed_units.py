"""A client requests the units of a market again when the service refuses those that it has."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import OrderRejected
from tplus_trio.testing import Response


async def create(world: World) -> Any:
    _, request = await world.oms.prepare_limit_order_request(ASSET, Decimal(90), Decimal("0.005"), "Buy", None, None)
    return (await world.oms.send_multiple_orders([request])).batch_order_status[0]


async def replace(world: World) -> Any:
    request = await world.oms.prepare_replace_order_request("a", ASSET, Decimal("0.004"), Decimal(91))
    return (await world.oms.replace_multiple_orders([request])).batch_order_status[0]


@pytest.mark.parametrize("use_ws_control", [False, True])
@pytest.mark.parametrize("change", ["create", "replace"])
async def test_a_batch_that_was_refused_for_its_units(
    change: Literal["create", "replace"], use_ws_control: bool, autojump_clock: MockClock
) -> None:
    send = {"create": create, "replace": replace}[change]
    async with open_world(orders={"use_ws_control": use_ws_control}) as world:
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="a")
        world.exchange.change_decimals(ASSET, 4, 3)
        refused = await send(world)
        assert isinstance(refused.error, OrderRejected)
        assert refused.error.code == "INVALID_ORDER_DECIMALS"
        assert (await send(world)).error is None
        reads = world.exchange.requests["GET", f"/market/{ASSET}"]
        assert (await send(world)).error is None
        assert world.exchange.requests["GET", f"/market/{ASSET}"] == reads


async def test_a_batch_that_was_refused_for_another_reason_keeps_the_units(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.get_market(ASSET)
        reads = world.exchange.requests["GET", f"/market/{ASSET}"]
        assert isinstance((await replace(world)).error, Exception)
        assert (await create(world)).error is None
        assert world.exchange.requests["GET", f"/market/{ASSET}"] == reads


async def test_a_market_that_the_service_names_in_another_way_is_requested_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        address = "82af49447d8a07e3bd95bd0d56f35241523fbab1000000000000000000000000@00000000000000a4b1"
        named = {"asset_id": address, "book_price_decimals": 2, "book_quantity_decimals": 3}
        answer = Response(200, json.dumps(named).encode())
        world.exchange.faults.answer_requests(f"/market/{ASSET}", answer)
        await world.oms.get_market(ASSET)
        world.exchange.change_decimals(ASSET, 4, 3)
        with pytest.raises(OrderRejected, match="DECIMALS"):
            await world.oms.create_limit_order(Decimal("0.005"), Decimal(90), "Buy", asset_id=ASSET)
        await world.oms.create_limit_order(Decimal("0.005"), Decimal(90), "Buy", asset_id=ASSET)
