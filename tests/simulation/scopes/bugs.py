"""Bugs to plant, one at a time, to show that the worlds find them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, suppress
from decimal import Decimal
from typing import Any, Final
from unittest import mock

import trio

from tplus_trio import OrderBookClient, OrdersLeftResting, TplusError
from tplus_trio.clients import order_scope
from tplus_trio.orders.journal import file
from tplus_trio.orders.journal.lines import Record, read_lines
from tplus_trio.orders.scopes import block, keeper
from tplus_trio.orders.scopes.block import OrderBlock
from tplus_trio.orders.scopes.handle import OrderHandle
from tplus_trio.orders.scopes.keeper import KeptOrders
from tplus_trio.orders.scopes.keeping import Known, Quote, total_of
from tplus_trio.orders.scopes.lease import Renewer, _rest_of
from tplus_trio.orders.scopes.owned import OwnedOrders
from tplus_trio.orders.scopes.requests import ScopeRequests
from tplus_trio.orders.terms import OrderTerms

__all__ = ["SCOPE_BUGS"]

# The functions below read private attributes of what they break.


@contextmanager
def _left_before_proved() -> Generator[None]:
    """A scope is left as soon as its orders are being canceled."""
    proper = OwnedOrders.take_back

    async def take_back(self: OwnedOrders, handles: Iterable[OrderHandle]) -> None:
        if not self.is_closed:
            await proper(self, handles)
            return
        for handle in handles:
            handle._begin_taking_back().wake()

    with mock.patch.object(OwnedOrders, "take_back", take_back), mock.patch.object(block, "left_of", return_value=()):
        yield


@contextmanager
def _renewal_leaves_two() -> Generator[None]:
    """An order is renewed before the one before it is proved gone."""

    async def replace_by_next(self: Renewer, handle: OrderHandle) -> None:
        if not handle._is_gone and handle._taking_back is None and not handle.is_in_doubt:
            handle._begin_taking_back()
            await self._create_until_sent(handle, _rest_of(handle))

    with mock.patch.object(Renewer, "_replace_by_next", replace_by_next):
        yield


@contextmanager
def _fill_counted_twice() -> Generator[None]:
    """What has traded is added twice to what shall rest."""

    def total(known: Known | None, wanted: Quote, *, refill: bool) -> Decimal:
        proper = total_of(known, wanted, refill=refill)
        return proper if known is None or known.quote == wanted else proper + known.filled

    with mock.patch.object(keeper, "total_of", total):
        yield


@contextmanager
def _replace_after_a_doubt() -> Generator[None]:
    """An order is changed although it is not known what became of the request before."""
    with mock.patch.object(OrderHandle, "is_in_doubt", False):
        yield


@contextmanager
def _foreign_order_cancelled() -> Generator[None]:
    """A scope that is left cancels all orders of the user."""
    proper = OrderBlock._leave

    async def leave(self: OrderBlock) -> None:
        assert isinstance(self._client, OrderBookClient)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._deadline / 2), suppress(TplusError):
            await self._client.cancel_all_orders()
        await proper(self)

    with mock.patch.object(OrderBlock, "_leave", leave):
        yield


@contextmanager
def _key_freed_too_early() -> Generator[None]:
    """A key is free once its scope was left, whatever became of its order."""

    def leave(self: KeptOrders, scope: object) -> None:
        for key, kept in tuple(self._orders.items()):
            if kept.scope is scope:
                del self._orders[key]

    with mock.patch.object(KeptOrders, "leave", leave):
        yield


@contextmanager
def _shield_without_bound() -> Generator[None]:
    """A scope is left once all is proved gone, however long that takes."""
    proper = OrderBlock._leave

    async def leave(self: OrderBlock) -> None:
        self._deadline = math.inf
        await proper(self)

    with mock.patch.object(OrderBlock, "_leave", leave):
        yield


@contextmanager
def _cancelled_call_forgotten() -> Generator[None]:
    """A scope does not own the order of a call that was cancelled."""
    proper = ScopeRequests.create

    async def create(self: ScopeRequests, *arguments: Any) -> OrderHandle:
        before = set(self._owned._handles)
        try:
            return await proper(self, *arguments)
        except trio.Cancelled:
            for handle in self._owned._handles.keys() - before:
                self._owned._let_go(handle)
            raise

    with mock.patch.object(ScopeRequests, "create", create):
        yield


@contextmanager
def _exception_replaced() -> Generator[None]:
    """That orders may rest is raised in place of the exception of the body."""
    proper = OrderBlock._leave

    async def leave(self: OrderBlock) -> None:
        await proper(self)
        if self.left_resting:
            raise OrdersLeftResting(self.left_resting)

    with mock.patch.object(OrderBlock, "_leave", leave):
        yield


@contextmanager
def _rests_without_lease() -> Generator[None]:
    """An order of a scope with a lease does not expire."""

    async def leased(_: ScopeRequests, terms: OrderTerms) -> OrderTerms:
        return terms

    with mock.patch.object(ScopeRequests, "_leased", leased):
        yield


@contextmanager
def _cancel_not_waited_for() -> Generator[None]:
    """A call that cancels orders ends before they are proved gone."""
    proper = OwnedOrders.take_back

    async def take_back(self: OwnedOrders, handles: Iterable[OrderHandle]) -> None:
        if self.is_closed:
            await proper(self, handles)
            return
        for handle in handles:
            handle._begin_taking_back().wake()

    with (
        mock.patch.object(OwnedOrders, "take_back", take_back),
        mock.patch.object(order_scope, "left_of", return_value=()),
    ):
        yield


@contextmanager
def _torn_line_is_an_order() -> Generator[None]:
    """A line of a journal is read although its end is missing."""

    def read(data: bytes) -> Generator[tuple[int, Record]]:
        yield from read_lines(data)
        with suppress(ValueError):
            yield from list(read_lines(data + b"\n"))[data.count(b"\n") - 1 :]

    with mock.patch.object(file, "read_lines", read):
        yield


@contextmanager
def _created_again() -> Generator[None]:
    """A call of ``keep`` forgets that it has created an order: once for each key, or it would never end."""
    proper, forgetful = keeper.Keeper._create, set[object]()

    async def create(self: keeper.Keeper, key: Any, kept: keeper.KeptOrder, *terms: Any) -> OrderHandle | None:
        handle = await proper(self, key, kept, *terms)
        if kept in forgetful:
            return handle
        forgetful.add(kept)
        return None

    with mock.patch.object(keeper.Keeper, "_create", create):
        yield


#: The bugs by name.
SCOPE_BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "left-before-proved": _left_before_proved,
    "renewal-leaves-two": _renewal_leaves_two,
    "fill-counted-twice": _fill_counted_twice,
    "replace-after-a-doubt": _replace_after_a_doubt,
    "foreign-order-cancelled": _foreign_order_cancelled,
    "key-freed-too-early": _key_freed_too_early,
    "shield-without-bound": _shield_without_bound,
    "cancelled-call-forgotten": _cancelled_call_forgotten,
    "exception-replaced": _exception_replaced,
    "rests-without-lease": _rests_without_lease,
    "torn-line-is-an-order": _torn_line_is_an_order,
    "cancel-not-waited-for": _cancel_not_waited_for,
    "created-again": _created_again,
}
