"""REST over any :class:`~tplus_trio.transport.connector.Connector`: httpcore's HTTP/1.1 over our streams.

Heads are put together here, without httpx's client. That spent a third of a request's CPU time on cookies, redirects
and URLs; a request here has no cookies, follows no redirect, and goes to one host.
"""

from __future__ import annotations

import math
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import httpx
import trio

from tplus_trio.errors import ConnectionFailed, DecodeError
from tplus_trio.observer import Observer
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor, SecretBytes
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.pacing import Dispatch, Pacer, Priority
from tplus_trio.transport.pool import ConnectionPool
from tplus_trio.transport.request_statistics import RequestStatistics
from tplus_trio.transport.rest_exchange import Answer, exchange
from tplus_trio.transport.retry_after import parse_date
from tplus_trio.transport.service_clock import ServiceClock

__all__ = ["Answer", "Http", "Request"]

_CLOSED: Final = "the client was closed: its `async with` block was left, or its aclose() was called; make a new one"
#: An encoded body could unpack to any size; the services' answers are small enough to travel without an encoding.
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
#: Sent unless the client's headers say otherwise.
_DEFAULTS: Final = {b"connection": b"keep-alive", b"user-agent": f"python-httpx/{httpx.__version__}".encode()}
#: Methods whose request has a body by their meaning: without one, its length is stated as 0.
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


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


class _Progress:
    """What is known of a request that failed.

    Args:
        on_sent: Called as well when the first byte may leave.
    """

    def __init__(self, on_sent: Callable[[], object] | None) -> None:
        self._on_sent = on_sent
        #: Whether its first byte may have left.
        self.has_sent: bool = False

    def sent(self) -> None:
        """Note that the first byte may leave in this step."""
        self.has_sent = True
        if self._on_sent is not None:
            self._on_sent()


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


def _unanswered(message: str, progress: _Progress) -> ConnectionFailed:
    failure = ConnectionFailed(message)
    failure.nothing_sent = not progress.has_sent
    return failure


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
        self._prefix = endpoint.prefix
        self._headers = {b"host": endpoint.netloc.encode(), **_DEFAULTS, **_encoded(headers), **_encoded(_HEADERS)}

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
        progress = _Progress(request.dispatch.on_sent)
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
        priority = request.dispatch.priority
        pacer = self._pacer()
        queue = pacer.queue(priority)
        is_patient = priority >= Priority.CONFIRMATION
        deadline = trio.current_time() + self._timeout
        ticket = await queue.acquire(priority, deadline=math.inf if is_patient else deadline)
        sent_at, sent_ns = trio.current_time(), self._now_ns()
        scope.deadline = sent_at + self._timeout if is_patient else deadline
        try:
            answer = await exchange(
                self._pool.get(),
                request.method,
                self._target(request),
                self._head(request),
                request.body,
                on_sent=progress.sent,
                redactor=self._redactor,
            )
            if (date := parse_date(answer.headers.get("date", "")[:_LONGEST_DATE])) is not None:
                self.clock.answered(int(date.timestamp()) * 1_000_000_000, sent_ns, self._now_ns())
        finally:
            queue.release(ticket)
        self._answers[answer.status] += 1
        pacer.answered(queue, answer.status, sent_at, answer.retry_after)
        return answer

    def _target(self, request: Request) -> str:
        """The path and the query of a request."""
        query = f"?{httpx.QueryParams(request.params)}" if request.params else ""
        return f"{self._prefix}{request.path}{query}"

    def _head(self, request: Request) -> list[tuple[bytes, bytes]]:
        """All headers of a request."""
        headers = {**self._headers, **_encoded(request.headers)}
        if request.body is not None:
            headers[b"content-length"] = b"%d" % len(request.body)
            headers[b"content-type"] = b"application/json"
        elif request.method in _WITH_BODY:
            headers[b"content-length"] = b"0"
        return list(headers.items())

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


def _encoded(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """Headers as they are sent, names in lower case. The values may be secret."""
    return {name.lower().encode("ascii"): SecretBytes(value.encode("ascii")) for name, value in headers.items()}
