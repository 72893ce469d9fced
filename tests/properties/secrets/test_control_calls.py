"""Every call about orders over a control channel that repeats all that it was sent: nothing secret is told."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from trio.testing import MockClock

from tests.helpers.recording_observer import RecordingObserver
from tests.helpers.secrets_audit import KEY
from tests.helpers.secrets_search import assert_no_secret, told_by_records
from tests.helpers.world import ASSET, URL
from tests.properties.secrets.test_audit import Audit, drive_orders
from tplus_trio import OrderBookClient, User
from tplus_trio.testing import Exchange, MemoryNetwork, Subscription

#: The kind of answer to each kind of request.
KINDS: Final = {
    "CreateOrderRequest": "CreateOrderResponse",
    "CancelOrderRequest": "CancelOrderResponse",
    "ReplaceOrderRequest": "ReplaceOrderResponse",
    "AmendOrderRequest": "AmendOrderResponse",
    "BatchCreateRequest": "CreateOrderResponse",
    "BatchReplaceRequest": "ReplaceOrderResponse",
}


class Nosy(Exchange):
    """An exchange that repeats the token and each request of a control channel in its answer."""

    def __init__(self, answer: Callable[[str, str, str], list[object]]) -> None:
        super().__init__()
        self.answer = answer
        self.kinds: set[str] = set()
        self.tokens: set[str] = set()
        self.signatures: set[bytes] = set()

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        subscription = super().subscribe(path, headers)
        if path == "/control":
            token = (headers or {})["authorization"].removeprefix("Bearer ")
            self.tokens.add(token)
            subscription.on_message = lambda message: self._repeat(subscription, token, message)
        return subscription

    def _repeat(self, subscription: Subscription, token: str, message: str | bytes) -> None:
        request: Any = json.loads(message)
        ((kind, body),) = request["data"].items()
        self.kinds.add(kind)
        text = json.dumps(body)
        found = [json.loads(each) for each in re.findall(r'"signature": (\[[\d, ]+\])', text)]
        self.signatures |= {bytes(each) for each in found}
        shown = [str(each) for each in found] + [bytes(each).hex() for each in found]
        echo = " ".join([token, text, *shown])
        for frame in self.answer(request["request_id"], echo, kind):
            subscription.push((frame if isinstance(frame, str) else json.dumps(frame)).encode())


def error(request_id: str, echo: str, _: str) -> list[object]:
    return [{"request_id": request_id, "error": {"code": "INVALID_ORDER", "message": echo, "details": {echo: [echo]}}}]


def refusal(request_id: str, echo: str, kind: str) -> list[object]:
    """Refuse each of the orders."""
    names = re.findall(r'"order_id": "([^"]*)"', echo)
    responses = [{"order_id": order_id, "status": "Rejected", "reason": echo} for order_id in names]
    return [
        {"request_id": request_id, "data": {KINDS[kind]: {"response": response, "asset_id": str(ASSET)}}}
        for response in responses
    ]


def garbage(request_id: str, echo: str, _: str) -> list[object]:
    return [f'{{"request_id":"{request_id}","data":{echo}', {"request_id": request_id, "data": {echo: echo}}]


ANSWERS: Final = {"error": error, "refusal": refusal, "garbage": garbage}


@pytest.mark.parametrize("name", ANSWERS)
async def test_no_call_tells_a_secret(name: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tplus_trio")
    exchange, observer, audit = Nosy(ANSWERS[name]), RecordingObserver(), Audit()
    exchange.add_market(ASSET)
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(
            URL,
            default_user=User(KEY),
            connector=network,
            use_ws_control=True,
            observer=observer,
            timeout=3.0,
            now_ns=exchange.now_ns,
        ) as oms,
    ):
        await audit.of(lambda: oms.create_limit_order(5, 1000, "Buy", asset_id=ASSET, order_id="x"))
        await audit.of(lambda: oms.cancel_order("x", ASSET))
        await drive_orders(audit, oms)
        sender = oms._fates.operations._sender
        audit.told |= {repr(oms), repr(vars(oms)), repr(sender), repr(vars(sender)), repr(oms.statistics())}
    assert exchange.kinds == set(KINDS)
    assert len(exchange.signatures) > 5
    assert len(audit.errors) > 4
    audit.told |= {repr(call) for call in observer.calls} | set(told_by_records(caplog.records))
    assert_no_secret(audit.told, KEY, *exchange.tokens, *exchange.signatures)
