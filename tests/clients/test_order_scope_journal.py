"""A program that is killed anywhere in the writing of its journal owns its orders when it is started again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.journaled_runs import Kill, Machine, resting_ids
from tplus_trio import OrderScope


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


async def trade(orders: OrderScope) -> None:
    """Make every kind of change of which a journal has a line."""
    first = await orders.create_limit_order(5, 900, "Buy", order_id="a")
    await orders.keep("bid", "Buy", 1000, 5)
    await orders.replace_order(first, 4, 910)
    await orders.keep("bid", "Buy", 1010, 4)
    await orders.amend_order(first, 3)
    await orders.create_market_order("Buy", 1, order_id="market")
    await orders.cancel_order(first)
    await orders.keep("bid", "Sell", 1990, 3)
    await orders.create_limit_order(2, 800, "Buy", order_id="b")


async def look_and_quote(machine: Machine, orders: OrderScope) -> None:
    """Check that the scope owns what rests, and go on with the order of the key."""
    await trio.sleep(1)
    owned = {order.order_id for order in orders.open}
    assert resting_ids(machine) <= owned
    with trio.move_on_after(5):
        await orders.keep("bid", "Buy", 1000, 5)
        assert sum(order.is_open for order in machine.exchange.orders(machine.user) if order.limit_price == 1000) == 1


async def check_killed(machine: Machine, line: int, kill: Kill, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, int]:
    killed, length = await machine.run_until_killed(trade, line, kill, monkeypatch)
    await machine.run(lambda orders: look_and_quote(machine, orders))
    assert resting_ids(machine) == set()
    assert max(machine.times_sent().values(), default=0) <= 1
    return killed, length


async def test_smoke(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    for line in range(100):
        for kill in (0, 7, 10_000, "in flight"):
            machine = Machine(tmp_path / f"{line}-{kill}", way=way)
            killed, length = await check_killed(machine, line, kill, monkeypatch)
            print(line, kill, killed, length, machine.named, machine.times_sent())
            if not killed:
                break
        if not killed:
            print(line)
            break
