"""The embedded exchange listens on loopback. Whatever is sent there, the next client is served."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.raw_client import open_http
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.testing.wire_frames import CLOSE, PING, TEXT, frame

_UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
_OPEN = _UPGRADE % (b"/trades", _KEY)

GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "zeros": bytes(100_000),
    "half a head": b"GET / HTTP/1.1\r\nHost",
    "no end of a head": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
    "a target of bytes": b"GET /\xff\xfe\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "quoted bytes": b"GET /market/%ff%00%0d%0a?%ff=%zz&page=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a whole URL": b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "brackets": b"GET //[/market/200 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "pages of pages": b"GET /trades?page=%s&limit=-1 HTTP/1.1\r\nHost: x\r\n\r\n" % (b"9" * 5000),
    "two lengths": b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "half a body": b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    "chunks": b"POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "deep JSON": b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    "long numbers": b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n" + b"9" * 10_000,
    "a token of bytes": b"GET /trades HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\nUser-Id: \xe9\r\n\r\n",
    "no key": _UPGRADE % (b"/trades", b"\xff"),
    "a key of nothing": _UPGRADE % (b"/trades", b""),
    "a feed of bytes": _UPGRADE % (b"/marketdepth/diff/%ff", _KEY),
    "no upgrade": b"GET /trades HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    "an upgrade with a body": _OPEN.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"),
    "a posted upgrade": _OPEN.replace(b"GET", b"POST"),
    "an upgrade of 1.0": _OPEN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an upgrade without a connection": _OPEN.replace(b"Connection: Upgrade\r\n", b""),
    "unmasked": _OPEN + frame(TEXT, b"hello"),
    "all flags": _OPEN + b"\xff\xff" + bytes(100),
    "a long ping": _OPEN + b"\x89\xfe\x01\x00" + bytes(300),
    "an endless frame": _OPEN + b"\x81\xff" + b"\x7f" * 8 + bytes(1000),
    "a close of one byte": _OPEN + b"\x88\x81" + bytes(5),
    "no text": _OPEN + b"\x81\x82" + bytes(4) + b"\xff\xff",
    "pings": _OPEN + b"\x89\x80" + bytes(4) + frame(PING, b"") + frame(CLOSE, b"\x00\x00"),
}


@pytest.mark.parametrize("ends", [True, False], ids=["closes", "stays"])
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_costs_its_connection_only(garbage: str, ends: bool, autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    async with MemoryNetwork(exchange) as network:
        stream = await network.connect("exchange", 80)
        with suppress(trio.BrokenResourceError), trio.move_on_after(30):
            await stream.send_all(GARBAGE[garbage])
            if ends:
                await stream.aclose()
            else:
                while await stream.receive_some():
                    pass
        exchange.publish_trade(200, 1, 1)
        with trio.fail_after(1):
            assert (await (await open_http(network)).request("GET", "/markets")).status == 200
        await trio.aclose_forcefully(stream)
        with trio.fail_after(30):
            while exchange.connections:  # noqa: ASYNC110 - a count has no event
                await trio.sleep(1)
    assert exchange.crashes == []


async def test_random_bytes(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    rng = random.Random(1)
    beginnings = (b"", _OPEN, b"GET /trades HTTP/1.1\r\nHost: x\r\n", b"POST /auth HTTP/1.1\r\nHost: x\r\n\r\n")
    async with MemoryNetwork(exchange) as network:
        for _ in range(100):
            stream = await network.connect("exchange", 80)
            with suppress(trio.BrokenResourceError):
                await stream.send_all(rng.choice(beginnings) + rng.randbytes(rng.randrange(300)))
                exchange.publish_trade(200, 1, 1)
                with trio.move_on_after(0.1):
                    await stream.receive_some()
            await trio.aclose_forcefully(stream)
        with trio.fail_after(1):
            assert (await (await open_http(network)).request("GET", "/markets")).status == 200
    assert exchange.crashes == []
