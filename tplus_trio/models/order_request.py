"""A signed order, as it is sent."""

from __future__ import annotations

import attrs

from tplus_trio.models.additional_signer import AdditionalSigner, signers
from tplus_trio.models.order import Order, signature_bytes

__all__ = ["CreateOrderRequest"]


@attrs.frozen
class CreateOrderRequest:
    """A signed order: the body of ``POST /orders/create``.

    The signatures are not in the repr.
    """

    order: Order
    #: The 64 bytes of the user's signature.
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: When the order was signed, in nanoseconds since the Unix epoch, UTC.
    post_sign_timestamp: int
    #: The signatures of other signers of the same text.
    additional_signers: tuple[AdditionalSigner, ...] = attrs.field(default=(), converter=signers, repr=False)
