"""The calls about orders, for the sweeps: over REST and over the control channel."""

from __future__ import annotations

from typing import Final

from tests.helpers.sweep import Operation
from tests.helpers.world import ASSET, World

__all__ = ["ORDER_CALLS", "place_and_cancel"]


async def place(world: World, price: int = 900) -> str:
    return (await world.oms.create_limit_order(2, price, "Buy", asset_id=ASSET)).order_id


async def place_and_cancel(world: World) -> None:
    await world.oms.cancel_order(await place(world), ASSET)


async def place_and_replace(world: World) -> None:
    await world.oms.replace_order(await place(world), ASSET, 3, 901)


async def place_and_amend(world: World) -> None:
    await world.oms.amend_order(await place(world), ASSET, 1)


async def trade(world: World) -> None:
    await world.oms.create_market_order("Buy", base_quantity=1, asset_id=ASSET)


async def prepare_order(world: World) -> None:
    await world.oms.prepare_limit_order_request(ASSET, 900, 1, "Buy", None, None)


async def prepare_replacement(world: World) -> None:
    await world.oms.prepare_replace_order_request("a", ASSET, 1, 900)


async def send_several(world: World) -> list[str]:
    made = [await world.oms.prepare_limit_order_request(ASSET, 900, 2, "Buy", None, None) for _ in range(2)]
    results = (await world.oms.send_multiple_orders([order for _, order in made])).batch_order_status
    assert [result.order_id for result in results] == [order_id for order_id, _ in made]
    return [order_id for order_id, _ in made]


async def replace_several(world: World) -> None:
    names = await send_several(world)
    orders = [await world.oms.prepare_replace_order_request(name, ASSET, 3, 901) for name in names]
    results = (await world.oms.replace_multiple_orders(orders)).batch_order_status
    assert [result.status for result in results] == ["Received", "Received"]


async def place_and_cancel_all(world: World) -> None:
    await place(world)
    await place(world)
    results = await world.oms.cancel_all_orders()
    assert not [result for result in results if result.error is not None]
    assert not [order for order in world.exchange.orders(world.user) if order.is_open]


ORDER_CALLS: Final[dict[str, Operation[World]]] = {
    "OrderBookClient.create_limit_order": lambda world: world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET),
    "OrderBookClient.create_market_order": trade,
    "OrderBookClient.prepare_limit_order_request": prepare_order,
    "OrderBookClient.prepare_replace_order_request": prepare_replacement,
    "OrderBookClient.cancel_order": place_and_cancel,
    "OrderBookClient.cancel_all_orders": place_and_cancel_all,
    "OrderBookClient.replace_order": place_and_replace,
    "OrderBookClient.amend_order": place_and_amend,
    "OrderBookClient.send_multiple_orders": send_several,
    "OrderBookClient.replace_multiple_orders": replace_several,
}
