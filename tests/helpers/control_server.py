"""A service whose control channel a test scripts frame by frame, and clients and requests for it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import trio
import wsproto.events as ws
from wsproto.connection import Connection, ConnectionType
from wsproto.utilities import LocalProtocolError, generate_accept_token

from tests.helpers.peers import answer, read_head
from tests.helpers.world import ASSET, URL
from tplus_trio import AssetIdentifier, OrderBookClient, User
from tplus_trio.orders.control_sender import ControlSender
from tplus_trio.orders.sending import Delivery, Operation, OrderAnswers, OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes
from tplus_trio.testing import MemoryNetwork

__all__ = [
    "Call",
    "ControlPeer",
    "ControlServer",
    "Seen",
    "World",
    "open_control",
    "order_request",
    "result",
    "sender_of",
    "told",
]


@attrs.frozen
class Seen:
    """A request that the server received."""

    request_id: str
    kind: str
    body: Any


class ControlPeer:
    """The server's end of one control channel."""

    def __init__(self, stream: trio.abc.Stream, token: str) -> None:
        self.token = token
        self.closed_with: int | None = None
        self.seen: list[Seen] = []
        self.stream = stream
        self._arrived, self._requests = trio.open_memory_channel[Seen](10_000)
        self._protocol = Connection(ConnectionType.SERVER)

    async def next(self) -> Seen:
        """The next request."""
        return await self._requests.receive()

    async def take(self, count: int) -> list[Seen]:
        """The next requests, by their orders: tasks that start together send in any order."""
        return sorted([await self.next() for _ in range(count)], key=lambda seen: str(seen.body))

    async def send(self, *frames: object) -> None:
        """Send frames: text as it is, other objects as JSON."""
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            await self.stream.send_all(self._protocol.send(ws.Message(text)))

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close frame."""
        await self.stream.send_all(self._protocol.send(ws.CloseConnection(code, reason)))

    async def serve(self) -> None:
        """Keep requests, and answer pings and the close frame, until the client is gone."""
        text = ""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.stream.receive_some():
                self._protocol.receive_data(bytes(data))
                for event in self._protocol.events():
                    if isinstance(event, ws.TextMessage):
                        text += event.data
                        if event.message_finished:
                            self._keep(text)
                            text = ""
                    elif isinstance(event, ws.Ping | ws.CloseConnection):
                        if isinstance(event, ws.CloseConnection):
                            self.closed_with = event.code
                        with suppress(LocalProtocolError):
                            await self.stream.send_all(self._protocol.send(event.response()))

    def _keep(self, text: str) -> None:
        frame = json.loads(text)
        ((kind, body),) = frame["data"].items()
        self.seen.append(Seen(frame["request_id"], kind, body))
        self._arrived.send_nowait(self.seen[-1])


class ControlServer:
    """Signs users in, and opens control channels."""

    def __init__(self, *, named: bool = True, token: str = "token-number-") -> None:
        #: Whether it speaks the subprotocol.
        self.named = named
        #: What each token begins with.
        self.token = token
        #: Answers to the next handshakes that are refused.
        self.refusals: list[bytes] = []
        self.peers: list[ControlPeer] = []
        self.heads: list[bytes] = []
        self.sign_ins = 0
        self._came = trio.Event()

    async def peer(self, number: int = 0) -> ControlPeer:
        """The n-th channel."""
        while len(self.peers) <= number:
            await self._came.wait()
        return self.peers[number]

    async def __call__(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while head := await read_head(stream):
                if b"upgrade: websocket" in head.lower():
                    if not await self._upgrade(stream, head):
                        return
                elif b"GET /nonce/" in head:
                    await stream.send_all(answer(200, b'{"value":"1"}'))
                else:
                    self.sign_ins += 1
                    token = {"token": f"{self.token}{self.sign_ins}", "expiry_ns": 2**62}
                    await stream.send_all(answer(200, json.dumps(token).encode()))

    async def _upgrade(self, stream: trio.abc.Stream, head: bytes) -> bool:
        self.heads.append(head)
        if self.refusals:
            await stream.send_all(self.refusals.pop(0))
            return False
        key = re.search(rb"sec-websocket-key: (\S+)", head, re.IGNORECASE)
        token = re.search(rb"authorization: Bearer (\S+)", head, re.IGNORECASE)
        assert key is not None
        assert token is not None
        lines = [b"HTTP/1.1 101 x", b"Upgrade: websocket", b"Connection: Upgrade"]
        lines.append(b"Sec-WebSocket-Accept: " + generate_accept_token(key[1]))
        if self.named:
            lines.append(b"Sec-WebSocket-Protocol: tplus.ws.v1")
        await stream.send_all(b"\r\n".join([*lines, b"", b""]))
        peer = ControlPeer(stream, token[1].decode())
        self.peers.append(peer)
        came, self._came = self._came, trio.Event()
        came.set()
        await peer.serve()
        return False


@attrs.frozen
class World:
    server: ControlServer
    network: MemoryNetwork
    oms: OrderBookClient
    sender: ControlSender
    user: User
    nursery: trio.Nursery

    def start(self, request: OrderRequest) -> Call:
        """Send a request in a task of its own."""
        call = Call()
        self.nursery.start_soon(call.run, self.sender, request)
        return call


class Call:
    """A send in a task of its own."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self.answers: OrderAnswers | None = None
        self.failure: Exception | None = None
        self.sent_at: list[float] = []
        self.ended_at = 0.0

    async def run(self, sender: ControlSender, request: OrderRequest) -> None:
        with self.scope:
            try:
                self.answers = await sender.send(Delivery(request, lambda: self.sent_at.append(trio.current_time())))
            except Exception as exc:  # noqa: BLE001 - each is looked at
                self.failure = exc
        self.ended_at = trio.current_time()
        self.done.set()

    async def result(self) -> OrderAnswers:
        await self.done.wait()
        if self.failure is not None:
            raise self.failure
        assert self.answers is not None
        return self.answers


def sender_of(oms: OrderBookClient, *, max_in_flight: int = 512) -> ControlSender:
    """A sender over the control channel of a client."""
    return ControlSender(
        oms._service,
        oms._client_scope,
        limits=oms._service.limits,
        restart=oms._restart,
        draw=oms._jitter,
        max_in_flight=max_in_flight,
    )


@asynccontextmanager
async def open_control(
    server: ControlServer | None = None, *, max_in_flight: int = 512, **options: Any
) -> AsyncIterator[World]:
    """A server, and a sender of an entered client that has a user."""
    server = server or ControlServer()
    user = User()
    options = {"jitter": lambda: 1.0, **options}
    async with trio.open_nursery() as nursery, MemoryNetwork(handler=server) as network:
        async with OrderBookClient(URL, connector=network, default_user=user, **options) as oms:
            yield World(server, network, oms, sender_of(oms, max_in_flight=max_in_flight), user, nursery)
        nursery.cancel_scope.cancel()


def order_request(
    user: User, *order_ids: str, operation: Operation = "create", asset: AssetIdentifier = ASSET
) -> OrderRequest:
    """A request about these orders. Its body is none that an exchange would take."""
    body = SecretBytes(json.dumps({"orders": order_ids}).encode())
    return OrderRequest(operation, tuple(OrderTarget(asset, order_id) for order_id in order_ids), body, user)


def result(order_id: str, kind: str = "CreateOrderResponse", *, asset: object = "200", **fields: Any) -> dict[str, Any]:
    """The content of an answer about an order."""
    response = {"order_id": order_id, "status": "Received", **fields}
    return {kind: {"response": response, "asset_id": asset}}


def told(request_id: str, content: object) -> dict[str, Any]:
    """An answer in its envelope."""
    return {"request_id": request_id, "data": content}
