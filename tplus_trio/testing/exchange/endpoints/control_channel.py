"""The control channel: orders over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from tplus_trio.testing.exchange.endpoints.order_gate import OPERATIONS, OrderCall, OrderGate, OrderOperation, Outcome
from tplus_trio.testing.exchange.faults.message_faults import GARBAGE
from tplus_trio.testing.exchange.faults.order_faults import AckStyle
from tplus_trio.testing.exchange.feeds import ABNORMAL, Subscription
from tplus_trio.testing.exchange.http_messages import Rejection, Response, as_object, error_of
from tplus_trio.testing.exchange.market_state import MarketState, dumps

__all__ = ["SUBPROTOCOL", "ControlChannel"]

SUBPROTOCOL: Final = "tplus.ws.v1"
_PATH: Final = "/control"
_OPERATIONS: Final = {operation.variant: operation for operation in OPERATIONS}


class ControlChannel:
    """One user's control channel.

    A request is acknowledged, then carried out, then answered; a batch gets one answer for each order.

    Args:
        market_state: The exchange's faults and schedule.
        gate: Carries out the requests.
        subscription: The user's connection.
        user: The public key of the user who is signed in.
    """

    def __init__(self, market_state: MarketState, gate: OrderGate, subscription: Subscription, user: str) -> None:
        self._market_state = market_state
        self._gate = gate
        self._subscription = subscription
        self._user = user

    def receive(self, message: str | bytes) -> None:
        """Carry out a message of the user, and send its acknowledgement and answers.

        A message that comes after the end of the session is not carried out.
        """
        self._market_state.schedule.run_due()
        if self._subscription.closed:
            return
        try:
            request = json.loads(message)
        except (ValueError, RecursionError):
            request = None
        fields = as_object(request)
        request_id, data = fields.get("request_id"), as_object(fields.get("data"))
        if not isinstance(request_id, str) or len(data) != 1:
            self._send([_error(None, "INVALID_REQUEST", "not a control request")])
            return
        ((variant, content),) = data.items()
        operation = _OPERATIONS.get(variant)
        if operation is None:
            text = f"there is no request of the kind {variant[:40]!r}"
            self._send([_error(request_id, "INVALID_REQUEST", text)])
            return
        path = f"{_PATH}{operation.path}"
        faults = self._market_state.faults
        style = faults.take_ack_style(path)
        ack = _ACKS[style](request_id)
        call = OrderCall(
            "control",
            operation,
            self._user,
            as_object(content),
            path,
            partial(self._reply, request_id, operation, path, ack if style == "late" else []),
            partial(self._send, [] if style == "late" else ack),
        )
        try:
            faults.on_request(path)
        except Rejection as rejection:
            self._gate.log_refusal(call, rejection)
            self._send([{"request_id": request_id, "error": _error_fields(rejection.response)}])
            return
        self._gate.submit(call)

    def _reply(
        self, request_id: str, operation: OrderOperation, path: str, ack: list[dict[str, Any]], outcome: Outcome
    ) -> None:
        faults = self._market_state.faults
        frames: list[Mapping[str, Any] | str]
        instead = outcome.instead
        if instead is not None:
            frames = []
            if instead.refusal is not None:
                frames = [{"request_id": request_id, "error": _error_fields(instead.refusal)}]
            elif instead.is_garbage:
                frames = [GARBAGE]
        elif outcome.refusal is not None:
            frames = [{"request_id": request_id, "error": _error_fields(outcome.refusal.response)}]
        else:
            frames = [
                {
                    "request_id": request_id,
                    "data": {operation.response: {"response": answer, "asset_id": _asset_of(request)}},
                }
                for request, answer in outcome.results
            ]
        form = faults.take_answer_form(path)
        frames = [*[_in_form(frame, form) for frame in frames], *ack]
        drops = instead is not None and instead.drops
        delay = faults.take_delay(path)
        if delay:
            self._market_state.schedule.after(delay, partial(self._finish, frames, drops))
        else:
            self._finish(frames, drops)

    def _finish(self, frames: list[Mapping[str, Any] | str], drops: bool) -> None:
        self._send(frames)
        if drops:
            self._subscription.close(ABNORMAL)

    def _send(self, frames: list[Mapping[str, Any] | str] | list[dict[str, Any]]) -> None:
        for frame in frames:
            message = frame.encode() if isinstance(frame, str) else dumps(frame)
            self._subscription.push(self._market_state.faults.apply_faults(_PATH, message))


def _ack(request_id: str) -> list[dict[str, Any]]:
    return [{"type": "ack", "request_id": request_id}]


def _submitted(request_id: str) -> list[dict[str, Any]]:
    return [{"request_id": request_id, "data": {"request": {"status": "submitted"}}}]


#: The acknowledgements of a request, by the style that a fault requests.
_Ack: TypeAlias = Callable[[str], list[dict[str, Any]]]
_ACKS: Final[Mapping[AckStyle, _Ack]] = {
    "ack": _ack,
    "late": _ack,
    "submitted": _submitted,
    "none": lambda _: [],
}


def _in_form(frame: Mapping[str, Any] | str, form: str | None) -> Mapping[str, Any] | str:
    """Return an answer without its request id, or as the bare ``data`` of older servers, if a fault requests that."""
    if form is None or isinstance(frame, str):
        return frame
    if form == "bare" and "data" in frame:
        return as_object(frame["data"])
    return {name: value for name, value in frame.items() if name != "request_id"}


def _error(request_id: str | None, code: str, message: str) -> dict[str, Any]:
    return {"request_id": request_id, "error": {"code": code, "message": message}}


def _error_fields(refusal: Response) -> dict[str, Any]:
    """Return the error of a refusal; what REST says in the header ``Retry-After`` is a field here."""
    fields = error_of(refusal)
    retry_after = dict(refusal.headers).get("retry-after")
    return fields if retry_after is None else {**fields, "retry_after": float(retry_after)}


def _asset_of(request: Mapping[str, Any]) -> object:
    """Return the asset that a request names."""
    part = as_object(request.get("order") or request.get("request") or request.get("cancel"))
    return part.get("base_asset", part.get("asset_id"))
