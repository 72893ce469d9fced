"""The orders that a scope owns, and how it takes them back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import trio

from tplus_trio.models import Order
from tplus_trio.orders.order_facts import Change, RequestFact
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.terms import may_rest
from tplus_trio.orders.unsettled import OrderInDoubt
from tplus_trio.users import User

__all__ = ["OwnedOrders", "left_of"]

#: Handles that may have gone, after which they are looked through.
_MANY = 64


class OwnedOrders:
    """The orders of one scope that are not known to have gone.

    Args:
        desk: The client's view of orders.
        on_gone: Called with each order that is known to have gone.
    """

    def __init__(self, desk: OrderDesk, on_gone: Callable[[OrderHandle], object] | None = None) -> None:
        self._desk = desk
        self._on_gone = on_gone
        self._handles: dict[OrderHandle, None] = {}
        self._most = _MANY
        #: The calls that are under way.
        self._calls: set[trio.CancelScope] = set()
        self._call_ended = trio.lowlevel.ParkingLot()
        #: Whether the scope takes back what it has, and nothing new may be sent.
        self.is_closed: bool = False

    def claim(self, owner: User, order: Order, key: str | None = None) -> OrderHandle:
        """Own an order that is about to be sent, and return its handle."""
        tracked = self._desk.tracker.track(owner.public_key, order)
        self._desk.tracker.pin(tracked)
        handle = OrderHandle(owner, tracked, self._desk, key)
        self._handles[handle] = None
        if len(self._handles) > self._most:
            self._most = max(_MANY, 2 * len(self.all()))
        return handle

    def claim_next(self, handle: OrderHandle, order: Order) -> None:
        """Own an order that is about to be sent, and that follows the newest one of a handle."""
        tracked = self._desk.tracker.track(handle._owner.public_key, order)
        self._desk.tracker.pin(tracked)
        handle._renewed(tracked)

    def claim_again(self, owner: User, order: Order, changes: Iterable[Change], key: str | None) -> OrderHandle:
        """Own an order that an earlier run of the program may have sent, with the changes that it requested."""
        handle = self.claim(owner, order, key)
        for change in changes:
            self._desk.tracker.apply(owner.public_key, RequestFact(change, "sent"))
        return handle

    def all(self) -> tuple[OrderHandle, ...]:
        """Return the orders that are not known to have gone, oldest first."""
        for handle in tuple(self._handles):
            if handle._is_over:
                self._gone(handle)
        return tuple(self._handles)

    def owns(self, handle: OrderHandle) -> bool:
        """Return whether an order is one of the scope's, and is not known to have gone."""
        return handle in self._handles

    def _gone(self, handle: OrderHandle) -> None:
        if self._on_gone is not None:
            self._on_gone(handle)
        self._let_go(handle)

    def _let_go(self, handle: OrderHandle) -> None:
        del self._handles[handle]
        for order in handle._orders:
            self._desk.tracker.unpin(order)

    # Calls.

    @contextmanager
    def call(self) -> Generator[None]:
        """Run a request of the scope. If the scope is left meanwhile, the request is cancelled.

        Raises:
            trio.ClosedResourceError: the scope has been left, or is left meanwhile.
        """
        self.check_open()
        scope = trio.CancelScope()
        self._calls.add(scope)
        try:
            with scope:
                yield
        finally:
            self._calls.discard(scope)
            self._call_ended.unpark_all()
        if scope.cancelled_caught:
            self.check_open()

    def check_open(self) -> None:
        """Check that the scope has not been left.

        Raises:
            trio.ClosedResourceError: it has been left.
        """
        if self.is_closed:
            msg = "the scope of these orders has been left"
            raise trio.ClosedResourceError(msg)

    def let_go(self) -> None:
        """Own nothing any more. The client goes on with what is being taken back."""
        for handle in tuple(self._handles):
            if handle._is_gone or not may_rest(handle._order):
                self._gone(handle)
            else:
                self._let_go(handle)

    async def close(self) -> None:
        """Let no request begin any more, and wait until those that are under way have handed over their orders."""
        self.is_closed = True
        for scope in self._calls:
            scope.cancel()
        while self._calls:
            await self._call_ended.park()

    # Taking back.

    async def take_back(self, handles: Iterable[OrderHandle]) -> None:
        """Cancel orders, and wait until they are proved gone. Those that cannot rest are left alone.

        An order that a request is about is cancelled when that ends. Cancelling it leaves the orders to tasks of the
        client, which go on.
        """
        resting = _resting(handles)
        for handle in resting:
            handle._take_back()
        for handle in resting:
            while not handle._is_over:
                await self._desk.news.wait(handle._newest)


def left_of(handles: Iterable[OrderHandle]) -> tuple[OrderInDoubt, ...]:
    """Return those of some orders that may rest."""
    return tuple(handle._in_doubt() for handle in _resting(handles))


def _resting(handles: Iterable[OrderHandle]) -> list[OrderHandle]:
    return [handle for handle in handles if not handle._is_over and may_rest(handle._order)]
