"""REST over any :class:`~tplus_trio.transport.connector.Connector`: httpx over httpcore's pool over our own streams."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, cast

import attrs
import httpcore
import httpx
import trio

from tplus_trio.errors import ConnectionFailed, DecodeError
from tplus_trio.secret import Redactor, SecretBytes, SecretText
from tplus_trio.transport.connector import Connector, Endpoint, open_stream, start_tls
from tplus_trio.transport.tcp import TcpStream

__all__ = ["Answer", "Http", "retry_after"]

#: A body in an encoding could unpack to any size; the services' answers are small enough to travel as they are.
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}


@attrs.frozen
class Answer:
    """What a server answered to a request. It may repeat what it was told, so no repr shows more than the status."""

    status: int
    headers: httpx.Headers = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


class _NotConnectedError(httpcore.ConnectError):
    """Carries an error of ours past httpcore, which raises what it lets through without its cause."""

    def __init__(self, failure: ConnectionFailed) -> None:
        super().__init__(str(failure))
        self.failure = failure


class _Stream(httpcore.AsyncNetworkStream):
    """A trio stream as httpcore wants it.

    Time limits are the caller's: one scope around a whole request. The limit of an answer's size is kept here, under
    everything that could gather bytes: heads, bodies, and whatever a server sends that is neither.
    """

    def __init__(self, stream: trio.abc.Stream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._received = 0
        #: Whether what was asked last has been answered by bytes that came since.
        self.answered: bool = False
        self.spoilt: bool = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see the class
        try:
            data = SecretBytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.ReadError(str(exc)) from exc
        self._received += len(data)
        self.answered = True
        if self._received > self._limit:
            msg = f"the answer is larger than {self._limit} bytes"
            raise DecodeError(msg)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see the class
        self._received = 0
        buffer = SecretBytes(buffer)
        self.answered = False
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        # Nothing is owed to the peer of a finished or broken exchange, and nothing may hold up a cancelled one.
        await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - see the class
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await start_tls(self._stream, ssl_context, server_hostname or "")
        except ConnectionFailed as exc:
            raise _NotConnectedError(exc) from exc
        return _Stream(stream, self._limit)

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        # httpcore asks before it takes a connection from the pool: readable while idle means closed by the server.
        if self.spoilt:
            return True
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = cast("trio.SSLStream[trio.abc.Stream]", stream).transport_stream
        if isinstance(stream, (TcpStream, trio.SocketStream)):
            return stream.socket.is_readable()
        return bool(getattr(stream, "is_readable", bool)())


class _Backend(httpcore.AsyncNetworkBackend):
    """httpcore's way to the network, led through the connector."""

    def __init__(self, connector: Connector, limit: int) -> None:
        self._connector = connector
        self._limit = limit

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - see _Stream
        local_address: str | None = None,  # noqa: ARG002 - the connector's business
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - the connector's business
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await open_stream(self._connector, host, port)
        except ConnectionFailed as exc:
            raise _NotConnectedError(exc) from exc
        return _Stream(stream, self._limit)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Content:
    """A request's body, as httpcore reads it: likewise no generator, which a lost connection would leave half-way."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._sent = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._sent = False
        return self

    async def __anext__(self) -> bytes:
        if self._sent:
            raise StopAsyncIteration
        self._sent = True
        return self._content


class _Body(httpx.AsyncByteStream):
    """An answer's body, as httpx reads it: an iterator, not a generator, which would want closing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._chunks: AsyncIterator[bytes] = aiter(stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # An answer may be cut into a chunk for each byte, and httpcore has thousands of them out of one read. Not to be
        # cancelled here, between its generators, but where they wait for the network.
        await trio.lowlevel.cancel_shielded_checkpoint()
        try:
            return await anext(self._chunks)
        except _NETWORK_ERRORS as exc:
            raise _lost(exc) from exc

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx.AsyncBaseTransport):
    """What httpx hands requests to: httpcore's pool, over the connector."""

    def __init__(self, connector: Connector, tls: ssl.SSLContext | None, limit: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=32,
            max_keepalive_connections=8,
            keepalive_expiry=15.0,
            network_backend=_Backend(connector, limit),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=_Content(request.content),
            extensions=request.extensions,
        )
        try:
            response = await self._pool.handle_async_request(sent)
        except _NotConnectedError as exc:
            exc.failure.nothing_sent = True
            raise exc.failure from exc.failure.__cause__
        except _NETWORK_ERRORS as exc:
            raise _lost(exc) from exc
        extensions: Mapping[str, object] = cast("Any", response).extensions
        stream = extensions.get("network_stream")
        if isinstance(stream, _Stream) and not stream.answered:
            # It came behind the answer before: a server that answers twice, or says less of a length than it sends.
            stream.spoilt = True
            await response.aclose()
            msg = "the connection was lost: an answer came over it before it was asked for"
            raise ConnectionFailed(msg)
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response.stream))

    async def aclose(self) -> None:
        await self._pool.aclose()


_NETWORK_ERRORS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def _lost(failure: Exception) -> ConnectionFailed:
    """What httpcore's errors come to, in our terms."""
    return ConnectionFailed(f"the connection was lost: {failure}" if str(failure) else "the connection was lost")


class Http:
    """REST requests to one endpoint. Connections are kept and used again."""

    def __init__(
        self,
        endpoint: Endpoint,
        connector: Connector,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        max_body: int,
        headers: Mapping[str, str],
        redactor: Redactor,
    ) -> None:
        self._endpoint = endpoint
        self._redactor = redactor
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            base_url=str(endpoint),
            transport=_Transport(connector, tls, max_body),
            headers={**headers, **_HEADERS},
            timeout=None,  # noqa: S113 - bounded as a whole in request()
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read the whole answer, whatever its status.

        A cancelled request closes its connection.

        Raises:
            ConnectionFailed: refused, lost, or not answered within the timeout.
            DecodeError: the answer is encoded, or larger than the limit.
        """
        sent = dict(headers or {})
        if body is not None:
            sent["content-type"] = "application/json"
        try:
            with trio.fail_after(self._timeout):
                async with self._client.stream(method, path, params=params, content=body, headers=sent) as response:
                    self._check_encoding(SecretText(response.headers.get("content-encoding", "identity")))
                    return Answer(response.status_code, response.headers, await response.aread())
        except trio.TooSlowError:
            msg = f"{method} {path} was not answered within {self._timeout:g} s"
            raise ConnectionFailed(msg) from None
        except (ConnectionFailed, DecodeError) as exc:
            raise self._redactor.error(exc)  # noqa: B904 - it is the same, and has its cause

    def _check_encoding(self, encoding: SecretText) -> None:
        if encoding != "identity":
            known = self._redactor.text(encoding[:40])
            msg = f"the answer came in an encoding that was not asked for: {known!r}"
            raise DecodeError(msg)

    async def aclose(self) -> None:
        """Close all connections, at once."""
        await self._client.aclose()


def retry_after(value: str) -> float | None:
    """The seconds that a ``Retry-After`` header asks for: given as a number or as a date; None where it is neither."""
    try:
        if _SECONDS.fullmatch(value.strip()):
            wait = float(value)
        else:
            wait = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(wait, 0.0) if math.isfinite(wait) else None
