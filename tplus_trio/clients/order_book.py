"""The order book service: a user's orders, trades, positions, and order entry."""

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

    Calls sign in as the ``default_user`` or the ``user`` that they name; without either they raise `MissingUserError`
    at once. The arguments are those of every client: see `Client`.
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
        #: The public keys of users whom the service has shown to know.
        self._known_users: set[str] = set()

    # Streams.

    def stream_orders(self, user: User | None = None, **options: Unpack[StreamOptions]) -> Stream[OrdersUpdate]:
        """What happens to a user's orders; fills are told by `stream_user_trade_events`.

        After an interruption, an `OrdersSnapshot` comes first. Events carry no sequence number: one that comes right
        after a snapshot may tell what the snapshot tells already.
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
        """A user's trades at every status: pending, confirmed, rolled back.

        What is missed during an interruption cannot be asked for: a `Gap` stands in its place.
        """
        owner = self._user(user)
        return self._user_trades(f"/trades/user/events/{owner.public_key}", owner, options)

    def stream_user_finalized_trades(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """A user's confirmed trades. What is missed during an interruption is marked by a `Gap`."""
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
        """A decoder that also takes note that the service knows the user."""
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
        """A user's positions, all of them each time that one changes."""
        owner = self._user(user)
        path = f"/positions/ws/{owner.public_key}"
        return self._stream(Feed(path=path, decode=codec.decode_positions_frame, user=owner, private=True), options)

    def stream_user_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserActivityEvent | Gap]:
        """Deposits, withdrawals, transfers and margin calls. What is missed is marked by a `Gap`."""
        owner = self._user(user)
        path = f"/account/events/{owner.public_key}"
        return self._stream(
            Feed(path=path, decode=codec.decode_user_event_frame, recovery=GapMarking, user=owner, private=True),
            options,
        )

    def stream_intent(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[IntentAggregateUpdate]:
        """How much other users contemplate to trade, market by market. For market makers: others are refused."""
        owner = self._user(user)
        return self._stream(
            Feed(path="/intent/ws", decode=codec.decode_intent_frame, user=owner, private=True), options
        )

    # REST.

    async def get_market(self, asset_id: AssetIdentifier | str | int) -> Market:
        """A market's units: how many decimals its prices and quantities have.

        They are asked for once a market, and again after the service refused an order as invalid: they may have
        changed.

        Raises:
            ApiError, ConnectionFailed, DecodeError: it could not be had.
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
        """A page of a user's orders, newest first: ``orders, page = await client.get_user_orders()``.

        Args:
            user: Whose; the default user's if None.
            page: Counted from 0.
            limit: Orders a page; the service has a limit of its own.

        Returns:
            The orders that could be read and the page's other fields; ``bad`` has the rows that could not be read. No
            orders for a user whom the service has not seen yet: where it answers the first page with 404 and a code of
            its own (``…_NOT_FOUND``), and this client has seen nothing of the user before.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError, ConnectionFailed: it could not be had.
            DecodeError: the answer is no page, or none of its rows can be read.
            MissingUserError: there is no user.
        """
        orders = await self._orders_page(self._user(user), page, limit, CALL)
        if orders.bad:
            first = orders.bad[0]
            if not orders.orders:
                raise DecodeError(f"row {first.position} of the orders is {first.reason}")
            _log.warning("%d orders could not be read: row %d is %s", len(orders.bad), first.position, first.reason)
        return orders

    async def _orders_page(self, owner: User, page: int | None, limit: int | None, dispatch: Dispatch) -> UserOrders:
        """A page as far as it can be read."""
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

        A request that was sent and not answered (`ConnectionFailed`, `ServerError`), or whose answer says nothing of
        the order (`OrderFateUnknown`), may have been carried out: look for its order id before sending it again. So may
        one that was cancelled.

        Args:
            quantity: In the book's units: 10 to the power of minus ``book_quantity_decimals`` of the base asset.
            price: In the book's units: 10 to the power of minus ``book_price_decimals`` of the quote asset.
            side: ``Side.BUY`` or ``Side.SELL``, or their names.
            time_in_force: `GTC`, `GTD` or `IOC`; good until canceled if None.
            asset_id: The market.
            order_id: At most 24 UTF-8 bytes, unique for the user; a random one if None.
            target: The sub-account and balance; the margin account's spot balance if None.
            max_trading_fees_rate: The highest fee rate to accept; 50 000 if None.
            trigger: What must happen first.
            user: Who signs; the default user if None.
            reduce_only: Whether the order may only make a position smaller.

        Returns:
            What the service answered. Its ``status`` may be ``REJECTED``, with a ``reason``: the book did not take the
            order, as when one that is post-only would have traded.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            OrderRejected: the service refused the request, as for an order id that is taken.
            OrderFateUnknown: the answer cannot be read or is about another order: the order may exist.
            ConnectionFailed: there was no answer; the message says whether the order may exist.
            ApiError: the request failed otherwise.
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
        """Ask for a market's units again before the next order: what was refused may have been refused over them."""
        if self._markets.get(market.asset_id) is market:
            del self._markets[market.asset_id]

    async def cancel_order(
        self, order_id: str, asset_id: AssetIdentifier | str | int, user: User | None = None
    ) -> OrderOperationResponse:
        """Cancel an order.

        Args:
            order_id: The order.
            asset_id: Its market.
            user: Whose it is; the default user's if None.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            OrderFateUnknown: the answer cannot be read or is about another order: the order may be gone.
            ConnectionFailed: there was no answer; the message says whether the order may be gone.
            ApiError: the request failed otherwise.
        """
        owner = self._user(user)
        cancel = CancelOrder(validate_order_id(order_id), asset(asset_id), owner.public_key)
        signature = await self._service.sign(owner, codec.signable(cancel))
        request = CancelOrderRequest(cancel, signature, self._service.now_ns())
        answer = await operate(self._service, "cancel", order_id, request, owner)
        self._known_users.add(owner.public_key)
        return answer
