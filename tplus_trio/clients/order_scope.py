"""A block that owns the orders placed in it, and takes back what it left resting, however the block ends."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import trio

from tplus_trio.arguments import check_choice, check_instance
from tplus_trio.clients.base import asset
from tplus_trio.errors import OrdersLeftResting
from tplus_trio.models import (
    AssetIdentifier,
    OrderTrigger,
    Side,
    TimeInForce,
    TradeTarget,
    TriggerCondition,
)
from tplus_trio.orders.building import check_signers
from tplus_trio.orders.journal.file import OrderJournal
from tplus_trio.orders.scopes.block import OrderBlock
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.keeper import KeptOrders, OrderKey
from tplus_trio.orders.scopes.keeping import Quote
from tplus_trio.orders.scopes.owned import left_of
from tplus_trio.orders.scopes.requests import OrderClient
from tplus_trio.orders.terms import (
    Amount,
    check_amount,
    check_limit_size,
    check_market_size,
    check_terms,
    in_base,
    in_quote,
)
from tplus_trio.users import User

__all__ = ["OrderScope"]


class OrderScope(OrderBlock):
    """The orders of a block; `OrderBookClient.order_scope` makes it.

    The scope owns the orders that are placed with its methods, and no others. When the block is left, in whatever way,
    the scope cancels what may rest, waiting triggers included, and waits until it is proved gone, for at most
    ``deadline`` seconds, also if the block is cancelled. If the body ended normally and an order is not proved gone,
    leaving raises `OrdersLeftResting`. An exception of the body leaves unchanged. The client goes on cancelling such
    orders while it lives; ``left_resting`` and the client's `~OrderBookClient.orders_in_doubt` name them.

    A call that is cancelled ends at once: the scope takes its order back when it is left. A method that is called after
    that raises `trio.ClosedResourceError`.
    """

    def __init__(
        self,
        client: OrderClient,
        desk: OrderDesk,
        kept_orders: KeptOrders,
        owner: User,
        asset_id: AssetIdentifier | None,
        *,
        deadline: float,
        lease: float | None,
        journal: OrderJournal | None,
    ) -> None:
        super().__init__(client, desk, kept_orders, owner, deadline=deadline, lease=lease, journal=journal)
        self._asset_id = asset_id

    def __repr__(self) -> str:
        market = "" if self._asset_id is None else f" of {self._asset_id}"
        return f"<OrderScope{market} with {len(self.open)} open orders>"

    # Orders.

    async def create_limit_order(
        self,
        quantity: Amount,
        price: Amount,
        side: Side | str,
        time_in_force: TimeInForce | None = None,
        asset_id: AssetIdentifier | str | int | None = None,
        order_id: str | None = None,
        target: TradeTarget | None = None,
        max_trading_fees_rate: int | None = None,
        trigger: OrderTrigger | None = None,
        reduce_only: bool = False,
        *,
        additional_signers: Sequence[User] | None = None,
    ) -> OrderHandle:
        """Sign a limit order and send it, as `OrderBookClient.create_limit_order` does.

        If it is cancelled after a byte of the request may have left, it ends at once, and the scope has the order.

        Args:
            quantity: See `OrderBookClient.create_limit_order`, as for all arguments.
            price: See there.
            side: See there.
            time_in_force: See there. In a scope with a lease, an order that rests expires with its lease, or earlier.
            asset_id: The market; None is that of the scope.
            order_id: See there.
            target: See there.
            max_trading_fees_rate: See there.
            trigger: See there.
            reduce_only: See there.
            additional_signers: See there.

        Returns:
            The order, which the service took. `OrderHandle.wait_open` waits until the book has it.

        Raises:
            trio.ClosedResourceError: the scope has been left. Nothing was sent; or the scope is left meanwhile, and
                takes the order back.
            LeaseRefused: the service's time is not known well enough for the lease. Nothing was sent.
            TplusError, TypeError, ValueError: as for `OrderBookClient.create_limit_order`. After an `OrderFateUnknown`,
                ``open`` has the order.
        """
        terms = check_terms(
            self._client._order_id(order_id),
            self._market(asset_id),
            check_limit_size(quantity, price, time_in_force),
            side=side,
            target=target,
            max_trading_fees_rate=max_trading_fees_rate,
            trigger=trigger,
            reduce_only=reduce_only,
        )
        return await self._requests.create(terms, check_signers(additional_signers))

    async def create_market_order(
        self,
        side: Side | str,
        base_quantity: Amount | None = None,
        quote_quantity: Amount | None = None,
        fill_or_kill: bool = False,
        asset_id: AssetIdentifier | str | int | None = None,
        order_id: str | None = None,
        target: TradeTarget | None = None,
        max_trading_fees_rate: int | None = None,
        trigger: OrderTrigger | None = None,
        max_sellable_amount: Amount | None = None,
        max_sellable_quantity: Amount | None = None,
        *,
        reduce_only: bool = False,
        additional_signers: Sequence[User] | None = None,
    ) -> OrderHandle:
        """Sign a market order and send it, as `OrderBookClient.create_market_order` does.

        If it is cancelled after a byte of the request may have left, it ends at once, and the scope has the order.

        Args:
            side: See `OrderBookClient.create_market_order`, as for all arguments.
            base_quantity: See there.
            quote_quantity: See there.
            fill_or_kill: See there.
            asset_id: The market; None is that of the scope.
            order_id: See there.
            target: See there.
            max_trading_fees_rate: See there.
            trigger: See there. A market order has no expiry, so a scope with a lease takes none with a trigger.
            max_sellable_amount: See there.
            max_sellable_quantity: See there.
            reduce_only: See there.
            additional_signers: See there.

        Returns:
            The order, which the service took.

        Raises:
            trio.ClosedResourceError: as for `create_limit_order`.
            TplusError, TypeError, ValueError: as for `OrderBookClient.create_market_order`.
        """
        if trigger is not None and self._requests.lease is not None:
            raise ValueError("a market order with a trigger cannot expire: a scope with a lease takes none")
        terms = check_terms(
            self._client._order_id(order_id),
            self._market(asset_id),
            check_market_size(base_quantity, quote_quantity, fill_or_kill, max_sellable_amount, max_sellable_quantity),
            side=side,
            target=target,
            max_trading_fees_rate=max_trading_fees_rate,
            trigger=trigger,
            reduce_only=reduce_only,
        )
        return await self._requests.create(terms, check_signers(additional_signers))

    async def replace_order(
        self,
        order: OrderHandle,
        new_quantity: Amount,
        new_price: Amount,
        new_trigger: TriggerCondition | None = None,
    ) -> OrderHandle:
        """Give an order of the scope new terms, as `OrderBookClient.replace_order` does.

        If it is cancelled after a byte of the request may have left, it ends at once, and the order is in doubt.

        Args:
            order: The order.
            new_quantity: The new total over the order's life, more than 0: see `OrderBookClient.replace_order`.
            new_price: The new limit: see there.
            new_trigger: The new trigger: see there.

        Returns:
            The same order: the service took the request.

        Raises:
            trio.ClosedResourceError: as for `create_limit_order`.
            ValueError: the order is not one of this scope's open orders, or is kept by its key.
            TplusError, TypeError, ValueError: as for `OrderBookClient.replace_order`.
        """
        self._check_own(order)
        _, (quantity, price) = await self._client._in_units(
            order.asset_id,
            lambda market: (
                in_base("new_quantity", check_amount("new_quantity", new_quantity, "base units"), market),
                in_quote("new_price", check_amount("new_price", new_price, "quote units"), market),
            ),
        )
        async with order._change():
            await self._requests.replace(order, price, quantity, new_trigger)
        return order

    async def amend_order(self, order: OrderHandle, new_quantity: Amount) -> OrderHandle:
        """Reduce an order of the scope, as `OrderBookClient.amend_order` does. It keeps its place in the queue.

        The revision that the service expects is the one that was seen last. If the call is cancelled after a byte of
        the request may have left, it ends at once, and the order is in doubt.

        Args:
            order: The order.
            new_quantity: The new total over the order's life: see `OrderBookClient.amend_order`.

        Returns:
            The same order: the service took the request.

        Raises:
            trio.ClosedResourceError: as for `create_limit_order`.
            ValueError: the order is not one of this scope's open orders, or is kept by its key.
            TplusError, TypeError, ValueError: as for `OrderBookClient.amend_order`.
        """
        self._check_own(order)
        _, quantity = await self._client._in_units(
            order.asset_id,
            lambda market: in_base("new_quantity", check_amount("new_quantity", new_quantity, "base units"), market),
        )
        async with order._change():
            await self._requests.amend(order, quantity)
        return order

    async def cancel_order(self, order: OrderHandle) -> None:
        """Cancel an order of the scope, and wait until it is proved gone, for at most ``deadline`` of the scope.

        If it is cancelled, the client goes on cancelling the order.

        Args:
            order: The order.

        Raises:
            trio.ClosedResourceError: the scope has been left.
            ValueError: the order is not one of this scope's.
            OrdersLeftResting: the order is not proved gone. The client goes on cancelling it.
        """
        check_instance("order", order, OrderHandle)
        is_own = self._owned.owns(order)
        if not is_own and not order._is_over:
            msg = f"order is one of this scope's; {order.order_id!r} is not"
            raise ValueError(msg)
        await self._cancel((order,) if is_own else ())

    async def cancel_all(self) -> None:
        """Cancel all orders of the scope, and wait until they are proved gone, for at most ``deadline`` of the scope.

        Orders that are placed meanwhile stay. If it is cancelled, the client goes on cancelling the orders.

        Raises:
            trio.ClosedResourceError: the scope has been left.
            OrdersLeftResting: some orders are not proved gone. The client goes on cancelling them.
        """
        await self._cancel(self.open)

    async def _cancel(self, handles: Sequence[OrderHandle]) -> None:
        await trio.lowlevel.checkpoint()
        self._owned.check_open()
        with trio.move_on_after(self._deadline):
            await self._owned.take_back(handles)
        if left := left_of(handles):
            raise OrdersLeftResting(left)

    async def keep(
        self,
        key: str,
        side: Side | str,
        price: Amount,
        quantity: Amount,
        *,
        post_only: bool = True,
        reduce_only: bool = False,
        target: TradeTarget | None = None,
        refill: bool = False,
        asset_id: AssetIdentifier | str | int | None = None,
    ) -> OrderHandle | None:
        """Make it so that one order of a key rests at these terms, with as few requests as possible.

        An order of the key with the same terms is left alone, and keeps its place in the queue, also if part of it or
        all of it has traded. An order at another price or quantity is replaced. One with another side, target or flag
        is canceled, and a new one is created once it is proved gone. So never more than one order of a key rests, and
        while it is not known what became of the order of the key, the call waits. If that lasts, it cancels the order.

        The latest call of a key wins: an earlier one that has not ended gives up. Keys belong to a user, a market and
        the client: the order that an earlier scope left under a key is waited for, too.

        If it is cancelled after a byte of a request may have left, it ends at once, and the order is in doubt.

        Args:
            key: Any text that is not empty.
            side: ``Side.BUY`` or ``Side.SELL``, or their names.
            price: The limit, more than 0: an ``int`` in price units of the book, or a Decimal in quote units.
            quantity: What shall rest, at least 0: an ``int`` in quantity units of the book, or a Decimal in base units.
                The order's new total is what is known to have traded, pending and confirmed, and this. So a trade that
                is not yet seen leaves less, never more. With 0, the order of the key is canceled.
            post_only: Whether the service refuses the order if it would trade at once.
            reduce_only: Whether the order may only reduce a position.
            target: The balance that it trades for; None is the spot balance of the margin account.
            refill: Whether what traded is topped up although the terms are the same.
            asset_id: The market; None is that of the scope.

        Returns:
            The order: it rests, as far as is known, or all of it has traded, or the book removed it as soon as the call
            had created it, such as one that would have traded with the user's own: ``state`` and ``end`` say so. A call
            creates no other order then; the next call of the key does. None if nothing is wanted and the key has no
            order, or if a later call of the key took over.

        Raises:
            trio.ClosedResourceError: as for `create_limit_order`.
            RuntimeError: another scope of the client, which has not been left, keeps an order of this key.
            OrderRejected: the service refused the new terms, for example because a post-only order would have traded.
                An order that rested before still rests at its old terms.
            OrderFateUnknown: it could not be found out what became of a request. The next call of the key waits.
            LeaseRefused: as for `create_limit_order`.
            TplusError, TypeError, ValueError: as for `OrderBookClient.create_limit_order`.
        """
        market = self._market(asset_id)
        if not check_instance("key", key, str):
            raise ValueError("key is a text that is not empty")
        check_amount("price", price, "quote units")
        # A signaling NaN cannot be compared.
        is_nothing = quantity.is_zero() if isinstance(quantity, Decimal) else type(quantity) is int and quantity == 0
        if not is_nothing:
            check_amount("quantity", quantity, "base units")
        direction = check_choice("side", side, Side)
        is_post_only = check_instance("post_only", post_only, bool)
        is_reducing = check_instance("reduce_only", reduce_only, bool)
        check_instance("refill", refill, bool)
        if target is not None:
            check_instance("target", target, TradeTarget)
        self._owned.check_open()
        _, (limit, amount) = await self._client._in_units(
            market,
            lambda units: (
                in_quote("price", price, units),
                Decimal(0) if is_nothing else in_base("quantity", quantity, units),
            ),
        )
        await trio.lowlevel.checkpoint_if_cancelled()
        self._owned.check_open()  # again: it may have been left meanwhile
        name = OrderKey(self._owner.public_key, market, key)
        kept = self._kept_orders.get(name, self)
        wanted = Quote(direction, limit, amount, is_post_only, is_reducing, target)
        with self._owned.call():
            return await self._keeper.keep(name, kept, wanted, refill=refill)

    # Checks.

    def _market(self, asset_id: AssetIdentifier | str | int | None) -> AssetIdentifier:
        if asset_id is not None:
            return asset(asset_id)
        if self._asset_id is None:
            raise TypeError("asset_id is required: the scope was opened for no market in particular")
        return self._asset_id

    def _check_own(self, order: OrderHandle) -> None:
        self._owned.check_open()
        check_instance("order", order, OrderHandle)
        if not self._owned.owns(order):
            msg = f"order is one of this scope's open orders; {order.order_id!r} is not"
            raise ValueError(msg)
        if order.key is not None:
            msg = f"order {order.order_id!r} is kept by its key, {order.key!r}: call keep"
            raise ValueError(msg)
