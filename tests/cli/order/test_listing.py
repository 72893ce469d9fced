"""``tplus-trio order list``: which orders, in which order, in decimals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.order_commands import Orders, open_orders
from tests.helpers.printed_lines import PrintedLines
from tests.helpers.world import ASSET
from tplus_trio.cli.order.listing import list_orders


async def shown(orders: Orders, **options: Any) -> list[str]:
    lines = PrintedLines()
    arguments = {"asset": None, "ended_too": False, "limit": 100, "as_json": False, **options}
    assert await list_orders(lines, services=orders.services, user=orders.user, **arguments) == 0
    return lines.lines


async def names(orders: Orders, **options: Any) -> list[str]:
    return [json.loads(line)["order_id"] for line in await shown(orders, as_json=True, **options)]


async def test_which_orders(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        assert await shown(orders) == ["no open orders"]
        assert await shown(orders, ended_too=True) == ["no orders"]
        assert await shown(orders, as_json=True) == []
        orders.exchange.add_market(201, 4)
        orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id="gone")
        orders.exchange.place(orders.user, 201, "Sell", 123456, 5, order_id="other")
        orders.exchange.place(orders.user, ASSET, "Buy", 901, 5, order_id="new")
        orders.exchange.cancel(orders.user, "gone")
        assert await names(orders) == ["new", "other"]
        assert await names(orders, asset=ASSET) == ["new"]
        assert await names(orders, ended_too=True) == ["new", "other", "gone"]
        assert await names(orders, asset=ASSET, ended_too=True) == ["new", "gone"]
        assert capfd.readouterr().err == ""
        assert await names(orders, ended_too=True, limit=2) == ["new", "other"]
        assert "there are more than 2 orders; --limit prints more" in capfd.readouterr().err
        heading, *rows = await shown(orders)
    assert heading.split()[:7] == ["order", "market", "side", "status", "price", "quantity", "filled"]
    assert [row.split()[:7] for row in rows] == [
        ["new", "200", "Buy", "Open", "9.01", "0.005", "0.000"],
        ["other", "201", "Sell", "Open", "12.3456", "0.005", "0.000"],
    ]
