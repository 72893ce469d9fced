"""``doctor``: each thing that can be wrong is found, named, and told apart from the others; and it always ends."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
import trio
from trio.testing import MockClock

from tests.cli.doctor.examining import NAMES, OF_A_USER, PUBLIC, Result, examine, market
from tests.helpers.commands import finished
from tplus_trio import User
from tplus_trio.cli import main
from tplus_trio.testing import Exchange, Response, serve
from tplus_trio.testing.server.server import listen

# Nothing is wrong.


async def test_nothing_is_wrong() -> None:
    async with serve(market()) as url:
        result = await examine(url, user=User(), timeout=3)
    assert list(result.texts) == [*NAMES, *PUBLIC, *OF_A_USER]
    assert (result.status, result.wrong) == (0, [])
    assert {name for name in result.texts if result.verdict(name) != "ok"} == {"TLS", "feed intent"}
    assert result.text("feed intent") == "not for this user"
    assert "market data and orders" in result.text("REST")
    assert "quiet so far" in result.text("feed klines")


async def test_what_needs_a_user_is_skipped() -> None:
    async with serve(market()) as url:
        result = await examine(url)
    assert result.status == 0
    skipped = {name for name in result.texts if result.verdict(name) == "skip"}
    assert skipped == {"TLS", "sign-in", *OF_A_USER}
    assert "name a stored one with --user" in result.text("sign-in")


async def test_no_market_is_listed() -> None:
    async with serve(Exchange()) as url:
        result = await examine(url)
        assert result.status == 0
        assert result.text("feed depth") == "no market is listed; name one with --asset"
        result = await examine(url, asset=7)
    assert "feed depth" in result.wrong


# The name and the addresses.


class Resolver(trio.abc.HostnameResolver):
    """Resolves any name to these addresses; without any, it never answers."""

    def __init__(self, *addresses: tuple[str, int]) -> None:
        self.addresses = addresses

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        if not self.addresses:
            await trio.sleep_forever()
        if self.addresses[0][1] < 0:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in self.addresses]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise AssertionError


@contextmanager
def resolved(*addresses: tuple[str, int]) -> Iterator[None]:
    former = trio.socket.set_custom_hostname_resolver(Resolver(*addresses))
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(former)


async def test_a_name_that_is_unknown() -> None:
    with resolved(("", -1)):
        result = await examine("http://exchange.test")
    assert (result.status, result.wrong) == (1, ["name"])
    text = "exchange.test has no address: Name or service not known; check the spelling, and the DNS of this machine"
    assert result.text("name") == text
    assert {result.verdict(name) for name in result.texts} == {"WRONG", "skip"}
    assert list(result.texts) == [*NAMES, *PUBLIC, *OF_A_USER]


async def test_a_name_server_that_does_not_answer(autojump_clock: MockClock) -> None:
    with resolved():
        result = await examine("http://exchange.test")
    assert (result.status, result.wrong) == (1, ["name"])
    assert result.text("name").startswith("no result within 0.4 s")


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def test_an_address_where_nothing_listens() -> None:
    port = closed_port()
    result = await examine(f"http://127.0.0.1:{port}")
    assert (result.status, result.wrong) == (1, ["addresses"])
    assert f"127.0.0.1:{port} does not: Connection refused; nothing listens there" in result.text("addresses")


async def test_one_address_of_two() -> None:
    async with serve(market()) as url:
        port = int(url.rpartition(":")[2])
        with resolved(("127.0.0.1", closed_port()), ("127.0.0.1", port)):
            result = await examine(f"http://exchange.test:{port}")
    assert result.status == 0
    assert result.verdict("addresses") == "note"
    assert result.text("addresses").endswith("Connection refused; clients use the others")
    assert result.verdict("TLS") == "note"  # passwords and tokens in the clear


class SilentSocket:
    """A socket whose connection is never made."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    async def connect(self, address: object) -> None:
        await trio.sleep_forever()


async def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    monkeypatch.setattr(trio.socket, "socket", lambda *_: SilentSocket())
    with resolved(("192.0.2.1", 80)):
        result = await examine("http://exchange.test")
    assert result.wrong == ["addresses"]
    text = "192.0.2.1:80 does not: no answer within 0.4 s; nothing answers: check the address, and firewalls on the way"
    assert result.text("addresses") == text


# The service.


async def answered(handler: Callable[[trio.abc.Stream], Awaitable[object]]) -> Result:
    """Examine a peer that treats its connections in a way of its own."""
    async with listen(handler, "127.0.0.1", 0, ssl_context=None) as url:
        return await examine(url)


def answering(
    status: str, body: bytes, content_type: str = "text/html"
) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    async def handle(stream: trio.abc.Stream) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\nconnection: close"
        with suppress(trio.BrokenResourceError):  # the client may be gone
            await stream.receive_some()
            await stream.send_all(f"{head}\r\n\r\n".encode() + body)
        await stream.aclose()

    return handle


async def silent(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def hangs_up(stream: trio.abc.Stream) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.receive_some()
    await stream.aclose()


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (silent, "was not answered within 0.4 s"),
        (hangs_up, "check that the service runs"),
        (answering("404 Not Found", b"no"), "check the URL: the service may be at another port or under a prefix"),
        (answering("200 OK", b"<html>\x1b[2J hello"), "this is no T+ service"),
        (answering("503 Service Unavailable", b"down"), "the service fails: its operator has to look"),
        (answering("429 Too Many Requests", b"slow"), "too many requests: wait"),
        (answering("302 Found", b""), "another service may answer there"),
    ],
)
async def test_a_peer_that_is_no_service(handler: Callable[[trio.abc.Stream], Awaitable[None]], text: str) -> None:
    result = await answered(handler)
    assert (result.status, result.wrong) == (1, ["REST"])
    assert text in result.text("REST")
    assert "\x1b" not in result.text("REST")
    assert {result.verdict(feed) for feed in (*PUBLIC, *OF_A_USER)} == {"skip"}


@pytest.mark.parametrize(("seconds", "verdict"), [(0, "ok"), (10, "WRONG"), (-10, "WRONG")])
async def test_the_clock(seconds: int, verdict: str) -> None:
    exchange = Exchange(now_ns=lambda: time.time_ns() + seconds * 10**9)
    async with serve(exchange) as url:
        result = await examine(url)
    assert result.verdict("clock") == verdict
    assert result.wrong == (["clock"] if seconds else [])
    if seconds:
        assert f"{'ahead' if seconds > 0 else 'behind'}, ±" in result.text("clock")
        assert result.text("clock").endswith("; set the clock of this machine, with NTP")


async def test_answers_without_a_date() -> None:
    result = await answered(answering("200 OK", b"[]", "application/json"))
    assert result.texts["clock"] == ("skip", "no answer had a date")


async def test_websockets_that_are_not_passed_on() -> None:
    exchange = market()
    exchange.faults.answer_handshakes("", Response(400, b"no upgrades here"), 100)
    async with serve(exchange) as url:
        result = await examine(url)
    assert result.status == 1
    assert result.wrong == ["handshake", *PUBLIC]
    assert "check that a proxy before the service passes WebSockets on" in result.text("handshake")


async def test_a_sign_in_that_is_refused() -> None:
    exchange = market()
    exchange.faults.fail_requests("/auth", 401, 100)
    async with serve(exchange) as url:
        result = await examine(url, user=User())
    assert result.status == 1
    assert result.wrong == ["sign-in", *OF_A_USER]
    assert result.text("sign-in").endswith("check that the service knows this user, and the clock of this machine")


async def test_a_feed_that_is_refused() -> None:
    exchange = market()
    exchange.faults.reject_handshakes(100, 500, path="/klines")
    async with serve(exchange) as url:
        result = await examine(url)
    assert (result.status, result.wrong) == (1, ["feed klines"])


async def test_a_book_without_a_snapshot() -> None:
    exchange = market()
    exchange.faults.fail_requests("/marketdepth", 503, 100)
    async with serve(exchange) as url:
        result = await examine(url)
    assert (result.status, result.wrong) == (1, ["feed depth"])
    assert "the service fails" in result.text("feed depth")


async def test_a_service_of_orders_alone() -> None:
    exchange = market()
    exchange.faults.fail_requests("/tickers", 404, 100)
    async with serve(exchange) as url:
        result = await examine(url, user=User())
    assert (result.status, result.wrong) == (0, [])
    assert result.text("REST").endswith("market data are at another URL")
    assert result.verdict("feed orders") == "ok"
    assert result.text("feed depth") == "at another URL"


# The command.


def test_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "http://user:secret@127.0.0.1"]) == 1
    err = capfd.readouterr().err
    assert err == (
        "tplus-trio: URL: a base URL holds no user name or password; legal is http(s)://host[:port][/prefix]\n"
    )
    assert main(["doctor"]) == 2
    assert main(["doctor", "http://x", "--asset", "y"]) == 2
    assert main(["doctor", "http://x", "--timeout", "0"]) == 2
    assert main(["doctor", "http://x", "--user", "nobody at all"]) == 1
    assert "--user: " in capfd.readouterr().err
    assert main(["doctor", "--help"]) == 0
    assert "tplus-trio doctor http://localhost:8011" in capfd.readouterr().out


def test_a_process_of_its_own(tmp_path: Path) -> None:
    ended = finished("-m", "tplus_trio", "doctor", f"http://127.0.0.1:{closed_port()}")
    assert (ended.status, ended.err) == (1, "")
    assert re.match(r"WRONG  addresses +127.0.0.1:", ended.out.splitlines()[1])
