"""Opening a WebSocket connection, and closing it at the end of a block."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from tplus_trio.errors import ConnectionFailed
from tplus_trio.exits import PlainExitStack
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.secret import Redactor
from tplus_trio.transport.close_budget import CloseBudget
from tplus_trio.transport.connector import Connector, Endpoint, open_stream
from tplus_trio.transport.handshake_answer import describe_foreign, is_foreign, refusal
from tplus_trio.transport.handshake_stream import HandshakeStream
from tplus_trio.transport.watched_stream import WatchedStream
from tplus_trio.transport.websocket import WebSocket, WebSocketLimits

__all__ = ["open_websocket"]

#: RFC 6455, section 4.1: a subprotocol is a token as HTTP has it.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Watching:
    """A connector that puts a `WatchedStream` on what another one opens, below TLS."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.stream: WatchedStream

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.stream = WatchedStream(await self._connector.connect(host, port))
        return self.stream


def _check_subprotocols(subprotocols: Sequence[str]) -> None:
    """Refuse what no handshake can carry.

    Raises:
        TypeError: ``subprotocols`` is one string, or holds something else than strings.
        ValueError: it holds a name that is no token, or one twice.
    """
    if isinstance(subprotocols, str) or not all(isinstance(name, str) for name in subprotocols):
        msg = 'subprotocols has to be a sequence of strings, such as ("tplus.ws.v1",)'
        raise TypeError(msg)
    wrong = next((name for name in subprotocols if not _TOKEN.fullmatch(name)), None)
    if wrong is not None:
        msg = f"subprotocols holds {wrong!r}; a name consists of letters, digits and !#$%&'*+-.^_`|~"
        raise ValueError(msg)
    if len(set(subprotocols)) < len(subprotocols):
        msg = f"subprotocols holds a name twice: {', '.join(subprotocols)}"
        raise ValueError(msg)


@asynccontextmanager
async def open_websocket(
    connector: Connector,
    endpoint: Endpoint,
    path: str,
    *,
    tls: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    limits: WebSocketLimits | None = None,
    redactor: Redactor | None = None,
    closing: CloseBudget | None = None,
) -> AsyncGenerator[WebSocket]:
    """Open a WebSocket connection for as long as the context lasts.

    Left in order, it sends a close frame and waits for the answer: at most ``close_timeout``, together with all others
    that share ``closing``. Left by cancellation or an exception, it closes the socket at once.

    Args:
        connector: Opens the byte stream.
        endpoint: The service.
        path: The path below the endpoint's prefix, quoted, with a leading slash.
        tls: TLS settings; None speaks plain WebSocket.
        headers: Sent with the handshake.
        subprotocols: Offered to the server, the preferred one first. `WebSocket.subprotocol` is the server's choice.
        limits: Timeouts in seconds and sizes in bytes.
        redactor: Takes secrets out of errors and answers.
        closing: The time in which close frames may be answered, shared with other connections.

    Raises:
        TypeError: ``subprotocols`` is not a sequence of strings.
        ValueError: ``subprotocols`` holds a name that a handshake cannot carry.
        ConnectionFailed: the connection could not be made within ``connect_timeout``.
        CertificateRefused: the server's certificate did not verify.
        HandshakeRejected: the server refused the handshake.
    """
    _check_subprotocols(subprotocols)
    limits = limits or WebSocketLimits()
    # In lower case, so that none is sent twice.
    sent = {"origin": endpoint.origin} | {name.lower(): value for name, value in (headers or {}).items()}
    redactor = redactor or Redactor(headers)
    stream: HandshakeStream | None = None
    async with open_plain_nursery() as nursery, PlainExitStack() as stack:
        try:
            with trio.fail_after(limits.connect_timeout):
                watching = _Watching(connector)
                network = await open_stream(watching, endpoint.host, endpoint.port, tls=tls)
                stream = HandshakeStream(network, split=limits.fast)
                stack.push_async_callback(trio.aclose_forcefully, stream)
                websocket = WebSocket(stream, limits, redactor, nursery)
                await nursery.start(websocket.run, endpoint, path, sent, subprotocols)
        except trio.TooSlowError:
            msg = f"no connection to {endpoint.origin}{endpoint.prefix}{path} within {limits.connect_timeout:g} s"
            refused = None
            if stream is not None:
                answer = stream.answer.received
                refused = refusal(answer, redactor)
                if is_foreign(answer, ended=True):
                    msg += f": {describe_foreign(answer, redactor)}"
            raise refused or ConnectionFailed(msg) from None
        nursery.start_soon(websocket.keep_alive, watching.stream)
        yield websocket
        await websocket.aclose(closing or CloseBudget(limits.close_timeout))
