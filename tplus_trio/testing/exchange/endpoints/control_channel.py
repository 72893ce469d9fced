"""The control channel: orders over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tplus_trio.testing.exchange.endpoints.rest_orders import OrderRequests
from tplus_trio.testing.exchange.http_messages import Rejection, as_list, as_object
from tplus_trio.testing.exchange.market_state import dumps

__all__ = ["SUBPROTOCOL", "ControlChannel"]

SUBPROTOCOL: Final = "tplus.ws.v1"

_Act: TypeAlias = Callable[[str, Mapping[str, Any]], dict[str, Any]]


class ControlChannel:
    """One user's control channel.

    A request is acknowledged, then carried out, then answered; a batch gets one answer for each order.

    Args:
        requests: Carries out the requests.
        user: The public key of the user who is signed in.
        send: Called with each message to the user.
    """

    def __init__(self, requests: OrderRequests, user: str, send: Callable[[bytes], object]) -> None:
        self._requests = requests
        self._user = user
        self._send = send
        self._single: dict[str, _Act] = {
            "CreateOrderRequest": requests.create,
            "CancelOrderRequest": requests.cancel,
            "ReplaceOrderRequest": requests.replace,
            "AmendOrderRequest": requests.amend,
        }
        self._batches: dict[str, tuple[str, str, _Act]] = {
            "BatchCreateRequest": ("orders", "CreateOrderResponse", requests.create),
            "BatchReplaceRequest": ("replaces", "ReplaceOrderResponse", requests.replace),
        }

    def receive(self, message: str | bytes) -> None:
        """Carry out a message of the user, and send its acknowledgement and answers."""
        with self._requests.effects.request("control"):
            self._carry_out(message)

    def _carry_out(self, message: str | bytes) -> None:
        try:
            request = json.loads(message)
        except (ValueError, RecursionError):
            request = None
        fields = as_object(request)
        request_id, data = fields.get("request_id"), as_object(fields.get("data"))
        if not isinstance(request_id, str) or len(data) != 1:
            self._fail(None, "INVALID_REQUEST", "not a control request")
            return
        ((variant, content),) = data.items()
        body = as_object(content)
        if variant not in self._single and variant not in self._batches:
            kind = variant[:40]
            self._fail(request_id, "INVALID_REQUEST", f"there is no request of the kind {kind!r}")
            return
        self._send(dumps({"type": "ack", "request_id": request_id}))
        try:
            if variant in self._single:
                answer = self._single[variant](self._user, body)
                self._answer(request_id, f"{variant.removesuffix('Request')}Response", answer, body)
            else:
                name, response, act = self._batches[variant]
                answers = self._requests.batch(self._user, body, name, act)
                for answer, item in zip(answers, as_list(body.get(name)), strict=True):
                    self._answer(request_id, response, answer, item)
        except Rejection as rejection:
            self._send(dumps({"request_id": request_id, "error": rejection.error}))

    def _answer(self, request_id: str, variant: str, answer: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        content = {"response": answer, "asset_id": _asset_of(request)}
        self._send(dumps({"request_id": request_id, "data": {variant: content}}))

    def _fail(self, request_id: str | None, code: str, message: str) -> None:
        self._send(dumps({"request_id": request_id, "error": {"code": code, "message": message}}))


def _asset_of(request: Mapping[str, Any]) -> object:
    """Return the asset that a request names."""
    part = as_object(request.get("order") or request.get("request") or request.get("cancel"))
    return part.get("base_asset", part.get("asset_id"))
