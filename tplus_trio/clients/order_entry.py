"""Requests about orders: create and cancel."""

from __future__ import annotations

from tplus_trio import codec
from tplus_trio.clients.base import asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.errors import OrderRejected
from tplus_trio.models import (
    AssetIdentifier,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    OperationStatus,
    OrderOperationResponse,
    OrderTrigger,
    Side,
    TimeInForce,
    TradeTarget,
    validate_order_id,
)
from tplus_trio.orders.limit_order import check_limit_order
from tplus_trio.orders.operations import ORDER, operate
from tplus_trio.users import User

__all__ = ["OrderEntry"]


class OrderEntry(OrderServiceClient):
    """The requests about orders in `OrderBookClient`."""

    async def create_limit_order(
        self,
        quantity: int,
        price: int,
        side: Side | str,
        time_in_force: TimeInForce | None = None,
        asset_id: AssetIdentifier | str | int | None = None,
        order_id: str | None = None,
        target: TradeTarget | None = None,
        max_trading_fees_rate: int | None = None,
        trigger: OrderTrigger | None = None,
        user: User | None = None,
        reduce_only: bool = False,
    ) -> OrderOperationResponse:
        """Sign a limit order and send it (``POST /orders/create``).

        If it is cancelled after the request was sent, the order may exist. Choose ``order_id`` beforehand, look for it
        with `get_user_orders`, and send the order again only if it is not there. Do the same after `OrderFateUnknown`,
        `ServerError`, and a `ConnectionFailed` whose message says that the order may exist. The first order of a market
        requests its units first; see `get_market`.

        Args:
            quantity: In the book's quantity units, at least 0: one unit is ``10**-book_quantity_decimals`` of the base
                asset.
            price: In the book's price units, at least 0: one unit is ``10**-book_price_decimals`` of the quote asset.
            side: ``Side.BUY`` or ``Side.SELL``, or their names.
            time_in_force: `GTC`, `GTD` or `IOC`; None is ``GTC()``, good until cancelled.
            asset_id: The market. It is required.
            order_id: 1 to 24 UTF-8 bytes, unique for the user; None makes a random one.
            target: The sub-account and balance that the order trades for; None is the spot balance of the first margin
                account.
            max_trading_fees_rate: The highest fee rate to accept, as the service counts it, at least 0; None is 50 000.
            trigger: The condition under which the order becomes active; None is none.
            user: The user that signs; None is the default user.
            reduce_only: Whether the order may only make a position smaller.

        Returns:
            The service's answer. If its ``status`` is ``REJECTED``, the book did not take the order, for example
            because a post-only order would have traded; ``reason`` says why.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            OrderRejected: the service refused the order, for example because the order id exists already.
            OrderFateUnknown: the answer cannot be decoded or is about another order: the order may exist.
            ConnectionFailed: there was no answer. The message says whether the order may exist.
            ServerError: the service failed. The order may exist.
            ApiError: the service refused the request for another reason.
            DecodeError: the answer about the market's units cannot be decoded. The order was not sent.
            KeyfileError: the user's key cannot be decrypted. The order was not sent.
        """
        owner = self._user(user)
        if asset_id is None:
            msg = "asset_id is required: the market to trade on"
            raise TypeError(msg)
        terms = check_limit_order(
            asset(asset_id),
            quantity=quantity,
            price=price,
            side=side,
            time_in_force=time_in_force,
            order_id=order_id,
            target=target,
            max_trading_fees_rate=max_trading_fees_rate,
            trigger=trigger,
            reduce_only=reduce_only,
        )
        market = await self._market(terms.asset_id, ORDER)
        order = terms.to_order(market, owner.public_key, self._service.now_ns())
        signature = await self._service.sign(owner, codec.signable(order))
        request = CreateOrderRequest(order, signature, self._service.now_ns())
        try:
            answer = await operate(self._service, "create", terms.order_id, request, owner)
        except OrderRejected as exc:
            if exc.code.startswith("INVALID_ORDER"):
                self._forget(market)
            raise
        self._orders.add_known(owner)
        if answer.status is OperationStatus.REJECTED:
            self._forget(market)
        return answer

    async def cancel_order(
        self, order_id: str, asset_id: AssetIdentifier | str | int, user: User | None = None
    ) -> OrderOperationResponse:
        """Sign a cancel request for an order and send it (``DELETE /orders/cancel``).

        If it is cancelled after the request was sent, the order may be gone or still rest: look for it with
        `get_user_orders`, or call it again.

        Args:
            order_id: The id of the order: 1 to 24 UTF-8 bytes.
            asset_id: The market of the order.
            user: The user of the order, who signs; None is the default user.

        Returns:
            The service's answer about this order.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            OrderFateUnknown: the answer cannot be decoded or is about another order: the order may be gone.
            ConnectionFailed: there was no answer. The message says whether the order may be gone.
            ServerError: the service failed. The order may be gone.
            ApiError: the service refused the request for another reason.
            KeyfileError: the user's key cannot be decrypted. Nothing was sent.
        """
        owner = self._user(user)
        cancel = CancelOrder(validate_order_id(order_id), asset(asset_id), owner.public_key)
        signature = await self._service.sign(owner, codec.signable(cancel))
        request = CancelOrderRequest(cancel, signature, self._service.now_ns())
        answer = await operate(self._service, "cancel", order_id, request, owner)
        self._orders.add_known(owner)
        return answer
