"""The official client over an exchange in the same process: its code is unmodified, only the network is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, Self, cast
from unittest import mock
from urllib.parse import urlsplit

import httpx
from tplus.client import OrderBookClient
from tplus.utils.user import User

from tplus_trio.testing import Exchange, Request, Subscription

__all__ = ["network_of", "open_official_client"]

_URL: Final = "http://exchange"


class _Transport(httpx.AsyncBaseTransport):
    """Answers REST requests from an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        target = request.url.raw_path.decode()
        answer = self._exchange.handle(Request(request.method, target, headers, await request.aread()))
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


class _WebSocket:
    """A WebSocket to an exchange: what the official client uses of one."""

    closed = False

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._ready = asyncio.Event()
        subscription.on_ready = self._ready.set

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, message: str) -> None:
        assert self._subscription.on_message is not None
        self._subscription.on_message(message)

    async def __aiter__(self) -> AsyncIterator[str]:
        while not self.closed:
            for message in self._subscription.take():
                yield message.decode()
            await self._ready.wait()
            self._ready.clear()

    async def close(self) -> None:
        self.closed = True
        self._subscription.close()


@contextmanager
def network_of(exchange: Exchange, now_ns: Callable[[], int]) -> Generator[None]:
    """Let the official client's WebSockets lead to an exchange, and let its clock be ``now_ns``."""

    def connect(url: str, **options: Any) -> _WebSocket:
        headers: dict[str, str] = options.get("additional_headers") or options.get("extra_headers") or {}
        told = {name.lower(): value for name, value in headers.items()}
        told["sec-websocket-protocol"] = ", ".join(options.get("subprotocols") or ())
        return _WebSocket(exchange.subscribe(urlsplit(url).path, told))

    with mock.patch("tplus.client.base.websockets.connect", connect), mock.patch("time.time_ns", now_ns):
        yield


def open_official_client(exchange: Exchange, key: bytes, *, use_ws_control: bool) -> OrderBookClient:
    """Return a client of a user. `aclose` closes it."""
    http = httpx.AsyncClient(base_url=_URL, transport=_Transport(exchange))
    made: Any = OrderBookClient(_URL, default_user=User(key), client=http, use_ws_control=use_ws_control)
    return cast("OrderBookClient", made)
