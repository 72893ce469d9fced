"""``tplus-trio positions``: a table, and JSON."""

from __future__ import annotations

import json

from trio.testing import MockClock

from tests.helpers.commands_page import SAMPLES
from tests.helpers.order_commands import Orders, open_orders
from tests.helpers.printed_lines import PrintedLines
from tests.helpers.world import ASSET
from tplus_trio import AssetIdentifier, User
from tplus_trio.cli.positions import show_positions


async def shown(orders: Orders, *, asset: AssetIdentifier | None = None, json: bool = False) -> list[str]:
    lines = PrintedLines()
    assert await show_positions(lines, services=orders.services, user=orders.user, asset=asset, json=json) == 0
    return lines.lines


async def test_positions(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        assert await shown(orders) == ["no open positions"]
        assert await shown(orders, json=True) == []
        orders.exchange.add_market(201)
        for market, price in ((ASSET, 1000), (201, 2000)):
            orders.exchange.place(User(), market, "Sell", price, 5)
            orders.exchange.place(orders.user, market, "Buy", price, 5)
        heading, *rows = await shown(orders)
        assert heading.split()[:5] == ["market", "account", "side", "size", "entry"]
        assert sorted(row.split()[:6] for row in rows) == [
            ["200", "1", "margin", "long", "0.005", "10.00"],
            ["201", "1", "margin", "long", "0.005", "20.00"],
        ]
        assert len(await shown(orders, asset=AssetIdentifier(201))) == 2
        assert await shown(orders, asset=AssetIdentifier(7)) == ["no open positions"]
        first, second = map(json.loads, await shown(orders, json=True))
    assert list(first) == list(second) == list(SAMPLES["Position"])
    assert {first["asset_id"], second["asset_id"]} == {"200", "201"}
