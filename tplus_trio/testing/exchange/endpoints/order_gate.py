"""The way of every request about orders, on REST and on the control channel: it arrives, it acts, its answer leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs

from tplus_trio.testing.exchange.answer_log import SentAnswer
from tplus_trio.testing.exchange.effects import Operation, Way
from tplus_trio.testing.exchange.endpoints.rest_orders import OrderRequests, order_id_of
from tplus_trio.testing.exchange.faults.order_faults import Instead, text_of
from tplus_trio.testing.exchange.http_messages import Rejection, as_list
from tplus_trio.testing.exchange.market_state import MarketState

__all__ = ["OPERATIONS", "OrderCall", "OrderGate", "OrderOperation", "Outcome"]


@attrs.frozen
class OrderOperation:
    """One operation of orders, as both ways name it.

    Attributes:
        name: Its name in the record of answers.
        act: What it does to each order.
        method: The HTTP method.
        path: The path on REST; on the control channel, faults find it under ``/control`` and this path.
        variant: The name of the request on the control channel.
        response: The name of the answer there.
        items: For a batch, the field that holds its requests.
    """

    name: str
    act: Operation
    method: str
    path: str
    variant: str
    response: str
    items: str | None = None


OPERATIONS: Final = (
    OrderOperation("create", "create", "POST", "/orders/create", "CreateOrderRequest", "CreateOrderResponse"),
    OrderOperation("cancel", "cancel", "DELETE", "/orders/cancel", "CancelOrderRequest", "CancelOrderResponse"),
    OrderOperation("replace", "replace", "PATCH", "/orders/replace", "ReplaceOrderRequest", "ReplaceOrderResponse"),
    OrderOperation("amend", "amend", "PATCH", "/orders/amend", "AmendOrderRequest", "AmendOrderResponse"),
    OrderOperation(
        "batch_create", "create", "POST", "/orders/batch-create", "BatchCreateRequest", "CreateOrderResponse", "orders"
    ),
    OrderOperation(
        "batch_replace",
        "replace",
        "PATCH",
        "/orders/batch-replace",
        "BatchReplaceRequest",
        "ReplaceOrderResponse",
        "replaces",
    ),
)


@attrs.frozen
class Outcome:
    """What a request is answered.

    Attributes:
        results: Each request of the body and its answer; one, unless the body is a batch.
        refusal: The refusal of the whole request; None without one.
        instead: What a fault sends in place of this answer; None sends the answer.
    """

    results: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()
    refusal: Rejection | None = None
    instead: Instead | None = None

    def said_of(self, order_id: str) -> str | None:
        """Return what the answer says of one order; None if it says nothing."""
        if self.instead is not None:
            return self.instead.text
        if self.refusal is not None:
            return text_of(self.refusal.response)
        for request, answer in self.results:
            if order_id_of(request) == order_id:
                return str(answer.get("reason") or answer["status"])
        return None


@attrs.frozen
class OrderCall:
    """One request about orders.

    Attributes:
        way: How it came.
        operation: What it requests.
        user: The public key of the user who is signed in.
        body: The body.
        path: The path under which faults find it.
        reply: Called once with the outcome.
        begin: Called when the request begins to be carried out.
    """

    way: Way
    operation: OrderOperation
    user: str
    body: Mapping[str, Any]
    path: str
    reply: Callable[[Outcome], object]
    begin: Callable[[], object] = lambda: None

    @property
    def order_ids(self) -> tuple[str, ...]:
        """The ids of the orders that the body names."""
        name = self.operation.items
        return tuple(order_id_of(item) for item in ([self.body] if name is None else as_list(self.body.get(name))))


class OrderGate:
    """Carries out requests about orders, with the faults that a test requested.

    Args:
        market_state: The exchange's faults, schedule and feeds.
        requests: Reads and carries out the bodies.
    """

    def __init__(self, market_state: MarketState, requests: OrderRequests) -> None:
        self._market_state = market_state
        self._requests = requests
        self._acts: dict[Operation, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
            "create": requests.create,
            "cancel": requests.cancel,
            "replace": requests.replace,
            "amend": requests.amend,
        }

    def submit(self, call: OrderCall) -> None:
        """Carry out a request now, or later if a fault holds it; then call its ``reply``.

        A request that is held takes effect whatever became of its connection.
        """
        wait = self._market_state.faults.take_hold(call.path)
        if wait:
            self._market_state.schedule.after(wait, partial(self._begin, call))
        else:
            self._begin(call)

    def log_refusal(self, call: OrderCall, refusal: Rejection) -> None:
        """Record the refusal of a request that is not carried out."""
        self._log(call, Outcome(refusal=refusal), None)

    def _log(self, call: OrderCall, outcome: Outcome, number: int | None) -> None:
        ids, now_ns = call.order_ids, self._market_state.now_ns()
        answers = tuple(outcome.said_of(order_id) for order_id in ids)
        answer = SentAnswer(number, call.way, call.operation.name, call.user, ids, answers, now_ns)
        self._market_state.answers.add(answer)

    def _begin(self, call: OrderCall) -> None:
        """Carry out a request, and once more later if a fault repeats it."""
        call.begin()
        repetition = self._market_state.faults.take_repetition(call.path)
        self._carry_out(call, is_answered=repetition is None or repetition.answers_first)
        if repetition is None:
            return
        again = partial(self._carry_out, call, is_answered=not repetition.answers_first)
        if repetition.after:
            self._market_state.schedule.after(repetition.after, again)
        else:
            again()

    def _carry_out(self, call: OrderCall, *, is_answered: bool) -> None:
        """Carry out a request once; without ``is_answered`` its answer is sent to nobody."""
        failures: list[tuple[str, str]] = []
        with self._requests.effects.request(call.way) as number:
            try:
                outcome = Outcome(self._results(call, failures))
            except Rejection as rejection:
                outcome = Outcome(refusal=rejection)
        outcome = self._with_faults(call, outcome) if is_answered else Outcome(instead=Instead())
        self._log(call, outcome, number)
        if is_answered:
            call.reply(outcome)
        for order_id, reason in failures:
            self._report_failure(call, order_id, reason)

    def _with_faults(self, call: OrderCall, outcome: Outcome) -> Outcome:
        """Return the answer as it is sent."""
        faults = self._market_state.faults
        if call.operation.items is not None and outcome.refusal is None:
            outcome = attrs.evolve(outcome, results=tuple(faults.on_batch(call.path, outcome.results)))
        instead = faults.take_instead(call.path)
        if instead is None and call.way == "rest" and (answer := faults.take_replacement(call.path)) is not None:
            instead = Instead(answer)
        return attrs.evolve(outcome, instead=instead)

    def _results(
        self, call: OrderCall, failures: list[tuple[str, str]]
    ) -> tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]:
        """Carry out each request of a body; add the orders that fail later, and the reasons, to ``failures``."""
        operation = call.operation

        def act(user: str, body: Mapping[str, Any]) -> dict[str, Any]:
            reason = self._market_state.faults.take_later_refusal(call.path)
            if reason is None:
                return self._acts[operation.act](user, body)
            order_id = order_id_of(body)
            failures.append((order_id, reason))
            return {"order_id": order_id, "status": "Received", "processed_at_ns": self._market_state.now_ns()}

        if operation.items is None:
            return ((call.body, act(call.user, call.body)),)
        answers = self._requests.batch(call.user, call.body, operation.items, act)
        return tuple(zip(as_list(call.body.get(operation.items)), answers, strict=True))

    def _report_failure(self, call: OrderCall, order_id: str, reason: str) -> None:
        fields = {"order_id": order_id, "user_id": call.user, "reason": reason}
        event = {f"{call.operation.act.capitalize()}Failed": fields}
        self._market_state.send_json("/orders", event, user=call.user)
