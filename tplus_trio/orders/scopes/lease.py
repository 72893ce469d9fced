"""Leases: orders that expire soon unless the program goes on renewing them.

A replacement keeps its order's expiry, so an order is renewed by a new one: it is canceled, proved gone, and created
again for the rest.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Final, Protocol

import trio

from tplus_trio.errors import LeaseRefused, TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models import AssetIdentifier
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.evidence import UNSENT
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.owned import OwnedOrders
from tplus_trio.orders.tracked_order import TrackedOrder
from tplus_trio.scopes import ServiceTasks
from tplus_trio.transport.service_clock import ClockOffset

__all__ = ["Lease", "LeaseClock", "Renewer"]

_log = logging.getLogger("tplus_trio.orders")
#: Seconds until the next attempt to renew an order that could not be renewed.
_AGAIN: Final = 1.0
#: Seconds after which an order that is being renewed is looked at, although nothing new was seen of it.
_LOOK_AGAIN: Final = 0.5
#: The largest bound of the service's clock, as a share of the lease.
_MOST_BOUND: Final = 0.25


class LeaseClock(Protocol):
    """The service's time, as a client knows it."""

    def now_ns(self) -> int:
        """The client's time in nanoseconds since the Unix epoch."""
        ...

    def clock_offset(self) -> ClockOffset | None:
        """How far the service's clock is ahead; None before the first answer."""
        ...


class Lease:
    """How long an order may rest without a renewal.

    Args:
        seconds: The time.
        clock: The service's time.
        ask: Makes a request about a market, whose answer says more about the service's time.
    """

    def __init__(self, seconds: float, clock: LeaseClock, ask: Callable[[AssetIdentifier], Awaitable[object]]) -> None:
        self.seconds: float = seconds
        self._clock = clock
        self._ask = ask

    async def expiry_ns(self, asset_id: AssetIdentifier) -> int:
        """Return when an order that is sent now expires: by the service's clock, in nanoseconds since the Unix epoch.

        Args:
            asset_id: The market of the order.

        Raises:
            LeaseRefused: the service's clock is not known to within a quarter of the lease.
            TplusError: the service did not answer.
        """
        offset = self._clock.clock_offset()
        if not self._is_known(offset):
            await self._ask(asset_id)
            offset = self._clock.clock_offset()
        if offset is None or not self._is_known(offset):
            bound = "unknown" if offset is None else f"known to within {offset.bound_ns / 1e9:.2f} s"
            most = self.seconds * _MOST_BOUND
            msg = f"the service's time is {bound}; a lease of {self.seconds:g} s needs {most:g} s. Nothing was sent"
            raise LeaseRefused(msg)
        return self._clock.now_ns() + offset.offset_ns + round(self.seconds * 1e9)

    def seconds_until(self, time_ns: int) -> float:
        """Return the seconds until a time of the service's clock, as far as that clock is known.

        Args:
            time_ns: The time, in nanoseconds since the Unix epoch.
        """
        offset = self._clock.clock_offset()
        ahead_ns = 0 if offset is None else offset.offset_ns
        return (time_ns - self._clock.now_ns() - ahead_ns) / 1e9

    def _is_known(self, offset: ClockOffset | None) -> bool:
        return offset is not None and offset.bound_ns <= self.seconds * _MOST_BOUND * 1e9


class Renewer:
    """Renews the orders of a scope at half of their lease.

    Args:
        lease: The lease.
        owned: The orders of the scope.
        desk: The client's view of orders.
        create_next: Sends an order for the rest of one that has gone, in its place: the handle, and the quantity.
    """

    def __init__(
        self,
        lease: Lease,
        owned: OwnedOrders,
        desk: OrderDesk,
        create_next: Callable[[OrderHandle, Decimal], Awaitable[object]],
    ) -> None:
        self._lease = lease
        self._owned = owned
        self._desk = desk
        self._create_next = create_next
        self._due: dict[OrderHandle, float] = {}
        self._changed = trio.Event()

    def sent(self, handle: OrderHandle) -> None:
        """Note that the newest order of a handle is about to be sent with a whole lease."""
        self._renew_at(handle, trio.current_time() + self._lease.seconds / 2)

    def _renew_at(self, handle: OrderHandle, time: float) -> None:
        self._due[handle] = time
        self._changed.set()

    async def run(self, tasks: ServiceTasks) -> None:
        """Renew orders for as long as the scope lives."""
        while True:
            await self._wait_due()
            now = trio.current_time()
            for handle in [handle for handle, due in self._due.items() if due <= now]:
                del self._due[handle]
                if not handle._is_gone:
                    tasks.start_soon(self._renew, handle)

    async def _wait_due(self) -> None:
        self._changed = trio.Event()
        with trio.CancelScope(deadline=min(self._due.values(), default=math.inf)):
            await self._changed.wait()

    async def _renew(self, handle: OrderHandle) -> None:
        try:
            with self._owned.call():
                async with handle._change():
                    await self._replace_by_next(handle)
        except (TplusError, trio.ClosedResourceError) as exc:
            if self._owned.is_closed:
                return
            log_event(
                _log,
                logging.WARNING,
                LogEvent.ORDER_NOT_RENEWED,
                "order %s was not renewed: %s",
                handle.order_id,
                exc,
                order_id=handle.order_id,
                error=str(exc),
            )

    async def _replace_by_next(self, handle: OrderHandle) -> None:
        if handle._is_gone or handle._is_being_canceled:
            return
        if handle.is_in_doubt:
            self._renew_at(handle, trio.current_time() + _AGAIN)
            return
        handle._is_renewing = True
        try:
            handle._begin_taking_back()
            while not (handle._is_unwanted or (handle._is_gone and handle._are_fills_known)):
                await self._wait(handle)
            if rest := _rest_of(handle):
                await self._create_until_sent(handle, rest)
        finally:
            handle._is_renewing = False
            self._desk.news.changed(handle._newest)

    async def _create_until_sent(self, handle: OrderHandle, rest: Decimal) -> None:
        """Create the next order. If no byte of the request has left, try again."""
        before = len(handle._orders)
        while not handle._is_unwanted:
            try:
                await self._create_next(handle, rest)
                break
            except TplusError:
                was_sent = any(_was_sent(order) for order in handle._orders[before:])
                if was_sent or self._owned.is_closed:
                    raise
            await trio.sleep(_AGAIN)

    async def _wait(self, handle: OrderHandle) -> None:
        with trio.move_on_after(_LOOK_AGAIN) as scope:
            await self._desk.news.wait(handle._newest)
        if scope.cancelled_caught and handle._is_gone:
            with suppress(TplusError):  # it is tried again
                await self._desk.look(handle._owner, handle.asset_id, complete=False)


def _was_sent(order: TrackedOrder) -> bool:
    """Return whether a byte of an order that was about to be sent may have left."""
    return ("no effect", UNSENT) not in order.facts.create


def _rest_of(handle: OrderHandle) -> Decimal:
    """Return what an order that has gone did not trade. Of two totals that it may have had, the smaller one counts."""
    totals = [total for total in (handle._total, handle.quantity) if total is not None]
    return max(EXACT.subtract(min(totals), handle.filled_quantity), Decimal(0)) if totals else Decimal(0)
