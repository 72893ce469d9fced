"""One REST request over one connection: what is sent, when its first byte may leave, and the whole answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

import attrs
import httpcore
import httpx
import trio

from tplus_trio.errors import ConnectionFailed, DecodeError
from tplus_trio.secret import Redactor, SecretBytes, SecretText
from tplus_trio.transport.pool import Connection, ConnectionLeft, ConnectionPool
from tplus_trio.transport.retry_after import retry_after

__all__ = ["Answer", "exchange"]


@attrs.frozen
class Answer:
    """A server's answer to a request. It may repeat secrets of the request, so its repr shows the status alone."""

    status: int
    headers: httpx.Headers = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @property
    def retry_after(self) -> float | None:
        """The seconds for which the server asks for no more requests; None if it does not."""
        return retry_after(self.headers.get("retry-after", ""), date=self.headers.get("date"))


async def exchange(
    pool: ConnectionPool,
    method: str,
    target: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes | None,
    *,
    on_sent: Callable[[], object],
    redactor: Redactor,
) -> Answer:
    """Send a request over a connection of a pool, and read the whole answer, so that no connection stays in use.

    A kept connection may turn out to have been closed by the peer. If no byte of the request has left, the request is
    sent over a new connection. If bytes have left and nothing came back, only a ``GET`` is sent again.

    Args:
        pool: The connections.
        method: An HTTP method.
        target: The path and the query, quoted.
        headers: All headers, names in lower case.
        body: The content; None sends none.
        on_sent: Called in the step before the request's first byte may leave; again if the request is repeated.
        redactor: Takes secrets out of errors.

    Raises:
        ConnectionFailed: no connection could be made, it was lost, or its bytes are not HTTP.
        DecodeError: the answer is encoded, or larger than the limit.
    """
    request = httpcore.Request(
        method,
        httpcore.URL(scheme=pool.origin.scheme, host=pool.origin.host, port=pool.origin.port, target=target),
        headers=headers,
        content=_Content(body),
    )
    repeatable = method == "GET"
    connection = await pool.take(repeatable=repeatable)
    try:
        return await _exchange(pool, connection, request, on_sent, redactor)
    except ConnectionLeft:
        pass
    except ConnectionFailed:
        # The service may have closed the connection while it was idle; then it has not received the request.
        if not repeatable or not connection.is_reused or connection.answered:
            raise
    return await _exchange(pool, await pool.open(), request, on_sent, redactor)


async def _exchange(
    pool: ConnectionPool,
    connection: Connection,
    request: httpcore.Request,
    on_sent: Callable[[], object],
    redactor: Redactor,
) -> Answer:
    """Send a request over a connection and read the answer. Then the connection is given back or closed.

    Raises:
        ConnectionLeft: the peer had closed the connection before a byte of the request left.
        ConnectionFailed: the connection was lost, or its bytes are not HTTP.
        DecodeError: the answer is encoded, or larger than the limit.
    """
    try:
        response = await connection.send(request, on_sent)
        if not connection.answered:
            # It came after the previous answer: the server answers twice, or sends more than it announced.
            msg = "the connection was lost: an answer came over it before it was asked for"
            raise ConnectionFailed(msg)  # noqa: TRY301 - the handler below closes the connection
        _check_encoding(_encoding_of(response), redactor)
        body = SecretBytes(b"".join([chunk async for chunk in _Chunks(response)]))
        with trio.CancelScope(shield=True):  # nothing here waits
            await response.aclose()
            await pool.give_back(connection)
    except _NETWORK_ERRORS as exc:
        await connection.aclose()
        raise _lost(exc) from exc
    except BaseException:
        await connection.aclose()
        raise
    return Answer(response.status, httpx.Headers(response.headers), body)


def _encoding_of(response: httpcore.Response) -> SecretText:
    told = [value for name, value in response.headers if name.lower() == b"content-encoding"]
    return SecretText(b", ".join(told).decode("latin-1") or "identity")


def _check_encoding(encoding: SecretText, redactor: Redactor) -> None:
    if encoding != "identity":
        known = redactor.text(encoding[:40])
        msg = f"the answer came in an encoding that was not asked for: {known!r}"
        raise DecodeError(msg)


class _Content:
    """A request's body as httpcore reads it. It is no generator: a lost connection would leave one suspended."""

    def __init__(self, content: bytes | None) -> None:
        self._content = content
        self._left = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._left = self._content
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        content, self._left = self._left, None
        return content


class _Chunks(AsyncIterator[SecretBytes]):
    """The pieces of an answer's body. It is no generator: that would have to be closed."""

    def __init__(self, response: httpcore.Response) -> None:
        self._chunks: AsyncIterator[bytes] = aiter(cast("Any", response.stream))

    async def __anext__(self) -> SecretBytes:
        # A server may send each byte as a chunk, and httpcore parses thousands of chunks of one read. Cancellation
        # strikes where httpcore waits for the network, not here, between its generators.
        await trio.lowlevel.cancel_shielded_checkpoint()
        return SecretBytes(await anext(self._chunks))


_NETWORK_ERRORS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def _lost(failure: Exception) -> ConnectionFailed:
    """The error of this package for one of httpcore's."""
    why = str(failure).removesuffix(".")  # a sentence of httpcore; the callers' messages go on after it
    return ConnectionFailed(f"the connection was lost: {why}" if why else "the connection was lost")
