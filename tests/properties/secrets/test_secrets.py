"""No key, token, password or signature is in a log, a repr or an error, whatever a server sends."""

from __future__ import annotations

import gc
import logging
import re
import traceback
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tplus_trio import LocalUser, MarketDataClient, OrderBookClient, TplusError, User
from tplus_trio.testing import Exchange, MemoryNetwork, Request, Response, Subscription
from tplus_trio.testing.exchange.http_messages import Rejection

URL = "http://exchange"


class Nosy(Exchange):
    """An exchange that knows all secrets that it received, and repeats them if a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()
        self.tokens: list[str] = []
        self.chatty_on = "nowhere"

    def handle(self, request: Request) -> Response:
        self._learn(request)
        response = super().handle(request)
        self.tokens += re.findall(r'"token":"([^"]+)"', response.body.decode())
        self.secrets |= set(self.tokens)
        if self.chatty_on in request.target:
            echo = f"{request.headers} {request.body.decode()}".encode()
            return Response(418, echo, (("content-type", "text/plain"),))
        return response

    def subscribe(self, path: str, headers: dict[str, str] | None = None) -> Subscription:  # type: ignore[override]  # narrower than declared
        if self.chatty_on in path:
            raise Rejection(Response(418, f"{headers}".encode()))
        return super().subscribe(path, headers)

    def _learn(self, request: Request) -> None:
        if token := request.headers.get("authorization", "").removeprefix("Bearer "):
            self.secrets.add(token)
        for signature in re.findall(rb'"signature":(\[[\d,]+\])', request.body):
            self.secrets |= {signature.decode(), signature.decode().replace(",", ", "), signature.decode()[20:60]}


async def shown(call: Callable[[], Awaitable[object]]) -> str:
    """Return everything that an error shows, if there is one."""
    try:
        await call()
    except TplusError as exc:
        return "".join(traceback.format_exception(exc)) + repr(exc) + repr(exc.args) + repr(vars(exc))
    return ""


@pytest.mark.parametrize("chatty_on", ["nowhere", "/auth", "/orders/create", "/orders/cancel", "/orders", "/trades"])
async def test_nothing_secret_comes_out(
    chatty_on: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    key = bytes(range(1, 33))
    user = User(key)
    exchange = Nosy()
    exchange.add_market(200)
    caplog.set_level(logging.DEBUG)
    for name in ("tplus_trio", "httpx", "httpcore", "trio-websocket", "wsproto", "h11"):
        caplog.set_level(logging.DEBUG, name)
    out: list[str] = []
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=user, connector=network) as oms,
        MarketDataClient(URL, default_user=user, connector=network) as md,
    ):
        await md.get_trades()
        await oms.get_user_orders()
        exchange.chatty_on = chatty_on
        exchange.faults.expire_tokens()
        out.append(await shown(lambda: oms.create_limit_order(5, 1000, "Buy", asset_id=200, order_id="x")))
        out.append(await shown(lambda: oms.cancel_order("x", 200)))
        out.append(await shown(oms.get_user_orders))
        out.append(await shown(md.get_trades))
        for stream in (oms.stream_orders(restart=None), md.stream_finalized_trades(restart=None)):
            async with stream:
                out.append(await shown(stream.wait_live))
                out.append(repr(stream))
        out += [repr(vars(oms)), repr(oms), repr(md), repr(user), repr(oms._service._sessions)]
        for session in oms._service._sessions.values():
            out.append(repr(vars(session)))
    assert len(exchange.secrets) > 6
    if chatty_on != "nowhere":
        assert any("418" in text for text in [*out, caplog.text])  # the server did send something
    everything = "\n".join([*out, caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    for secret in (*exchange.secrets, key.hex(), repr(key), repr(list(key))):
        assert secret not in everything


async def test_a_close_frame_may_say_what_it_likes(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tplus_trio")  # trio-websocket's own log at DEBUG quotes a close frame completely
    exchange = Nosy()
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=User(), connector=network) as oms,
        oms.stream_orders(restart=None) as stream,
    ):
        await stream.wait_live()
        token = exchange.tokens[-1]
        exchange.faults.close_streams(code=4001, reason=f"expired: {token}")
        out = await shown(stream.receive)
    assert "4001" in out
    assert token not in out + caplog.text


async def test_a_stored_key_is_decrypted_in_a_thread(autojump_clock: MockClock) -> None:
    key = User()
    threads: list[bool] = []

    def unlock() -> bytes:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            threads.append(True)
        return bytes(range(1, 33))

    user = LocalUser(User(bytes(range(1, 33))).public_key, unlock)
    async with MemoryNetwork() as network, OrderBookClient(URL, default_user=user, connector=network) as oms:
        assert user.locked
        await oms.get_user_orders()
        assert not user.locked
        await oms.get_user_orders(key)
    assert threads == [True]


async def test_the_error_for_a_key_that_cannot_be_decrypted_is_plain(autojump_clock: MockClock) -> None:
    def unlock() -> bytes:
        raise ValueError("no password")

    user = LocalUser(User().public_key, unlock)
    async with MemoryNetwork() as network:
        async with OrderBookClient(URL, default_user=user, connector=network) as oms:
            with pytest.raises(ValueError, match="no password"):
                await oms.get_user_orders()
        async with MarketDataClient(URL, default_user=user, connector=network) as md:
            assert await md.get_trades() == []


class Held:
    """Something that a frame refers to."""


async def test_a_failed_sign_in_keeps_nothing_of_its_caller(autojump_clock: MockClock) -> None:
    """An error holds the frames that it went through, so a session must not hold the error forever."""
    gone: list[weakref.ref[Held]] = []

    async def caller() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        await oms.get_user_orders()

    async with MemoryNetwork() as network:
        network.exchange.faults.fail_requests("/auth", 500)
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            with suppress(TplusError):
                await caller()
            gc.collect()
            assert gone[0]() is None
