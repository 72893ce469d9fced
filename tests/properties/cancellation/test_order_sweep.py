"""Each call about orders, cancelled at each of its checkpoints: no fate is false, and no order is forgotten."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.sweep import Tally, sweep
from tests.properties.cancellation.order_calls import (
    ORDER_CALLS,
    OrderWorld,
    check_fates,
    inspect_orders,
    open_order_world,
    place_and_cancel,
)

CREATE, CANCEL = "OrderBookClient.create_limit_order", "OrderBookClient.cancel_order"
ways = pytest.mark.parametrize("way", ["rest", "control"])


async def connect(world: OrderWorld) -> None:
    """Let the client open its connections and feeds."""
    await place_and_cancel(world)
    await trio.sleep(1)


async def lose_an_answer(world: OrderWorld) -> None:
    """Let the client connect, and lose the answer to its next request."""
    await connect(world)
    world.exchange.faults.act_then_answer("nothing")


@ways
@pytest.mark.parametrize("name", ORDER_CALLS)
async def test_call(name: str, way: str, autojump_clock: MockClock) -> None:
    tally, make = Tally(), partial(open_order_world, way)
    call = ORDER_CALLS[name]
    await sweep(tally, name, call, make, prepare=connect, look=inspect_orders, at_end=check_fates)
    assert tally.total > 8


@ways
async def test_first_call_of_a_client(way: str, autojump_clock: MockClock) -> None:
    tally, make = Tally(), partial(open_order_world, way)
    await sweep(tally, CREATE, ORDER_CALLS[CREATE], make, look=inspect_orders, at_end=check_fates, again=False)
    assert tally.total > 20


@ways
@pytest.mark.parametrize("name", [CREATE, CANCEL])
async def test_call_whose_answer_is_lost(name: str, way: str, autojump_clock: MockClock) -> None:
    tally, make, call = Tally(), partial(open_order_world, way, timeout=2.0), ORDER_CALLS[name]
    await sweep(
        tally, name, call, make, prepare=lose_an_answer, look=inspect_orders, at_end=check_fates, again=False
    )
    assert tally.total > 8
