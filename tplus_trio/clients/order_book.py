"""The client of the order book service: a user's orders, trades and positions, and requests about orders."""

from __future__ import annotations

from typing import Unpack

import trio

from tplus_trio import codec
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import CALL, Client, ClientOptions, StreamOptions, asset
from tplus_trio.clients.user_feeds import (
    finalized_trades_feed,
    intent_feed,
    orders_feed,
    positions_feed,
    trade_events_feed,
    user_events_feed,
)
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.errors import OrderRejected
from tplus_trio.models import (
    AssetIdentifier,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    Gap,
    IntentAggregateUpdate,
    Market,
    OperationStatus,
    OrderOperationResponse,
    OrderTrigger,
    PositionUpdate,
    Side,
    TimeInForce,
    TradeTarget,
    UserActivityEvent,
    UserOrders,
    UserTrade,
    validate_order_id,
)
from tplus_trio.orders.limit_order import check_limit_order
from tplus_trio.orders.operations import ORDER, operate
from tplus_trio.streams.recovery import OrdersUpdate
from tplus_trio.streams.stream import Stream
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["OrderBookClient"]


class OrderBookClient(Client):
    """A client of the order book service.

    A call signs in as its ``user``, or as the client's ``default_user``. Without either it raises `MissingUserError`
    before it sends anything; `get_market` works without a user.

    A stream connects when it is entered or iterated. Leaving it closes its connection. A REST read that is cancelled
    leaves nothing behind: its connection is closed. A create or cancel request that is cancelled may have been carried
    out.

    The arguments are those of every client: see `Client`.
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
        self._orders = UserOrdersReader(self._service)

    # Streams.

    def stream_orders(self, user: User | None = None, **options: Unpack[StreamOptions]) -> Stream[OrdersUpdate]:
        """Stream the events of a user's orders (feed ``/orders``).

        After an interruption, the stream reads all orders from ``GET /orders/user/{key}`` and delivers an
        `OrdersSnapshot` first. Events carry no sequence number: an event right after a snapshot may repeat what the
        snapshot contains. `stream_user_trade_events` delivers the fills.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of order events and `OrdersSnapshot`: prices and quantities are integers in the book's units.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(orders_feed(self._user(user), self._orders), options)

    def stream_user_trade_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """Stream a user's trades at every status: pending, confirmed, rolled back (feed ``/trades/user/events/{key}``).

        The service does not send again what it sent during an interruption. A `Gap` marks where trades may be missing.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `UserTrade` (prices in quote units, quantities in base units) and `Gap`.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(trade_events_feed(self._user(user), self._orders), options)

    def stream_user_finalized_trades(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """Stream a user's confirmed trades (feed ``/trades/user/{key}``).

        The service does not send again what it sent during an interruption. A `Gap` marks where trades may be missing.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `UserTrade` (prices in quote units, quantities in base units) and `Gap`.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(finalized_trades_feed(self._user(user), self._orders), options)

    def stream_user_positions(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[PositionUpdate]:
        """Stream a user's positions, all of them each time that one changes (feed ``/positions/ws/{key}``).

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `PositionUpdate`. Each replaces the one before it.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(positions_feed(self._user(user)), options)

    def stream_user_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserActivityEvent | Gap]:
        """Stream deposits, withdrawals, transfers and margin calls (feed ``/account/events/{key}``).

        The service does not send again what it sent during an interruption. A `Gap` marks where events may be missing.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of account events, amounts in units of 10**-18 of the asset, and `Gap`.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(user_events_feed(self._user(user)), options)

    def stream_intent(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[IntentAggregateUpdate]:
        """Stream how much other users intend to trade, market by market (feed ``/intent/ws``).

        Only market makers may read this feed: the service refuses other users.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `IntentAggregateUpdate`. What is sent during an interruption is missing.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(intent_feed(self._user(user)), options)

    # REST.

    async def get_market(self, asset_id: AssetIdentifier | str | int) -> Market:
        """Read a market's units: how many decimals its prices and quantities have (``GET /market/{asset}``).

        The client keeps the answer for each market. After the service refused an order as invalid, the client requests
        it again, because the units may have changed. It needs no user. Cancelling it closes the request's connection
        and leaves nothing behind.

        Args:
            asset_id: The market.

        Returns:
            The market: one price unit of an order is ``10**-book_price_decimals`` quote units, one quantity unit
            ``10**-book_quantity_decimals`` base units.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a market, or is too large.
            TypeError, ValueError: ``asset_id`` is not a valid asset.
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
        """Read a page of a user's orders, newest first (``GET /orders/user/{key}``).

        It unpacks to two values: ``orders, page = await client.get_user_orders()``. Cancelling it closes the request's
        connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose orders are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Orders on a page, at least 1; the service may send fewer. None is the service's default.

        Returns:
            The orders that could be decoded (prices and quantities are integers in the book's units) and the page's
            other fields. ``bad`` has the other rows, and the client logs a warning about them. There are no orders if
            the service has not seen the user yet: it answered the first page with 404 and a code that ends in
            ``_NOT_FOUND``, and nothing showed this client before that the service knows the user.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        orders = await self._orders.read_page(self._user(user), page, limit, CALL)
        report_bad_rows("/orders/user", orders.orders, orders.bad)
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

    def _forget(self, market: Market) -> None:
        """Request a market's units again before the next order: a change of them may have caused the refusal."""
        if self._markets.get(market.asset_id) is market:
            del self._markets[market.asset_id]

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
