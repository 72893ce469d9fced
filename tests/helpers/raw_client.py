"""A client of h11 and trio-websocket alone, to test the embedded exchange."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import attrs
import h11
import trio
import trio_websocket

from tplus_trio.testing import Exchange, Rejection, Request, Response
from tplus_trio.testing.wire_frames import WireBytes
from tplus_trio.users import User

SECOND = 1_000_000_000


class Clock:
    """A clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now_ns = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now_ns

    def pass_(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


class CanConnect(Protocol):
    async def connect(self, host: str, port: int) -> trio.abc.Stream: ...


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """One HTTP connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def request(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        head = h11.Request(
            method=method,
            target=target,
            headers=[("host", "exchange"), ("content-length", str(len(content))), *headers],
        )
        parts = [self._http.send(event) for event in (head, h11.Data(data=content), h11.EndOfMessage())]
        await self.stream.send_all(b"".join([part for part in parts if part]))
        status, answer_headers, answer = 0, dict[str, str](), bytearray()
        while True:
            received = self._http.next_event()
            if received is h11.NEED_DATA:
                self._http.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(received, h11.Response):
                status = received.status_code
                answer_headers = {name.decode(): value.decode() for name, value in received.headers}
            elif isinstance(received, h11.Data):
                answer += received.data
            elif isinstance(received, h11.EndOfMessage):
                return Answer(status, answer_headers, bytes(answer))
            else:
                raise AssertionError(received)


async def open_http(network: CanConnect) -> Http:
    return Http(await network.connect("exchange", 80))


@asynccontextmanager
async def open_feed(
    network: CanConnect, path: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """Open a WebSocket, and close it and cancel its tasks at the end."""
    headers = dict(headers or {})
    protocol = headers.pop("sec-websocket-protocol", None)
    stream = await network.connect("exchange", 80)
    async with trio.open_nursery() as nursery:
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        with trio.fail_after(60):
            connection = await trio_websocket.wrap_client_stream(
                nursery,
                cast("trio.SocketStream", stream),  # any stream is accepted, whatever the annotation says
                "exchange",
                path,
                subprotocols=[protocol] if protocol else None,
                extra_headers=extra,
            )
        try:
            yield connection
        finally:
            with trio.move_on_after(1, shield=True):
                await connection.aclose()
            nursery.cancel_scope.cancel()


def call(
    exchange: Exchange,
    method: str,
    target: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Make a REST request without a network; return the status and the decoded body."""
    content = b"" if body is None else json.dumps(body).encode()
    response = exchange.handle(Request(method, target, dict(headers or {}), content))
    return response.status, json.loads(response.body)


def sign_in(exchange: Exchange, user: User) -> dict[str, str]:
    """Sign a user in, and return the headers."""
    _, nonce = call(exchange, "GET", f"/nonce/{user.public_key}")
    signature = list(user.sign(nonce["value"]))
    body = {"user_id": user.public_key, "nonce": nonce["value"], "signature": signature}
    status, token = call(exchange, "POST", "/auth", body)
    assert status == 200
    return {"authorization": f"Bearer {token['token']}", "user-id": user.public_key}


def refused(exchange: Exchange, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a refused handshake."""
    try:
        exchange.subscribe(path, headers)
    except Rejection as rejection:
        return rejection.response
    raise AssertionError("the handshake was accepted")


def messages(taken: Iterable[bytes]) -> list[Any]:
    """Return the waiting messages of a subscription, decoded."""
    assert not isinstance(taken, WireBytes)
    return [json.loads(message) for message in taken]
