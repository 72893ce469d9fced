"""REST: the endpoints that place, change and cancel orders."""

from __future__ import annotations

import json
from typing import Final

import attrs

from tplus_trio.testing.exchange.endpoints.order_gate import OPERATIONS, OrderCall, OrderGate, OrderOperation, Outcome
from tplus_trio.testing.exchange.endpoints.rest import Call, Handler
from tplus_trio.testing.exchange.faults.message_faults import GARBAGE
from tplus_trio.testing.exchange.http_messages import (
    LateResponse,
    Rejection,
    Request,
    Response,
    as_object,
    json_response,
)

__all__ = ["log_refusal", "order_entry_routes"]

_OPERATIONS: Final = {(operation.method, operation.path): operation for operation in OPERATIONS}


def order_entry_routes(gate: OrderGate) -> list[tuple[str, str, Handler]]:
    """Return the routes of requests about orders."""

    def handler(operation: OrderOperation) -> Handler:
        def handle(call: Call) -> Response:
            late = LateResponse()
            user, body = call.signed_in, call.body()

            def reply(outcome: Outcome) -> None:
                late.set(attrs.evolve(_response(operation, outcome), may_be_replaced=False))

            gate.submit(OrderCall("rest", operation, user, body, operation.path, reply))
            return Response(0, later=late) if late.response is None else late.response

        return handle

    return [(operation.method, operation.path, handler(operation)) for operation in OPERATIONS]


def log_refusal(gate: OrderGate, request: Request, path: str, refusal: Rejection) -> None:
    """Record the refusal of a request about orders that did not reach the gate."""
    operation = _OPERATIONS.get((request.method, path))
    if operation is not None:
        try:
            body = as_object(json.loads(request.body))
        except (ValueError, RecursionError):
            body = {}
        user = request.headers.get("user-id", "")
        gate.log_refusal(OrderCall("rest", operation, user, body, path, lambda _: None), refusal)


def _response(operation: OrderOperation, outcome: Outcome) -> Response:
    instead = outcome.instead
    if instead is not None:
        if instead.refusal is not None:
            return attrs.evolve(instead.refusal, drops=instead.drops)
        if instead.is_garbage:
            return Response(200, GARBAGE.encode(), drops=instead.drops)
        return Response(0, is_sent=False, drops=instead.drops)
    if outcome.refusal is not None:
        return outcome.refusal.response
    answers = [answer for _, answer in outcome.results]
    return json_response(answers[0] if operation.items is None else {"results": answers})
