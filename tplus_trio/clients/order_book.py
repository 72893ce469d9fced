"""The client of the order book service: orders, trades and positions of a user, and order entry."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, Unpack

import trio

from tplus_trio import codec
from tplus_trio.arguments import check_choice, check_count, check_instance
from tplus_trio.clients.base import CALL, Client, ClientOptions, StreamOptions, asset, page_params
from tplus_trio.errors import DecodeError, NotFoundError, OrderRejected
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    Gap,
    IntentAggregateUpdate,
    LimitOrderDetails,
    Market,
    OperationStatus,
    Order,
    OrderOperationResponse,
    OrderTrigger,
    PositionUpdate,
    Side,
    TimeInForce,
    TradeTarget,
    UserActivityEvent,
    UserOrders,
    UserTrade,
    new_order_id,
    validate_order_id,
)
from tplus_trio.orders.listing import is_answer_of_service, read_all_orders
from tplus_trio.orders.operations import ORDER, operate
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.recovery import GapMarking, OrdersRecovery, OrdersUpdate
from tplus_trio.streams.stream import Stream
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["OrderBookClient"]

F = TypeVar("F")
D = TypeVar("D")

_log = logging.getLogger("tplus_trio.clients")


class OrderBookClient(Client):
    """A client of the order book service.

    A call signs in as its ``user``, or else as the ``default_user`` of the client. Without either, a call about a user
    raises `MissingUserError` and sends nothing. The arguments are those of every client: see `Client`.

    A stream method returns at once; the stream connects when it is entered or iterated, and its failures are raised by
    its iteration. Leaving the stream, also by cancellation, closes its connection.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:3032",
        *,
        default_user: User | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, default_user=default_user, **options)
        self._markets: dict[AssetIdentifier, Market] = {}
        #: The public keys of the users that the service is known to have seen.
        self._known_users: set[str] = set()

    # Streams.

    def stream_orders(self, user: User | None = None, **options: Unpack[StreamOptions]) -> Stream[OrdersUpdate]:
        """Stream the events of a user's orders. Fills are in `stream_user_trade_events`.

        After an interruption, the stream delivers an `OrdersSnapshot` first. Events carry no sequence number, so an
        event right after a snapshot may already be part of the snapshot. Prices and quantities are in the book's units.

        Args:
            user: The owner of the orders; the default user if None.
            options: See `StreamOptions`.

        Raises:
            TypeError, ValueError: an argument is not legal.
            MissingUserError: neither the call nor the client names a user.

        Feed ``/orders``; snapshot ``GET /orders/user/{key}``.
        """
        owner = self._user(user)
        return self._stream(
            Feed(
                path="/orders",
                decode=self._seeing(owner, codec.decode_order_event_frame),
                decode_batch=self._seeing(owner, codec.decode_order_event_batch),
                recovery=OrdersRecovery,
                fetch=lambda _page, dispatch: read_all_orders(
                    lambda page, limit: self._orders_page(owner, page, limit, dispatch)
                ),
                user=owner,
                private=True,
            ),
            options,
        )

    def stream_user_trade_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """Stream a user's trades at every status: pending, confirmed, rolled back.

        Trades missed during an interruption cannot be requested; the stream delivers a `Gap` in their place. Prices are
        `Decimal` in quote units, quantities in base units. Arguments and errors are as for `stream_orders`.
        Feed ``/trades/user/events/{key}``.
        """
        owner = self._user(user)
        return self._user_trades(f"/trades/user/events/{owner.public_key}", owner, options)

    def stream_user_finalized_trades(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """Stream a user's confirmed trades. A `Gap` marks an interruption.

        Units, arguments and errors are as for `stream_user_trade_events`. Feed ``/trades/user/{key}``.
        """
        owner = self._user(user)
        return self._user_trades(f"/trades/user/{owner.public_key}", owner, options)

    def _user_trades(self, path: str, owner: User, options: StreamOptions) -> Stream[UserTrade | Gap]:
        return self._stream(
            Feed(
                path=path,
                decode=self._seeing(owner, codec.decode_user_trade_frame),
                decode_batch=self._seeing(owner, codec.decode_user_trade_batch),
                recovery=GapMarking,
                user=owner,
                private=True,
            ),
            options,
        )

    def _seeing(self, owner: User, decode: Callable[[F], D]) -> Callable[[F], D]:
        """Return a decoder that also records that the service has seen the user."""
        known, key = self._known_users, owner.public_key

        def decode_and_see(frames: F) -> D:
            items = decode(frames)
            if items:
                known.add(key)
            return items

        return decode_and_see

    def stream_user_positions(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[PositionUpdate]:
        """Stream all positions of a user, each time one of them changes.

        Arguments and errors are as for `stream_orders`. Feed ``/positions/ws/{key}``.
        """
        owner = self._user(user)
        path = f"/positions/ws/{owner.public_key}"
        return self._stream(Feed(path=path, decode=codec.decode_positions_frame, user=owner, private=True), options)

    def stream_user_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserActivityEvent | Gap]:
        """Stream a user's deposits, withdrawals, transfers and margin calls. A `Gap` marks an interruption.

        Arguments and errors are as for `stream_orders`. Feed ``/account/events/{key}``.
        """
        owner = self._user(user)
        path = f"/account/events/{owner.public_key}"
        return self._stream(
            Feed(path=path, decode=codec.decode_user_event_frame, recovery=GapMarking, user=owner, private=True),
            options,
        )

    def stream_intent(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[IntentAggregateUpdate]:
        """Stream how much other users intend to trade, for each market.

        The service refuses users who are not market makers (HTTP 403). Arguments and errors are as for `stream_orders`.
        Feed ``/intent/ws``.
        """
        owner = self._user(user)
        return self._stream(
            Feed(path="/intent/ws", decode=codec.decode_intent_frame, user=owner, private=True), options
        )

    # REST.

    async def get_market(self, asset_id: AssetIdentifier | str | int) -> Market:
        """Return the integer units of a market's orders: the decimals of its prices and quantities.

        The client requests them once for each market, and again after the service refused an order of the market as
        invalid, because they may have changed.

        Raises:
            TypeError, ValueError: the argument names no market.
            ApiError: the service refused the request.
            ConnectionFailed: the service could not be reached, or did not answer in time.
            DecodeError: the answer is not a market.

        Cancelling leaves nothing behind: the connection of the request is closed. ``GET /market/{asset}``.
        """
        return await self._market(asset(asset_id), CALL)

    async def _market(self, asset_id: AssetIdentifier, dispatch: Dispatch) -> Market:
        if asset_id not in self._markets:
            body = await self._get(f"/market/{asset_id}", user=self._default_user, dispatch=dispatch)
            self._markets[asset_id] = codec.decode(body, Market)
        else:
            await trio.lowlevel.checkpoint()
        return self._markets[asset_id]

    async def get_user_orders(
        self, user: User | None = None, *, page: int | None = None, limit: int | None = None
    ) -> UserOrders:
        """Return a page of a user's orders, newest first: ``orders, page = await client.get_user_orders()``.

        Args:
            user: The owner of the orders; the default user if None.
            page: Counted from 0; the first page if None.
            limit: Orders in a page, at least 1; the service has its own maximum.

        Returns:
            The orders that could be decoded, with prices and quantities in the book's units, and the other fields of
            the page; ``bad`` lists the rows that could not be decoded, which are also logged as a warning. There are no
            orders if the service answers the first page with 404 and its own code (``…_NOT_FOUND``), and this client
            has received no data about the user before: the service has not seen the user yet.

        Raises:
            TypeError, ValueError, MissingUserError: an argument is not legal, or there is no user. Nothing was sent.
            NotFoundError: any other 404, such as the 404 of a proxy.
            ApiError: the service refused the sign-in or the request.
            ConnectionFailed: the service could not be reached, or did not answer in time.
            DecodeError: the answer is not a page of orders, or none of its rows can be decoded.

        Cancelling leaves nothing behind: the connection of the request is closed. ``GET /orders/user/{key}``.
        """
        orders = await self._orders_page(self._user(user), page, limit, CALL)
        if orders.bad:
            first = orders.bad[0]
            if not orders.orders:
                raise DecodeError(f"row {first.position} of the orders is {first.reason}")
            _log.warning("%d orders could not be read: row %d is %s", len(orders.bad), first.position, first.reason)
        return orders

    async def _orders_page(self, owner: User, page: int | None, limit: int | None, dispatch: Dispatch) -> UserOrders:
        """Return a page of orders, with the rows that cannot be decoded in ``bad``."""
        key = owner.public_key
        try:
            body = await self._get(
                f"/orders/user/{key}", user=owner, required=True, dispatch=dispatch, **page_params(page, limit)
            )
        except NotFoundError as exc:
            if page or key in self._known_users or not is_answer_of_service(exc):
                raise
            return UserOrders((), {})
        orders = codec.decode_page(body, UserOrders)
        self._known_users.add(key)
        return orders

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
        """Sign a limit order and send it.

        Args:
            quantity: In the book's units, ``10**-book_quantity_decimals`` of the base asset each; at least 0.
            price: In the book's units, ``10**-book_price_decimals`` of the quote asset each; at least 0.
            side: ``Side.BUY`` or ``Side.SELL``, or their names.
            time_in_force: `GTC`, `GTD` or `IOC`; ``GTC()`` (good until canceled) if None.
            asset_id: The market; required.
            order_id: At most 24 UTF-8 bytes, unique for the user; a random id if None.
            target: The sub-account and balance; the spot balance of the margin account if None.
            max_trading_fees_rate: The highest fee rate to accept, as the service counts it; at least 0; 50 000 if None.
            trigger: The condition that activates the order; no condition if None.
            user: The user who signs; the default user if None.
            reduce_only: Whether the order may only reduce a position.

        Returns:
            The answer of the service. Its ``status`` may be ``REJECTED``, with a ``reason``: the book did not take the
            order, for example because a post-only order would have traded.

        Raises:
            TypeError, ValueError, MissingUserError: an argument is not legal, or there is no user. Nothing was sent.
            OrderRejected: the service refused the order, for example because its order id is taken.
            OrderFateUnknown: the answer does not state what became of the order. The order may exist.
            ConnectionFailed: there was no answer; the message says whether the order may exist.
            ServerError: the service failed. The order may exist.
            ApiError: the request failed otherwise.

        A cancelled call may have been carried out, too. If the order may exist, look for its id with `get_user_orders`
        before you send it again; choose ``order_id`` yourself so that you know it. ``POST /orders/create``.
        """
        owner = self._user(user)
        if asset_id is None:
            msg = "asset_id is required: the market to trade on"
            raise TypeError(msg)
        base_asset = asset(asset_id)
        name = new_order_id() if order_id is None else validate_order_id(order_id)
        direction = check_choice("side", side, Side)
        if not isinstance(time_in_force, GTC | GTD | IOC | None):
            msg = f"time_in_force is a GTC(), GTD() or IOC(), or None for GTC(), not {time_in_force!r:.40}"
            raise TypeError(msg)
        check_count("quantity", quantity, least=0)
        check_count("price", price, least=0)
        details = LimitOrderDetails(price, quantity, GTC(post_only=False) if time_in_force is None else time_in_force)
        paying = TradeTarget.margin_account_spot_trade() if target is None else target
        check_instance("target", paying, TradeTarget)
        fees = check_count(
            "max_trading_fees_rate", 50_000 if max_trading_fees_rate is None else max_trading_fees_rate, least=0
        )
        check_instance("reduce_only", reduce_only, bool)
        if trigger is not None:
            check_instance("trigger", trigger, OrderTrigger)
        market = await self._market(base_asset, ORDER)
        order = Order(
            signer=owner.public_key,
            order_id=name,
            base_asset=base_asset,
            book_price_decimals=market.book_price_decimals,
            book_quantity_decimals=market.book_quantity_decimals,
            details=details,
            side=direction,
            trigger=trigger,
            creation_timestamp_ns=self._service.now_ns(),
            target=paying,
            reduce_only=reduce_only,
            max_trading_fees_rate=fees,
        )
        signature = await self._service.sign(owner, codec.signable(order))
        request = CreateOrderRequest(order, signature, self._service.now_ns())
        try:
            answer = await operate(self._service, "create", name, request, owner)
        except OrderRejected as exc:
            if exc.code.startswith("INVALID_ORDER"):
                self._forget(market)
            raise
        self._known_users.add(owner.public_key)
        if answer.status is OperationStatus.REJECTED:
            self._forget(market)
        return answer

    def _forget(self, market: Market) -> None:
        """Request the units of a market again before the next order: wrong units may have caused the refusal."""
        if self._markets.get(market.asset_id) is market:
            del self._markets[market.asset_id]

    async def cancel_order(
        self, order_id: str, asset_id: AssetIdentifier | str | int, user: User | None = None
    ) -> OrderOperationResponse:
        """Sign a request to cancel an order and send it.

        Args:
            order_id: The order: 1 to 24 UTF-8 bytes.
            asset_id: The market of the order.
            user: The owner of the order; the default user if None.

        Returns:
            The answer of the service. Its ``status`` may be ``REJECTED``, with a ``reason``.

        Raises:
            TypeError, ValueError, MissingUserError: an argument is not legal, or there is no user. Nothing was sent.
            OrderFateUnknown: the answer does not state what became of the order. The order may be gone.
            ConnectionFailed: there was no answer; the message says whether the order may be gone.
            ServerError: the service failed. The order may be gone.
            ApiError: the request failed otherwise.

        If you cancel this call, the request may have been carried out, too: look for the order with `get_user_orders`.
        ``DELETE /orders/cancel``.
        """
        owner = self._user(user)
        cancel = CancelOrder(validate_order_id(order_id), asset(asset_id), owner.public_key)
        signature = await self._service.sign(owner, codec.signable(cancel))
        request = CancelOrderRequest(cancel, signature, self._service.now_ns())
        answer = await operate(self._service, "cancel", order_id, request, owner)
        self._known_users.add(owner.public_key)
        return answer
