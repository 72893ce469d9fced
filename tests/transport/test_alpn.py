"""ALPN: connections offer HTTP/1.1 alone, and a caller's context is used unchanged."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio
import trustme
from trio.testing import MockClock

from tplus_trio import CertificateRefused, ConnectionFailed
from tplus_trio.testing.network.pipe import stream_pair
from tplus_trio.transport.tls import start_tls


@attrs.frozen
class Shaken:
    """Both ends' view of a TLS handshake."""

    near: trio.SSLStream[trio.abc.Stream]
    far: trio.SSLStream[trio.abc.Stream]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def served(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("exchange").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """Make a caller's context: it trusts one private authority, and offers HTTP/2 first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def shake(context: ssl.SSLContext, served: ssl.SSLContext, host: str = "exchange") -> Shaken:
    near, far = stream_pair()
    server = trio.SSLStream[trio.abc.Stream](far, served, server_side=True, https_compatible=True)

    async def serve() -> None:
        try:
            await server.do_handshake()
            await server.receive_some(1)
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(far)

    made: list[trio.abc.Stream] = []
    failures: list[ConnectionFailed] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            made.append(await start_tls(near, context, host))
            await made[0].send_all(b"x")
        except ConnectionFailed as exc:
            failures.append(exc)
    if failures:
        raise failures[0]
    assert isinstance(made[0], trio.SSLStream)
    return Shaken(made[0], server)


async def test_http_1_is_agreed_on_and_the_context_still_offers_its_own(
    context: ssl.SSLContext, served: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    shaken = await shake(context, served)
    assert shaken.near.selected_alpn_protocol() == shaken.far.selected_alpn_protocol() == "http/1.1"
    near, far = stream_pair()
    plain = trio.SSLStream[trio.abc.Stream](near, context, server_hostname="exchange")
    other = trio.SSLStream[trio.abc.Stream](far, served, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plain.do_handshake)
        nursery.start_soon(other.do_handshake)
    assert plain.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("host", ["elsewhere", "127.0.0.1"])
async def test_a_wrong_host_is_refused(
    host: str, context: ssl.SSLContext, served: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    with pytest.raises(CertificateRefused, match=host):
        await shake(context, served, host)


async def test_an_unknown_authority_is_refused(served: ssl.SSLContext, autojump_clock: MockClock) -> None:
    with pytest.raises(CertificateRefused):
        await shake(ssl.create_default_context(), served)


async def test_cert_none_takes_anything(served: ssl.SSLContext, autojump_clock: MockClock) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert (await shake(context, served, "elsewhere")).near.selected_alpn_protocol() == "http/1.1"


async def test_a_client_certificate_is_shown(
    authority: trustme.CA, context: ssl.SSLContext, served: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    authority.configure_trust(served)
    served.verify_mode = ssl.CERT_REQUIRED
    near, far = stream_pair()
    server = trio.SSLStream[trio.abc.Stream](far, served, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start_tls, near, context, "exchange")
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.do_handshake()
        assert "CERTIFICATE" in str(caught.value.__cause__)
    authority.issue_cert("alice@example").configure_cert(context)
    shown = (await shake(context, served)).far.getpeercert()
    assert ("email", "alice@example") in shown["subjectAltName"]


def only_1_2(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def at_least_1_3(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(("limit", "version"), [(only_1_2, "TLSv1.2"), (at_least_1_3, "TLSv1.3")])
async def test_versions_are_the_callers(
    limit: Callable[[ssl.SSLContext], None],
    version: str,
    context: ssl.SSLContext,
    served: ssl.SSLContext,
    autojump_clock: MockClock,
) -> None:
    limit(context)
    assert (await shake(context, served)).near.version() == version
    served.minimum_version = ssl.TLSVersion.TLSv1_3
    served.maximum_version = ssl.TLSVersion.TLSv1_3
    if version == "TLSv1.2":
        with pytest.raises(ConnectionFailed, match="TLS handshake"):
            await shake(context, served)


async def test_ciphers_are_the_callers(
    context: ssl.SSLContext, served: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    only_1_2(context)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    cipher = (await shake(context, served)).near.cipher()
    assert "AES128" in cipher[0]


async def test_keys_are_logged_where_the_caller_says(
    context: ssl.SSLContext, served: ssl.SSLContext, tmp_path: Path, autojump_clock: MockClock
) -> None:
    context.keylog_filename = str(tmp_path / "keys")
    await shake(context, served)
    assert "TRAFFIC_SECRET" in (tmp_path / "keys").read_text()


class Own(ssl.SSLContext):
    """A context that makes connections itself, as truststore's does."""

    made = 0

    def wrap_bio(self, *args: object, **options: object) -> ssl.SSLObject:
        type(self).made += 1
        return super().wrap_bio(*args, **options)  # type: ignore[arg-type]  # as they came


async def test_a_context_with_its_own_way_is_used_as_it_is(
    authority: trustme.CA, served: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    context = Own(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    assert (await shake(context, served)).near.selected_alpn_protocol() is None
    assert Own.made == 1
    context.set_alpn_protocols(["h2", "http/1.1"])
    with pytest.raises(ConnectionFailed, match=r"'h2' by ALPN.*set_alpn_protocols\(\['http/1.1'\]\)"):
        await shake(context, served)
