"""What ``doctor`` says of TLS and of certificates."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import Any

import pytest
import trustme

from tests.cli.doctor.examining import examine, market
from tplus_trio.testing import serve


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, host: str, **options: Any) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The settings of a server with a certificate for a host, and those of a client that trusts the authority."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host, **options).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def test_tls(authority: trustme.CA) -> None:
    server, client = contexts(authority, "localhost")
    async with serve(market(), ssl_context=server) as url:
        result = await examine(url.replace("127.0.0.1", "localhost"), context=client, timeout=3)
    assert (result.status, result.wrong) == (0, [])
    assert result.text("TLS").startswith("TLSv1.3, the certificate is valid for ")


@pytest.mark.parametrize(
    ("host", "days", "verdict", "text"),
    [
        ("other.test", 90, "WRONG", "certificate is not valid for 'localhost'"),
        ("localhost", -1, "WRONG", "certificate has expired"),
        ("localhost", 5, "note", "it has to be renewed soon"),
    ],
)
async def test_certificates(authority: trustme.CA, host: str, days: int, verdict: str, text: str) -> None:
    now = dt.datetime.now(dt.UTC)
    server, client = contexts(authority, host, not_before=now - dt.timedelta(9), not_after=now + dt.timedelta(days, 60))
    async with serve(market(), ssl_context=server) as url:
        result = await examine(url.replace("127.0.0.1", "localhost"), context=client, timeout=3)
    assert result.verdict("TLS") == verdict
    assert text in result.text("TLS").lower().replace("hostname mismatch, ", "")
    assert result.status == (verdict == "WRONG")


async def test_an_authority_that_is_unknown(authority: trustme.CA) -> None:
    server, _ = contexts(authority, "localhost")
    async with serve(market(), ssl_context=server) as url:
        result = await examine(url.replace("127.0.0.1", "localhost"))
    assert result.wrong == ["TLS"]
    assert "add its authority with SSL_CERT_FILE" in result.text("TLS")


async def test_tls_where_there_is_none(authority: trustme.CA) -> None:
    async with serve(market()) as url:
        result = await examine(url.replace("http://127.0.0.1", "https://localhost"))
    assert result.wrong == ["TLS"]
    assert "TLS handshake with localhost failed" in result.text("TLS")
    server, _ = contexts(authority, "localhost")
    async with serve(market(), ssl_context=server) as url:
        result = await examine(url.replace("https", "http"))
    assert result.wrong == ["REST"]
