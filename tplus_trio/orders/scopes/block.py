"""The life of a scope of orders: what runs beside its body, and how it is left."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from tplus_trio.errors import OrdersLeftResting, TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.keeper import Keeper, KeptOrders
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
    """

    def __init__(
        self,
        client: OrderClient,
        desk: OrderDesk,
        kept_orders: KeptOrders,
        owner: User,
        *,
        deadline: float,
        lease: float | None,
    ) -> None:
        self._client = client
        self._desk = desk
        self._kept_orders = kept_orders
        self._owner = owner
        self._deadline = deadline
        self._owned = OwnedOrders(desk)
        self._requests = ScopeRequests(client, owner, self._owned, desk, lease)
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
        self._desk.demand.add(self)
        self._desk.follow(self._owner)
        try:
            async with open_service_tasks() as tasks:
                tasks.start_soon(self._look_again)
                if (renewer := self._requests.renewer) is not None:
                    tasks.start_soon(renewer.run, tasks)
                try:
                    yield
                finally:
                    await self._leave()  # noqa: ASYNC102 - it limits its own time
        finally:
            self._desk.demand.discard(self)
            self._kept_orders.leave(self)
            self._owned.let_go()
        if self.left_resting:
            raise OrdersLeftResting(self.left_resting)

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
