"""Order records: read from requests, kept by the exchange, and written into answers and events."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    LimitOrderDetails,
    Market,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    OrderResponse,
    Side,
    TimeInForce,
    TriggerAbove,
    TriggerBelow,
    validate_order_id,
)
from tplus_trio.testing.exchange.depth_book import number_text
from tplus_trio.testing.exchange.http_messages import as_object
from tplus_trio.testing.exchange.market_state import Listing
from tplus_trio.testing.exchange.order_fills import OrderFills
from tplus_trio.testing.matching.engine import OrderState

__all__ = [
    "Details",
    "NewOrder",
    "OrderRecord",
    "Replacement",
    "Trigger",
    "order_json",
    "order_key",
    "order_response",
    "read_condition",
    "read_details",
    "read_order_id",
    "read_trigger",
    "read_units",
    "unsigned_order",
]

Details: TypeAlias = LimitOrderDetails | MarketOrderDetails
Trigger: TypeAlias = TriggerAbove | TriggerBelow
T = TypeVar("T")

_STATUS: Final[Mapping[str | None, str]] = {
    None: "Open",
    "Completed": "Completed",
    "Canceled": "Cancelled",
    "Expired": "Closed",
    "Rejected": "Closed",
    "SelfTradePrevented": "Closed",
}


@attrs.frozen
class NewOrder:
    """An incoming order.

    Attributes:
        text: The signed order as JSON.
        signature: The signature, as a list of 64 integers.
    """

    order_id: str
    side: Side
    details: Details
    text: Mapping[str, Any] = attrs.field(repr=False)
    signature: list[int] = attrs.field(repr=False)
    trigger: Trigger | None = None

    @property
    def account(self) -> int:
        """The index of its sub-account."""
        account = as_object(self.text.get("target")).get("account")
        return account if isinstance(account, int) else 0

    @property
    def reduce_only(self) -> bool:
        """Whether it may only reduce the position of its sub-account."""
        return self.text.get("reduce_only") is True


@attrs.frozen
class Replacement:
    """New terms for an order; ``revision`` is the time at which they were signed, in nanoseconds."""

    order_id: str
    price: int
    quantity: int
    revision: int
    trigger: Trigger | None = None


# Thirteen attributes: one for each fact that REST and the order events report.
@attrs.define(eq=False)
class OrderRecord:
    """One order, from its arrival until after its end.

    Attributes:
        key: Its id in the engine, unique over all users; two users may choose the same order id.
        new: The order as it came in.
        state: Its terms, and how much of it has traded.
        done: The reason of its end; None while it is open.
        pending_trigger: The trigger that it waits for.
        triggered: Whether its trigger was touched; None if it has none.
        revision: The time of its last replacement or amendment.
        is_liquidation: Whether the exchange made it to close its user's position.
        fills: Its trades by their status.
    """

    key: str
    user: str
    listing: Listing
    new: NewOrder
    state: OrderState
    timestamp_ns: int
    updated_ns: int
    pending_trigger: Trigger | None
    triggered: bool | None
    done: str | None = None
    revision: int | None = None
    is_liquidation: bool = False
    fills: OrderFills = attrs.field(factory=OrderFills)

    @property
    def order_id(self) -> str:
        """The id that its user chose."""
        return self.new.order_id

    @property
    def details(self) -> Details:
        """The current terms."""
        return self.state.order.details

    @property
    def side(self) -> Side:
        """Buy or sell."""
        return self.state.order.side

    @property
    def account(self) -> int:
        """The index of its sub-account."""
        return self.new.account

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book or waits for its trigger."""
        return self.done is None

    @property
    def status(self) -> str:
        """Its status, as REST reports it."""
        if self.done is None and self.pending_trigger is not None:
            return "Pending"
        if self.done is None and self.state.filled > self.listing.quantity_units(self.fills.rolled_back.quantity):
            return "Partial"
        return _STATUS[self.done]


def order_key(user: str, order_id: str) -> str:
    """Return the id of an order in the engine."""
    return f"{user}/{order_id}"


def order_json(record: OrderRecord) -> dict[str, Any]:
    """Return an order as JSON: prices and quantities are in units of the book, as strings."""
    details = record.details
    limit = details if isinstance(details, LimitOrderDetails) else None
    time_in_force = None if limit is None else limit.time_in_force
    market = details.quantity if isinstance(details, MarketOrderDetails) else None
    by_base = None if market is None else market.base_asset
    by_amount = None if market is None else market.quote_asset
    quantity = limit.quantity if limit is not None else None if by_base is None else by_base.quantity
    target = as_object(record.new.text.get("target"))
    pending_trigger = record.pending_trigger
    listing, pending, confirmed = record.listing, record.fills.pending, record.fills.confirmed
    return {
        "order_id": record.order_id,
        "base_asset": record.listing.asset,
        "account_index": record.account,
        "is_spot": bool(target.get("is_spot", True)),
        "side": record.side.value,
        "limit_price": None if limit is None else str(limit.limit_price),
        "quantity": _text(quantity),
        "amount": _text(None if by_amount is None else by_amount.quantity),
        "max_sellable_amount": _text(None if by_base is None else by_base.max_sellable_amount),
        "max_sellable_quantity": _text(None if by_amount is None else by_amount.max_sellable_quantity),
        "confirmed_filled_quantity": str(listing.quantity_units(confirmed.quantity)),
        "pending_filled_quantity": str(listing.quantity_units(pending.quantity)),
        "confirmed_filled_amount": str(listing.amount_units(confirmed.amount)),
        "pending_filled_amount": str(listing.amount_units(pending.amount)),
        "confirmed_trading_fees_amount": number_text(confirmed.fees),
        "pending_trading_fees_amount": number_text(pending.fees),
        "good_until_timestamp_ns": time_in_force.timestamp_ns if isinstance(time_in_force, GTD) else None,
        "timestamp_ns": record.timestamp_ns,
        "in_flight": False,
        "canceled": record.done == "Canceled",
        "status": record.status,
        "trigger_above_price": _text(pending_trigger.price if isinstance(pending_trigger, TriggerAbove) else None),
        "trigger_below_price": _text(pending_trigger.price if isinstance(pending_trigger, TriggerBelow) else None),
        "trigger_touched": record.triggered,
        "parent_id": as_object(record.new.text.get("trigger")).get("parent_order_id"),
        "last_update_timestamp_ns": record.updated_ns,
        "is_immediate_or_cancel": isinstance(time_in_force, IOC),
        "is_fill_or_kill": record.state.order.fill_or_kill,
        "is_liquidation": record.is_liquidation,
        "is_auto_deleverage": False,
        "is_reduce_only": record.new.reduce_only,
        "trigger_enabled_quantity": None,
    }


_RESPONSE_FIELDS: Final = frozenset(field.name for field in attrs.fields(OrderResponse))


def order_response(record: OrderRecord) -> OrderResponse:
    """Return an order as a client decodes it."""
    fields = {name: value for name, value in order_json(record).items() if name in _RESPONSE_FIELDS}
    return OrderResponse(**fields)


def unsigned_order(
    user: str, order_id: str, market: Market, side: Side, details: Details, *, now_ns: int, reduce_only: bool = False
) -> NewOrder:
    """Return an order as its user would have sent it, without a valid signature."""
    text = {
        "signer": user,
        "order_id": order_id,
        "base_asset": market.asset_id,
        "book_price_decimals": market.book_price_decimals,
        "book_quantity_decimals": market.book_quantity_decimals,
        "details": _details_json(details),
        "side": side.value,
        "trigger": None,
        "creation_timestamp_ns": now_ns,
        "target": {"account": 1, "is_spot": True},
        "reduce_only": reduce_only,
        "max_trading_fees_rate": 50_000,
        "protocol_version": 1,
    }
    return NewOrder(order_id, side, details, text, [0] * 64)


def _details_json(details: Details) -> dict[str, Any]:
    if isinstance(details, MarketOrderDetails):
        size = details.quantity.base_asset or details.quantity.quote_asset
        assert size is not None
        tag = "BaseAsset" if isinstance(size, MarketBaseQuantity) else "QuoteAsset"
        quantity = {tag: attrs.asdict(size)}
        return {"Market": {"quantity": quantity, "fill_or_kill": details.fill_or_kill}}
    time_in_force = details.time_in_force
    return {
        "Limit": {
            "limit_price": details.limit_price,
            "quantity": details.quantity,
            "time_in_force": {type(time_in_force).__name__: attrs.asdict(time_in_force)},
        }
    }


# Reading requests: each function raises ValueError or TypeError that says what is wrong.


def read_order_id(value: object) -> str:
    """Return a legal order id."""
    return validate_order_id(_typed(value, str, "order_id"))


def read_units(value: object) -> int:
    """Return a number of units, or a time: an integer, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("expected an integer that is not negative")
    return value


def read_details(value: object) -> Details:
    """Return the terms of a signed order."""
    tag, fields = _tagged(value, "details", ("Limit", "Market"))
    if tag == "Limit":
        return LimitOrderDetails(
            limit_price=_integer(fields, "limit_price"),
            quantity=_integer(fields, "quantity"),
            time_in_force=_read_time_in_force(fields.get("time_in_force")),
        )
    return MarketOrderDetails(
        quantity=_read_market_quantity(fields.get("quantity")),
        fill_or_kill=_boolean(fields, "fill_or_kill"),
    )


def read_trigger(value: object) -> Trigger | None:
    """Return the trigger of a signed order; None if it has none."""
    if value is None:
        return None
    return read_condition(as_object(value).get("condition"))


def read_condition(value: object) -> Trigger:
    """Return the condition of a trigger."""
    tag, fields = _tagged(value, "condition", ("PriceAbove", "PriceBelow"))
    return (TriggerAbove if tag == "PriceAbove" else TriggerBelow)(_integer(fields, "price"))


def _read_time_in_force(value: object) -> TimeInForce:
    tag, fields = _tagged(value, "time_in_force", ("GTC", "GTD", "IOC"))
    if tag == "IOC":
        return IOC(_boolean(fields, "fill_or_kill"))
    post_only = _boolean(fields, "post_only")
    return GTC(post_only) if tag == "GTC" else GTD(post_only, _integer(fields, "timestamp_ns"))


def _read_market_quantity(value: object) -> MarketQuantity:
    tag, fields = _tagged(value, "quantity", ("BaseAsset", "QuoteAsset"))
    quantity = _integer(fields, "quantity")
    cap_name = "max_sellable_amount" if tag == "BaseAsset" else "max_sellable_quantity"
    cap = None if fields.get(cap_name) is None else _integer(fields, cap_name)
    if tag == "BaseAsset":
        return MarketQuantity(base_asset=MarketBaseQuantity(quantity, cap))
    return MarketQuantity(quote_asset=MarketQuoteQuantity(quantity, cap))


def _tagged(value: object, name: str, tags: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    fields = as_object(value)
    if len(fields) == 1:
        (tag,) = fields
        content: object = fields[tag]
        if tag in tags and isinstance(content, dict):
            return tag, as_object(fields[tag])
    raise ValueError(f"{name} must be an object with one of the keys {', '.join(tags)}")


def _integer(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer")
    return _typed(value, int, name)


def _boolean(fields: Mapping[str, Any], name: str) -> bool:
    return _typed(fields.get(name), bool, name)


def _typed(value: object, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of type {kind.__name__}")
    return value


def _text(value: int | Decimal | None) -> str | None:
    return None if value is None else str(value)
