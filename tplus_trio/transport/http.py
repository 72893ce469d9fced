"""REST over any :class:`~tplus_trio.transport.connector.Connector`: httpx, and httpcore's HTTP/1.1 over our streams."""

from __future__ import annotations

import math
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, cast

import attrs
import httpcore
import httpx
import trio

from tplus_trio.errors import ConnectionFailed, DecodeError
from tplus_trio.observer import Observer
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor, SecretBytes, SecretText
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.pacing import Dispatch, Pacer, Priority
from tplus_trio.transport.pool import Connection, ConnectionPool
from tplus_trio.transport.request_statistics import RequestStatistics
from tplus_trio.transport.retry_after import parse_date, retry_after
from tplus_trio.transport.service_clock import ServiceClock

__all__ = ["Answer", "Http", "Request"]

_READ: Final = httpx.ByteStream(b"")
_CLOSED: Final = "the client was closed: its `async with` block was left, or its aclose() was called; make a new one"
#: An encoded body could unpack to any size; the services' answers are small enough to travel without an encoding.
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}


@attrs.frozen
class Request:
    """A request to one service."""

    #: An HTTP method.
    method: str
    #: The path below the endpoint's prefix, quoted, with a leading slash.
    path: str
    #: The query.
    params: Mapping[str, str | int] | None = None
    #: JSON. It may hold a signature.
    body: bytes | None = attrs.field(default=None, repr=False)
    #: Sent besides those of every request. They may hold a token.
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    #: How urgent it is.
    dispatch: Dispatch = attrs.field(factory=Dispatch)


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


@attrs.define
class _Progress:
    """What is known of a request that failed."""

    #: Whether its first byte may have left.
    has_sent: bool = False


#: Characters of a ``Date`` header.
_LONGEST_DATE: Final = 64


class _UnderWay:
    """The requests of one ``trio.run`` that are waiting or under way."""

    def __init__(self) -> None:
        self._scopes: set[trio.CancelScope] = set()
        self._one_ended = trio.lowlevel.ParkingLot()

    # Two methods, not a generator: a `Cancelled` that passes through a generator leaves a cycle of frames from
    # Python 3.12 on.

    def begin(self, scope: trio.CancelScope) -> None:
        """Note a request that begins, and the scope around it."""
        self._scopes.add(scope)

    def finish(self, scope: trio.CancelScope) -> None:
        """Note that a request has ended."""
        self._scopes.discard(scope)
        self._one_ended.unpark_all()

    async def end(self) -> None:
        """Cancel all requests, and wait until they have ended."""
        for scope in self._scopes:
            scope.cancel()
        while self._scopes:
            await self._one_ended.park()


class _Content:
    """A request's body as httpcore reads it. It is no generator: a lost connection would leave one suspended."""

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


class _Transport(httpx.AsyncBaseTransport):
    """httpx's transport. It reads whole answers, so that no connection is in use after its request."""

    def __init__(self, pool: Callable[[], ConnectionPool], redactor: Redactor) -> None:
        self._pool = pool
        self._redactor = redactor

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool, url = self._pool(), request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=_Content(request.content),
        )
        progress: _Progress = request.extensions["progress"]
        repeatable = request.method == "GET"
        connection = await pool.take(repeatable=repeatable)
        progress.has_sent = True
        try:
            return await self._exchange(pool, connection, sent)
        except ConnectionFailed:
            # The service may have closed the connection while it was idle; then it has not received the request.
            if not repeatable or not connection.is_reused or connection.answered:
                raise
        return await self._exchange(pool, await pool.open(), sent)

    async def _exchange(
        self, pool: ConnectionPool, connection: Connection, request: httpcore.Request
    ) -> httpx.Response:
        """Send a request over a connection and read the answer. Then the connection is given back or closed.

        Raises:
            ConnectionFailed: the connection was lost, or its bytes are not HTTP.
            DecodeError: the answer is encoded, or larger than the limit.
        """
        try:
            response = await connection.send(request)
            if not connection.answered:
                # It came after the previous answer: the server answers twice, or sends more than it announced.
                msg = "the connection was lost: an answer came over it before it was asked for"
                raise ConnectionFailed(msg)  # noqa: TRY301 - the handler below closes the connection
            self._check_encoding(response)
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
        return httpx.Response(response.status, headers=response.headers, content=body)

    def _check_encoding(self, response: httpcore.Response) -> None:
        encoding = SecretText(httpx.Headers(response.headers).get("content-encoding", "identity"))
        if encoding != "identity":
            known = self._redactor.text(encoding[:40])
            msg = f"the answer came in an encoding that was not asked for: {known!r}"
            raise DecodeError(msg)


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


def _unanswered(message: str, progress: _Progress) -> ConnectionFailed:
    failure = ConnectionFailed(message)
    failure.nothing_sent = not progress.has_sent
    return failure


def _lost(failure: Exception) -> ConnectionFailed:
    """The error of this package for one of httpcore's."""
    return ConnectionFailed(f"the connection was lost: {failure}" if str(failure) else "the connection was lost")


class Http:
    """REST requests to one endpoint. Connections are kept and used again; a `Pacer` decides when a request is sent.

    Args:
        endpoint: The service.
        connector: Opens byte streams.
        tls: TLS settings; None speaks plain HTTP.
        timeout: Seconds for a whole request, the wait for its turn included.
        max_body: The most bytes of an answer, its head included.
        headers: Sent with every request.
        redactor: Takes secrets out of errors.
        pacer: Returns the pacer of the present ``trio.run``.
        observer: Is told of each request when it has ended.
        now_ns: Returns the client's time in nanoseconds since the Unix epoch.
    """

    # Thirteen attributes: two are counts of all runs, and three how an answer is looked at.
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
        pacer: Callable[[], Pacer],
        observer: Observer,
        now_ns: Callable[[], int],
    ) -> None:
        #: Compares the service's clock with the client's.
        self.clock: ServiceClock = ServiceClock()
        self._observer = observer
        self._now_ns = now_ns
        self._redactor = redactor
        self._timeout = timeout
        self._pacer = pacer
        self._pool: RunLocal[ConnectionPool] = RunLocal(lambda: ConnectionPool(endpoint, connector, tls, max_body))
        self._is_closed = False
        self._under_way = RunLocal(_UnderWay)
        #: Requests begun, requests ended, and answers by status, of all runs.
        self._begun = self._ended = 0
        self._answers: Counter[int] = Counter()
        self._client = httpx.AsyncClient(
            base_url=str(endpoint),
            transport=_Transport(self._pool.get, redactor),
            headers={**headers, **_HEADERS},
            timeout=None,  # noqa: S113 - bounded as a whole in request()
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def send(self, request: Request) -> Answer:
        """Send one request and read the whole answer, whatever its status.

        A stream's request waits for its turn without a limit; any other one waits within its timeout. Cancelled, a
        request closes its connection; the service may have received it if its first byte may have left.

        Raises:
            ConnectionFailed: refused, lost, or not answered within the timeout. ``nothing_sent`` says whether no byte
                of the request can have left.
            DecodeError: the answer is encoded, or larger than the limit.
            RateLimitError: the service asked for a pause that is longer than the timeout. Nothing was sent.
            RuntimeError: the client was closed.
        """
        if self._is_closed:
            raise RuntimeError(_CLOSED)
        progress = _Progress()
        under_way = self._under_way.get()
        began, status = trio.current_time(), None
        with trio.CancelScope() as scope:
            under_way.begin(scope)
            self._begun += 1
            try:
                answer = await self._send(scope, progress, request)
                status = answer.status
                return answer  # noqa: TRY300 - `status` is for the observer
            except (ConnectionFailed, DecodeError) as exc:
                if isinstance(exc, ConnectionFailed):
                    exc.nothing_sent = not progress.has_sent
                raise self._redactor.error(exc)  # noqa: B904 - it is the same, and has its cause
            finally:
                self._ended += 1
                under_way.finish(scope)
                self._observer.request(request.method, request.path, status, trio.current_time() - began)
        late = f"{request.method} {request.path} was not answered within {self._timeout:g} s"
        raise _unanswered(_CLOSED if self._is_closed else late, progress)

    async def _send(self, scope: trio.CancelScope, progress: _Progress, request: Request) -> Answer:
        """Wait for the request's turn, send it and read the answer. The scope ends with the timeout."""
        dispatch, priority = request.dispatch, request.dispatch.priority
        pacer = self._pacer()
        queue = pacer.queue(priority)
        is_patient = priority >= Priority.CONFIRMATION
        deadline = trio.current_time() + self._timeout
        ticket = await queue.acquire(priority, deadline=math.inf if is_patient else deadline)
        sent_at, sent_ns = trio.current_time(), self._now_ns()
        scope.deadline = sent_at + self._timeout if is_patient else deadline
        try:
            if dispatch.on_sent is not None:
                dispatch.on_sent()
            headers = dict(request.headers)
            if request.body is not None:
                headers["content-type"] = "application/json"
            response = await self._client.request(
                request.method,
                request.path,
                params=request.params,
                content=request.body,
                headers=headers,
                extensions={"progress": progress},
            )
            if (date := parse_date(response.headers.get("date", "")[:_LONGEST_DATE])) is not None:
                self.clock.answered(int(date.timestamp()) * 1_000_000_000, sent_ns, self._now_ns())
            response.stream = _READ  # the one that was read refers to the response
        finally:
            queue.release(ticket)
        answer = Answer(response.status_code, response.headers, response.content)
        self._answers[answer.status] += 1
        pacer.answered(queue, answer.status, sent_at, answer.retry_after)
        return answer

    def statistics(self) -> RequestStatistics:
        """Return the counts of the requests as they are now."""
        return RequestStatistics(
            answers=dict(self._answers),
            unanswered=self._ended - self._answers.total(),
            under_way=self._begun - self._ended,
            idle_connections=self.idle_connections,
        )

    @property
    def idle_connections(self) -> int:
        """How many connections of this ``trio.run`` are kept for the next requests."""
        pool = self._pool.peek()
        return 0 if pool is None else pool.idle

    async def retire_connections(self) -> None:
        """Let no further request use a connection that is open now: the service may have moved."""
        await self._pool.get().retire()

    async def aclose(self) -> None:
        """End the requests of this ``trio.run`` and close its connections, at once. No more requests can be sent.

        Requests of another run that goes on in another thread end there; its idle connections go with this object.
        """
        self._is_closed = True
        await self._under_way.get().end()
        if (pool := self._pool.peek()) is not None:
            await pool.retire()
        await self._client.aclose()
