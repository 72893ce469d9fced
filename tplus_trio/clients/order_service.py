"""The base of the parts of `OrderBookClient`: the markets' units, and how requests about orders are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, Unpack

from tplus_trio import codec
from tplus_trio.arguments import check_instance
from tplus_trio.clients.base import Client, ClientOptions
from tplus_trio.clients.nonces import ActionNonces
from tplus_trio.clients.reference_prices import ReferencePrices
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.errors import OrderRejected
from tplus_trio.models import AssetIdentifier, Market, OrderOperationResponse, new_order_id, validate_order_id
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.limits import LimitGuard, OrderLimits, Terms
from tplus_trio.orders.operations import OrderOperations
from tplus_trio.orders.sending import ORDER, OrderRequest, RestSender
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["OrderServiceClient"]

T = TypeVar("T")

#: The longest ``order_id_prefix``, in UTF-8 bytes. It leaves 16 random characters, 96 bits.
_LONGEST_PREFIX = 8


#: Codes of refusals that a change of the market's units may have caused. The second one says nothing of the cause.
_BAD_TERMS = ("INVALID_ORDER", "ORDER_REJECTED")


class OrderServiceClient(Client):
    """What the parts of `OrderBookClient` share.

    Args:
        base_url: See `Client`.
        default_user: See `Client`.
        order_id_prefix: The beginning of each order id that the client makes: at most 8 UTF-8 bytes.
        limits: What the client refuses to send; None refuses nothing.
        options: The arguments of every client: see `Client`.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:3032",
        *,
        default_user: User | None = None,
        order_id_prefix: str = "",
        limits: OrderLimits | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, default_user=default_user, **options)
        self._order_id_prefix = _prefix(order_id_prefix)
        self._markets: dict[AssetIdentifier, Market] = {}
        self._orders = UserOrdersReader(self._service)
        self._builder = RequestBuilder(self._service)
        self._guard = None if limits is None else self._new_guard(check_instance("limits", limits, OrderLimits))
        self._operations = OrderOperations(
            self._service, RestSender(self._service), None if self._guard is None else self._guard.ended
        )
        self._last_timestamp_ns = 0
        self._nonces = ActionNonces(self._service.now_ns)

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
        is_cached = asset_id in self._markets
        market = await self._market(asset_id, ORDER)
        try:
            return market, convert(market)
        except ValueError:
            if not is_cached:
                raise
        self._forget(market)
        market = await self._market(asset_id, ORDER)
        return market, convert(market)

    def _new_guard(self, limits: OrderLimits) -> LimitGuard:
        return LimitGuard(limits, ReferencePrices(self._service).read, self._orders.read_newest)

    async def _admit(self, owner: User, orders: Sequence[Terms]) -> None:
        """Refuse orders beyond the client's limits.

        Raises:
            OrderLimitExceeded: an order is beyond a limit.
        """
        if self._guard is not None:
            await self._guard.admit(owner, orders)

    async def _operate(self, request: OrderRequest, market: Market | None = None) -> OrderOperationResponse:
        """Send a request about one order. A refusal may mean that the units of its market have changed."""
        try:
            answer = await self._operations.send(request)
        except OrderRejected as exc:
            if market is not None and exc.code.startswith(_BAD_TERMS):
                self._forget(market)
            raise
        self._orders.add_known(request.owner)
        return answer

    def _forget(self, market: Market) -> None:
        """Request a market's units again before the next order: a change of them may have caused the refusal."""
        if self._markets.get(market.asset_id) is market:
            del self._markets[market.asset_id]

    def _order_id(self, order_id: str | None) -> str:
        """Check an order id, or make one with the client's prefix."""
        if order_id is not None:
            return validate_order_id(order_id)
        room = 24 - len(self._order_id_prefix.encode())
        return self._order_id_prefix + new_order_id()[:room]

    def _timestamp_ns(self) -> int:
        """Return the time in nanoseconds; each call returns a later one, so that it can order changes of an order."""
        self._last_timestamp_ns = max(self._service.now_ns(), self._last_timestamp_ns + 1)
        return self._last_timestamp_ns


def _prefix(prefix: str) -> str:
    check_instance("order_id_prefix", prefix, str)
    if prefix:
        validate_order_id(prefix)
    if len(prefix.encode()) > _LONGEST_PREFIX:
        msg = f"order_id_prefix is at most {_LONGEST_PREFIX} UTF-8 bytes long, not {len(prefix.encode())}"
        raise ValueError(msg)
    return prefix
