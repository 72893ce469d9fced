"""Answers to handshakes from real proxies: large heads, other protocols, pages, redirects."""

from __future__ import annotations

import pickle
import warnings

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.hostile import SWITCHING, accepted
from tests.helpers.peers import Handler, answer, answers, read_head, ticker
from tplus_trio import ConnectionFailed, HandshakeRejected, MarketDataClient, TplusError
from tplus_trio.secret import Redactor
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import text_frame
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.handshake_answer import is_foreign, readable, refusal
from tplus_trio.transport.websocket import WebSocketLimits
from tplus_trio.transport.websocket_opening import open_websocket

FILLER = tuple(b"x-%d: %s" % (n, b"v" * 900) for n in range(22))


async def failure_of(handler: Handler) -> TplusError:
    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient("http://exchange", connector=network, restart=None) as md,
    ):
        with pytest.raises(TplusError) as caught:
            await md.stream_tickers().receive()
        assert len(str(caught.value)) < 500
        assert "can't handle event type" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("cut", [50, 5000, 1 << 20])
async def test_a_head_of_20_kib_that_accepts(cut: int, fast: bool, autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        data = accepted(await read_head(stream), *FILLER) + text_frame(ticker(1))
        for at in range(0, len(data), cut):
            await stream.send_all(data[at : at + cut])
            await trio.sleep(0.001)
        while await stream.receive_some():
            pass

    async with (
        MemoryNetwork(handler=handler) as network,
        open_websocket(
            network, Endpoint.from_url("http://exchange"), "/", limits=WebSocketLimits(fast=fast)
        ) as websocket,
    ):
        (message,) = await websocket.receive()
        assert (message.encode() if isinstance(message, str) else message) == ticker(1)


@pytest.mark.parametrize("lines", [22, 100])
async def test_a_refusal_with_a_large_head_is_one(lines: int, autojump_clock: MockClock) -> None:
    """Also beyond 64 KiB: the status has arrived."""
    head = ["Retry-After: 7", *(f"x-{n}: {'v' * 900}" for n in range(lines))]
    error = await failure_of(answers(answer(503, b"later", *head)))
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.retry_after) == (503, 7.0)
    assert error.body in ({"later"} if lines == 22 else {"", "later"})


async def test_a_head_that_accepts_beyond_64_kib_is_named(autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await stream.send_all(accepted(await read_head(stream), *FILLER * 4))

    assert "head of the answer is longer than 65536 bytes" in str(await failure_of(handler))


SETTINGS = b"\0\0\x12\x04\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0\0\5\0\xff\xff\xff"
FOREIGN = {
    "HTTP/2": SETTINGS,
    "HTTP/2 again": b"\0\0\x08\x07\0\0\0\0\0" + bytes(8),
    "later version": b"HTTP/2 200\r\n\r\n",
    "TLS": b"\x15\x03\x03\0\2\2\x46",
    "SSH": b"SSH-2.0-OpenSSH_9\r\n",
    "a page": b"<html>hello</html>",
    "not HTTP/1.1": b"\xff\xfe garbage",
    "begins with 'OK'": b"OK",
}


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("kind", FOREIGN)
async def test_other_protocols_are_named(kind: str, ends: bool, autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(FOREIGN[kind])
        if not ends:
            await trio.sleep_forever()

    error = await failure_of(handler)
    assert isinstance(error, ConnectionFailed)
    assert kind.removesuffix(" again") in str(error)


def test_the_beginning_of_http_1_is_nothing_else() -> None:
    data = b"HTTP/1.1 101 Switching"
    assert not any(is_foreign(data[:size], ended=True) for size in range(len(data)))
    assert not is_foreign(b"\0")
    assert is_foreign(SETTINGS[:9])


@pytest.mark.parametrize(
    ("answered", "says"),
    [
        (SWITCHING + b"\r\n", "Missing header, 'Connection: Upgrade'"),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "accept"),
        (b"HTTP/1.1 101 X\r\nno colon here\r\n\r\n", "illegal header line"),
        (b"HTTP/1.1 abc\r\n\r\n", "illegal status line"),
    ],
)
async def test_the_error_for_a_broken_answer_names_the_fault(
    answered: bytes, says: str, autojump_clock: MockClock
) -> None:
    error = await failure_of(answers(answered))
    assert isinstance(error, ConnectionFailed)
    assert says in str(error)


NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center>\r\n"
PAGES = {
    "502 Bad Gateway": NGINX,
    "503 Service Unavailable No server is available": (
        b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available\n</body></html>\n"
    ),
    "example.com | 521: Web server is down": (
        b"<!DOCTYPE html>\n<!--[if lt IE 7]> <html class='ie6'> <![endif]-->\n" + b"<!-- x -->" * 40
        + b"<head><title>example.com | 521: Web server\n is down</title>"
    ),
    "a & b": b"<!doctype html><style>p { color: red }</style><script>alert(1)</script><p>a &amp; b</p>",
}  # fmt: skip


@pytest.mark.parametrize("line", PAGES)
async def test_a_page_is_one_line(line: str, autojump_clock: MockClock) -> None:
    error = await failure_of(answers(answer(503, PAGES[line])))
    assert isinstance(error, HandshakeRejected)
    assert str(error) == f"WebSocket handshake rejected with status 503: {line}"


def test_no_control_character_is_readable() -> None:
    assert readable("a\x1b[31m\r\nb\x85c\u202e") == r"a\x1b[31m b c\u202e"
    assert len(readable("\x1b" * 1000)) == 200


async def test_a_redirect_names_its_target(autojump_clock: MockClock) -> None:
    error = await failure_of(answers(answer(301, b"", "Location: https://elsewhere.example/" + "x" * 1000)))
    assert isinstance(error, HandshakeRejected)
    assert error.location.startswith("https://elsewhere.example/x")
    assert len(error.location) == 200
    assert error.location in str(error)
    assert pickle.loads(pickle.dumps(error)).location == error.location


async def test_a_date_is_measured_by_the_servers_clock(autojump_clock: MockClock) -> None:
    headers = ("Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:49:47 GMT")
    error = await failure_of(answers(answer(429, b"", *headers)))
    assert isinstance(error, HandshakeRejected)
    assert error.retry_after == 10.0


@pytest.mark.parametrize("strict", [True, False])
def test_the_callers_setting_of_strict_groups_makes_no_difference(strict: bool) -> None:
    async def main() -> TplusError:
        return await failure_of(answers(answer(403, b"no")))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"trio.run\(\.\.\., strict_exception_groups", trio.TrioDeprecationWarning)
        error = trio.run(main, strict_exception_groups=strict, clock=MockClock(autojump_threshold=0))
    assert isinstance(error, HandshakeRejected)
    assert error.status == 403


def test_a_secret_in_a_location_is_not_shown() -> None:
    redactor = Redactor({"authorization": "Bearer top-secret-token"})
    error = refusal(b"HTTP/1.1 302 X\r\nLocation: https://x/?t=top-secret-token\r\n\r\n", redactor)
    assert error is not None
    assert "top-secret-token" not in str(error)
