"""The life of a scope of orders: what runs beside its body, and how it is left."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from tplus_trio.errors import OrdersLeftResting, TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.orders.journal.file import OpenJournal, OrderJournal
from tplus_trio.orders.journal.open_orders import WrittenOrder
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.handle_journal import HandleJournal
from tplus_trio.orders.scopes.keeper import Keeper, KeptOrder, KeptOrders, OrderKey
from tplus_trio.orders.scopes.owned import OwnedOrders, left_of
from tplus_trio.orders.scopes.requests import OrderClient, ScopeRequests
from tplus_trio.orders.unsettled import OrderInDoubt
from tplus_trio.scopes import Scoped, open_service_tasks
from tplus_trio.users import User

__all__ = ["OrderBlock"]

_log = logging.getLogger("tplus_trio.orders")
#: Seconds between two looks at the orders of a scope, in case that an event was lost.
_LOOK_AGAIN: Final = 10.0


class OrderBlock(Scoped):
    """A block that owns orders.

    Args:
        client: Sends requests.
        desk: The client's view of orders.
        kept_orders: The kept orders of the client.
        owner: The user of the orders.
        deadline: Seconds for leaving.
        lease: Seconds after which an order that rests expires unless it is renewed; None is no expiry.
        journal: Where orders are written before they are sent; None is nowhere.
    """

    # Eleven attributes: six are given, and the others are the parts of the scope.

    def __init__(
        self,
        client: OrderClient,
        desk: OrderDesk,
        kept_orders: KeptOrders,
        owner: User,
        *,
        deadline: float,
        lease: float | None,
        journal: OrderJournal | None = None,
    ) -> None:
        self._client = client
        self._desk = desk
        self._kept_orders = kept_orders
        self._owner = owner
        self._deadline = deadline
        self._journal = journal
        self._written = HandleJournal()
        self._owned = OwnedOrders(desk, self._written.write_gone)
        self._requests = ScopeRequests(client, owner, self._owned, desk, lease, self._written)
        self._keeper = Keeper(desk, self._requests)
        #: The orders that were not proved gone when the scope was left: none before, and none if all were.
        self.left_resting: tuple[OrderInDoubt, ...] = ()

    @property
    def open(self) -> tuple[OrderHandle, ...]:
        """The orders of the scope that are not known to have ended, oldest first: those in doubt are among them."""
        return self._owned.all()

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        self._desk.check_entered()
        journal = None if self._journal is None else await self._journal._open()
        try:
            before = () if journal is None else self._begin_journal(journal)
            self._desk.demand.add(self)
            self._desk.follow(self._owner)
            async with open_service_tasks() as tasks:
                try:
                    await self._own_again(before)
                    tasks.start_soon(self._look_again)
                    if (renewer := self._requests.renewer) is not None:
                        tasks.start_soon(renewer.run, tasks)
                    yield
                finally:
                    await self._leave()  # noqa: ASYNC102 - it limits its own time
        finally:
            self._desk.demand.discard(self)
            self._kept_orders.leave(self)
            self._owned.let_go()
            self._written.end()
            if journal is not None:
                journal.close()
        if self.left_resting:
            raise OrdersLeftResting(self.left_resting)

    # The orders of an earlier run.

    def _begin_journal(self, journal: OpenJournal) -> Sequence[WrittenOrder]:
        """Write to a journal, and return the orders in it, which an earlier run may have sent.

        Raises:
            RuntimeError: another scope of the client keeps an order of one of their keys.
            ValueError: they are another user's.
        """
        before = tuple(journal.orders)
        for written in before:
            if written.order.signer != self._owner.public_key:
                msg = (
                    f"journal {self._journal} has orders of the user {written.order.signer}, and the scope is of "
                    f"{self._owner.public_key}. Nothing was changed; give each user a journal"
                )
                raise ValueError(msg)
        for written in before:
            if written.key is not None:
                self._kept_order(written)
        self._written.begin(journal)
        return before

    async def _own_again(self, before: Sequence[WrittenOrder]) -> None:
        """Own the orders of an earlier run, and look for them once, in bounded time."""
        handles = [self._claim_again(written) for written in before]
        with trio.move_on_after(self._deadline):
            for market in {handle.asset_id for handle in handles}:
                with suppress(TplusError):  # they stay in doubt, and tasks of the client go on to look
                    await self._desk.look(self._owner, market, complete=True)
        for handle in handles:
            self._requests.renew_again(handle)

    def _claim_again(self, written: WrittenOrder) -> OrderHandle:
        handle = self._owned.claim_again(self._owner, written.order, written.changes, written.key)
        self._written.claimed(handle, written.entry)
        known = self._desk.unsettled.of(self._owner.public_key, handle._target)
        if not any(one.terms == written.order for one in known):
            self._client._resume(self._owner, written.order)
        elif any(one.on_cancel == "cancel" for one in known if one.terms == written.order):
            handle._begin_taking_back()  # an earlier scope of this client began it
        if written.key is not None:
            self._kept_order(written).restored(handle)
        return handle

    def _kept_order(self, written: WrittenOrder) -> KeptOrder:
        key = OrderKey(self._owner.public_key, written.order.base_asset, written.key or "")
        return self._kept_orders.get(key, self)

    async def _leave(self) -> None:
        """Take back what may rest, in bounded time, also if cancelled."""
        deadline = trio.current_time() + self._deadline
        with trio.CancelScope(shield=True, deadline=deadline):
            await self._owned.close()
        handles = self.open
        with trio.CancelScope(shield=True, deadline=deadline):
            await self._owned.take_back(handles)
        self.left_resting = left_of(handles)
        if self.left_resting:
            order_ids = tuple(order.order_id for order in self.left_resting)
            self._client._service.observer.orders_left_resting(order_ids)
            log_event(
                _log,
                logging.ERROR,
                LogEvent.ORDERS_LEFT_RESTING,
                "orders are not proved gone %g s after their scope was left, and may rest: %s",
                self._deadline,
                ", ".join(order_ids),
                order_ids=order_ids,
                deadline=self._deadline,
            )

    async def _look_again(self) -> None:
        """Read the orders now and then: an event may have been lost."""
        while True:
            await trio.sleep(_LOOK_AGAIN)
            for market in {handle.asset_id for handle in self.open}:
                with suppress(TplusError):  # it is read again
                    await self._requests.look(market)
