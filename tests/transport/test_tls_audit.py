"""TLS: the name in the handshake, in memory and over TCP, and connections that end without a protocol's end."""

from __future__ import annotations

import datetime as dt
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trustme
from trio.testing import MockClock

from tests.helpers.peers import Peer, answer, listening, read_head, ticker
from tplus_trio import CertificateRefused, ConnectionFailed, MarketDataClient, OrderBookClient, TplusError
from tplus_trio.testing import Exchange, MemoryNetwork, serve_stream
from tplus_trio.transport.tls import tls_context

CALLS = ("rest", "websocket")
Raw = Callable[[trio.abc.Stream], Awaitable[object]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = tls_context(True)
    authority.configure_trust(context)
    return context


def served_by(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def use(md: MarketDataClient, call: str) -> None:
    if call == "rest":
        await md.get_orderbook_snapshot(200)
    else:
        async with md.stream_tickers() as stream:
            await stream.receive()


@asynccontextmanager
async def reached(where: str, handler: Raw, host: str, **options: object) -> AsyncIterator[MarketDataClient]:
    """Make a client of a server, in memory or over TCP."""
    if where == "memory":
        async with (
            MemoryNetwork(handler=handler) as network,
            MarketDataClient(f"https://{host}", connector=network, **options) as md,  # type: ignore[arg-type]  # options of any kind
        ):
            yield md
        assert network.open_connections == 0
    else:
        async with (
            listening(handler) as port,  # type: ignore[arg-type]  # narrower than declared
            MarketDataClient(f"https://{host}:{port}", **options) as md,  # type: ignore[arg-type]  # options of any kind
        ):
            yield md


def exchange_behind(context: ssl.SSLContext) -> Raw:
    exchange = Exchange()
    exchange.add_market(200)

    async def handler(stream: trio.abc.Stream) -> None:
        await serve_stream(exchange, trio.SSLStream(stream, context, server_side=True, https_compatible=True))

    return handler


FLAWS: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "wrong host": lambda ca: ca.issue_cert("elsewhere.example"),
    "wrong address": lambda ca: ca.issue_cert("127.0.0.2"),
    "a name for an address": lambda ca: ca.issue_cert("localhost"),
    "only a common name": lambda ca: ca.issue_cert("x.example", common_name="127.0.0.1"),
    "expired": lambda ca: ca.issue_cert("127.0.0.1", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    "not valid yet": lambda ca: ca.issue_cert(
        "127.0.0.1",
        not_before=dt.datetime(2120, 1, 1, tzinfo=dt.UTC),
        not_after=dt.datetime(2121, 1, 1, tzinfo=dt.UTC),
    ),
    "unknown authority": lambda _: trustme.CA().issue_cert("127.0.0.1"),
}


@pytest.mark.parametrize("where", ["memory", "tcp"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("flaw", FLAWS)
async def test_what_a_certificate_can_be_refused_for(
    flaw: str, call: str, where: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    handler = exchange_behind(served_by(FLAWS[flaw](authority)))
    async with reached(where, handler, "127.0.0.1", verify=trusting) as md:  # restarts are on
        with trio.fail_after(5), pytest.raises(CertificateRefused, match=r"certificate of 127\.0\.0\.1"):
            await use(md, call)


@pytest.mark.parametrize("call", CALLS)
async def test_a_certificate_that_nobody_else_has_signed(call: str, trusting: ssl.SSLContext) -> None:
    """Self-signed in the strict sense: an authority's own certificate is the server's."""
    alone = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with alone.private_key_pem.tempfile() as key, alone.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    async with reached("memory", exchange_behind(context), "127.0.0.1", verify=trusting) as md:
        with trio.fail_after(5), pytest.raises(CertificateRefused, match=r"self-signed|self signed"):
            await use(md, call)


@pytest.mark.parametrize("where", ["memory", "tcp"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("host", "named"), [("localhost", "localhost"), ("127.0.0.1", None)])
async def test_a_server_is_asked_for_by_its_name(
    host: str, named: str | None, call: str, where: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """SNI holds a host name without a port. For an IP address it is not sent."""
    asked: list[str | None] = []
    context = served_by(authority.issue_cert("localhost", "127.0.0.1"))
    context.sni_callback = lambda _stream, name, _context: asked.append(name)
    async with reached(where, exchange_behind(context), host, verify=trusting, restart=None) as md:
        if call == "rest":
            await md.get_orderbook_snapshot(200)
        else:
            async with md.stream_tickers() as stream:
                await stream.wait_live()
    assert asked == [named]


@pytest.mark.parametrize("call", CALLS)
async def test_a_context_is_used_as_it_is(call: str, autojump_clock: MockClock) -> None:
    """For example one that checks no names: it is not made stricter, and no warning follows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    other = trustme.CA()
    other.configure_trust(context)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        handler = exchange_behind(served_by(other.issue_cert("elsewhere.example")))
        async with reached("memory", handler, "127.0.0.1", verify=context, restart=None) as md:
            await md.get_orderbook_snapshot(200)
            async with md.stream_tickers() as stream:
                await stream.wait_live()
    assert not context.check_hostname


async def test_each_client_that_does_not_verify_warns_once(autojump_clock: MockClock) -> None:
    handler = exchange_behind(served_by(trustme.CA().issue_cert("elsewhere.example")))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in (1, 2):
            async with reached("memory", handler, "127.0.0.1", verify=False) as md:
                for _ in range(2):
                    await md.get_orderbook_snapshot(200)
                    async with md.stream_tickers() as stream:
                        await stream.wait_live()
            assert [str(warning.message) for warning in caught] == [
                "TLS certificates are not verified (verify=False)"
            ] * n
        MarketDataClient("http://127.0.0.1", verify=False)
        OrderBookClient("https://127.0.0.1", verify=False)
        assert len(caught) == 3


async def _break_off(stream: trio.abc.Stream, context: ssl.SSLContext, after: int) -> None:
    """Send a number of bytes of the server's handshake, and no more."""

    class Cut(trio.abc.Stream):
        left = after

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            sent, self.left = bytes(data)[: self.left], self.left - len(data)
            await stream.send_all(sent)
            if self.left <= 0:
                await stream.aclose()
                raise trio.BrokenResourceError

        async def wait_send_all_might_not_block(self) -> None:
            await stream.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            return await stream.receive_some(max_bytes)

        async def aclose(self) -> None:
            await stream.aclose()

    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.SSLStream(Cut(), context, server_side=True).do_handshake()


@pytest.mark.parametrize("where", ["memory", "tcp"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("after", [0, 1, 100, 500])
async def test_a_handshake_that_breaks_off(
    after: int, call: str, where: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    handler = partial(_break_off, context=served_by(authority.issue_cert("127.0.0.1")), after=after)
    async with reached(where, handler, "127.0.0.1", verify=trusting, restart=None) as md:
        with trio.fail_after(5), pytest.raises(ConnectionFailed, match="TLS handshake with 127") as caught:
            await use(md, call)
        assert not isinstance(caught.value, CertificateRefused)


@pytest.mark.parametrize("call", CALLS)
async def test_a_handshake_without_an_answer_in_memory(
    call: str, trusting: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass

    async with reached("memory", handler, "127.0.0.1", verify=trusting, restart=None, timeout=7.0) as md:
        began = trio.current_time()
        with pytest.raises(ConnectionFailed, match="within 7 s"):
            await use(md, call)
        assert trio.current_time() - began == pytest.approx(7.0)


@pytest.mark.parametrize("length", [True, False])
async def test_an_answer_that_is_cut_off_without_a_word(
    length: bool, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """Without a TLS close_notify, an attacker could have cut the answer short."""
    context = served_by(authority.issue_cert("127.0.0.1"))
    body = b'{"asks":[],"bids":[],"sequence_number":7}'

    async def handler(stream: trio.abc.Stream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        await read_head(secured)
        await secured.send_all(answer(200, body, length=length)[: -10 if length else None])
        await stream.aclose()

    async with reached("memory", handler, "127.0.0.1", verify=trusting, restart=None) as md:
        if length:
            with pytest.raises(ConnectionFailed):
                await md.get_orderbook_snapshot(200)
        else:
            # HTTP allows an answer to end like this, but truncated JSON is malformed.
            assert (await md.get_orderbook_snapshot(200)).sequence_number == 7


async def test_a_feed_that_is_cut_off_without_a_word(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    context = served_by(authority.issue_cert("127.0.0.1"))

    async def handler(stream: trio.abc.Stream) -> None:
        peer = await Peer.accept(trio.SSLStream(stream, context, server_side=True, https_compatible=True))
        await peer.text(ticker(1))
        await peer.send(b"\x81\x7e\x01")
        await stream.aclose()

    async with (
        reached("memory", handler, "127.0.0.1", verify=trusting, restart=None) as md,
        md.stream_tickers() as stream,
    ):
        assert (await stream.receive()).last_price == 1
        with pytest.raises(TplusError, match="connection was lost") as caught:
            await stream.receive()
        assert isinstance(caught.value, ConnectionFailed)
