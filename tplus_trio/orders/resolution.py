"""Finds out what became of unsettled orders, and takes back those that are not wanted: looks, cancels, and fences."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Final, Protocol

import trio

from tplus_trio.errors import ApiError, TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models import AssetIdentifier, CancelOrder
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.fences import Fences
from tplus_trio.orders.listings import ListingReader
from tplus_trio.orders.sending import Delivery, OrderSender
from tplus_trio.orders.shared_reads import Progress
from tplus_trio.orders.unsettled import UnsettledOrder, UnsettledOrders
from tplus_trio.orders.verdicts import Verdict, verdict_of_answer, verdict_of_error
from tplus_trio.refusals import order_rejected
from tplus_trio.scopes import open_plain_nursery

__all__ = ["OrderResolver"]

_log = logging.getLogger("tplus_trio.orders")

#: Seconds between two rounds about one order: the first, the growth, and the most.
_FIRST_WAIT: Final = 0.05
_GROWTH: Final = 2.0
#: While something could still be found out: the service cannot be reached, or a fence is being tried.
_SHORT_WAIT: Final = 0.5
#: After so many rounds a fence waits as long as anything else, and a service that cannot be reached a little longer.
_MANY: Final = 40
_LATER_WAIT: Final = 1.0
#: While only time can help: a late effect, or another program.
_LONG_WAIT: Final = 30.0
#: Seconds for each request of a round. Later rounds repeat it. In every fourth round it may take longer.
_PATIENCE: Final = 2.0
_LONG_PATIENCE: Final = 10.0
_PATIENT_ROUND: Final = 4


class Evidence(Protocol):
    """What is known about orders apart from the answers to their requests."""

    def conclude(self, order: UnsettledOrder) -> None:
        """Settle an order if it is known what became of it."""
        ...

    def other_markets(self, order: UnsettledOrder) -> Collection[AssetIdentifier]:
        """Return the other markets in which this client sent an order with the id of a refused create."""
        ...


class OrderResolver:
    """Settles orders.

    Args:
        sender: The way to send.
        builder: Signs cancels.
        listings: Reads what orders a user has.
        fences: Proves that requests will not be carried out any more.
        evidence: Concludes from what was seen.
        unsettled: The orders in doubt.
        start_task: Starts a task of the client; it does nothing if the client was not entered or has been left.
        was_left: Returns whether the client has been left: then a control channel takes no requests.
    """

    def __init__(
        self,
        sender: OrderSender,
        builder: RequestBuilder,
        listings: ListingReader,
        fences: Fences,
        evidence: Evidence,
        unsettled: UnsettledOrders,
        start_task: Callable[[Callable[[], Awaitable[object]]], object],
        was_left: Callable[[], bool],
    ) -> None:
        self._sender = sender
        self._builder = builder
        self._listings = listings
        self._fences = fences
        self._evidence = evidence
        self._unsettled = unsettled
        self._start_task = start_task
        self._was_left = was_left

    def look(self, order: UnsettledOrder) -> bool:
        """Settle an order if what is known suffices. Return whether it is settled."""
        was_unknown = order.fate == "unknown"
        self._evidence.conclude(order)
        if order.is_settled and self._unsettled.settled(order) and was_unknown:
            log_event(
                _log,
                logging.INFO,
                LogEvent.ORDER_SETTLED,
                "the %s of order %s is no longer in doubt: %s",
                order.operation,
                order.target.order_id,
                order.fate,
                operation=order.operation,
                order_id=order.target.order_id,
                fate=order.fate,
            )
        return order.is_settled

    async def settle_all(self, orders: Collection[UnsettledOrder]) -> None:
        """Try to settle orders until all are settled. From its first step on, they are in doubt.

        Cancelling it leaves nothing behind but requests that may be repeated: reads, cancels, and burns.
        """
        for order in orders:
            self._unsettled.add(order)
        left = [order for order in orders if not self.look(order)]
        if len(left) == 1:
            await self.settle(left[0])
        elif left:
            # The body waits, so that a cancellation is raised plainly and not in a group.
            unsettled, all_settled = set(left), trio.Event()

            async def settle(order: UnsettledOrder) -> None:
                await self.settle(order)
                unsettled.discard(order)
                if not unsettled:
                    all_settled.set()

            async with open_plain_nursery() as nursery:
                for order in left:
                    nursery.start_soon(settle, order)
                await all_settled.wait()

    def watch(self, orders: Iterable[UnsettledOrder]) -> None:
        """Go on with orders that are not settled, in tasks of the client, for as long as it lives."""
        for order in orders:
            if order.is_settled:
                continue
            self._unsettled.add(order)
            if self.look(order):
                continue
            if order.fate == "unknown":
                log_event(
                    _log,
                    logging.WARNING,
                    LogEvent.ORDER_IN_DOUBT,
                    "it is not known what became of the %s of order %s: %s",
                    order.operation,
                    order.target.order_id,
                    order.why,
                    operation=order.operation,
                    order_id=order.target.order_id,
                    why=order.why,
                )
            self._start_task(partial(self.settle, order))

    async def settle(self, order: UnsettledOrder) -> None:
        """Try to settle an order until it is settled.

        Cancelling it leaves nothing behind but requests that may be repeated: reads, cancels, and burns.
        """
        waits, number = _waits(), 0
        while not self.look(order):
            number += 1
            has_failed = await self._round(order, is_patient=number % _PATIENT_ROUND == 0)
            if self.look(order):
                return
            wait = next(waits)
            if has_failed:
                wait = min(wait, _SHORT_WAIT if number < _MANY else _LATER_WAIT)
            elif number < _MANY and self._fences.may_help(order):
                wait = min(wait, _SHORT_WAIT)
            await order.wait_changed(wait)

    async def _round(self, order: UnsettledOrder, *, is_patient: bool) -> bool:
        """Try each way once. Return whether one failed in a way that will pass."""
        failed = False
        read_all = partial(self._read_all, is_patient=is_patient)
        for step in (self._cancel, self._read, self._pass_fence, read_all):
            with trio.CancelScope() as scope:
                begin_again = partial(_set_timeout, scope, _LONG_PATIENCE if is_patient else _PATIENCE)
                begin_again()
                try:
                    await step(order, begin_again)
                except TplusError as exc:
                    order.last_error, failed = exc, True
                except RuntimeError:
                    if not self._was_left():
                        raise
                    failed = True
            failed = failed or scope.cancelled_caught
            if self.look(order):
                break
        return failed

    async def _cancel(self, order: UnsettledOrder, _: Progress) -> None:
        """Cancel an order that is not wanted, or send a cancel again. It may be repeated."""
        if order.is_gone or not _is_to_go(order):
            return
        asset_id, order_id = order.target
        cancel = CancelOrder(order_id, asset_id, order.owner.public_key)
        delivery = Delivery(await self._builder.cancel(cancel, order.owner))
        try:
            answers = await self._sender.send(delivery)
        except ApiError as exc:
            verdict = verdict_of_error(exc, "cancel", was_sent=delivery.sends > 0)
            if verdict is not Verdict.NOT_FOUND:
                raise
            order.is_missing = True
            if order.operation == "cancel":
                order.refusal = exc
            return
        answer = answers.by_id.get(order_id)
        if answer is None or order.operation != "cancel":
            return
        match verdict_of_answer(answer, "cancel"):
            case Verdict.TAKEN:
                order.response = answer
                order.settle("done")
            case Verdict.NOT_FOUND:
                order.refusal = order_rejected(order_id, answer.reason)
            case _:
                pass

    async def _read(self, order: UnsettledOrder, on_page: Progress) -> None:
        """Look whether the newest orders show this one. What they show reaches the evidence."""
        for market in (order.target.asset_id, *self._evidence.other_markets(order)):
            await self._listings.read(order.owner, market, complete=False, on_page=on_page)

    async def _pass_fence(self, order: UnsettledOrder, on_answer: Progress) -> None:
        """Try a fence that may prove that the request will not be carried out any more."""
        await self._fences.pass_one(order, on_answer)

    async def _read_all(self, order: UnsettledOrder, on_page: Progress, *, is_patient: bool) -> None:
        """Read all orders, if it would mean something that this one is missing, or if it may be an older one."""
        means_something = self._fences.wants_listing(order)
        if means_something or is_patient or order.is_taken:
            listing = await self._listings.read(order.owner, order.target.asset_id, complete=True, on_page=on_page)
            if means_something:
                order.listing = listing


def _is_to_go(order: UnsettledOrder) -> bool:
    """Return whether a cancel is to be sent: again, or because an order that is not wanted has shown up.

    A create of unknown fate is not cancelled by its id alone: the id may be another order's.
    """
    if order.operation == "cancel":
        return order.fate == "unknown" and (order.refusal is None or order.is_open)
    return order.operation == "create" and order.on_cancel == "cancel" and order.fate == "done"


def _set_timeout(scope: trio.CancelScope, seconds: float) -> None:
    scope.deadline = trio.current_time() + seconds


def _waits() -> Iterator[float]:
    """Yield the seconds between rounds: they grow."""
    wait = _FIRST_WAIT
    while True:
        yield wait
        wait = min(wait * _GROWTH, _LONG_WAIT)
