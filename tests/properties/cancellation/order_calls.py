"""The calls about orders, for the sweeps, and what the exchange's own record says of their fates."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from tests.helpers.recording_observer import RecordingObserver
from tests.helpers.sweep import Operation, idle_connections
from tests.helpers.world import ASSET, World, open_world
from tplus_trio.testing.exchange.effects import EffectKind

__all__ = [
    "ORDER_CALLS",
    "PREPARATIONS",
    "OrderWorld",
    "check_fates",
    "inspect_and_use",
    "inspect_orders",
    "open_order_world",
    "use",
]

#: The effect of each operation.
_KINDS: Final[dict[str, EffectKind]] = {
    "create": "create",
    "batch-create": "create",
    "cancel": "cancel",
    "replace": "replace",
    "batch-replace": "replace",
    "amend": "amend",
}


@attrs.frozen
class OrderWorld(World):
    """A world, what its client reports about orders, and which orders the caller was given."""

    observer: RecordingObserver
    given: list[str] = attrs.field(factory=list[str])


@asynccontextmanager
async def open_order_world(way: str, **options: Any) -> AsyncGenerator[OrderWorld]:
    observer = RecordingObserver()
    orders = {"use_ws_control": way == "control", "observer": observer, **options}
    async with open_world(latency=0.01, orders=orders) as world:
        yield OrderWorld(world.exchange, world.network, world.md, world.oms, world.user, observer)


# The calls, and what has to be there before.


async def nothing(_: OrderWorld) -> None:
    """Prepare nothing."""


async def place(world: OrderWorld) -> None:
    order_id = (await world.oms.create_limit_order(2, 900, "Buy", asset_id=ASSET)).order_id
    world.given.append(order_id)


async def place_two(world: OrderWorld) -> None:
    await place(world)
    await place(world)


async def trade(world: OrderWorld) -> None:
    await world.oms.create_market_order("Buy", base_quantity=1, asset_id=ASSET)


async def cancel(world: OrderWorld) -> None:
    await world.oms.cancel_order(world.given[-1], ASSET)


async def cancel_all(world: OrderWorld) -> None:
    results = await world.oms.cancel_all_orders()
    assert not [result for result in results if result.error is not None]
    assert not world.exchange.resting(world.user)


async def replace(world: OrderWorld) -> None:
    await world.oms.replace_order(world.given[-1], ASSET, 3, 901)


async def amend(world: OrderWorld) -> None:
    await world.oms.amend_order(world.given[-1], ASSET, 1)


async def prepare_order(world: World) -> None:
    await world.oms.prepare_limit_order_request(ASSET, 900, 1, "Buy", None, None)


async def prepare_replacement(world: World) -> None:
    await world.oms.prepare_replace_order_request("a", ASSET, 1, 900)


async def send_several(world: OrderWorld) -> None:
    made = [await world.oms.prepare_limit_order_request(ASSET, 900, 2, "Buy", None, None) for _ in range(2)]
    results = (await world.oms.send_multiple_orders([order for _, order in made])).batch_order_status
    names = [order_id for order_id, _ in made]
    assert [result.order_id for result in results] == names
    world.given.extend(names)


async def replace_several(world: OrderWorld) -> None:
    orders = [await world.oms.prepare_replace_order_request(name, ASSET, 3, 901) for name in world.given[-2:]]
    results = (await world.oms.replace_multiple_orders(orders)).batch_order_status
    assert [result.status for result in results] == ["Received", "Received"]


PREPARATIONS: Final[dict[str, Operation[World]]] = {
    "OrderBookClient.prepare_limit_order_request": prepare_order,
    "OrderBookClient.prepare_replace_order_request": prepare_replacement,
}
#: What has to be done before each call, and the call.
ORDER_CALLS: Final[dict[str, tuple[Operation[OrderWorld], Operation[OrderWorld]]]] = {
    "OrderBookClient.create_limit_order": (nothing, place),
    "OrderBookClient.create_market_order": (nothing, trade),
    "OrderBookClient.cancel_order": (place, cancel),
    "OrderBookClient.cancel_all_orders": (place_two, cancel_all),
    "OrderBookClient.replace_order": (place, replace),
    "OrderBookClient.amend_order": (place, amend),
    "OrderBookClient.send_multiple_orders": (nothing, send_several),
    "OrderBookClient.replace_multiple_orders": (send_several, replace_several),
}


async def use(world: OrderWorld) -> None:
    """Check that a client works."""
    with trio.fail_after(60):
        await place(world)
        await cancel(world)


# What is left.


def check_fates(world: OrderWorld) -> None:
    """Compare the stated fates, and the orders that rest, with the exchange's own record."""
    doubts = {(doubt.operation, doubt.order_id) for doubt in world.oms.orders_in_doubt}
    carried_out = {
        (effect.operation, effect.order_id) for effect in world.exchange.effects if effect.kind == effect.operation
    }
    stated = {(_KINDS[operation], order_id): fate for operation, order_id, fate in world.observer.of("order_fate")}
    for request, fate in stated.items():
        if fate == "unknown":
            assert request in doubts, f"{request} is unknown and not in doubt"
        else:
            assert (fate == "done") is (request in carried_out), f"{request} is said to be {fate}"
    sent = {(_KINDS[operation], order_id) for operation, order_id in world.observer.of("order_sent")}
    assert sent <= stated.keys(), f"no fate is stated of {sent - stated.keys()}"
    for order in world.exchange.resting(world.user):
        is_named = any(order_id == order.order_id for _, order_id in doubts)
        assert is_named or order.order_id in world.given, f"{order.order_id} rests, and nobody knows"
    for answer in world.exchange.answers:
        if answer.operation not in ("cancel", "amend"):
            same = [one for one in world.exchange.answers if one.operation == answer.operation]
            assert sum(one.order_ids == answer.order_ids for one in same) == 1, "a request was sent twice"


async def inspect_and_use(world: OrderWorld) -> None:
    """Check what is left, and that the client works."""
    await inspect_orders(world)
    await use(world)
    await inspect_orders(world)


async def inspect_orders(world: OrderWorld) -> None:
    """Check the fates, and that nothing is left but the client's channel and its feeds of orders and trades."""
    await trio.sleep(1)
    check_fates(world)
    assert world.oms.orders_in_doubt == ()
    statistics = world.oms.statistics()
    for channel in statistics.control:
        assert (channel.waiting, channel.in_flight, channel.strays) == (0, 0, 0)
        assert channel.connects == 1
    feeds = 2 * len(world.oms._fates._followed)
    assert len(statistics.streams) == feeds
    assert world.exchange.connections == feeds + len(statistics.control)
    tasks = world.oms._client_scope.tasks
    assert tasks is not None
    assert len(tasks.nursery.child_tasks) == feeds + len(statistics.control), "a task is still running"
    for session in world.oms._service._sessions.values():
        assert not session.is_signing_in, "a sign-in holds its lock"
    kept = sum(map(idle_connections, (world.md, world.oms)))
    assert world.network.open_connections == kept + feeds + len(statistics.control), "nobody has an open connection"
