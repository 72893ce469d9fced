"""Order calls against the embedded exchange, on both ways, and what the exchange's own record says of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.helpers.recording_observer import RecordingObserver
from tests.helpers.world import ASSET, World, open_world
from tplus_trio.errors import OrderFateUnknown, TplusError
from tplus_trio.orders.service_rules import ServiceRules

__all__ = ["ALL_RULES", "NO_RULES", "kinds", "open_orders_world", "outcome_of", "place", "times_sent"]

NO_RULES = ServiceRules(unauthorized_does_nothing=False)
#: Rules that the embedded exchange keeps while no fault breaks them.
ALL_RULES = ServiceRules(order_ids_remembered=True, control_keeps_order=True, clock_bound=1.0, listings_current=True)


@asynccontextmanager
async def open_orders_world(
    way: str, rules: ServiceRules | None = None, *, observer: RecordingObserver | None = None, **options: Any
) -> AsyncGenerator[World]:
    """A client of orders on one of the ways, with the user's feeds open."""
    orders = {"use_ws_control": way == "control", "rules": rules, "observer": observer, **options}
    async with open_world(orders=orders) as world:
        world.exchange.publish_diff(ASSET, asks=[(150, 5)])
        await place(world, "first")
        await world.oms.cancel_order("first", ASSET)
        await trio.sleep(1)
        yield world


async def place(world: World, order_id: str, price: int = 900, quantity: int = 5, **options: Any) -> object:
    """Create an order to buy that rests."""
    return await world.oms.create_limit_order(quantity, price, "Buy", asset_id=ASSET, order_id=order_id, **options)


async def outcome_of(call: Callable[[], Awaitable[object]]) -> str:
    """What a call says: ``done``, ``unknown``, or the code of a refusal."""
    try:
        await call()
    except OrderFateUnknown:
        return "unknown"
    except TplusError as exc:
        return str(getattr(exc, "code", type(exc).__name__))
    return "done"


def kinds(world: World, order_id: str, *, refusals: bool = False) -> list[str]:
    """What happened to an order, by the exchange's own record."""
    effects = world.exchange.effects_of(world.user, order_id)
    return [effect.kind for effect in effects if refusals or effect.kind != "refuse"]


def times_sent(world: World, operation: str, order_id: str) -> int:
    """How often the exchange answered a request of one operation about one order."""
    return sum(answer.operation == operation and order_id in answer.order_ids for answer in world.exchange.answers)
