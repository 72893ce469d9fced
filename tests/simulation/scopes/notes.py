"""What the scopes of a world do: the orders of each, their keys, and the calls of ``keep``."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, Final
from unittest import mock

import attrs
import trio

from tplus_trio import OrderScope
from tplus_trio.clients import order_service
from tplus_trio.models import Order, ReplaceOrderDetails
from tplus_trio.orders import fences
from tplus_trio.orders.journal import file
from tplus_trio.orders.scopes import keeper
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.handle_journal import HandleJournal
from tplus_trio.orders.scopes.keeper import Keeper, KeptOrder, OrderKey
from tplus_trio.orders.scopes.keeping import Known, Quote
from tplus_trio.orders.scopes.owned import OwnedOrders

__all__ = ["KeepCall", "Notes", "Placed", "ScopeNote"]

#: Decimals of a quantity in every market of a world. No fault changes them.
QUANTITY_DECIMALS: Final = 3


@attrs.define(eq=False)
class ScopeNote:
    """One scope of a bot. Times are of trio's clock.

    Attributes:
        name: Its name in reports.
        deadline: Seconds for leaving.
        lease: Its lease, in seconds.
        is_journaled: Whether it has a journal.
        left: When its body ended.
        exited: When it was left.
        body: How its body ended.
        raised: What leaving raised; None is nothing.
        named: The orders that it named as resting when it was left.
        resting: Its orders that rested when it was left, by the exchange's record.
    """

    name: str
    deadline: float
    lease: float | None
    is_journaled: bool = False
    left: float | None = None
    exited: float | None = None
    body: BaseException | None = None
    raised: BaseException | None = None
    named: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()

    def __str__(self) -> str:
        lease = "" if self.lease is None else f", lease {self.lease:.2f}"
        return f"{self.name} (deadline {self.deadline:.2f}{lease}, left {self.left}, exited {self.exited})"


@attrs.define(eq=False)
class KeepCall:
    """One call of ``keep``; quantities are in units of the book.

    Attributes:
        number: Its place among the calls.
        asked: What shall rest.
        known: What the client knew to have traded of the order of the key when the call's turn came.
        chain: The orders whose trades count: those of the key's handle at that time, and those sent since.
        made: The orders that it made, the first of each handle.
    """

    number: int
    asked: int
    known: int = 0
    chain: dict[str, None] = attrs.field(factory=dict[str, None])
    made: list[str] = attrs.field(factory=list[str])

    @property
    def most(self) -> int:
        """Return what may rest and have traded, in all."""
        return self.known + self.asked

    def __str__(self) -> str:
        return f"keep call {self.number}: {self.asked} asked, {self.known} known to have traded"


@attrs.define(eq=False)
class Placed:
    """An order that a scope sent, or was about to send.

    Attributes:
        scope: The scope.
        handle: The handle that shows it.
        key: Its key; None for an order that is not kept.
        calls: The calls of ``keep`` that sent requests about it, each with the total that it asked for.
        made_by: The call of ``keep`` that made it, if it is the first one of its handle.
    """

    scope: ScopeNote
    handle: OrderHandle
    key: OrderKey | None
    calls: list[tuple[KeepCall, int]] = attrs.field(factory=list[tuple[KeepCall, int]])
    made_by: KeepCall | None = None


def units(quantity: Decimal) -> int:
    """Return a quantity in units of the book."""
    return int(quantity.scaleb(QUANTITY_DECIMALS))


class Notes:
    """Notes what scopes do. It is told by what scopes call within the client."""

    def __init__(self) -> None:
        self.scopes: list[ScopeNote] = []
        self.placed: dict[str, Placed] = {}
        self.calls: list[KeepCall] = []
        #: The orders that were not wanted any more.
        self.unwanted: set[str] = set()
        self._by_owned: dict[OwnedOrders, ScopeNote] = {}
        self._call: ContextVar[KeepCall | None] = ContextVar("call", default=None)
        self._kept: ContextVar[KeptOrder | None] = ContextVar("kept", default=None)

    def opened(self, note: ScopeNote, orders: OrderScope) -> None:
        """Note a scope that is about to be entered."""
        self.scopes.append(note)
        self._by_owned[orders._owned] = note

    def of(self, scope: ScopeNote) -> set[str]:
        """Return the ids of a scope's orders."""
        return {order_id for order_id, placed in self.placed.items() if placed.scope is scope}

    @contextmanager
    def taken(self) -> Generator[None]:
        """Take notes in the body."""
        claim, claim_next, write_change = OwnedOrders.claim, OwnedOrders.claim_next, HandleJournal.write_change
        take_back = OrderHandle._take_back

        def claiming(owned: OwnedOrders, owner: Any, order: Order, key: str | None = None) -> OrderHandle:
            handle = claim(owned, owner, order, key)
            self._claimed(owned, handle, order)
            return handle

        def claiming_next(owned: OwnedOrders, handle: OrderHandle, order: Order) -> None:
            claim_next(owned, handle, order)
            self._claimed(owned, handle, order)

        def taking_back(handle: OrderHandle) -> None:
            self.unwanted.update(_ids(handle))
            take_back(handle)

        async def changing(journal: HandleJournal, handle: OrderHandle, change: Any) -> None:
            await write_change(journal, handle, change)
            if isinstance(change, ReplaceOrderDetails) and (call := self._call.get()) is not None:
                self.placed[change.order_id].calls.append((call, change.new_quantity))

        numbers = itertools.count()

        def new_id() -> str:
            return f"o{next(numbers)}"

        async def run_at_once(work: Callable[[], Any]) -> Any:
            await trio.lowlevel.checkpoint()
            return work()

        with (
            mock.patch.object(file, "run_in_thread", run_at_once),  # virtual time does not wait for a thread
            mock.patch.object(order_service, "new_order_id", new_id),
            mock.patch.object(fences, "new_order_id", new_id),
            mock.patch.object(OwnedOrders, "claim", claiming),
            mock.patch.object(OwnedOrders, "claim_next", claiming_next),
            mock.patch.object(OrderHandle, "_take_back", taking_back),
            mock.patch.object(HandleJournal, "write_change", changing),
            mock.patch.object(Keeper, "keep", self._keeping(Keeper.keep)),
            mock.patch.object(keeper, "total_of", self._summing(vars(keeper)["total_of"])),
        ):
            yield

    def _claimed(self, owned: OwnedOrders, handle: OrderHandle, order: Order) -> None:
        call = self._call.get()
        scope = self._by_owned[owned]
        key = None if handle.key is None else OrderKey(order.signer, order.base_asset, handle.key)
        placed = self.placed[order.order_id] = Placed(scope, handle, key)
        before = [self.placed[one.order.order_id] for one in handle._orders[:-1]]
        if before:  # it follows an order: for it holds what holds for that one
            placed.calls = list(before[-1].calls)
            for one, _ in placed.calls:
                one.chain[order.order_id] = None
        elif call is not None:
            call.chain[order.order_id] = None
            call.made.append(order.order_id)
            placed.made_by = call
            placed.calls.append((call, getattr(order.details, "quantity", 0)))

    def _keeping(self, keep: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def keeping(one: Keeper, key: OrderKey, kept: KeptOrder, wanted: Quote, *, refill: bool) -> Any:
            self.calls.append(call := KeepCall(len(self.calls), units(wanted.quantity)))
            before, kept_before = self._call.set(call), self._kept.set(kept)
            try:
                return await keep(one, key, kept, wanted, refill=refill)
            finally:
                self._call.reset(before)
                self._kept.reset(kept_before)

        return keeping

    def _summing(self, sum_up: Callable[..., Decimal]) -> Callable[..., Decimal]:
        """Note what is known when a call's turn comes."""

        def summing(known: Known | None, wanted: Quote, *, refill: bool) -> Decimal:
            call, kept = self._call.get(), self._kept.get()
            if call is not None and kept is not None and kept.handle is not None:
                call.chain.update(dict.fromkeys(_ids(kept.handle)))
                call.known = units(kept.handle.filled_quantity)
            return sum_up(known, wanted, refill=refill)

        return summing


def _ids(handle: OrderHandle) -> Iterable[str]:
    return (order.order.order_id for order in handle._orders)
