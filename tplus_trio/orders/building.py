"""Signed requests about orders, and their bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from tplus_trio import codec
from tplus_trio.arguments import check_list
from tplus_trio.models import (
    AdditionalSigner,
    AmendOrderRequest,
    BatchCreateOrderRequest,
    BatchReplaceOrderRequest,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    Order,
    ReplaceOrderDetails,
    ReplaceOrderRequestPayload,
    SignerKey,
)
from tplus_trio.models.batch_order import MAX_BATCH
from tplus_trio.orders.sending import OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes
from tplus_trio.service import Service
from tplus_trio.users import User

__all__ = ["RequestBuilder", "check_batch", "check_signers"]

T = TypeVar("T")

_to_json: Final = msgspec.json.Encoder().encode


class RequestBuilder:
    """Signs requests about orders, and encodes them.

    Args:
        service: The service that the requests are for.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def sign_create(self, order: Order, owner: User, signers: Sequence[User] = ()) -> CreateOrderRequest:
        """Sign an order. Cancelling it leaves nothing behind."""
        text = codec.signable(order)
        signature = await self._service.sign(owner, text)
        return CreateOrderRequest(order, signature, self._service.now_ns(), await self._cosign(text, signers))

    async def create(self, order: Order, owner: User, signers: Sequence[User] = ()) -> OrderRequest:
        """Sign an order, and return the request that creates it. Cancelling it leaves nothing behind."""
        text = codec.signable(order)
        body = await self._signed_body(b"order", text, owner, signers)
        return OrderRequest("create", (OrderTarget(order.base_asset, order.order_id),), body, owner, (order,))

    async def cancel(self, cancel: CancelOrder, owner: User) -> OrderRequest:
        """Sign a cancellation, and return the request. Cancelling it leaves nothing behind."""
        signature = await self._service.sign(owner, codec.signable(cancel))
        request = CancelOrderRequest(cancel, signature, self._service.now_ns())
        body = SecretBytes(codec.encode(request))
        return OrderRequest("cancel", (OrderTarget(cancel.asset_id, cancel.order_id),), body, owner, (cancel,))

    async def sign_replace(
        self, details: ReplaceOrderDetails, owner: User, signers: Sequence[User] = ()
    ) -> ReplaceOrderRequestPayload:
        """Sign new terms of an order. Cancelling it leaves nothing behind."""
        text = codec.signable(details)
        signature = await self._service.sign(owner, text)
        cosigners = await self._cosign(text, signers)
        return ReplaceOrderRequestPayload(details, owner.public_key, signature, self._service.now_ns(), cosigners)

    @staticmethod
    def replace(request: ReplaceOrderRequestPayload, owner: User) -> OrderRequest:
        """Return the request that gives an order its new terms."""
        target = OrderTarget(request.request.base_asset, request.request.order_id)
        return OrderRequest("replace", (target,), SecretBytes(codec.encode(request)), owner, (request.request,))

    @staticmethod
    def amend(request: AmendOrderRequest, owner: User) -> OrderRequest:
        """Return the request that reduces an order. It is not signed."""
        target = OrderTarget(request.request.base_asset, request.request.order_id)
        return OrderRequest("amend", (target,), SecretBytes(codec.encode(request)), owner, (request.request,))

    @staticmethod
    def batch_create(requests: Sequence[CreateOrderRequest], owner: User) -> OrderRequest:
        """Return the request that creates several orders."""
        targets = tuple(OrderTarget(request.order.base_asset, request.order.order_id) for request in requests)
        body = SecretBytes(codec.encode(BatchCreateOrderRequest(tuple(requests))))
        return OrderRequest("batch-create", targets, body, owner, tuple(request.order for request in requests))

    @staticmethod
    def batch_replace(requests: Sequence[ReplaceOrderRequestPayload], owner: User) -> OrderRequest:
        """Return the request that gives several orders new terms."""
        targets = tuple(OrderTarget(one.request.base_asset, one.request.order_id) for one in requests)
        body = SecretBytes(codec.encode(BatchReplaceOrderRequest(tuple(requests))))
        return OrderRequest("batch-replace", targets, body, owner, tuple(one.request for one in requests))

    async def _signed_body(self, field: bytes, text: str, owner: User, signers: Sequence[User]) -> SecretBytes:
        """Return the body around a signed text: the text is in it as it was signed, and is not encoded again."""
        signature = await self._service.sign(owner, text)
        cosigners = await self._cosign(text, signers) if signers else ()
        return SecretBytes(
            b'{"%b":%b,"signature":%b,"post_sign_timestamp":%d,"additional_signers":%b}'
            % (
                field,
                text.encode(),
                _to_json(list(signature)),
                self._service.now_ns(),
                codec.encode(cosigners) if cosigners else b"[]",
            )
        )

    async def _cosign(self, text: str, signers: Iterable[User]) -> tuple[AdditionalSigner, ...]:
        return tuple(
            [
                AdditionalSigner(SignerKey.ed25519(signer.public_key_vec), await self._service.sign(signer, text))
                for signer in signers
            ]
        )


def check_signers(signers: Iterable[User] | None) -> tuple[User, ...]:
    """Check the argument ``additional_signers``.

    Raises:
        TypeError: it is no collection of users.
    """
    found: tuple[User, ...] = () if signers is None else check_list("additional_signers", signers, "User")
    for signer in found:
        if not isinstance(signer, User):
            msg = f"additional_signers is a list of User, and one of them is a {type(signer).__name__}"
            raise TypeError(msg)
    return found


def check_batch(
    name: str, requests: Iterable[T], kind: type[T], owner: User, signed_by: Callable[[T], tuple[str, str]]
) -> tuple[T, ...]:
    """Check a batch of signed requests.

    Args:
        name: The argument's name in error messages.
        requests: The batch.
        kind: The class of its requests.
        owner: The user of the batch.
        signed_by: Returns a request's order id and the public key of its signer.

    Raises:
        TypeError: it is no collection, or an item is of another type.
        ValueError: there are none or more than 50, an order id is there twice, or another user signed one.
    """
    found: tuple[T, ...] = check_list(name, requests, kind.__name__)
    if not 1 <= len(found) <= MAX_BATCH:
        msg = f"{name} has 1 to {MAX_BATCH} requests, not {len(found)}"
        raise ValueError(msg)
    seen: set[str] = set()
    for request in found:
        if not isinstance(request, kind):
            msg = f"{name} has {kind.__name__} only, and one of them is a {type(request).__name__}"
            raise TypeError(msg)
        order_id, signer = signed_by(request)
        if order_id in seen:
            msg = f"{name} has each order id once, and {order_id!r} twice"
            raise ValueError(msg)
        if signer != owner.public_key:
            msg = f"{name} has requests signed by its user, and {order_id!r} is signed by {signer}"
            raise ValueError(msg)
        seen.add(order_id)
    return found
