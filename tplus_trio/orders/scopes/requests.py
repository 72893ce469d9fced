"""How a scope sends requests about its orders: each order is owned from before a byte of it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeVar

import attrs
import trio

from tplus_trio.exits import PlainExitStack
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AmendOrder,
    AssetIdentifier,
    LimitOrderDetails,
    Market,
    Order,
    OrderOperationResponse,
    ReplaceOrderDetails,
    TriggerCondition,
)
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.order_state import OrderState
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.handle_journal import HandleJournal
from tplus_trio.orders.scopes.keeper import OrderKey
from tplus_trio.orders.scopes.keeping import Quote
from tplus_trio.orders.scopes.lease import Lease, Renewer
from tplus_trio.orders.scopes.owned import OwnedOrders
from tplus_trio.orders.terms import Amount, LimitSize, OrderTerms, check_terms, may_rest
from tplus_trio.orders.unsettled import OnCancel
from tplus_trio.service import Service
from tplus_trio.users import User

__all__ = ["OrderClient", "ScopeRequests"]

T = TypeVar("T")


class OrderClient(Protocol):
    """Sends requests about orders for a scope. With ``claim``, a cancelled call hands its order over at once."""

    _service: Service

    def _order_id(self, order_id: str | None) -> str: ...

    def _resume(self, owner: User, order: Order) -> None: ...

    async def _in_units(self, asset_id: AssetIdentifier, convert: Callable[[Market], T]) -> tuple[Market, T]: ...

    async def _create(
        self,
        terms: OrderTerms,
        owner: User,
        signers: tuple[User, ...],
        on_cancel: OnCancel,
        claim: Callable[[Order], Awaitable[object]] | None = None,
    ) -> OrderOperationResponse: ...

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
    ) -> tuple[OrderOperationResponse, int]: ...

    async def _amend(
        self,
        order_id: str,
        asset_id: AssetIdentifier | str | int,
        new_quantity: Amount,
        expected_authorization_revision: int | None,
        owner: User,
        claim: Callable[[AmendOrder], Awaitable[object]] | None = None,
    ) -> OrderOperationResponse: ...


class ScopeRequests:
    """Sends the requests of one scope.

    Args:
        client: The client of the scope.
        owner: The user of the orders.
        owned: The orders of the scope.
        desk: The client's view of orders.
        lease: Seconds after which an order that rests expires unless it is renewed; None is no expiry.
        journal: Where each order and each change is written before it is sent.
    """

    def __init__(
        self,
        client: OrderClient,
        owner: User,
        owned: OwnedOrders,
        desk: OrderDesk,
        lease: float | None,
        journal: HandleJournal | None = None,
    ) -> None:
        self._client = client
        self._owner = owner
        self._owned = owned
        self._desk = desk
        self._journal = HandleJournal() if journal is None else journal
        self.lease: Lease | None = None if lease is None else Lease(lease, client._service, self.look)
        self.renewer: Renewer | None = (
            None if self.lease is None else Renewer(self.lease, owned, desk, self._create_next)
        )

    async def look(self, asset_id: AssetIdentifier) -> None:
        """Read the newest orders of the user in a market.

        Raises:
            TplusError: they could not be read.
        """
        await self._desk.look(self._owner, asset_id, complete=False)

    async def create(
        self,
        terms: OrderTerms,
        signers: tuple[User, ...],
        key: str | None = None,
        claimed: Callable[[OrderHandle], object] | None = None,
    ) -> OrderHandle:
        """Create an order.

        Args:
            terms: Its terms.
            signers: The other users that sign it.
            key: Its key, if `OrderScope.keep` makes it.
            claimed: Called with its handle before a byte is sent.
        """
        made: list[OrderHandle] = []

        with self._owned.call():
            async with PlainExitStack() as until_answered:

                async def claim(order: Order) -> None:
                    entry = await self._write(order, key)
                    handle = self._owned.claim(self._owner, order, key)
                    self._journal.claimed(handle, entry)
                    handle._signers = signers
                    made.append(handle)
                    self._sending(handle)
                    if claimed is not None:
                        claimed(handle)
                    # Until the service has the order, it would answer a cancel that there is none.
                    await until_answered.enter_async_context(handle._change())

                await self._client._create(await self._leased(terms), self._owner, signers, "cancel", claim)
        return made[0]

    async def replace(
        self, order: OrderHandle, price: Decimal, quantity: Decimal, trigger: TriggerCondition | None = None
    ) -> int:
        """Give the newest order of a handle new terms. No other request about the order may be under way.

        Args:
            order: The handle.
            price: The new limit, in quote units.
            quantity: The new total of all orders of the handle, in base units.
            trigger: The new trigger.

        Returns:
            The revision of the new terms.
        """
        own = EXACT.subtract(quantity, order._filled_before)
        with self._owned.call():
            claim = partial(self._journal.write_change, order)
            _, revision = await self._client._replace(
                order.order_id, order.asset_id, own, price, trigger, self._owner, order._signers, claim
            )
        order._total, order._limit, order._revision = quantity, price, revision
        return revision

    async def amend(self, order: OrderHandle, quantity: Decimal) -> None:
        """Reduce the newest order of a handle. No other request about the order may be under way.

        Args:
            order: The handle.
            quantity: The new total of all orders of the handle, in base units.
        """
        own = EXACT.subtract(quantity, order._filled_before)
        expected = max(order._revision, order._newest.view.revision or 0) or None
        revisions: list[int] = []

        async def claim(change: AmendOrder) -> None:
            revisions.append(change.timestamp_ns)
            await self._journal.write_change(order, change)

        with self._owned.call():
            await self._client._amend(order.order_id, order.asset_id, own, expected, self._owner, claim)
        order._total, order._revision = quantity, revisions[0]

    async def create_quote(
        self, key: OrderKey, quote: Quote, quantity: Decimal, claimed: Callable[[OrderHandle], object]
    ) -> None:
        """Create an order; see `QuoteRequests`."""
        terms = check_terms(
            self._client._order_id(None),
            key.asset_id,
            LimitSize(price=quote.price, quantity=quantity, time_in_force=GTC(post_only=quote.post_only)),
            side=quote.side,
            target=quote.target,
            max_trading_fees_rate=None,
            trigger=None,
            reduce_only=quote.reduce_only,
        )
        await self.create(terms, (), key.name, claimed)

    async def replace_quote(self, handle: OrderHandle, price: Decimal, total: Decimal) -> int:
        """Give an order new terms; see `QuoteRequests`."""
        return await self.replace(handle, price, total)

    async def _create_next(self, order: OrderHandle, rest: Decimal) -> None:
        """Create an order for the rest of one that has gone, with its terms and a new lease."""
        before = order._order
        price = order._limit or order.price
        details = before.details
        if price is None or not isinstance(details, LimitOrderDetails) or isinstance(details.time_in_force, IOC):
            return
        was_triggered = order._newest.state is not OrderState.WAITING and bool(order._newest.facts.triggered)
        terms = OrderTerms(
            order_id=self._client._order_id(None),
            asset_id=order.asset_id,
            side=order.side,
            size=LimitSize(price=price, quantity=rest, time_in_force=GTC(post_only=details.time_in_force.post_only)),
            target=before.target,
            trigger=None if was_triggered else before.trigger,
            reduce_only=before.reduce_only,
            max_trading_fees_rate=before.max_trading_fees_rate,
        )

        async def claim(made: Order) -> None:
            entry = await self._write(made, order.key, order)
            self._owned.claim_next(order, made)
            self._journal.claimed(order, entry)
            self._sending(order)

        await self._client._create(await self._leased(terms), self._owner, order._signers, "cancel", claim)

    def renew_again(self, handle: OrderHandle) -> None:
        """Renew an order of an earlier run as long before its expiry as others; at once if it has none."""
        if self.lease is None or self.renewer is None or not may_rest(handle._order):
            return
        details = handle._order.details
        until = details.time_in_force if isinstance(details, LimitOrderDetails) else None
        left = self.lease.seconds_until(until.timestamp_ns) if isinstance(until, GTD) else 0.0
        self.renewer._renew_at(handle, trio.current_time() + max(left - self.lease.seconds / 2, 0.0))

    async def _write(self, order: Order, key: str | None, follows: OrderHandle | None = None) -> int | None:
        """Write an order to the journal, after those that have gone: of a key it has one order that may rest."""
        if self._journal.is_open:
            self._owned.all()
        return await self._journal.write_order(order, key, follows)

    def _sending(self, handle: OrderHandle) -> None:
        """Note that the newest order of a handle is about to be sent."""
        handle._total, handle._limit = handle.quantity, handle.price
        if self.renewer is not None and may_rest(handle._order):
            self.renewer.sent(handle)

    async def _leased(self, terms: OrderTerms) -> OrderTerms:
        """Let an order that may rest expire with its lease, if it does not expire earlier."""
        size = terms.size
        if self.lease is None or not isinstance(size, LimitSize) or isinstance(size.time_in_force, IOC):
            return terms
        expiry_ns = await self.lease.expiry_ns(terms.asset_id)
        asked = size.time_in_force
        if isinstance(asked, GTD):
            expiry_ns = min(expiry_ns, asked.timestamp_ns)
        until = GTD(post_only=asked.post_only, timestamp_ns=expiry_ns)
        return attrs.evolve(terms, size=attrs.evolve(size, time_in_force=until))
