"""Orders and their terms, and cancellations, as users sign and send them.

Prices and quantities are integers in the book's units (see `Market`): a price unit is ``10**-book_price_decimals``
quote units, a quantity unit ``10**-book_quantity_decimals`` base units. The order of the fields is the order of the
keys in the signed text, and is therefore part of the protocol.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias, cast

import attrs
from attrs.validators import instance_of, optional

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.enums import OpenEnum

__all__ = [
    "GTC",
    "GTD",
    "IOC",
    "CancelOrder",
    "CancelOrderRequest",
    "LimitOrderDetails",
    "MarketBaseQuantity",
    "MarketOrderDetails",
    "MarketQuantity",
    "MarketQuoteQuantity",
    "Order",
    "OrderDetails",
    "OrderTrigger",
    "Side",
    "TimeInForce",
    "TradeTarget",
    "TriggerAbove",
    "TriggerBelow",
    "TriggerCondition",
    "new_order_id",
    "validate_order_id",
]

_LONGEST_ORDER_ID: Final = 24
_PUBLIC_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


class Side(OpenEnum):
    """The side of an order. ``Side("bid")`` and ``Side("SELL")`` work too: case does not matter.

    Decoding keeps a side that this version does not know, as a member whose `is_known` is False.

    Raises:
        ValueError: ``Side(text)`` is called with the text of no known side.
    """

    BUY = "Buy"
    SELL = "Sell"
    BID = "Buy"
    ASK = "Sell"

    @classmethod
    def _known(cls, text: str) -> Side | None:
        return {"buy": cls.BUY, "bid": cls.BUY, "sell": cls.SELL, "ask": cls.SELL}.get(text.lower())


def validate_order_id(order_id: str, *, name: str = "order_id") -> str:
    """Check an order id and return it.

    Args:
        order_id: A text of 1 to 24 UTF-8 bytes.
        name: The argument's name in the error message.

    Raises:
        TypeError: The id is not a ``str``.
        ValueError: The id is empty or longer than 24 UTF-8 bytes, or cannot be encoded as UTF-8.
    """
    given = cast("object", order_id)  # callers need not be typed
    if not isinstance(given, str):
        raise TypeError(f"{name} must be a str, got {type(given).__name__}")
    try:
        length = len(order_id.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{name} must have a UTF-8 form; half a surrogate pair has none") from None
    if not 1 <= length <= _LONGEST_ORDER_ID:
        raise ValueError(f"{name} must be 1 to {_LONGEST_ORDER_ID} UTF-8 bytes long, got {length}")
    return order_id


def new_order_id() -> str:
    """Return a new order id: 16 random bytes in base64, 24 characters."""
    return base64.b64encode(os.urandom(16)).decode("ascii")


def order_id_field(_: object, __: attrs.Attribute[Any], value: str) -> None:
    """Check a field with :func:`validate_order_id` (an attrs validator)."""
    validate_order_id(value)


def units(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    """Check that a field is an ``int`` of at least 0, such as a number of the book's units (an attrs validator)."""
    if type(value) is int and value >= 0:  # nearly always: orders are made where every microsecond counts
        return
    given = cast("object", value)
    if isinstance(given, bool) or not isinstance(given, int):
        hint = "; Market.price_to_units() converts a price" if attribute.name.endswith("price") else ""
        raise TypeError(f"{attribute.name} must be an int, got {type(given).__name__}{hint}")
    if given < 0:
        raise ValueError(f"{attribute.name} must not be negative, got {given}")


def truth(_: object, attribute: attrs.Attribute[Any], value: bool) -> None:
    """Check that a field is a ``bool`` (an attrs validator)."""
    if value is not True and value is not False:
        raise TypeError(f"{attribute.name} must be True or False, got {type(value).__name__}")


def _text_or_none(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if not isinstance(cast("object", value), str | None):
        raise TypeError(f"{attribute.name} must be a str or None, got {type(value).__name__}")


def _bytes(value: bytes | Iterable[int], name: str) -> bytes:
    if isinstance(cast("object", value), int):  # bytes(5) would be five zeros
        raise TypeError(f"{name} must be bytes or a sequence of them, got {type(value).__name__}")
    try:
        return bytes(value)
    except ValueError:
        raise ValueError(f"{name} must be a sequence of bytes") from None


def public_key(value: str | bytes | Iterable[int]) -> str:
    """Convert a user's public key to 64 lower-case hex digits (an attrs converter).

    Args:
        value: 64 hex digits, with or without ``0x``; or 32 bytes, also as a sequence of integers.

    Raises:
        ValueError: The key is not 32 bytes long.
        TypeError: The value is of another type.
    """
    if isinstance(value, str):
        if not (match := _PUBLIC_KEY.fullmatch(value)):
            raise ValueError("a public key must be 64 hex digits or 32 bytes")
        return match[1].lower()
    key = _bytes(value, "a public key")
    if len(key) != 32:
        raise ValueError(f"a public key must be 32 bytes long, got {len(key)}")
    return key.hex()


def signature_bytes(value: bytes | Iterable[int]) -> tuple[int, ...]:
    """Convert a signature to the tuple of its bytes, the form in which it is sent (an attrs converter).

    Raises:
        ValueError: A number in it is not a byte.
        TypeError: The value is of another type.
    """
    return tuple(_bytes(value, "a signature"))


@attrs.frozen
class TradeTarget:
    """The sub-account for which an order trades, and the balance that it spends.

    Raises:
        ValueError: `account` is negative.
        TypeError: `account` is not an ``int``, or `is_spot` is not a ``bool``.
    """

    #: The index of the sub-account: 0 is the main account, 1 the first margin account.
    account: int = attrs.field(default=0, validator=units)
    #: Whether the order spends the spot balance instead of margin.
    is_spot: bool = attrs.field(default=True, validator=truth)

    @classmethod
    def main_account_spot_trade(cls) -> TradeTarget:
        """Return the target that spends the spot balance of the main account."""
        return cls(account=0, is_spot=True)

    @classmethod
    def margin_account_spot_trade(cls) -> TradeTarget:
        """Return the target that spends the spot balance of the first margin account."""
        return cls(account=1, is_spot=True)

    @classmethod
    def margin_account_margin_trade(cls) -> TradeTarget:
        """Return the target that spends margin of the first margin account."""
        return cls(account=1, is_spot=False)


@attrs.frozen
class GTC:
    """Time in force: the order rests until it is filled or canceled."""

    #: Whether the book refuses the order if it would trade at once.
    post_only: bool = attrs.field(default=False, validator=truth)


@attrs.frozen
class GTD:
    """Time in force: the order rests until a given time."""

    #: Whether the book refuses the order if it would trade at once.
    post_only: bool = attrs.field(validator=truth)
    #: When the order expires, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int = attrs.field(validator=units)


@attrs.frozen
class IOC:
    """Time in force: immediate or cancel. The book cancels the part that does not trade at once."""

    #: Whether the book trades the whole quantity at once or nothing.
    fill_or_kill: bool = attrs.field(default=False, validator=truth)


TimeInForce: TypeAlias = GTC | GTD | IOC


@attrs.frozen(weakref_slot=False)
class LimitOrderDetails:
    """The terms of a limit order."""

    #: The worst price, in price units of the book.
    limit_price: int = attrs.field(validator=units)
    #: The total, in quantity units of the book.
    quantity: int = attrs.field(validator=units)
    time_in_force: TimeInForce = attrs.field(factory=GTC, validator=instance_of((GTC, GTD, IOC)))


@attrs.frozen
class MarketBaseQuantity:
    """The size of a market order as a quantity of the base asset."""

    #: The quantity to trade, in quantity units of the book.
    quantity: int = attrs.field(validator=units)
    #: The largest quote amount that a buy may spend, in price units times quantity units; None means no limit.
    max_sellable_amount: int | None = attrs.field(default=None, validator=optional(units))


@attrs.frozen
class MarketQuoteQuantity:
    """The size of a market order as an amount of the quote asset."""

    #: The amount to trade, in price units times quantity units of the book.
    quantity: int = attrs.field(validator=units)
    #: The largest base quantity that a sell may spend, in quantity units of the book; None means no limit.
    max_sellable_quantity: int | None = attrs.field(default=None, validator=optional(units))


@attrs.frozen
class MarketQuantity:
    """The size of a market order: exactly one of the two fields is given.

    Raises:
        ValueError: Both fields are given, or none.
    """

    base_asset: MarketBaseQuantity | None = None
    quote_asset: MarketQuoteQuantity | None = None

    def __attrs_post_init__(self) -> None:
        if (self.base_asset is None) == (self.quote_asset is None):
            raise ValueError("give exactly one of base_asset and quote_asset")


@attrs.frozen
class MarketOrderDetails:
    """The terms of a market order."""

    quantity: MarketQuantity = attrs.field(validator=instance_of(MarketQuantity))
    #: Whether the book trades the whole size at once or nothing.
    fill_or_kill: bool = attrs.field(default=False, validator=truth)


OrderDetails: TypeAlias = LimitOrderDetails | MarketOrderDetails


@attrs.frozen
class TriggerAbove:
    """The condition that the price has risen to a value."""

    #: In price units of the book.
    price: int = attrs.field(validator=units)


@attrs.frozen
class TriggerBelow:
    """The condition that the price has fallen to a value."""

    #: In price units of the book.
    price: int = attrs.field(validator=units)


TriggerCondition: TypeAlias = TriggerAbove | TriggerBelow


@attrs.frozen
class OrderTrigger:
    """The condition under which an order becomes active."""

    #: The id of the order to which this one belongs; None if it belongs to none.
    parent_order_id: str | None = attrs.field(validator=_text_or_none)
    #: The condition. Its JSON key is ``condition``.
    trigger: TriggerCondition = attrs.field(validator=instance_of((TriggerAbove, TriggerBelow)))


# These two do what attrs' own validators do, in a fifth of the time.


def _details(_: object, attribute: attrs.Attribute[Any], value: OrderDetails) -> None:
    if not isinstance(cast("object", value), LimitOrderDetails | MarketOrderDetails):
        raise TypeError(f"{attribute.name} must be LimitOrderDetails or MarketOrderDetails, got {type(value).__name__}")


def _trigger(_: object, attribute: attrs.Attribute[Any], value: OrderTrigger | None) -> None:
    if value is not None:
        instance_of(OrderTrigger)(None, attribute, value)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Order:
    """An order as its user signs it. Its prices and quantities are integers in the book's units.

    Raises:
        ValueError: A field has the right type but an illegal value; the message names the field.
        TypeError: A field has the wrong type; the message names the field.
    """

    #: The user's public key: 64 lower-case hex digits.
    signer: str = attrs.field(converter=public_key)
    #: Chosen by the client: 1 to 24 UTF-8 bytes.
    order_id: str = attrs.field(validator=order_id_field)
    #: The market.
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The market's decimals, which define the units of the prices in this order.
    book_price_decimals: int
    #: The market's decimals, which define the units of the quantities in this order.
    book_quantity_decimals: int
    details: OrderDetails = attrs.field(validator=_details)
    side: Side = attrs.field(converter=Side)
    trigger: OrderTrigger | None = attrs.field(default=None, validator=_trigger)
    #: When the client made the order, in nanoseconds since the Unix epoch, UTC.
    creation_timestamp_ns: int = attrs.field(validator=units)
    target: TradeTarget = attrs.field(factory=TradeTarget.margin_account_spot_trade)
    #: Whether the order may only reduce a position.
    reduce_only: bool = False
    #: The highest fee rate that the user accepts, as the service counts it.
    max_trading_fees_rate: int = 50_000
    protocol_version: int = 1


@attrs.frozen
class CancelOrder:
    """A cancellation of an order as its user signs it."""

    order_id: str = attrs.field(validator=order_id_field)
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The user's public key: 64 lower-case hex digits.
    signer: str = attrs.field(converter=public_key)
    protocol_version: int = 1


@attrs.frozen
class CancelOrderRequest:
    """A signed cancellation: the body of ``DELETE /orders/cancel``. The signature is not in the repr."""

    cancel: CancelOrder
    #: The 64 bytes of the user's signature.
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: When the cancellation was signed, in nanoseconds since the Unix epoch, UTC.
    post_sign_timestamp: int
