"""Orders as rows: of JSON, and of a table."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tplus_trio.cli.show import utc
from tplus_trio.models import Market, OrderResponse

__all__ = ["COLUMNS", "order_cells", "order_row", "plain"]


def plain(value: Decimal | None) -> str | None:
    """Format a number without an exponent."""
    return None if value is None else f"{value:f}"


def order_row(order: OrderResponse, market: Market) -> dict[str, Any]:
    """Return the fields of an order: decimals in quote and base units as text, and the same numbers in book units."""
    price, quantity, amount = order.limit_price, order.quantity, order.amount
    filled = order.confirmed_filled_quantity + order.pending_filled_quantity
    above, below = order.trigger_above_price, order.trigger_below_price
    return {
        "order_id": order.order_id,
        "asset_id": str(order.base_asset),
        "side": str(order.side),
        "status": str(order.status),
        "price": None if price is None else plain(market.units_to_price(price)),
        "price_units": plain(price),
        "quantity": None if quantity is None else plain(market.units_to_quantity(quantity)),
        "quantity_units": plain(quantity),
        "amount": None if amount is None else plain(market.units_to_amount(amount)),
        "filled_quantity": plain(market.units_to_quantity(filled)),
        "filled_quantity_units": plain(filled),
        "trigger_above": None if above is None else plain(market.units_to_price(above)),
        "trigger_below": None if below is None else plain(market.units_to_price(below)),
        "is_reduce_only": order.is_reduce_only,
        "created_ns": order.timestamp_ns,
        "expires_ns": order.good_until_timestamp_ns,
    }


#: The columns of a table of orders: heading, and key of the row.
COLUMNS: Final = {
    "order": "order_id",
    "market": "asset_id",
    "side": "side",
    "status": "status",
    "price": "price",
    "quantity": "quantity",
    "filled": "filled_quantity",
    "created (UTC)": "created_ns",
    "expires (UTC)": "expires_ns",
}


def order_cells(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a row of a table of orders."""
    cells = [(key, row[key]) for key in COLUMNS.values()]
    return ["-" if cell is None else utc(cell) if key.endswith("_ns") else str(cell) for key, cell in cells]
