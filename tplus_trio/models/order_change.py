"""Changes of orders: a replacement has new, signed terms; an amendment is unsigned and reduces the quantity."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import instance_of, optional

from tplus_trio.models.additional_signer import AdditionalSigner, signers
from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.order import (
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    order_id_field,
    public_key,
    signature_bytes,
    units,
)

__all__ = ["AmendOrder", "AmendOrderRequest", "ReplaceOrderDetails", "ReplaceOrderRequestPayload"]


@attrs.frozen(kw_only=True)
class ReplaceOrderDetails:
    """The complete new terms of an order as its user signs them.

    Raises:
        ValueError: A field has the right type but an illegal value; the message names the field.
        TypeError: A field has the wrong type; the message names the field.
    """

    order_id: str = attrs.field(validator=order_id_field)
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: When the client made the replacement, in nanoseconds since the Unix epoch, UTC. It becomes the order's
    #: authorization revision.
    timestamp_ns: int = attrs.field(validator=units)
    #: The new limit, in price units of the book.
    new_price_limit: int = attrs.field(validator=units)
    #: The new total over the order's life, filled part included, in quantity units of the book.
    new_quantity: int = attrs.field(validator=units)
    #: The new trigger. None removes a trigger that the order has.
    new_trigger: TriggerCondition | None = attrs.field(
        default=None, validator=optional(instance_of((TriggerAbove, TriggerBelow)))
    )
    book_quantity_decimals: int
    book_price_decimals: int
    protocol_version: int = 1


@attrs.frozen
class ReplaceOrderRequestPayload:
    """A signed replacement: the body of ``PATCH /orders/replace``.

    The signatures are not in the repr.
    """

    request: ReplaceOrderDetails
    #: The user's public key: 64 lower-case hex digits.
    signer: str = attrs.field(converter=public_key)
    #: The 64 bytes of the user's signature.
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: When the replacement was signed, in nanoseconds since the Unix epoch, UTC.
    post_sign_timestamp: int
    #: The signatures of other signers of the same text.
    additional_signers: tuple[AdditionalSigner, ...] = attrs.field(default=(), converter=signers, repr=False)


@attrs.frozen(kw_only=True)
class AmendOrder:
    """A smaller quantity for an order. It is not signed."""

    order_id: str = attrs.field(validator=order_id_field)
    base_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The new total over the order's life, filled part included, in quantity units of the book.
    new_quantity: int = attrs.field(validator=units)
    book_quantity_decimals: int
    #: The time of the order's last replacement or amendment, in nanoseconds; None if its first terms still hold.
    expected_authorization_revision: int | None = None
    #: When the client made the amendment, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int = attrs.field(validator=units)
    source: Literal["User"] = "User"


@attrs.frozen(kw_only=True)
class AmendOrderRequest:
    """An amendment: the body of ``PATCH /orders/amend``. It needs no signature because it can only reduce."""

    request: AmendOrder
    #: The user's public key: 64 lower-case hex digits.
    user_id: str = attrs.field(converter=public_key)
    target: TradeTarget = attrs.field(factory=lambda: TradeTarget(account=0, is_spot=False))
    oms_operator_pubkey: str = ""
    receive_timestamp_ns: int | None = None
