"""Opens byte streams to hosts. No other module of this package opens a network connection.

REST and WebSockets both go through a :class:`Connector`, so that a client runs unchanged over TCP, over memory, or over
a test's own streams.
"""

from __future__ import annotations

import os
import re
import ssl
import unicodedata
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Final, Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
import trio

from tplus_trio.errors import ConnectionFailed
from tplus_trio.transport.tcp import TcpStream
from tplus_trio.transport.tls import start_tls

__all__ = ["Connector", "TcpConnector"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?")
_PATH: Final = re.compile(r"(?:[\w.~!$&'()*+,;=:/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
#: Illegal in an unquoted path: a segment of dots, or a control character.
_WRONG_IN_PATH: Final = re.compile(r"[/\\]\.\.?[/\\]|[\0-\x1f\x7f]")
_BRACKETS: Final = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")


class Connector(Protocol):
    """Opens byte streams. A client takes one as ``connector=``."""

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """Open a byte stream to ``host``:``port``, without TLS. A cancelled call must leave no open socket.

        Raises:
            OSError: the connection could not be made.
        """
        ...


class TcpConnector:
    """Opens TCP connections, and tries a host's addresses as in RFC 8305. The default."""

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """Open a TCP connection. A cancelled call leaves no open socket.

        Raises:
            OSError: no address of the host answered.
        """
        return TcpStream(await trio.open_tcp_stream(host, port))


def _ascii_host(host: str) -> str:
    """Convert a host's name to the ASCII form that is looked up.

    Raises:
        ValueError: the ASCII form stands for another name than the one written: ``faß.de`` is not ``fass.de``, and
            letters that look alike are not equal.
    """
    ascii_host = host.encode("idna").decode()
    if not host.isascii() and ascii_host.encode().decode("idna") != unicodedata.normalize("NFC", host):
        raise ValueError
    return ascii_host


def _check_brackets(netloc: str, host: str) -> None:
    """Check that `urlsplit`, which ignores some characters, found the host that the URL names.

    Raises:
        ValueError: brackets hold no address, or there are characters between them and the port.
    """
    if ("[" in netloc or "]" in netloc) and not (_BRACKETS.fullmatch(netloc) and _is_ipv6(host)):
        raise ValueError


def _is_ipv6(host: str) -> bool:
    if "%" in host:
        return False  # a zone has a meaning on one machine only, and is illegal in a Host header
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


@attrs.frozen
class Endpoint:
    """A service's base URL, parsed and checked."""

    scheme: str
    host: str
    port: int
    #: The beginning of every path; ``""`` for most services.
    prefix: str = ""

    @classmethod
    def from_url(cls, url: str) -> Endpoint:
        """Parse a base URL.

        Raises:
            TypeError: ``url`` is not a string.
            ValueError: it is not of the form ``http(s)://host[:port][/prefix]``. The message does not repeat the URL,
                as that may hold a password.
        """
        if not isinstance(url, str):
            msg = f"a base URL is a string, not {type(url).__name__}"
            raise TypeError(msg)
        legal = "legal is http(s)://host[:port][/prefix]"
        if any(character.isspace() or not character.isprintable() for character in url):
            msg = f"a base URL holds no white space or control characters; {legal}"
            raise ValueError(msg)
        # No message repeats the URL: it may hold a password anywhere.
        if "@" in url:
            msg = f"a base URL holds no user name or password; {legal}"
            raise ValueError(msg)
        if "?" in url or "#" in url:
            msg = f"a base URL holds no query or fragment; {legal}"
            raise ValueError(msg)
        scheme = url.partition(":")[0].lower()
        if scheme not in _DEFAULT_PORTS:
            msg = f"a base URL's scheme is http or https; {legal}"
            raise ValueError(msg)
        try:
            parts: SplitResult = urlsplit(url)
            port = _DEFAULT_PORTS[scheme] if parts.port is None else parts.port
            host = _ascii_host(parts.hostname or "")
            _check_brackets(parts.netloc, host)
        except ValueError:
            port, host, parts = 0, "", SplitResult(scheme, "", "", "", "")
        if not (_is_ipv6(host) or (_HOST.fullmatch(host) and len(host) < 255)) or not port:
            msg = f"a base URL names a host, and a port from 1 to 65535 or none; {legal}"
            raise ValueError(msg)
        if not _PATH.fullmatch(parts.path) or _WRONG_IN_PATH.search(f"{unquote(parts.path)}/"):
            msg = f"a base URL's path is quoted, and has no '..' segment; {legal}"
            raise ValueError(msg)
        return cls(scheme, host, port, parts.path.rstrip("/"))

    @property
    def secure(self) -> bool:
        """Whether connections use TLS."""
        return self.scheme == "https"

    @property
    def netloc(self) -> str:
        """``host[:port]`` as in a ``Host`` header: an IPv6 address in brackets, without the default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """``scheme://host[:port]`` as in an ``Origin`` header."""
        return f"{self.scheme}://{self.netloc}"

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"


async def open_stream(
    connector: Connector,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
) -> trio.abc.Stream:
    """Open a byte stream, with TLS if ``tls`` is given. A cancelled call leaves no open socket.

    Raises:
        ConnectionFailed: it could not be opened.
        CertificateRefused: the server's certificate did not verify.
    """
    try:
        stream = await connector.connect(host, port)
    except (OSError, trio.BrokenResourceError) as exc:
        msg = f"could not connect to {host}:{port}: {_reason(exc)}"
        raise ConnectionFailed(msg) from exc
    return stream if tls is None else await start_tls(stream, tls, host)


def _reason(failure: OSError | trio.BrokenResourceError) -> str:
    """Describe why a connection could not be made. Each reason appears once."""
    if not isinstance(failure, OSError):
        return str(failure) or type(failure).__name__
    cause = failure.__cause__  # trio's own text says only that every address failed
    addresses: Sequence[object] = (cause,)
    if isinstance(cause, ExceptionGroup):
        addresses = cast("ExceptionGroup[Exception]", cause).exceptions
    reasons = [os.strerror(each.errno) for each in addresses if isinstance(each, OSError) and each.errno]
    return ", ".join(dict.fromkeys(reasons)) or failure.strerror or str(failure)
