"""Each call about orders, cancelled at each of its checkpoints: no fate is false, and no order is forgotten."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.sweep import Operation, Tally, sweep
from tests.properties.cancellation.order_calls import (
    ORDER_CALLS,
    OrderWorld,
    check_fates,
    inspect_and_use,
    inspect_orders,
    open_order_world,
    use,
)
from tplus_trio import OrderFateUnknown

pytestmark = pytest.mark.long

CREATE, CANCEL = "OrderBookClient.create_limit_order", "OrderBookClient.cancel_order"
ways = pytest.mark.parametrize("way", ["rest", "control"])


async def inspect_later(world: OrderWorld) -> None:
    """Check the fates at once, and what is left when late requests have been carried out."""
    check_fates(world)
    await trio.sleep(30)
    await inspect_and_use(world)


async def sweep_call(
    name: str, way: str, prepare: Operation[OrderWorld] | None, call: Operation[OrderWorld], **options: float
) -> int:
    """Cancel a call at each of its checkpoints, and return how many these are."""
    tally, make = Tally(), partial(open_order_world, way, **options)
    look = inspect_orders if prepare is None else inspect_later
    await sweep(tally, name, call, make, prepare=prepare, look=look, at_end=check_fates, again=False)
    return tally.total


@ways
@pytest.mark.parametrize("name", ORDER_CALLS)
async def test_call(name: str, way: str, autojump_clock: MockClock) -> None:
    prepare, call = ORDER_CALLS[name]

    async def connect(world: OrderWorld) -> None:
        await use(world)
        await prepare(world)
        await trio.sleep(1)

    assert await sweep_call(name, way, connect, call) > 8


@ways
async def test_first_call_of_a_client(way: str, autojump_clock: MockClock) -> None:
    _, create = ORDER_CALLS[CREATE]
    assert await sweep_call(CREATE, way, None, create) > 20


@ways
@pytest.mark.parametrize("name", [CREATE, CANCEL])
async def test_call_whose_answer_is_lost(name: str, way: str, autojump_clock: MockClock) -> None:
    prepare, call = ORDER_CALLS[name]

    async def lose_an_answer(world: OrderWorld) -> None:
        await use(world)
        await prepare(world)
        await trio.sleep(1)
        world.exchange.faults.act_then_answer("nothing")

    assert await sweep_call(name, way, lose_an_answer, call, timeout=2.0) > 8


@ways
async def test_call_that_is_carried_out_late(way: str, autojump_clock: MockClock) -> None:
    """The order shows up after the call and its shield have ended."""
    _, create = ORDER_CALLS[CREATE]

    async def delay_a_request(world: OrderWorld) -> None:
        await use(world)
        await trio.sleep(1)
        world.exchange.faults.hold_requests(3.0, lasting=1.0)

    async def create_in_doubt(world: OrderWorld) -> None:
        with suppress(OrderFateUnknown):
            await create(world)

    assert await sweep_call(CREATE, way, delay_a_request, create_in_doubt, timeout=0.5, resolve_timeout=0.2) > 8
