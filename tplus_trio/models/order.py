"""Orders, as they are signed and sent. Prices and quantities are integers in the book's units.

The order of the fields is the order of the keys in the signed text, and so part of the protocol.
"""

from __future__ import annotations

import base64
import re
import secrets
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
    "CreateOrderRequest",
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
    """Which way an order goes. ``Side("bid")``, ``Side("SELL")`` and the like are understood too.

    A side that this version does not know is decoded as a member that is not `is_known`; ``Side(text)`` refuses it.
    """

    BUY = "Buy"
    SELL = "Sell"
    BID = "Buy"
    ASK = "Sell"

    @classmethod
    def _known(cls, text: str) -> Side | None:
        return {"buy": cls.BUY, "bid": cls.BUY, "sell": cls.SELL, "ask": cls.SELL}.get(text.lower())


def validate_order_id(order_id: str) -> str:
    """Give an order id back if it is a legal one.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is empty, longer than 24 UTF-8 bytes, or has no UTF-8 form.
    """
    given = cast("object", order_id)  # callers need not be typed
    if not isinstance(given, str):
        raise TypeError(f"order_id must be a str, got {type(given).__name__}")
    try:
        length = len(order_id.encode())
    except UnicodeEncodeError:
        raise ValueError("order_id must have a UTF-8 form; half a surrogate pair has none") from None
    if not 1 <= length <= _LONGEST_ORDER_ID:
        raise ValueError(f"order_id must be 1 to {_LONGEST_ORDER_ID} UTF-8 bytes long, got {length}")
    return order_id


def new_order_id() -> str:
    """A fresh order id: 16 random bytes in base64, 24 characters."""
    return base64.b64encode(secrets.token_bytes(16)).decode("ascii")


def order_id_field(_: object, __: attrs.Attribute[Any], value: str) -> None:
    """An attrs validator: :func:`validate_order_id`."""
    validate_order_id(value)


def units(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    """An attrs validator: an ``int`` from 0 on, as which the book's units are counted."""
    given = cast("object", value)
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{attribute.name} must be an int, got {type(given).__name__}")
    if given < 0:
        raise ValueError(f"{attribute.name} must not be negative, got {given}")


def _truth(_: object, attribute: attrs.Attribute[Any], value: bool) -> None:
    if not isinstance(cast("object", value), bool):
        raise TypeError(f"{attribute.name} must be True or False, got {type(value).__name__}")


def _text_or_none(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if not isinstance(cast("object", value), str | None):
        raise TypeError(f"{attribute.name} must be a str or None, got {type(value).__name__}")


def _bytes(value: bytes | Iterable[int], name: str) -> bytes:
    if isinstance(cast("object", value), int):  # of which bytes() would make so many zeros
        raise TypeError(f"{name} must be bytes or a sequence of them, got {type(value).__name__}")
    try:
        return bytes(value)
    except ValueError:
        raise ValueError(f"{name} must be a sequence of bytes") from None


def public_key(value: str | bytes | Iterable[int]) -> str:
    """A user's public key as 64 lower-case hex digits, from hex (``0x`` allowed), bytes, or a list of bytes.

    Raises:
        ValueError: If it is not 32 bytes.
        TypeError: If it is of another type.
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
    """A signature as the tuple of its bytes, as which it is sent.

    Raises:
        ValueError: If a number in it is not a byte.
        TypeError: If it is of another type.
    """
    return tuple(_bytes(value, "a signature"))


@attrs.frozen
class TradeTarget:
    """Which sub-account an order trades for, and from which of its balances it spends."""

    #: 0 is the main account, 1 the first margin account.
    account: int = attrs.field(default=0, validator=units)
    #: Whether to spend the spot balance, not margin.
    is_spot: bool = attrs.field(default=True, validator=_truth)

    @classmethod
    def main_account_spot_trade(cls) -> TradeTarget:
        """The main account, spending its spot balance."""
        return cls(account=0, is_spot=True)

    @classmethod
    def margin_account_spot_trade(cls) -> TradeTarget:
        """The margin account, spending its spot balance."""
        return cls(account=1, is_spot=True)

    @classmethod
    def margin_account_margin_trade(cls) -> TradeTarget:
        """The margin account, spending margin."""
        return cls(account=1, is_spot=False)


@attrs.frozen
class GTC:
    """Good until canceled."""

    #: Refuse the order if it would trade at once.
    post_only: bool = attrs.field(default=False, validator=_truth)


@attrs.frozen
class GTD:
    """Good until a date."""

    post_only: bool = attrs.field(validator=_truth)
    #: When the order expires, nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int = attrs.field(validator=units)


@attrs.frozen
class IOC:
    """Immediate or cancel: what does not trade at once is canceled."""

    #: Trade the whole quantity at once, or nothing.
    fill_or_kill: bool = attrs.field(default=False, validator=_truth)


TimeInForce: TypeAlias = GTC | GTD | IOC


@attrs.frozen(weakref_slot=False)
class LimitOrderDetails:
    """A limit order's terms."""

    limit_price: int = attrs.field(validator=units)
    quantity: int = attrs.field(validator=units)
    time_in_force: TimeInForce = attrs.field(factory=GTC, validator=instance_of((GTC, GTD, IOC)))


@attrs.frozen
class MarketBaseQuantity:
    """So much of the base asset, paying or taking at most so much of the quote."""

    quantity: int = attrs.field(validator=units)
    max_sellable_amount: int | None = attrs.field(default=None, validator=optional(units))


@attrs.frozen
class MarketQuoteQuantity:
    """So much of the quote asset, paying or taking at most so much of the base."""

    quantity: int = attrs.field(validator=units)
    max_sellable_quantity: int | None = attrs.field(default=None, validator=optional(units))


@attrs.frozen
class MarketQuantity:
    """A market order's size: exactly one of the two."""

    base_asset: MarketBaseQuantity | None = None
    quote_asset: MarketQuoteQuantity | None = None

    def __attrs_post_init__(self) -> None:
        if (self.base_asset is None) == (self.quote_asset is None):
            raise ValueError("give exactly one of base_asset and quote_asset")


@attrs.frozen
class MarketOrderDetails:
    """A market order's terms."""

    quantity: MarketQuantity = attrs.field(validator=instance_of(MarketQuantity))
    fill_or_kill: bool = attrs.field(default=False, validator=_truth)


OrderDetails: TypeAlias = LimitOrderDetails | MarketOrderDetails


@attrs.frozen
class TriggerAbove:
    """The price has risen to this."""

    price: int = attrs.field(validator=units)


@attrs.frozen
class TriggerBelow:
    """The price has fallen to this."""

    price: int = attrs.field(validator=units)


TriggerCondition: TypeAlias = TriggerAbove | TriggerBelow


@attrs.frozen
class OrderTrigger:
    """What must happen before an order becomes active."""

    #: The order that this one belongs to, if any.
    parent_order_id: str | None = attrs.field(validator=_text_or_none)
    #: On the wire this is ``condition``.
    trigger: TriggerCondition = attrs.field(validator=instance_of((TriggerAbove, TriggerBelow)))


@attrs.frozen(kw_only=True, weakref_slot=False)
class Order:
    """An order, as its user signs it."""

    #: The user's public key: 64 lower-case hex digits.
    signer: str = attrs.field(converter=public_key)
    order_id: str = attrs.field(validator=order_id_field)
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    book_price_decimals: int
    book_quantity_decimals: int
    details: OrderDetails = attrs.field(validator=instance_of((LimitOrderDetails, MarketOrderDetails)))
    side: Side = attrs.field(converter=Side)
    trigger: OrderTrigger | None = attrs.field(default=None, validator=optional(instance_of(OrderTrigger)))
    #: Nanoseconds since the Unix epoch, UTC.
    creation_timestamp_ns: int = attrs.field(validator=units)
    target: TradeTarget = attrs.field(factory=TradeTarget.margin_account_spot_trade)
    reduce_only: bool = False
    max_trading_fees_rate: int = 50_000
    protocol_version: int = 1


def cosigners(signers: Iterable[Any]) -> tuple[Any, ...]:
    """Cosigners' parts of a request, as they are."""
    return tuple(signers)


@attrs.frozen
class CreateOrderRequest:
    """A signed order. The signature is in no repr. It is hashable where the cosigners' parts are."""

    order: Order
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: Nanoseconds since the Unix epoch, UTC.
    post_sign_timestamp: int
    #: Cosigners' parts, passed on as they are.
    additional_signers: tuple[Any, ...] = attrs.field(default=(), converter=cosigners, repr=False)


@attrs.frozen
class CancelOrder:
    """The wish to cancel an order, as its user signs it."""

    order_id: str = attrs.field(validator=order_id_field)
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The user's public key: 64 lower-case hex digits.
    signer: str = attrs.field(converter=public_key)
    protocol_version: int = 1


@attrs.frozen
class CancelOrderRequest:
    """A signed cancellation. The signature is in no repr."""

    cancel: CancelOrder
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: Nanoseconds since the Unix epoch, UTC.
    post_sign_timestamp: int
