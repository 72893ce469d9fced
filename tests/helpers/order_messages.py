"""Events, trades and rows about one order, with the fields that a tracker reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs

from tests.helpers.model_values import KEY
from tplus_trio.models import (
    GTC,
    IOC,
    AmendOrder,
    AssetIdentifier,
    LimitOrderDetails,
    Order,
    OrderAmendedEvent,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderRemovedEvent,
    OrderReplacedEvent,
    OrderResponse,
    OrderStatus,
    OrderTrigger,
    OrderTriggeredEvent,
    ReplaceOrderDetails,
    Side,
    TimeInForce,
    TriggerAbove,
    UserTrade,
)

ASSET = AssetIdentifier(200)
ORDER_ID = "o-1"
#: One unit of price is a tenth, one unit of quantity a hundredth.
PRICE_DECIMALS, QUANTITY_DECIMALS = 1, 2


def base(units: int | Decimal) -> Decimal:
    """A quantity in base units."""
    return Decimal(units).scaleb(-QUANTITY_DECIMALS)


def quote(units: int | Decimal) -> Decimal:
    """A price in quote units."""
    return Decimal(units).scaleb(-PRICE_DECIMALS)


def order(
    price: int = 1000,
    quantity: int = 10,
    side: Side = Side.BUY,
    *,
    made_ns: int = 50,
    trigger: bool = False,
    time_in_force: TimeInForce | None = None,
    reduce_only: bool = False,
) -> Order:
    return Order(
        signer=KEY,
        order_id=ORDER_ID,
        base_asset=ASSET,
        book_price_decimals=PRICE_DECIMALS,
        book_quantity_decimals=QUANTITY_DECIMALS,
        details=LimitOrderDetails(price, quantity, time_in_force or GTC()),
        side=side,
        trigger=OrderTrigger(None, TriggerAbove(1200)) if trigger else None,
        creation_timestamp_ns=made_ns,
        reduce_only=reduce_only,
    )


def burn(*, made_ns: int = 60) -> Order:
    """An order of the least quantity at one tick under the same id."""
    return order(1, 1, made_ns=made_ns, time_in_force=IOC())


def created(of: Order, at_ns: int = 100) -> OrderCreatedEvent:
    return OrderCreatedEvent(of, (), at_ns, trigger_touched=None if of.trigger is None else False)


def canceled(at_ns: int = 900) -> OrderCancelledEvent:
    return OrderCancelledEvent(ORDER_ID, ASSET, KEY, at_ns)


def removed(reason: str = "Canceled", filled: int = 0, at_ns: int = 900, confirmed: int = 0) -> OrderRemovedEvent:
    return OrderRemovedEvent(
        order_id=ORDER_ID,
        asset_id=ASSET,
        user_id=KEY,
        timestamp_ns=at_ns,
        reason=reason,
        filled_quantity=filled,
        confirmed_quantity=confirmed,
        book_quantity_decimals=QUANTITY_DECIMALS,
    )


def replaced(price: int, quantity: int, revision: int = 0, at_ns: int | None = None) -> OrderReplacedEvent:
    return OrderReplacedEvent(ORDER_ID, ASSET, KEY, quantity, price, at_ns, revision)


def amended(quantity: int, remaining: int, revision: int = 0, at_ns: int | None = None) -> OrderAmendedEvent:
    return OrderAmendedEvent(ORDER_ID, ASSET, KEY, quantity, remaining, revision, QUANTITY_DECIMALS, at_ns)


def triggered(at_ns: int = 150) -> OrderTriggeredEvent:
    return OrderTriggeredEvent(ORDER_ID, ASSET, KEY, at_ns, 10, trigger_touched=True)


def create_failed(reason: str = "post-only order would trade") -> OrderCreateFailedEvent:
    return OrderCreateFailedEvent(ORDER_ID, KEY, reason)


def replacement(price: int, quantity: int, made_ns: int) -> ReplaceOrderDetails:
    return ReplaceOrderDetails(
        order_id=ORDER_ID,
        base_asset=ASSET,
        timestamp_ns=made_ns,
        new_price_limit=price,
        new_quantity=quantity,
        book_quantity_decimals=QUANTITY_DECIMALS,
        book_price_decimals=PRICE_DECIMALS,
    )


def amendment(quantity: int, made_ns: int, expected: int | None = None) -> AmendOrder:
    return AmendOrder(
        order_id=ORDER_ID,
        base_asset=ASSET,
        new_quantity=quantity,
        book_quantity_decimals=QUANTITY_DECIMALS,
        expected_authorization_revision=expected,
        timestamp_ns=made_ns,
    )


def trade(number: int, quantity: int, status: str = "Pending", at_ns: int = 200, *, is_buyer: bool = True) -> UserTrade:
    return UserTrade(ASSET, number, ORDER_ID, quote(1000), base(quantity), at_ns, True, is_buyer, status)


def row(
    of: Order,
    status: OrderStatus | str = "Open",
    *,
    updated_ns: int | None = 100,
    price: int | None = None,
    quantity: int | None = None,
    pending: int = 0,
    confirmed: int = 0,
    began_ns: int = 100,
    **changes: Any,
) -> OrderResponse:
    details = of.details
    assert isinstance(details, LimitOrderDetails)
    fields: dict[str, Any] = {
        "order_id": of.order_id,
        "base_asset": of.base_asset,
        "side": of.side,
        "limit_price": details.limit_price if price is None else price,
        "quantity": details.quantity if quantity is None else quantity,
        "confirmed_filled_quantity": confirmed,
        "pending_filled_quantity": pending,
        "confirmed_filled_amount": 0,
        "pending_filled_amount": 0,
        "confirmed_trading_fees_amount": 0,
        "pending_trading_fees_amount": 0,
        "timestamp_ns": began_ns,
        "status": OrderStatus.read(status),
        "last_update_timestamp_ns": updated_ns,
        "is_immediate_or_cancel": type(details.time_in_force).__name__ == "IOC",
        "is_reduce_only": of.reduce_only,
        **changes,
    }
    return OrderResponse(**fields)


def with_status(of: UserTrade, status: str) -> UserTrade:
    return attrs.evolve(of, status=status)
