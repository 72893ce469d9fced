"""Says exactly what a request about an order will contain."""

from __future__ import annotations

from decimal import Decimal

from tplus_trio.cli.order.rows import order_row, plain
from tplus_trio.cli.show import utc
from tplus_trio.models import (
    GTD,
    IOC,
    LimitOrderDetails,
    Market,
    Order,
    OrderResponse,
    TimeInForce,
    TradeTarget,
    TriggerAbove,
    TriggerCondition,
)

__all__ = ["listed_lines", "order_lines", "replacement_lines"]


def _price_text(units: int, market: Market) -> str:
    """Format a price: in quote units, and in units of the book."""
    return _both(plain(market.units_to_price(units)), units, plain(market.units_to_price(1)))


def _quantity_text(units: int, market: Market) -> str:
    """Format a quantity: in base units, and in units of the book."""
    return _both(plain(market.units_to_quantity(units)), units, plain(market.units_to_quantity(1)))


def _amount_text(units: int, market: Market) -> str:
    """Format an amount: in quote units, and in units of the book."""
    return _both(plain(market.units_to_amount(units)), units, plain(market.units_to_amount(1)))


def _both(decimal: str | None, units: int, unit: str | None) -> str:
    return f"{decimal} ({units} units of {unit})"


def _in_force_text(time_in_force: TimeInForce) -> str:
    """Say how long a limit order rests."""
    if isinstance(time_in_force, IOC):
        return _at_once(all_or_nothing=time_in_force.fill_or_kill)
    until = (
        f"GTD, until {utc(time_in_force.timestamp_ns)} UTC"
        if isinstance(time_in_force, GTD)
        else "GTC, until cancelled"
    )
    return f"{until}, post-only" if time_in_force.post_only else until


def _at_once(*, all_or_nothing: bool) -> str:
    return "FOK, all of it at once or nothing" if all_or_nothing else "IOC, what does not trade at once is cancelled"


def order_lines(order: Order, market: Market) -> list[tuple[str, str]]:
    """Return the terms of a new order: a name and a text each."""
    details = order.details
    lines = [("order", order.order_id), ("market", str(order.base_asset)), ("side", str(order.side))]
    if isinstance(details, LimitOrderDetails):
        worth = details.limit_price * details.quantity
        lines += [
            ("price", _price_text(details.limit_price, market)),
            ("quantity", _quantity_text(details.quantity, market)),
            ("amount", _amount_text(worth, market)),
            ("in force", _in_force_text(details.time_in_force)),
        ]
    else:
        by_base, by_amount = details.quantity.base_asset, details.quantity.quote_asset
        lines.append(("price", "at market, without a limit"))
        if by_base is not None:
            lines.append(("quantity", _quantity_text(by_base.quantity, market)))
            cap = by_base.max_sellable_amount
            lines += [] if cap is None else [("spends", f"at most {_amount_text(cap, market)}")]
        if by_amount is not None:
            lines.append(("amount", _amount_text(by_amount.quantity, market)))
        lines.append(("in force", _at_once(all_or_nothing=details.fill_or_kill)))
    lines.append(("for", _target_text(order.target)))
    return [*lines, ("reduces", "only a position")] if order.reduce_only else lines


def listed_lines(order: OrderResponse, market: Market) -> list[tuple[str, str]]:
    """Return the terms of an order as a listing shows them: a name and a text each."""
    row = order_row(order, market)
    size = row["quantity"] or f"{row['amount']} quote units"
    return [
        ("side", row["side"]),
        ("price", row["price"] or "at market"),
        ("quantity", f"{size}, of which {row['filled_quantity']} is filled"),
        ("status", row["status"]),
    ]


def replacement_lines(
    old: OrderResponse, market: Market, *, price: int, quantity: int, trigger: TriggerCondition | None
) -> list[tuple[str, str]]:
    """Return the new terms of an order beside the old ones: a name and a text each."""
    filled = old.confirmed_filled_quantity + old.pending_filled_quantity
    old_price = None if old.limit_price is None else market.units_to_price(old.limit_price)
    old_quantity = None if old.quantity is None else market.units_to_quantity(old.quantity)
    lines = [
        ("order", old.order_id),
        ("market", str(old.base_asset)),
        ("side", str(old.side)),
        ("price", f"{_old(old_price)}{_price_text(price, market)}"),
        ("quantity", f"{_old(old_quantity)}{_quantity_text(quantity, market)}, filled part included"),
        ("filled", f"{market.units_to_quantity(filled):f}"),
    ]
    if trigger is not None:
        side = "above" if isinstance(trigger, TriggerAbove) else "below"
        lines.append(("trigger", f"{side} {_price_text(trigger.price, market)}, as before"))
    return lines


def _old(value: Decimal | None) -> str:
    return f"{value:f} → " if value is not None else ""


def _target_text(target: TradeTarget) -> str:
    return f"the {'spot balance' if target.is_spot else 'margin'} of sub-account {target.account}"
