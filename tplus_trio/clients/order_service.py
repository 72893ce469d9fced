"""The base of the parts of `OrderBookClient`: the markets' units, and how requests about orders are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, Unpack

import attrs

from tplus_trio import codec
from tplus_trio.arguments import check_instance, check_number
from tplus_trio.clients.base import Client, ClientOptions
from tplus_trio.clients.known_users import KnownUsers
from tplus_trio.clients.nonces import ActionNonces, RisingTime
from tplus_trio.clients.order_fates import OrderFates
from tplus_trio.clients.reference_prices import ReferencePrices
from tplus_trio.clients.statistics import ClientStatistics
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.errors import OrderRejected, TplusError
from tplus_trio.models import AssetIdentifier, Market, Order, OrderOperationResponse, new_order_id, validate_order_id
from tplus_trio.orders.batch_results import SingleOrderStatusFromBatch
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.control_sender import ControlSender
from tplus_trio.orders.exposure import Doubts
from tplus_trio.orders.limiter import LimitedSender, OrderLimiter, OrderRateLimit
from tplus_trio.orders.limits import LimitGuard, OrderLimits, Terms
from tplus_trio.orders.scopes.keeper import KeptOrders
from tplus_trio.orders.sending import ORDER, OrderRequest, OrderSender, OrderTarget, RestSender
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.unsettled import Fate, OnCancel, OrderInDoubt
from tplus_trio.secret import SecretBytes
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["OrderServiceClient"]

T = TypeVar("T")

#: Cancellations of `cancel_all_orders` under way at once, unless the client's limit is too slow for them.
_CANCELS = 20
#: The longest ``order_id_prefix``, in UTF-8 bytes. It leaves 16 random characters, 96 bits.
_LONGEST_PREFIX = 8


#: Codes of refusals that a change of the market's units may have caused. The second one says nothing of the cause.
_BAD_TERMS = ("INVALID_ORDER", "ORDER_REJECTED")


class OrderServiceClient(Client):
    """What the parts of `OrderBookClient` share.

    Args:
        base_url: See `Client`.
        default_user: See `Client`.
        use_ws_control: Whether requests about orders are sent over the control channel instead of REST: one WebSocket
            for each user, which stays open. Such a client has to be entered.
        order_rate_limit: How many requests about orders the client sends; more wait, cancels first. None is no limit.
        order_id_prefix: The beginning of each order id that the client makes: at most 8 UTF-8 bytes.
        limits: What the client refuses to send; None refuses nothing.
        rules: What is declared about the service; None is ``ServiceRules()``.
        resolve_timeout: Seconds, more than 0: how long a call goes on to find out what became of its order, where the
            answer does not say so; also after the call was cancelled, and when the client is left.
        options: The arguments of every client: see `Client`.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """

    # Eleven attributes: one for each thing that the parts of the client share.
    def __init__(
        self,
        base_url: str = "http://localhost:3032",
        *,
        default_user: User | None = None,
        use_ws_control: bool = False,
        order_rate_limit: OrderRateLimit | None = None,
        order_id_prefix: str = "",
        limits: OrderLimits | None = None,
        rules: ServiceRules | None = None,
        resolve_timeout: float = 5.0,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, default_user=default_user, **options)
        self._order_id_prefix = _prefix(order_id_prefix)
        self._markets: dict[AssetIdentifier, Market] = {}
        declared = ServiceRules() if rules is None else check_instance("rules", rules, ServiceRules)
        # By this rule, "not found" right after an answer means that nothing is left of it.
        known = KnownUsers(lag=0.0) if declared.listings_current else KnownUsers()
        self._orders = UserOrdersReader(self._service, known)
        self._builder = RequestBuilder(self._service)
        self._guard = None if limits is None else self._new_guard(check_instance("limits", limits, OrderLimits))
        self._control = self._control_sender() if check_instance("use_ws_control", use_ws_control, bool) else None
        sender: OrderSender = RestSender(self._service) if self._control is None else self._control
        self._most_cancels = _CANCELS
        if order_rate_limit is not None:
            limit = check_instance("order_rate_limit", order_rate_limit, OrderRateLimit)
            timeout = self._service.limits.connect_timeout
            sender = LimitedSender(sender, OrderLimiter(limit, timeout))
            # Half of what the limit lets through before it refuses: other requests may wait as well.
            self._most_cancels = max(1, min(_CANCELS, int(limit.rate * timeout / 2)))
        self._doubts = Doubts()
        self._fates = OrderFates(
            self._service,
            self._client_scope,
            self._orders,
            self._builder,
            sender,
            rules=declared,
            resolve_timeout=check_number("resolve_timeout", resolve_timeout, more=True, finite=True),
            units=self._units_to_resolve,
            open_feed=self._follow,
            on_begin=self._began,
            on_fate=self._ended,
        )
        #: In nanoseconds. Each order has one of its own, and each change of an order a later one, by which the service
        #: puts the changes in order.
        self._change_times = RisingTime(self._service.now_ns)
        self._nonces = ActionNonces(self._service.now_ns)
        self._kept_orders = KeptOrders()

    @property
    def orders_in_doubt(self) -> tuple[OrderInDoubt, ...]:
        """The orders of which the client does not know what became of a request, or which it is still taking back.

        They are in the order in which they came into doubt. A client that was entered goes on to find out: an order
        that shows up gets what its caller wanted. It can be read after the client was left, too.
        """
        return self._fates.unsettled.in_doubt()

    async def _before_leaving(self) -> None:
        """Settle the orders in doubt, as far as possible within ``resolve_timeout``."""
        await self._fates.settle_all()

    def statistics(self) -> ClientStatistics:
        """Return the current statistics of the running streams, the control channels, and all REST requests.

        Raises:
            RuntimeError: the call does not come from inside ``trio.run``.
        """
        channels = () if self._control is None else self._control.statistics()
        return attrs.evolve(super().statistics(), control=channels)

    def _control_sender(self) -> ControlSender:
        return ControlSender(
            self._service, self._client_scope, limits=self._service.limits, restart=self._restart, draw=self._jitter
        )

    async def _market(self, asset_id: AssetIdentifier, dispatch: Dispatch) -> Market:
        """Return a market's units. It is no checkpoint if the client has them: the callers make one."""
        if (market := self._markets.get(asset_id)) is None:
            body = await self._get(f"/market/{asset_id}", user=self._default_user, dispatch=dispatch)
            market = self._markets[asset_id] = codec.decode(body, Market)
        return market

    async def _in_units(self, asset_id: AssetIdentifier, convert: Callable[[Market], T]) -> tuple[Market, T]:
        """Put the numbers of a request into the units of its market.

        Raises:
            ValueError: a number is no multiple of the market's units, even after they were requested again.
        """
        if (known := self._markets.get(asset_id)) is not None:
            try:
                return known, convert(known)
            except ValueError:
                self._forget(asset_id, known)
        market = await self._market(asset_id, ORDER)
        return market, convert(market)

    async def _units_to_resolve(self, asset_id: AssetIdentifier, is_refused: bool) -> Market:
        """Return a market's units, from the service if an order with those that the client has was refused."""
        if is_refused:
            self._markets.pop(asset_id, None)
        return await self._market(asset_id, ORDER)

    def _new_guard(self, limits: OrderLimits) -> LimitGuard:
        return LimitGuard(limits, ReferencePrices(self._service).read, self._orders.read_newest)

    def _ended(self, request: OrderRequest, order_id: str, fate: Fate) -> None:
        """Note the fate of an order's request."""
        if request.operation in {"create", "batch-create"}:
            self._doubts.ended(request.owner.public_key, order_id, fate)
            if self._guard is not None:
                self._guard.ended(request.owner, order_id, fate)

    async def _admit(self, owner: User, orders: Sequence[Terms]) -> None:
        """Refuse orders beyond the client's limits.

        Raises:
            OrderLimitExceeded: an order is beyond a limit.
        """
        if self._guard is not None:
            await self._guard.admit(owner, orders)

    def _withdraw(self, owner: User, order_id: str) -> None:
        """Note that an order which was admitted is not sent."""
        if self._guard is not None:
            self._guard.ended(owner, order_id, "unsent")

    def _began(self, request: OrderRequest) -> None:
        """Note the orders of a request that is about to be sent, or was just sent."""
        for terms in request.terms:
            if isinstance(terms, Order):
                self._doubts.sending(request.owner.public_key, terms)

    def _resume(self, owner: User, order: Order) -> None:
        """Find out what became of an order that an earlier run of the program may have sent. It is not sent again."""
        target = OrderTarget(order.base_asset, order.order_id)
        request = OrderRequest("create", (target,), SecretBytes(b""), owner, (order,))
        self._fates.begin(request)
        self._fates.resume(request)

    async def _operate(
        self,
        request: OrderRequest,
        market: Market | None = None,
        on_cancel: OnCancel = "resolve",
        *,
        hands_over: bool = False,
    ) -> OrderOperationResponse:
        """Send a request about one order. A refusal may mean that the units of its market have changed.

        Args:
            request: The request.
            market: The units that its numbers have; None if it has none.
            on_cancel: See `OrderOperations.send`.
            hands_over: See there.
        """
        try:
            answer = await self._fates.operations.send(request, on_cancel, hands_over=hands_over)
        except OrderRejected as exc:
            if market is not None:
                self._refused(request.orders[0].asset_id, market, exc)
            raise
        self._orders.known.saw(request.owner.public_key)
        return answer

    async def _operate_all(
        self, request: OrderRequest, on_cancel: OnCancel = "resolve"
    ) -> tuple[SingleOrderStatusFromBatch, ...]:
        """Send a request about several orders."""
        return await self._fates.operations.send_batch(request, on_cancel)

    def _refused(self, asset_id: AssetIdentifier, market: Market, refusal: TplusError | None) -> None:
        """Request a market's units again before the next order if a change of them may have caused a refusal.

        Args:
            asset_id: The market, as the caller named it.
            market: The units that the refused request had.
            refusal: The error of the request; None if there was none.
        """
        if isinstance(refusal, OrderRejected) and refusal.code.startswith(_BAD_TERMS):
            self._forget(asset_id, market)

    def _forget(self, asset_id: AssetIdentifier, market: Market) -> None:
        """Request the units of a market again before the next order, unless they are others by now."""
        known = self._markets.get(asset_id)
        if known is not None and _decimals(known) == _decimals(market):
            del self._markets[asset_id]

    def _order_id(self, order_id: str | None) -> str:
        """Check an order id, or make one with the client's prefix."""
        if order_id is not None:
            return validate_order_id(order_id)
        if not self._order_id_prefix:
            return new_order_id()
        room = 24 - len(self._order_id_prefix.encode())
        return self._order_id_prefix + new_order_id()[:room]


def _prefix(prefix: str) -> str:
    check_instance("order_id_prefix", prefix, str)
    if prefix:
        validate_order_id(prefix)
    if len(prefix.encode()) > _LONGEST_PREFIX:
        msg = f"order_id_prefix is at most {_LONGEST_PREFIX} UTF-8 bytes long, not {len(prefix.encode())}"
        raise ValueError(msg)
    return prefix


def _decimals(market: Market) -> tuple[int, int]:
    return market.book_price_decimals, market.book_quantity_decimals
