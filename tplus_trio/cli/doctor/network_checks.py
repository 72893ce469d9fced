"""The checks below the service: the name, its addresses, TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final

import attrs
import trio

from tplus_trio.cli.doctor.finding import Finding, Verdict
from tplus_trio.errors import ConnectionFailed
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.tls import start_tls

__all__ = ["Address", "check_addresses", "check_name", "check_tls"]

#: Days of validity below which a certificate is worth a note.
_SOON: Final = 14
_DAY: Final = 86400.0
_ADVICE: Final = {
    errno.ECONNREFUSED: "nothing listens there: check the port, and that the service runs",
    errno.ETIMEDOUT: "nothing answers: check the address, and firewalls on the way",
    errno.ENETUNREACH: "this machine has no route there: check its network",
    errno.EHOSTUNREACH: "this machine has no route there: check its network",
}


@attrs.frozen
class Address:
    """One address of a host."""

    family: int
    address: tuple[Any, ...]

    def __str__(self) -> str:
        host, port = self.address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def check_name(endpoint: Endpoint) -> tuple[Finding, Sequence[Address]]:
    """Resolve the host's name; return the addresses too."""
    began = trio.current_time()
    try:
        found = await trio.socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as exc:  # socket.gaierror is one
        reason = exc.strerror or str(exc)
        text = f"{endpoint.host} has no address: {reason}"
        return Finding(Verdict.WRONG, "name", text, "check the spelling, and the DNS of this machine"), ()
    addresses = list(dict.fromkeys(Address(family, address) for family, _, _, _, address in found))
    hosts = ", ".join(str(each.address[0]) for each in addresses)
    took = _milliseconds(trio.current_time() - began)
    return Finding(Verdict.OK, "name", f"{endpoint.host} is {hosts} ({took})"), addresses


async def check_addresses(addresses: Sequence[Address], seconds: float) -> tuple[Finding, Address | None]:
    """Connect to each address, to all at once; return the first one that answered too.

    Args:
        addresses: The addresses; at least one.
        seconds: How long each may take.
    """
    results: dict[Address, float | OSError] = {}

    async def connect(address: Address) -> None:
        began = trio.current_time()
        try:
            with trio.socket.socket(address.family, socket.SOCK_STREAM) as connection:
                with trio.move_on_after(seconds) as scope:
                    await connection.connect(address.address)
                if scope.cancelled_caught:
                    raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s")
        except OSError as exc:
            results[address] = exc
        else:
            results[address] = trio.current_time() - began

    async with trio.open_nursery(strict_exception_groups=True) as nursery:
        for address in addresses:
            nursery.start_soon(connect, address)
    good = {address: took for address in addresses if not isinstance(took := results[address], OSError)}
    bad = {address: error for address in addresses if isinstance(error := results[address], OSError)}
    texts = [f"{address} answers ({_milliseconds(took)})" for address, took in good.items()]
    texts += [f"{address} does not: {_reason(error)}" for address, error in bad.items()]
    text = ", ".join(texts)
    if not good:
        return Finding(Verdict.WRONG, "addresses", text, _advice(bad.values())), None
    if bad:
        return Finding(Verdict.NOTE, "addresses", text, "clients use the others"), next(iter(good))
    return Finding(Verdict.OK, "addresses", text), next(iter(good))


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno != errno.ETIMEDOUT else error.strerror or str(error)


def _advice(errors: Any) -> str:
    return next((_ADVICE[error.errno] for error in errors if error.errno in _ADVICE), "check the network")


async def check_tls(endpoint: Endpoint, address: Address, context: ssl.SSLContext) -> Finding:
    """Do a TLS handshake, and look at the certificate."""
    connection = trio.socket.socket(address.family, socket.SOCK_STREAM)
    try:
        await connection.connect(address.address)
        stream = await start_tls(trio.SocketStream(connection), context, endpoint.host)
    except ConnectionFailed:
        raise
    except OSError as exc:
        return Finding(Verdict.WRONG, "TLS", f"the connection was lost: {_reason(exc)}", "try again")
    finally:
        connection.close()
    secured: Any = stream  # trio passes what it does not have on to the ssl object
    certificate: dict[str, Any] = secured.getpeercert() or {}
    if "notAfter" not in certificate:  # it is not verified
        return Finding(Verdict.NOTE, "TLS", f"{secured.version()}, the certificate was not verified")
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / _DAY
    text = f"{secured.version()}, the certificate is valid for {days:.0f} days"
    if days < _SOON:
        return Finding(Verdict.NOTE, "TLS", text, "it has to be renewed soon")
    return Finding(Verdict.OK, "TLS", text)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "under 1 ms"
