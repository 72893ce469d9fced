"""TLS over TCP, for REST and WebSockets: which certificates are accepted, and the errors for others."""

from __future__ import annotations

import datetime as dt
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trustme

from tests.helpers.peers import answer, listening, read_head
from tplus_trio import CertificateRefused, ConnectionFailed, MarketDataClient, StreamState, TcpConnector
from tplus_trio.testing import Exchange, serve
from tplus_trio.transport.tls import tls_context

CALLS = ("rest", "websocket")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Make a client's settings that trust one authority only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@asynccontextmanager
async def exchange_with(certificate: trustme.LeafCert) -> AsyncIterator[str]:
    exchange = Exchange()
    exchange.add_market(200)
    async with serve(exchange, ssl_context=server_context(certificate)) as url:
        yield url
    assert exchange.crashes == []


async def use(md: MarketDataClient, call: str) -> None:
    if call == "rest":
        assert (await md.get_orderbook_snapshot(200)).sequence_number == 1000
    else:
        async with md.stream_tickers() as stream:
            await stream.wait_live()
            assert stream.state is StreamState.LIVE


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_good_certificate_is_taken(
    call: str, host: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with (
        exchange_with(authority.issue_cert("127.0.0.1", "localhost")) as url,
        MarketDataClient(url.replace("127.0.0.1", host), verify=trusting, restart=None) as md,
    ):
        await use(md, call)


async def test_an_idle_connection_under_tls_is_used_again(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    connects = 0

    class Counting(TcpConnector):
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            nonlocal connects
            connects += 1
            return await super().connect(host, port)

    async with (
        exchange_with(authority.issue_cert("127.0.0.1")) as url,
        MarketDataClient(url, verify=trusting, connector=Counting()) as md,
    ):
        for _ in range(3):
            await md.get_orderbook_snapshot(200)
            await trio.sleep(0.02)
    assert connects == 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("flaw", ["wrong host", "expired", "self-signed", "unknown authority"])
async def test_a_bad_certificate_is_refused_for_good(
    call: str, flaw: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    certificate = {
        "wrong host": lambda: authority.issue_cert("elsewhere.example"),
        "expired": lambda: authority.issue_cert("127.0.0.1", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        "self-signed": lambda: trustme.CA().issue_cert("127.0.0.1"),
        "unknown authority": lambda: authority.issue_cert("127.0.0.1"),
    }[flaw]()
    verify = True if flaw == "unknown authority" else trusting
    async with exchange_with(certificate) as url, MarketDataClient(url, verify=verify) as md:  # restarts are on
        with trio.fail_after(5), pytest.raises(CertificateRefused, match=r"certificate of 127\.0\.0\.1") as caught:
            await use(md, call)
        assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
        assert isinstance(caught.value.__cause__.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("call", CALLS)
async def test_verify_false_takes_anything_and_warns(call: str) -> None:
    async with exchange_with(trustme.CA().issue_cert("elsewhere.example")) as url:
        with pytest.warns(RuntimeWarning, match="not verified") as caught:
            md = MarketDataClient(url, verify=False)
        assert caught[0].filename == __file__
        async with md:
            await use(md, call)


def test_without_tls_there_is_nothing_to_warn_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MarketDataClient("http://localhost", verify=False)


def test_a_context_is_taken_as_it_is() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert tls_context(context) is context
    assert tls_context(True).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(True).check_hostname


@pytest.mark.parametrize("call", CALLS)
async def test_http_1_is_agreed_on(call: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that prefers HTTP/2 must not choose it."""
    chosen: list[str | None] = []
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    trusting = tls_context(True)
    authority.configure_trust(trusting)

    async def handler(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SocketStream)
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        await read_head(secured)
        chosen.append(secured.selected_alpn_protocol())
        await secured.send_all(answer(404))
        await secured.aclose()

    async with (
        listening(handler) as port,
        MarketDataClient(f"https://127.0.0.1:{port}", verify=trusting, restart=None) as md,
    ):
        with pytest.raises(Exception, match="404"):
            await use(md, call)
    assert chosen == ["http/1.1"]


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_without_tls_is_a_failed_connection(call: str, trusting: ssl.SSLContext) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer(400))

    async with (
        listening(handler) as port,
        MarketDataClient(f"https://127.0.0.1:{port}", verify=trusting, restart=None) as md,
    ):
        with pytest.raises(ConnectionFailed, match="TLS handshake") as caught:
            await use(md, call)
        assert not isinstance(caught.value, CertificateRefused)
        assert caught.value.__cause__ is not None


@pytest.mark.parametrize("call", CALLS)
async def test_a_tls_handshake_that_hangs_is_given_up(call: str, trusting: ssl.SSLContext) -> None:
    closed = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        closed.set()

    async with (
        listening(handler) as port,
        MarketDataClient(f"https://127.0.0.1:{port}", verify=trusting, restart=None, timeout=0.1) as md,
    ):
        with pytest.raises(ConnectionFailed, match=r"within 0\.1 s"):
            await use(md, call)
        with trio.fail_after(1):
            await closed.wait()


@pytest.mark.parametrize("call", CALLS)
async def test_speaking_plainly_to_a_tls_server_is_a_typed_failure(call: str, authority: trustme.CA) -> None:
    async with (
        exchange_with(authority.issue_cert("127.0.0.1")) as url,
        MarketDataClient(url.replace("https", "http"), restart=None) as md,
    ):
        with pytest.raises(ConnectionFailed):
            await use(md, call)
