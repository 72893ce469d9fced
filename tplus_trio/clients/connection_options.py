"""Checks of the arguments that say how a client connects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tplus_trio.transport.connector import Connector, TcpConnector

__all__ = ["check_connector", "check_headers", "check_prefix"]

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that could break a request or a handshake.
_FRAMING: Final = re.compile(
    "connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade|sec-websocket-.*", re.IGNORECASE
)
_HEADER_VALUE: Final = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")


def check_connector(connector: Connector | None) -> Connector:
    """Check the argument ``connector``, and return what opens byte streams.

    Raises:
        TypeError: it has no method ``connect``.
    """
    if connector is None:
        return TcpConnector()
    if not callable(getattr(connector, "connect", None)):
        msg = f"connector needs an async method connect(host, port); {type(connector).__name__} has none"
        raise TypeError(msg)
    return connector


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Check the argument ``headers``, and return a copy.

    Raises:
        TypeError, ValueError: a header cannot be sent, or is the client's own.
    """
    if not isinstance(headers, Mapping):
        msg = f"headers is a mapping of str to str, not {type(headers).__name__}"
        raise TypeError(msg)
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            msg = "headers is a mapping of str to str; one of its names or values is not a str"
            raise TypeError(msg)
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            msg = f"header {name!r} cannot be sent: names are tokens, values printable ASCII with no space at an end"
            raise ValueError(msg)
        if _FRAMING.fullmatch(name):
            msg = f"header {name!r} is set by the client itself; it controls the framing of a request or the handshake"
            raise ValueError(msg)
    return dict(headers)


def check_prefix(prefix: str) -> str:
    """Check the argument ``auth_path_prefix``, and return it with one slash at the beginning and none at the end.

    Raises:
        TypeError, ValueError: it is no path.
    """
    if not isinstance(prefix, str):
        msg = f"auth_path_prefix is a path, not {type(prefix).__name__}"
        raise TypeError(msg)
    stripped = prefix.strip("/")
    if not re.fullmatch(r"[\w.~/-]*", stripped, re.ASCII) or ".." in stripped:
        msg = f"auth_path_prefix is a path like /market-data, not {prefix!r}"
        raise ValueError(msg)
    return f"/{stripped}" if stripped else ""
