"""Sends requests about orders, and states what became of each order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Literal, Protocol, TypeAlias

import attrs
import trio

from tplus_trio.errors import ConnectionFailed, OrderRejected, TplusError
from tplus_trio.models import AmendOrder, AssetIdentifier, OperationStatus, Order, OrderOperationResponse
from tplus_trio.orders.batch_results import SingleOrderStatusFromBatch
from tplus_trio.orders.cancelled_calls import CancelledCalls
from tplus_trio.orders.news import Demand
from tplus_trio.orders.outcomes import OrderOutcome, outcome_of, reason_of
from tplus_trio.orders.resolution import OrderResolver
from tplus_trio.orders.sending import Delivery, OrderAnswers, OrderRequest, OrderSender, OrderTarget
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.terms import may_rest
from tplus_trio.orders.unsettled import Fate, OnCancel, UnsettledOrder
from tplus_trio.orders.verdicts import Verdict, verdict_of_error
from tplus_trio.service import Service

__all__ = ["OnFate", "OrderOperations"]

#: Called with the request, the id of one of its orders, and what became of it; again if that is found out later.
OnFate: TypeAlias = Callable[[OrderRequest, str, Fate], object]


class KnownOrders(Protocol):
    """What was known of a user's orders before a request about them is sent. Users are named by their public keys."""

    def newest_seen(self, owner: str, asset_id: AssetIdentifier) -> str | None:
        """Return the newest order in a market that was seen: its id, or None if none was."""
        ...

    def has_ended(self, owner: str, target: OrderTarget) -> bool:
        """Return whether an order is known to have ended."""
        ...

    def is_outdated(self, owner: str, terms: AmendOrder) -> bool:
        """Return whether the order of an amendment is known to have another revision than it expects."""
        ...


class OrderOperations:
    """Sends requests about orders.

    Args:
        service: The order book service.
        sender: The way to send.
        rules: What is declared about the service.
        resolver: Finds out what became of requests whose outcome does not say so.
        demand: Is told of each call.
        calls: The calls that were cancelled.
        resolve_timeout: Seconds for finding out.
        known: What was known of orders before.
        on_begin: Called with each request, before a task can run that hears of it.
        on_fate: Called with each fate.
    """

    def __init__(
        self,
        service: Service,
        sender: OrderSender,
        rules: ServiceRules,
        resolver: OrderResolver,
        *,
        demand: Demand,
        calls: CancelledCalls,
        resolve_timeout: float,
        known: KnownOrders,
        on_begin: Callable[[OrderRequest], object],
        on_fate: OnFate,
    ) -> None:
        self._service = service
        self._sender = sender
        self._rules = rules
        self._resolver = resolver
        self._demand = demand
        self._calls = calls
        self._resolve_timeout = resolve_timeout
        self._known = known
        self._on_begin = on_begin
        self._on_fate = on_fate

    async def send(
        self, request: OrderRequest, on_cancel: OnCancel = "resolve", *, hands_over: bool = False
    ) -> OrderOperationResponse:
        """Send a request about one order.

        Args:
            request: The request.
            on_cancel: What becomes of an order that the request creates, if the call is cancelled or the fate stays
                unknown.
            hands_over: Whether a call that is cancelled ends at once: tasks of the client go on with its order.

        Returns:
            The answer. It names the order, and its status is ``RECEIVED``.

        Raises:
            OrderRejected, ApiError: the service refused the request.
            OrderFateUnknown: the request was sent, and it could not be found out what became of the order.
            ConnectionFailed: no byte of the request has left.
        """
        (result,) = await self._run(request, on_cancel, hands_over=hands_over)
        if isinstance(result, TplusError):
            try:
                raise result
            finally:
                del result  # whose traceback leads to this frame
        return result

    async def send_batch(
        self, request: OrderRequest, on_cancel: OnCancel = "resolve"
    ) -> tuple[SingleOrderStatusFromBatch, ...]:
        """Send a request about several orders.

        Args:
            request: The request.
            on_cancel: As for `send`.

        Returns:
            What became of each order, in the order of the request.

        Raises:
            ConnectionFailed: no byte of the request has left.
            ApiError: the service refused the sign-in or the whole request.
        """
        results = await self._run(request, on_cancel)
        targets = zip(request.orders, results, strict=True)
        return tuple(_batch_result(order_id, result) for (_, order_id), result in targets)

    async def _run(
        self, request: OrderRequest, on_cancel: OnCancel, *, hands_over: bool = False
    ) -> list[OrderOperationResponse | TplusError]:
        call = _Call(self._service, request, on_cancel, self._on_fate)
        owner = request.owner.public_key
        call.seen_before = {market: self._known.newest_seen(owner, market) for market, _ in request.orders}
        if request.operation != "create":
            call.ended_before = frozenset(target for target in request.orders if self._known.has_ended(owner, target))
            call.was_outdated = any(
                isinstance(terms, AmendOrder) and self._known.is_outdated(owner, terms) for terms in request.terms
            )
        delivery = call.delivery = Delivery(
            request,
            on_begun=partial(self._on_begin, request),
            on_sent=call.sent,
            may_repeat=self._rules.unauthorized_does_nothing or self._rules.order_ids_remembered,
        )
        if not hands_over:
            delivery.patience = self._calls.patience
        self._demand.call_begins()
        outcome: OrderAnswers | TplusError | None = None
        try:
            try:
                await self._sender.prepare(request.owner)
                outcome = await self._sender.send(delivery)
            except TplusError as exc:
                outcome = exc
            call.items = self._items(delivery, outcome)
            if request.is_batch and isinstance(outcome, TplusError) and call.items[0].fate != "unknown":
                call.ended()
                raise outcome
            return await self._results(call)
        except trio.Cancelled:
            if delivery.sends and hands_over:
                self._hand_over(call)
            elif delivery.sends:
                await self._after_cancel(call)  # noqa: ASYNC102 - it shields itself until the deadline of all such calls
            raise
        finally:
            self._demand.call_ends(is_change=request.operation != "create")
            self._calls.end(delivery)
            if not call.has_ended:  # cancelled before a byte left
                call.items = call.items or self._items(delivery, None)
                call.ended()
            # Else the frame, the call and the delivery would lead to each other, and an error's traceback to the frame.
            delivery.on_sent = None
            del call, outcome

    async def _results(self, call: _Call) -> list[OrderOperationResponse | TplusError]:
        """Return what became of each order, after an attempt to find out where the outcome does not say so."""
        doubtful = [number for number, item in enumerate(call.items) if item.fate == "unknown"]
        if doubtful:
            call.unsettled = {number: call.to_settle(number) for number in doubtful}
            for order in call.unsettled.values():
                if order.operation == "create":
                    order.on_cancel = "resolve"  # the caller waits for it
            with trio.move_on_after(self._resolve_timeout):
                await self._resolver.settle_all(call.unsettled.values())
            call.restore_wishes(was_cancelled=False)
        call.ended()
        if doubtful:
            self._resolver.watch(call.unsettled.values())
        return [
            _result(order_id, item, call.unsettled.get(number))
            for number, ((_, order_id), item) in enumerate(zip(call.request.orders, call.items, strict=True))
        ]

    async def _after_cancel(self, call: _Call) -> None:
        """Find out what became of the orders of a cancelled call, and take back what it created."""
        deadline = self._calls.begin(call.delivery)
        orders = self._unsettled_after_cancel(call)
        with trio.CancelScope(shield=True, deadline=deadline):
            await self._resolver.settle_all([order for order in orders if order.on_cancel != "leave"])
        call.ended()
        self._resolver.watch(orders)

    def _hand_over(self, call: _Call) -> None:
        """Let tasks of the client go on with the orders of a cancelled call."""
        orders = self._unsettled_after_cancel(call)
        call.ended()
        self._resolver.watch(orders)

    def _unsettled_after_cancel(self, call: _Call) -> Collection[UnsettledOrder]:
        """Return the orders of a cancelled call that are to be settled: those in doubt, and those to be taken back."""
        call.items = call.items or self._items(call.delivery, call.delivery.late)
        call.restore_wishes(was_cancelled=True)
        for number, item in enumerate(call.items):
            if number not in call.unsettled and (item.fate == "unknown" or call.takes_back(number, item)):
                call.unsettled[number] = call.to_settle(number)
        return call.unsettled.values()

    def _items(self, delivery: Delivery, outcome: OrderAnswers | TplusError | None) -> list[OrderOutcome]:
        """Return what the outcome of a request says about each of its orders."""
        orders, operation = delivery.request.orders, delivery.request.operation
        if isinstance(outcome, OrderAnswers):
            return [self._believed(delivery, outcome_of(order_id, outcome, operation)) for _, order_id in orders]
        if outcome is None:
            item = OrderOutcome(Verdict.UNKNOWN, "the call was cancelled before an answer came")
        else:
            verdict = verdict_of_error(outcome, operation, was_sent=delivery.sends > 0)
            item = OrderOutcome(verdict, reason_of(outcome), outcome)
        return [self._believed(delivery, item)] * len(orders)

    def _believed(self, delivery: Delivery, item: OrderOutcome) -> OrderOutcome:
        """Return an item with the verdict that the rules of the service allow."""
        if item.verdict is Verdict.UNAUTHORIZED:
            believed = self._rules.unauthorized_does_nothing
            return item._replace(verdict=Verdict.REFUSED if believed else Verdict.UNKNOWN)
        if delivery.refusals and not self._rules.unauthorized_does_nothing and item.verdict is not Verdict.TAKEN:
            return item._replace(verdict=Verdict.UNKNOWN)  # the first try may have been, or may be, carried out
        return item


@attrs.define(eq=False)
class _Call:
    """One call, and what the observer hears of it."""

    # Eleven attributes: four are given, and the others are what becomes of the call.

    _service: Service
    request: OrderRequest
    on_cancel: OnCancel
    _on_fate: OnFate
    delivery: Delivery = attrs.field(init=False)
    #: Whether the fates were reported.
    has_ended: bool = False
    #: What the outcome says about each order; empty before there is one.
    items: list[OrderOutcome] = attrs.field(factory=list[OrderOutcome])
    #: The orders that are to be settled, by their numbers.
    unsettled: dict[int, UnsettledOrder] = attrs.field(factory=dict[int, UnsettledOrder])
    #: The orders that were known to have ended before the request was sent.
    ended_before: frozenset[OrderTarget] = frozenset()
    #: Whether an amendment was known to expect another revision than the order's.
    was_outdated: bool = False
    #: In each market, the newest order that was seen before the request was sent.
    seen_before: dict[AssetIdentifier, str | None] = attrs.field(factory=dict["AssetIdentifier", "str | None"])
    #: When its first byte may have left, in nanoseconds since the Unix epoch; None if none has.
    _sent_at_ns: int | None = None

    def sent(self) -> None:
        """Note that the first byte may leave now."""
        if self._sent_at_ns is None:  # a second time after a sign-in, where the service refused the token of the first
            self._sent_at_ns = self._service.now_ns()
            for _, order_id in self.request.orders:
                self._service.observer.order_sent(self.request.operation, order_id)

    def takes_back(self, number: int, item: OrderOutcome) -> bool:
        """Return whether the request created an order that is not wanted any more once the call is cancelled."""
        return item.fate == "done" and self._operation() == "create" and self._wish(number) == "cancel"

    def _operation(self) -> Literal["create", "cancel", "replace", "amend"]:
        operation = self.request.operation
        if operation == "batch-create":
            return "create"
        return "replace" if operation == "batch-replace" else operation

    def _wish(self, number: int) -> OnCancel:
        terms = self.request.terms[number]
        if isinstance(terms, Order):
            return self.on_cancel if may_rest(terms) else "resolve"
        return "cancel" if self.request.operation == "cancel" else "resolve"

    def restore_wishes(self, *, was_cancelled: bool) -> None:
        """Let orders get what their caller wants: those that show up later, and all if the call was cancelled."""
        for number, order in self.unsettled.items():
            if was_cancelled or order.fate == "unknown":
                order.on_cancel = self._wish(number)

    def to_settle(self, number: int) -> UnsettledOrder:
        """Return what is needed to settle one of the orders."""
        item = self.items[number]
        sent_at_ns = self._service.now_ns() if self._sent_at_ns is None else self._sent_at_ns
        order = UnsettledOrder(
            self.request.owner,
            self.request.orders[number],
            self._operation(),
            self.request.terms[number],
            self.delivery,
            sent_at_ns,
            item.why,
            self._wish(number),
        )
        if item.verdict in {Verdict.CONFLICT, Verdict.NOT_FOUND}:
            order.refusal = item.error
        order.seen_before = self.seen_before.get(order.target.asset_id)
        order.had_ended, order.was_outdated = order.target in self.ended_before, self.was_outdated
        order.cause, order.response = item.error, item.answer if item.fate == "done" else None
        if item.fate == "done":
            order.settle("done")
        return order

    def ended(self) -> None:
        """Report the fate of each order: to the observer only if the request was sent or found no connection."""
        self.has_ended = True
        fates: list[Fate] = [item.fate for item in self.items]
        for number, order in self.unsettled.items():
            fates[number] = order.fate
            order.on_settled = partial(self._settled, order) if order.fate == "unknown" else None
        if "unsent" in fates:
            self.sent()
        for (_, order_id), fate in zip(self.request.orders, fates, strict=True):
            self._report(order_id, fate)

    def _settled(self, order: UnsettledOrder) -> None:
        """Report a fate that was unknown when the call ended."""
        if order.fate != "unknown":
            self._report(order.target.order_id, order.fate)

    def _report(self, order_id: str, fate: Fate) -> None:
        self._on_fate(self.request, order_id, "unsent" if self._sent_at_ns is None else fate)
        if self._sent_at_ns is not None:
            self._service.observer.order_fate(self.request.operation, order_id, fate)


def _result(order_id: str, item: OrderOutcome, unsettled: UnsettledOrder | None) -> OrderOperationResponse | TplusError:
    """Return the answer about an order, or the error that states what became of it."""
    fate = item.fate if unsettled is None else unsettled.fate
    rejection = item.error if unsettled is None else unsettled.rejection
    answer = item.answer if unsettled is None else unsettled.response
    if fate == "done":
        return answer or OrderOperationResponse(order_id, OperationStatus.RECEIVED)
    if unsettled is None or fate == "rejected":
        return _naming(order_id, rejection or item.error or ConnectionFailed("the request was not sent"))
    error = unsettled.error()
    error.__cause__ = item.error
    return error


def _naming(order_id: str, error: TplusError) -> TplusError:
    """Return a refusal that names its order."""
    if not isinstance(error, OrderRejected) or error.order_id is not None:
        return error
    details = {**(error.details or {}), "order_id": order_id}
    named = OrderRejected(error.code, error.message, error.status, details, error.retryable, error.retry_after)
    named.__cause__ = error.__cause__
    return named


def _batch_result(order_id: str, result: OrderOperationResponse | TplusError) -> SingleOrderStatusFromBatch:
    if isinstance(result, OrderOperationResponse):
        return SingleOrderStatusFromBatch(order_id, result.status, result.reason)
    if isinstance(result, OrderRejected):
        return SingleOrderStatusFromBatch(order_id, OperationStatus.REJECTED, result.reason, result)
    return SingleOrderStatusFromBatch(order_id, None, None, result)
