"""Requests that change orders, and batches of requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from tplus_trio.arguments import check_count
from tplus_trio.clients.base import asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.models import (
    AmendOrder,
    AmendOrderRequest,
    AssetIdentifier,
    CreateOrderRequest,
    Market,
    OperationStatus,
    Order,
    OrderOperationResponse,
    ReplaceOrderDetails,
    ReplaceOrderRequestPayload,
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    validate_order_id,
)
from tplus_trio.orders.batch_results import (
    BatchCreateOrderRequestResponse,
    BatchReplaceOrderRequestResponse,
    SingleOrderStatusFromBatch,
)
from tplus_trio.orders.building import check_batch, check_signers
from tplus_trio.orders.limits import Terms
from tplus_trio.orders.terms import Amount, check_amount, scaled
from tplus_trio.orders.unsettled import OnCancel, check_on_cancel
from tplus_trio.users import User

__all__ = ["OrderChanges"]


class OrderChanges(OrderServiceClient):
    """The requests of `OrderBookClient` that replace and amend orders, and batches."""

    async def replace_order(
        self,
        original_order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        new_price: Amount,
        new_trigger: TriggerCondition | None = None,
        user: User | None = None,
        additional_signers: Sequence[User] | None = None,
    ) -> tuple[OrderOperationResponse, int]:
        """Give an open order new, signed terms (``PATCH /orders/replace``, or the control channel).

        The order keeps its id and its expiry, and in general loses its place in the queue. If the answer does not state
        what became of the request, or if the call is cancelled after a byte of it may have left, the call finds out,
        for at most ``resolve_timeout`` more. `orders_in_doubt` has the order if it is not known by then.

        Args:
            original_order_id: The id of the order: 1 to 24 UTF-8 bytes.
            asset_id: The market of the order.
            new_quantity: The new total over the order's life, filled part included, more than 0. An ``int`` is in the
                book's quantity units, a Decimal in base units.
            new_price: The new limit, more than 0. An ``int`` is in the book's price units, a Decimal in quote units.
            new_trigger: The new trigger, in the book's price units. None removes a trigger that the order has.
            user: The user of the order, who signs; None is the default user.
            additional_signers: Other users that sign the new terms too.

        Returns:
            The service's answer: it took the replacement. And its time in nanoseconds, which is the order's
            authorization revision from now on: `amend_order` needs it.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent; if a Decimal does not fit, the market's
                units were requested.
            MissingUserError: there is no user. Nothing was sent.
            OrderLimitExceeded: the new terms are beyond the client's limits. Nothing was sent.
            NotFoundError: the order had ended before the request was sent.
            OrderRejected: the service refused the new terms, or they never took effect (``NEVER_TOOK_EFFECT``). The
                order keeps its old ones.
            OrderFateUnknown: the request was sent, and it could not be found out which terms the order has, or whether
                it still exists.
            ConnectionFailed: no byte of the request has left.
            ApiError: the service refused the request for another reason.
            DecodeError: the answer about the market's units cannot be decoded. Nothing was sent.
            KeyfileError: the user's key cannot be decrypted. Nothing was sent.
        """
        return await self._replace(
            original_order_id, asset_id, new_quantity, new_price, new_trigger, self._user(user), additional_signers
        )

    async def prepare_replace_order_request(
        self,
        original_order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        new_price: Amount,
        new_trigger: TriggerCondition | None = None,
        user: User | None = None,
        additional_signers: Sequence[User] | None = None,
    ) -> ReplaceOrderRequestPayload:
        """Sign new terms of an order for `replace_multiple_orders`, without sending them.

        Cancelling it leaves nothing behind. The first order of a market requests its units; see `get_market`.

        Args:
            original_order_id: As for `replace_order`.
            asset_id: As for `replace_order`.
            new_quantity: As for `replace_order`.
            new_price: As for `replace_order`.
            new_trigger: As for `replace_order`.
            user: As for `replace_order`.
            additional_signers: As for `replace_order`.

        Returns:
            The signed replacement.

        Raises:
            TypeError, ValueError: an argument is not legal.
            MissingUserError: there is no user.
            ApiError, ConnectionFailed, DecodeError: the market's units could not be read.
            KeyfileError: the user's key cannot be decrypted.
        """
        owner = self._user(user)
        await trio.lowlevel.checkpoint()
        _, request = await self._sign_replace(
            original_order_id, asset_id, new_quantity, new_price, new_trigger, owner, additional_signers
        )
        return request

    async def amend_order(
        self,
        order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        expected_authorization_revision: int | None = None,
        user: User | None = None,
    ) -> OrderOperationResponse:
        """Reduce an open order's quantity, without a signature (``PATCH /orders/amend``, or the control channel).

        The order keeps its place in the queue. If the answer does not state what became of the request, or if the call
        is cancelled after a byte of it may have left, the call finds out, for at most ``resolve_timeout`` more.
        `orders_in_doubt` has the order if it is not known by then.

        Args:
            order_id: The id of the order: 1 to 24 UTF-8 bytes.
            asset_id: The market of the order.
            new_quantity: The new total over the order's life, filled part included: more than 0, and less than the
                present one. An ``int`` is in the book's quantity units, a Decimal in base units.
            expected_authorization_revision: The time of the order's last replacement or amendment, in nanoseconds; None
                if its first terms still hold. The service refuses the request if the order has changed since.
            user: The user of the order; None is the default user.

        Returns:
            The service's answer: it took the amendment.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent; if a Decimal does not fit, the market's
                units were requested.
            MissingUserError: there is no user. Nothing was sent.
            NotFoundError: the order had ended before the request was sent.
            OrderRejected: the service refused the request, for example because the order has changed since. The order
                keeps its quantity.
            OrderFateUnknown: the request was sent, and it could not be found out whether the order is smaller, or
                whether it still exists.
            ConnectionFailed: no byte of the request has left.
            ApiError: the service refused the request for another reason.
            DecodeError: the answer about the market's units cannot be decoded. Nothing was sent.
        """
        return await self._amend(order_id, asset_id, new_quantity, expected_authorization_revision, self._user(user))

    async def _amend(
        self,
        order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        expected_authorization_revision: int | None,
        owner: User,
        claim: Callable[[AmendOrder], Awaitable[object]] | None = None,
    ) -> OrderOperationResponse:
        """Reduce an order; see `amend_order`, and for ``claim`` `_replace`."""
        name, chosen = validate_order_id(order_id), asset(asset_id)
        check_amount("new_quantity", new_quantity, "base units")
        if expected_authorization_revision is not None:
            check_count("expected_authorization_revision", expected_authorization_revision, least=0)
        market, quantity = await self._in_units(
            chosen, lambda market: scaled("new_quantity", new_quantity, market.book_quantity_decimals)
        )
        request = AmendOrderRequest(
            request=AmendOrder(
                order_id=name,
                base_asset=chosen,
                new_quantity=quantity,
                book_quantity_decimals=market.book_quantity_decimals,
                expected_authorization_revision=expected_authorization_revision,
                timestamp_ns=self._change_times.next(),
            ),
            user_id=owner.public_key,
        )
        if claim is not None:
            await claim(request.request)
        return await self._operate(self._builder.amend(request, owner), market, hands_over=claim is not None)

    async def _replace(
        self,
        original_order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        new_price: Amount,
        new_trigger: TriggerCondition | None,
        owner: User,
        additional_signers: Sequence[User] | None,
        claim: Callable[[ReplaceOrderDetails], Awaitable[object]] | None = None,
    ) -> tuple[OrderOperationResponse, int]:
        """Give an order new terms; see `replace_order`.

        With ``claim``, which is called before the new terms are sent, the order is a scope's: a cancelled call hands it
        over.
        """
        market, request = await self._sign_replace(
            original_order_id, asset_id, new_quantity, new_price, new_trigger, owner, additional_signers
        )
        await self._admit(owner, [Terms.of_replacement(market, request.request)])
        if claim is not None:
            await claim(request.request)
        answer = await self._operate(self._builder.replace(request, owner), market, hands_over=claim is not None)
        return answer, request.request.timestamp_ns

    async def send_multiple_orders(
        self,
        create_order_requests: Iterable[CreateOrderRequest],
        user: User | None = None,
        *,
        on_cancel: OnCancel = "cancel",
    ) -> BatchCreateOrderRequestResponse:
        """Send several signed orders in one request (``POST /orders/batch-create``, or the control channel).

        The service takes or refuses each order for itself. Where the answer does not state what became of an order, or
        if the call is cancelled after a byte may have left, the call goes on as `create_limit_order` does.

        Args:
            create_order_requests: 1 to 50 orders from `prepare_limit_order_request`, each id once, all signed by one
                user.
            user: The user who signed them; None is the default user.
            on_cancel: As for `create_limit_order`, for each order.

        Returns:
            What became of each order, in the order of the argument. The ``error`` of an item is an `OrderRejected` if
            the service refused it, and an `OrderFateUnknown` if its fate is not known.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            OrderLimitExceeded: an order is beyond the client's limits. Nothing was sent.
            ConnectionFailed: no byte of the request was sent.
            ApiError: the service refused the whole request.
        """
        owner, wish = self._user(user), check_on_cancel(on_cancel)
        requests = check_batch(
            "create_order_requests",
            create_order_requests,
            CreateOrderRequest,
            owner,
            lambda request: (request.order.order_id, request.order.signer),
        )
        orders = [request.order for request in requests]
        await self._admit(owner, [Terms.of_order(_market_of(order), order) for order in orders])
        results = await self._operate_all(self._builder.batch_create(requests, owner), wish)
        self._saw(owner, orders, results)
        return BatchCreateOrderRequestResponse(results)

    async def replace_multiple_orders(
        self, replace_requests: Iterable[ReplaceOrderRequestPayload], user: User | None = None
    ) -> BatchReplaceOrderRequestResponse:
        """Send several signed replacements in one request (``PATCH /orders/batch-replace``, or the control channel).

        The service takes or refuses each replacement for itself. Where the answer does not state what became of one, or
        if the call is cancelled after a byte may have left, the call goes on as `replace_order` does.

        Args:
            replace_requests: 1 to 50 replacements from `prepare_replace_order_request`, each id once, all signed by
                one user.
            user: The user who signed them; None is the default user.

        Returns:
            What became of each replacement, in the order of the argument; see `send_multiple_orders`.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            OrderLimitExceeded: a replacement is beyond the client's limits. Nothing was sent.
            ConnectionFailed: no byte of the request was sent.
            ApiError: the service refused the whole request.
        """
        owner = self._user(user)
        requests = check_batch(
            "replace_requests",
            replace_requests,
            ReplaceOrderRequestPayload,
            owner,
            lambda request: (request.request.order_id, request.signer),
        )
        new = [request.request for request in requests]
        await self._admit(owner, [Terms.of_replacement(_market_of(one), one) for one in new])
        results = await self._operate_all(self._builder.batch_replace(requests, owner))
        self._saw(owner, new, results)
        return BatchReplaceOrderRequestResponse(results)

    def _saw(
        self,
        owner: User,
        sent: Iterable[Order | ReplaceOrderDetails],
        results: Sequence[SingleOrderStatusFromBatch],
    ) -> None:
        """Remember what the results of a batch show: that the service knows the user, and units that do not fit.

        Only a request that was taken shows that the service knows the user.
        """
        if any(result.status is OperationStatus.RECEIVED for result in results):
            self._orders.known.saw(owner.public_key)
        for signed, result in zip(sent, results, strict=True):
            self._refused(signed.base_asset, _market_of(signed), result.error)

    async def _sign_replace(
        self,
        original_order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        new_price: Amount,
        new_trigger: TriggerCondition | None,
        owner: User,
        additional_signers: Sequence[User] | None,
    ) -> tuple[Market, ReplaceOrderRequestPayload]:
        name = validate_order_id(original_order_id, name="original_order_id")
        chosen = asset(asset_id)
        check_amount("new_quantity", new_quantity, "base units")
        check_amount("new_price", new_price, "quote units")
        if not isinstance(new_trigger, TriggerAbove | TriggerBelow | None):
            msg = f"new_trigger is a TriggerAbove, a TriggerBelow or None, not {type(new_trigger).__name__}"
            raise TypeError(msg)
        signers = check_signers(additional_signers)

        def details(market: Market) -> ReplaceOrderDetails:
            return ReplaceOrderDetails(
                order_id=name,
                base_asset=chosen,
                timestamp_ns=self._change_times.next(),
                new_price_limit=scaled("new_price", new_price, market.book_price_decimals),
                new_quantity=scaled("new_quantity", new_quantity, market.book_quantity_decimals),
                new_trigger=new_trigger,
                book_quantity_decimals=market.book_quantity_decimals,
                book_price_decimals=market.book_price_decimals,
            )

        market, replacement = await self._in_units(chosen, details)
        return market, await self._builder.sign_replace(replacement, owner, signers)


def _market_of(signed: Order | ReplaceOrderDetails) -> Market:
    """Return the units that a signed order or replacement states."""
    return Market(signed.base_asset, signed.book_price_decimals, signed.book_quantity_decimals)
