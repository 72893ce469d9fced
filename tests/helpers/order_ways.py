"""Requests about orders on both ways, over a network in memory, without the client under test."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs
import h11
import trio
import trio_websocket

from tests.helpers.exchange_users import ALICE
from tests.helpers.raw_client import Http, open_feed, open_http, sign_in
from tplus_trio.testing import Exchange, MemoryNetwork

__all__ = ["Way", "Wire", "open_wire"]

Way = Literal["rest", "control"]
OPERATIONS: Mapping[str, tuple[str, str, str]] = {
    "create": ("POST", "/orders/create", "CreateOrderRequest"),
    "cancel": ("DELETE", "/orders/cancel", "CancelOrderRequest"),
    "replace": ("PATCH", "/orders/replace", "ReplaceOrderRequest"),
    "amend": ("PATCH", "/orders/amend", "AmendOrderRequest"),
    "batch_create": ("POST", "/orders/batch-create", "BatchCreateRequest"),
    "batch_replace": ("PATCH", "/orders/batch-replace", "BatchReplaceRequest"),
}


@attrs.define(eq=False)
class Wire:
    """A signed-in user's connection, on one of the ways."""

    way: Way
    exchange: Exchange
    network: MemoryNetwork
    headers: dict[str, str]
    http: Http | None = None
    socket: trio_websocket.WebSocketConnection | None = None
    sent: int = 0

    @property
    def path(self) -> str:
        """The prefix under which faults find the requests of this way."""
        return "/orders" if self.way == "rest" else "/control"

    async def frame(self, seconds: float = 5.0) -> Any:
        """The next frame of the control channel as JSON: its text if it is none, None if none comes in time."""
        assert self.socket is not None
        with trio.move_on_after(seconds):
            text = await self.socket.get_message()
            try:
                return json.loads(text)
            except ValueError:
                return text
        return None

    async def send(self, operation: str, body: object) -> None:
        """Send a request on the control channel; its id counts up from r1."""
        assert self.socket is not None
        self.sent += 1
        message = {"request_id": f"r{self.sent}", "data": {OPERATIONS[operation][2]: body}}
        await self.socket.send_message(json.dumps(message))

    async def ask(self, operation: str, body: object, *, seconds: float = 5.0) -> str | None:
        """Send a request and return what the answer says: a status, a code, ``garbage``; or ``closed``, or None."""
        with trio.move_on_after(seconds):
            try:
                ask = self._ask_control if self.http is None else self._ask_rest
                return await ask(operation, body)
            except (h11.RemoteProtocolError, trio.BrokenResourceError, trio_websocket.ConnectionClosed):
                return "closed"
        return None

    async def _ask_rest(self, operation: str, body: object) -> str:
        assert self.http is not None
        method, path, _ = OPERATIONS[operation]
        answer = await self.http.request(method, path, body, list(self.headers.items()))
        try:
            found = answer.json()
        except ValueError:
            return "garbage"
        return str(found["error"]["code"] if "error" in found else found.get("reason") or found["status"])

    async def _ask_control(self, operation: str, body: object) -> str:
        await self.send(operation, body)
        assert self.socket is not None
        while True:
            text = await self.socket.get_message()
            try:
                found = json.loads(text)
            except ValueError:
                return "garbage"
            if found.get("type") == "ack":
                continue
            if "error" in found:
                return str(found["error"]["code"])
            (content,) = found["data"].values()
            return str(content["response"].get("reason") or content["response"]["status"])


@asynccontextmanager
async def open_wire(way: Way, exchange: Exchange | None = None) -> AsyncGenerator[Wire]:
    """An exchange with one market, a network in memory, and ALICE's connection."""
    if exchange is None:
        exchange = Exchange()
        exchange.add_market(200)
    async with MemoryNetwork(exchange) as network:
        headers = sign_in(exchange, ALICE)
        if way == "rest":
            yield Wire(way, exchange, network, headers, http=await open_http(network))
        else:
            async with open_feed(network, "/control", headers) as socket:
                yield Wire(way, exchange, network, headers, socket=socket)
    assert exchange.crashes == []
