"""``tplus-trio order list``: the orders of a user."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tplus_trio.cli.failure import say
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.order.plans import with_markets
from tplus_trio.cli.order.rows import COLUMNS, order_cells, order_row
from tplus_trio.cli.services import Services
from tplus_trio.cli.table import table_lines
from tplus_trio.models import AssetIdentifier, OrderResponse
from tplus_trio.users import User

__all__ = ["list_orders"]


async def list_orders(
    lines: Lines,
    *,
    services: Services,
    user: User,
    asset: AssetIdentifier | None,
    ended_too: bool,
    limit: int,
    as_json: bool,
) -> int:
    """Print a user's orders, newest first.

    Args:
        lines: Where to print.
        services: Where the order service is.
        user: The user.
        asset: The market; None is all markets.
        ended_too: Whether orders that have ended are printed.
        limit: The most orders to print, at least 1.
        as_json: Whether to print JSON.

    Raises:
        TplusError: the orders could not be read.
    """
    async with services.orders(user) as client:
        orders: list[OrderResponse] = []
        async for order in client.iter_user_orders(open_only=not ended_too):
            if asset in {None, order.base_asset} and (ended_too or not order.is_done):
                orders.append(order)
            if len(orders) > limit:
                break
        rows = [order_row(order, market) for order, market in await with_markets(client, orders[:limit])]
    if as_json:
        for row in rows:
            await lines.put(json.dumps({"kind": "Order", **row}, separators=(",", ":")))
    else:
        for line in table_lines(list(COLUMNS), map(order_cells, rows), left=4) if rows else _none(ended_too):
            await lines.put(line)
    if len(orders) > limit:
        say(f"there are more than {limit} orders; --limit prints more")
    return 0


def _none(ended_too: bool) -> Sequence[str]:
    return ("no orders",) if ended_too else ("no open orders",)
