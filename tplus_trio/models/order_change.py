"""Changes to orders: replacing one with new signed terms, and amending one downwards without a signature."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs.validators import instance_of, optional

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.order import (
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    cosigners,
    order_id_field,
    public_key,
    signature_bytes,
    units,
)

__all__ = ["AmendOrder", "AmendOrderRequest", "ReplaceOrderDetails", "ReplaceOrderRequestPayload"]


@attrs.frozen(kw_only=True)
class ReplaceOrderDetails:
    """An order's new terms, complete, as its user signs them."""

    order_id: str = attrs.field(validator=order_id_field)
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: Nanoseconds since the Unix epoch, UTC; from then on the order's authorization revision.
    timestamp_ns: int = attrs.field(validator=units)
    new_price_limit: int = attrs.field(validator=units)
    #: The order's lifetime total, the filled part included.
    new_quantity: int = attrs.field(validator=units)
    #: None means no trigger: one that is to stay must be said again.
    new_trigger: TriggerCondition | None = attrs.field(
        default=None, validator=optional(instance_of((TriggerAbove, TriggerBelow)))
    )
    book_quantity_decimals: int
    book_price_decimals: int
    protocol_version: int = 1


@attrs.frozen
class ReplaceOrderRequestPayload:
    """A signed replacement. The signature is in no repr. It is hashable where the cosigners' parts are."""

    request: ReplaceOrderDetails
    signer: str = attrs.field(converter=public_key)
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: Nanoseconds since the Unix epoch, UTC.
    post_sign_timestamp: int
    #: Cosigners' parts, passed on as they are.
    additional_signers: tuple[Any, ...] = attrs.field(default=(), converter=cosigners, repr=False)


@attrs.frozen(kw_only=True)
class AmendOrder:
    """A smaller quantity for an order."""

    order_id: str = attrs.field(validator=order_id_field)
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The order's lifetime total, the filled part included.
    new_quantity: int = attrs.field(validator=units)
    book_quantity_decimals: int
    #: The time of the last replacement or amendment; None while the terms first signed hold.
    expected_authorization_revision: int | None = None
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int = attrs.field(validator=units)
    source: Literal["User"] = "User"


@attrs.frozen(kw_only=True)
class AmendOrderRequest:
    """An amendment, which needs no signature since it can only reduce."""

    request: AmendOrder
    #: The user's public key: 64 lower-case hex digits.
    user_id: str = attrs.field(converter=public_key)
    target: TradeTarget = attrs.field(factory=lambda: TradeTarget(account=0, is_spot=False))
    oms_operator_pubkey: str = ""
    receive_timestamp_ns: int | None = None
