"""Entering a scope with a journal, cancelled at each checkpoint: the file is free again, and no order is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.journaled_runs import Machine, content_of, orders_in, put_back, resting_ids
from tests.helpers.sweep import MOMENTS, CancelAt, Moment
from tplus_trio import OrderScope, OrdersLeftResting
from tplus_trio.testing import MemoryNetwork

_STATES: Final[dict[str, Callable[[MemoryNetwork], object]]] = {
    "up": lambda _: None,
    "down": lambda network: network.partition(20.0, refuse=True),
    "half-open": lambda network: network.stall(),
}


async def quote(orders: OrderScope) -> None:
    await orders.create_limit_order(5, 900, "Buy", order_id="a")
    await orders.keep("bid", "Buy", 1000, 5)
    await orders.create_limit_order(5, 800, "Buy", order_id="last")


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


async def enter_cancelled(machine: Machine, n: int, moment: Moment, state: str) -> bool:
    """Enter a scope that is cancelled at its n-th checkpoint. Return whether there was one."""
    async with machine.client(resolve_timeout=0.5) as (network, client):
        await client.get_market(200)  # connections are open, so they can be half-open
        _STATES[state](network)
        scope = client.order_scope(200, journal=machine.journal, deadline=1.0)
        cancelled_at = None
        with trio.CancelScope() as outside:

            def cancel() -> None:
                nonlocal cancelled_at
                cancelled_at = trio.current_time()
                outside.cancel()

            instrument = CancelAt(n, moment, cancel, (client,))
            trio.lowlevel.add_instrument(instrument)
            try:
                await scope.__aenter__()
            finally:
                trio.lowlevel.remove_instrument(instrument)
            with suppress(OrdersLeftResting):
                await scope.__aexit__(None, None, None)
        if cancelled_at is not None:
            # Leaving has a second, and the client that is left next has as long for what it resolves.
            assert trio.current_time() - cancelled_at < 1.001
            assert {order.order_id for order in scope.left_resting} <= set(orders_in(machine.journal))
        return cancelled_at is not None


@pytest.mark.long
@pytest.mark.parametrize("state", sorted(_STATES))
async def test_entering_that_is_cancelled_anywhere_forgets_nothing(
    way: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    total = 0
    for moment in MOMENTS:
        for n in count(1, 1 if state == "up" else 3):
            machine = Machine(tmp_path / f"{moment}-{n}", way=way)
            assert await machine.run_until_killed(quote, 2, "all", monkeypatch)
            assert "a" in resting_ids(machine)
            was_cancelled = await enter_cancelled(machine, n, moment, state)
            # What may rest is in the file, which no scope holds any more.
            assert resting_ids(machine) <= set(orders_in(machine.journal))
            left = content_of(machine.journal)
            put_back(machine.journal, left)
            owned: set[str] = set()

            async def look(orders: OrderScope, owned: set[str] = owned) -> None:
                owned |= {order.order_id for order in orders.open}

            await machine.run(look)
            assert resting_ids(machine) == set()
            assert max(machine.times_sent().values()) == 1
            if not was_cancelled:
                break
            total += 1
    assert total > 10
