"""Keeps one order of a key resting at the latest wanted terms, one change at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

import trio

from tplus_trio.errors import NotFoundError, OrderRejected, TplusError
from tplus_trio.models import IOC, AssetIdentifier, LimitOrderDetails
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.keeping import (
    Cancel,
    Create,
    Known,
    Leave,
    Quote,
    Replace,
    Wait,
    next_step,
    total_of,
)

__all__ = ["Keeper", "KeptOrder", "KeptOrders", "OrderKey", "QuoteRequests"]

#: Seconds after which the order is looked at again, although nothing new was seen of it.
_LOOK_AGAIN: Final = 0.5
#: Seconds in which the service has to show a change that it took. After that the change is requested again.
_CONFIRMATION: Final = 2.0
#: Seconds in which the client has to find out what became of a change. After that the order is canceled.
_DOUBT: Final = 2.0
#: Seconds for the end of an order to be seen, after the service said that it has no such open order.
_END: Final = 1.0


class OrderKey(NamedTuple):
    """What tells a kept order from the others of a client."""

    #: The public key of its user.
    user: str
    asset_id: AssetIdentifier
    name: str


class KeptOrder:
    """The order of a key, and the calls that are about it."""

    def __init__(self) -> None:
        #: The newest order of the key.
        self.handle: OrderHandle | None = None
        #: The scope whose order it is.
        self.scope: object = None
        #: Held by the call that makes changes.
        self.lock: trio.Lock = trio.Lock()
        self._calls = 0
        #: The terms that the order was given last, and those with which it was created.
        self.quote: Quote | None = None
        self.created: Quote | None = None
        self.total: Decimal = Decimal(0)
        #: The revision of the last replacement that the service took, and when it did, on trio's clock.
        self.replaced: tuple[int, float] | None = None
        #: Since when the service says that it has no such open order, on trio's clock.
        self.missing_since: float | None = None
        #: Since when it is known that a request about the order is in doubt, on trio's clock.
        self.doubted_since: float | None = None

    def begin_call(self) -> int:
        """Note a call. The calls before it give up as soon as they can."""
        self._calls += 1
        return self._calls

    def is_latest(self, call: int) -> bool:
        """Return whether no later call has begun."""
        return call == self._calls

    def ask(self, known: Known | None, wanted: Quote, *, refill: bool) -> Decimal:
        """Note what a call asks for, and return the total; see `total_of`."""
        # Equal terms ask for no more, also if nothing shows yet that the order has them.
        is_same = known is not None and self.quote == wanted and not refill
        total = self.total if is_same else total_of(known, wanted, refill=refill)
        if not wanted.quantity:
            self.quote = None  # terms that are wanted again later are new ones, whatever has traded
        return total

    def claimed(self, handle: OrderHandle, quote: Quote, total: Decimal) -> None:
        """Note a new order that is about to be sent."""
        self.handle, self.created, self.total = handle, quote, total
        self.quote, self.replaced, self.missing_since, self.doubted_since = None, None, None, None

    def restored(self, handle: OrderHandle) -> None:
        """Note the order that an earlier run of the program kept under the key. If there was another one, it goes."""
        details = handle._order.details
        if handle.price is None or handle.quantity is None or not isinstance(details, LimitOrderDetails):
            return  # no such order has a key
        if self.handle is not None and not self.handle._is_gone and self.handle._newest is not handle._newest:
            self.handle._take_back()
        is_post_only = not isinstance(details.time_in_force, IOC) and details.time_in_force.post_only
        order = handle._order
        quote = Quote(order.side, handle.price, handle.quantity, is_post_only, order.reduce_only, order.target)
        self.claimed(handle, quote, handle.quantity)

    def known(self, now: float) -> Known | None:
        """Return what is known of the order; None if there is none."""
        handle = self.handle
        if handle is None or self.created is None:
            return None
        is_missing = self.missing_since is not None and now - self.missing_since >= _END
        is_in_doubt = handle.is_in_doubt
        if not is_in_doubt:
            self.doubted_since = None
        elif self.doubted_since is None:
            self.doubted_since = now
        return Known(
            quote=self.quote if self._is_confirmed(handle, now) else None,
            created=self.created,
            total=self.total,
            filled=handle.filled_quantity,
            is_gone=handle._is_over,
            are_fills_known=handle._are_fills_known,
            is_in_doubt=is_in_doubt,
            is_ambiguous=handle.ambiguous,
            is_missing=is_missing,
            is_taken_back=handle._is_being_canceled,
            is_doubt_lasting=self.doubted_since is not None and now - self.doubted_since >= _DOUBT,
        )

    def _is_confirmed(self, handle: OrderHandle, now: float) -> bool:
        """Return whether the last replacement was seen to take effect, or may still do."""
        if self.replaced is None:
            return True
        revision, since = self.replaced
        if handle._revision != revision:
            return True  # it was renewed since, with these terms
        shown = handle._newest.view.revision
        return (shown is not None and shown >= revision) or now - since < _CONFIRMATION


class KeptOrders:
    """The kept orders of a client. A key names one order, whichever scope keeps it."""

    def __init__(self) -> None:
        self._orders: dict[OrderKey, KeptOrder] = {}

    def get(self, key: OrderKey, scope: object) -> KeptOrder:
        """Return the kept order of a key for a scope.

        Raises:
            RuntimeError: another scope, which has not been left, keeps an order of this key.
        """
        kept = self._orders.setdefault(key, KeptOrder())
        if kept.scope not in (None, scope):
            msg = f"the key {key.name!r} is in use: another scope of this client keeps an order of it in {key.asset_id}"
            raise RuntimeError(msg)
        kept.scope = scope
        return kept

    def leave(self, scope: object) -> None:
        """Let other scopes keep orders of the keys of a scope. A key whose order may rest is remembered with it."""
        for key, kept in tuple(self._orders.items()):
            if kept.scope is scope:
                # The next scope asks for its own quantity, whatever traded in this one.
                kept.scope, kept.quote = None, None
            if kept.scope is None and (kept.handle is None or kept.handle._is_over):
                del self._orders[key]


class QuoteRequests(Protocol):
    """Sends the requests of a keeper."""

    async def create_quote(
        self, key: OrderKey, quote: Quote, quantity: Decimal, claimed: Callable[[OrderHandle], object]
    ) -> None:
        """Create an order. ``claimed`` is called with its handle before a byte is sent."""
        ...

    async def replace_quote(self, handle: OrderHandle, price: Decimal, total: Decimal) -> int:
        """Give an order a new price, and a new total over its life. Return the revision of the new terms."""
        ...


class Keeper:
    """Keeps the orders of keys for one scope.

    Args:
        desk: The client's view of orders.
        requests: Sends requests.
    """

    def __init__(self, desk: OrderDesk, requests: QuoteRequests) -> None:
        self._desk = desk
        self._requests = requests

    async def keep(self, key: OrderKey, kept: KeptOrder, wanted: Quote, *, refill: bool) -> OrderHandle | None:
        """Bring the order of a key to its wanted terms. The latest call of a key wins.

        Cancelling it leaves an order in doubt to the scope.

        Args:
            key: The key.
            kept: What the client knows of its order.
            wanted: The terms.
            refill: Whether what traded is topped up.

        Returns:
            The order; None if nothing rests and nothing is wanted, or if a later call of the key took over.

        Raises:
            OrderRejected: the book refused the order that this call created.
            TplusError: a request failed. The order may have its terms of before.
        """
        call = kept.begin_call()
        if kept.handle is not None:
            self._desk.news.changed(kept.handle._newest)  # a call that waits gives up
        async with kept.lock:
            if not kept.is_latest(call):
                return None
            known = kept.known(trio.current_time())
            total = kept.ask(known, wanted, refill=refill)
            made: OrderHandle | None = None
            while True:
                step = next_step(known, wanted, total)
                handle = kept.handle
                if isinstance(step, Create) and made is not None and not made._is_unwanted:
                    # The book did not keep it. It would not keep another one: the caller decides whether to try.
                    made._unless_rejected()
                    return made
                if isinstance(step, Leave):
                    return handle
                if isinstance(step, Create):
                    made = await self._create(key, kept, wanted, step.quantity)
                    total = step.quantity  # what the order before traded is not the new one's
                else:
                    await self._change(step, kept, handle, wanted)
                if not kept.is_latest(call):
                    return None
                known = kept.known(trio.current_time())

    async def _change(
        self, step: Replace | Cancel | Wait, kept: KeptOrder, handle: OrderHandle | None, wanted: Quote
    ) -> None:
        """Take a step with the order that is there."""
        if handle is None:
            raise AssertionError(step)
        match step:
            case Replace(total):
                await self._replace(kept, handle, wanted, total)
            case Cancel():
                handle._take_back()
            case Wait(look):
                await self._wait(handle, look=look)

    async def _create(self, key: OrderKey, kept: KeptOrder, wanted: Quote, quantity: Decimal) -> OrderHandle | None:
        def claimed(handle: OrderHandle) -> None:
            kept.claimed(handle, wanted, quantity)

        await self._requests.create_quote(key, wanted, quantity, claimed)
        kept.quote = wanted
        return kept.handle

    async def _replace(self, kept: KeptOrder, handle: OrderHandle, wanted: Quote, total: Decimal) -> None:
        async with handle._change():
            if handle._taking_back is not None or handle.is_in_doubt:
                return  # it was renewed, or is being canceled
            before, kept.quote = kept.quote, None
            try:
                revision = await self._requests.replace_quote(handle, wanted.price, total)
            except NotFoundError:
                if kept.missing_since is None:
                    kept.missing_since = trio.current_time()
                await self._wait_for_end(handle)
                return
            except TplusError as exc:
                if not handle.is_in_doubt:
                    kept.quote = before
                if isinstance(exc, OrderRejected) and handle._is_over:
                    return  # it was refused because the order has ended
                raise
        kept.quote, kept.total, kept.replaced = wanted, total, (revision, trio.current_time())

    async def _wait_for_end(self, handle: OrderHandle) -> None:
        """Wait until the end of an order is seen that the service does not have any more."""
        await _within(_END, lambda: handle._is_over, lambda: self._desk.news.wait(handle._newest))

    async def _wait(self, handle: OrderHandle, *, look: bool) -> None:
        with trio.move_on_after(_LOOK_AGAIN) as scope:
            await self._desk.news.wait(handle._newest)
        if scope.cancelled_caught and look:
            with suppress(TplusError):  # it is tried again
                await self._desk.look(handle._owner, handle.asset_id, complete=False)


async def _within(seconds: float, is_so: Callable[[], bool], wait: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds, at most so many seconds."""
    with trio.move_on_after(seconds):
        while not is_so():
            await wait()
