"""One T+ service: REST requests and WebSockets over one connector, signed in or anonymous."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from tplus_trio.auth import Credentials, Session, body_of, sign
from tplus_trio.errors import ConnectionFailed, HandshakeRejected, MissingUserError, TplusError
from tplus_trio.exits import PlainExitStack
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.observer import Observer
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor, SecretText
from tplus_trio.transport.close_budget import CloseBudget
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.http import Http, Request
from tplus_trio.transport.pacing import Dispatch, Pacer, Priority
from tplus_trio.transport.request_statistics import RequestStatistics
from tplus_trio.transport.service_clock import ClockOffset
from tplus_trio.transport.websocket import WebSocket, WebSocketLimits
from tplus_trio.transport.websocket_opening import open_websocket
from tplus_trio.users import User

__all__ = ["Service"]

_log = logging.getLogger("tplus_trio.auth")

_REFUSED: Final = frozenset({401, 403})
#: Close codes with which a service ends the connections of a token that it no longer accepts.
_REVOKING: Final = frozenset({1008, 3000, 4401, 4403})
#: The most times that a request is sent. Each retry follows a refusal of credentials that another task had requested
#: before.
_MOST_TRIES: Final = 5
_CALL: Final = Dispatch()


class _RunState:
    """The state of a service in one ``trio.run``: clocks and waiting tasks belong to a run.

    Args:
        limits: Bounds of its WebSocket connections.
        draw: Draws from [0, 1), for delays.
    """

    def __init__(self, limits: WebSocketLimits, draw: Callable[[], float]) -> None:
        self.pacer: Pacer = Pacer(draw)
        self.closing: CloseBudget = CloseBudget(limits.close_timeout)
        #: Whether the last handshake failed.
        self.is_refusing: bool = False
        #: Whether it failed because no connection could be made.
        self.is_away: bool = False
        #: The streams that wait for a connection that can be made.
        self.waiting: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()

    def failed(self, error: TplusError) -> None:
        """Note that a handshake failed."""
        self.is_refusing = True
        self.is_away = isinstance(error, ConnectionFailed)

    def succeeded(self) -> None:
        """Note that a handshake succeeded, and wake the streams that wait for one."""
        self.is_refusing = False
        self.closing.restore()
        if self.is_away:
            self.is_away = False
            self.waiting.unpark_all()


class Service:
    """Sends REST requests to one T+ service and opens its WebSockets, signed in or anonymous.

    Args:
        endpoint: The service's base URL.
        connector: Opens byte streams.
        tls: TLS settings; None means plain HTTP.
        timeout: Seconds for each REST request.
        limits: Bounds of WebSocket connections, and of the size of an answer.
        headers: Sent with every request and handshake.
        auth_prefix: The path under which the service signs users in.
        now_ns: The service's time, in nanoseconds since the epoch.
        draw: Draws from [0, 1), for delays.
        observer: Its methods are called for sign-ins, requests and the events of streams.
    """

    # Twelve attributes: the settings of a service, and the objects that are made from them once.
    def __init__(
        self,
        endpoint: Endpoint,
        connector: Connector,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        limits: WebSocketLimits,
        headers: Mapping[str, str],
        auth_prefix: str,
        now_ns: Callable[[], int],
        draw: Callable[[], float],
        observer: Observer | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.observer: Observer = observer or Observer()
        self.limits = limits
        self.now_ns = now_ns
        self.redactor: Redactor = Redactor(headers)
        self._headers = {name: SecretText(value) for name, value in headers.items()}
        self._run = RunLocal(partial(_RunState, limits, draw))
        self._open = partial(open_websocket, connector, endpoint, tls=tls, redactor=self.redactor)
        self._http = http = Http(
            endpoint,
            connector,
            tls=tls,
            timeout=timeout,
            max_body=limits.max_message_size,
            headers=self._headers,
            redactor=self.redactor,
            pacer=_pacer_of(self._run),
            observer=self.observer,
            now_ns=now_ns,
        )
        self._sessions: dict[str, Session] = {}
        self._new_session = partial(
            Session, http=http, prefix=auth_prefix, now_ns=now_ns, redactor=self.redactor, observer=self.observer
        )

    def clock_offset(self) -> ClockOffset | None:
        """Return how far the service's clock is ahead of the client's; None before an answer has shown it."""
        return self._http.clock.offset(self.now_ns())

    def _session(self, user: User | None) -> Session | None:
        if user is None:
            return None
        session = self._sessions.get(user.public_key)
        return self._sessions.setdefault(user.public_key, self._new_session(user)) if session is None else session

    async def _sign_in(
        self, user: User | None, required: bool, refused: Credentials | None = None
    ) -> Credentials | None:
        session = self._session(user)
        if session is None:
            if required:
                raise MissingUserError
            return None
        return await (session.credentials(refused) if required else session.optional_credentials(refused))

    async def _sign_in_afresh(
        self, user: User | None, required: bool, refused: Credentials
    ) -> tuple[Credentials | None, bool]:
        """Return other credentials than the refused ones, and whether their sign-in was begun after the refusal.

        If it was not, they may be as old as the refused ones, and another refusal is not final.
        """
        session = self._session(user)
        begun = 0 if session is None else session.begun
        credentials = await self._sign_in(user, required, refused)
        return credentials, credentials is None or credentials.number > begun

    @property
    def is_scarce(self) -> bool:
        """Whether to save requests: the last handshake failed, or the service limits its clients."""
        run = self._run.get()
        return run.is_refusing or run.pacer.is_limited

    def request_statistics(self) -> RequestStatistics:
        """Return the counts of the REST requests as they are now."""
        return self._http.statistics()

    async def sign(self, user: User, payload: str) -> bytes:
        """Sign a payload for this service; see :func:`sign`."""
        signature = await sign(user, payload)
        self.redactor.tell_signature(signature)
        return signature

    async def sign_in(self, user: User) -> None:
        """Sign in now if there is no valid token."""
        await self._sign_in(user, required=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        user: User | None = None,
        required: bool = False,
        dispatch: Dispatch = _CALL,
    ) -> bytes:
        """Send a request and return the body of its answer.

        Args:
            method: An HTTP method.
            path: The path, quoted, with a leading slash.
            params: The query.
            body: The JSON body.
            user: The user to sign in as; None sends the request anonymously.
            required: Whether the service requires a user; if not, a failed sign-in leaves the request anonymous.
            dispatch: How urgent the request is.

        Raises:
            ApiError: the service refused. A 401 or 403 is raised after a sign-in made for this request, and a retry.
            RateLimitError: the service refused, or had asked for a pause longer than the client's timeout.
            ConnectionFailed: the service could not be reached, or did not answer in time.
            DecodeError: the answer is encoded, or larger than the limit.
            MissingUserError: a user is required and there is none.
        """
        unsigned = Request(method, path, params, body, dispatch=dispatch)
        credentials, is_last = await self._sign_in(user, required), False
        answer = await self._http.send(_with_credentials(unsigned, credentials))
        for _ in range(_MOST_TRIES - 1):
            if credentials is None or answer.status not in _REFUSED:
                break
            if dispatch.on_refused is not None and not dispatch.on_refused():
                self._sessions[credentials.public_key].revoke(credentials)
                break
            if is_last:
                break
            log_event(
                _log,
                logging.INFO,
                LogEvent.TOKEN_REFUSED,
                "%s %s was refused with %d: signing in afresh",
                method,
                path,
                answer.status,
                path=path,
                status=answer.status,
            )
            credentials, is_last = await self._sign_in_afresh(user, required, credentials)
            answer = await self._http.send(_with_credentials(unsigned, credentials))
        return body_of(answer, self.redactor, signed=body is not None)

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        user: User | None = None,
        required: bool = False,
        limits: WebSocketLimits | None = None,
        subprotocols: Sequence[str] = (),
        priority: Priority = Priority.RECOVERY,
    ) -> AsyncGenerator[WebSocket]:
        """Open a WebSocket for as long as the context lasts.

        Args:
            path: The path, quoted, with a leading slash.
            user: The user to sign in as; None connects anonymously.
            required: Whether the service requires a user; if not, a failed sign-in leaves the connection anonymous.
            limits: Timeouts in seconds and sizes in bytes; None uses those of the service.
            subprotocols: Offered to the service, the preferred one first.
            priority: How urgent the handshake is.

        Raises:
            HandshakeRejected: the service refused. A 401 or 403 is raised after a sign-in made for this connection.
            ConnectionFailed: no connection could be made, or it was lost.
            MissingUserError: a user is required and there is none.
            ApiError: the service refused the sign-in.
        """
        async with PlainExitStack() as stack:
            opening = partial(self._websocket, path, limits=limits, subprotocols=subprotocols, priority=priority)
            websocket, credentials = await self._connect(stack, opening, path, user, required)
            opened_at = trio.current_time()
            try:
                yield websocket
            except ConnectionFailed as exc:
                if credentials is not None and exc.close_code in _REVOKING:
                    self._sessions[credentials.public_key].revoke(credentials)
                raise
            finally:
                if credentials is not None:
                    self._sessions[credentials.public_key].prove(trio.current_time() - opened_at)

    async def _connect(
        self,
        stack: PlainExitStack,
        opening: Callable[[Credentials | None], AbstractAsyncContextManager[WebSocket]],
        path: str,
        user: User | None,
        required: bool,
    ) -> tuple[WebSocket, Credentials | None]:
        """Open a WebSocket on a stack. After a refused token, sign in afresh and try again, up to five times."""
        credentials, is_last = await self._sign_in(user, required), False
        left = _MOST_TRIES
        while True:
            left -= 1
            try:
                websocket = await stack.enter_async_context(opening(credentials))
            except HandshakeRejected as exc:
                if credentials is None or is_last or not left or exc.status not in _REFUSED:
                    raise
                log_event(
                    _log,
                    logging.INFO,
                    LogEvent.TOKEN_REFUSED,
                    "the handshake on %s was refused with %d: signing in afresh",
                    path,
                    exc.status,
                    path=path,
                    status=exc.status,
                )
                credentials, is_last = await self._sign_in_afresh(user, required, credentials)
            else:
                return websocket, credentials

    @asynccontextmanager
    async def _websocket(
        self,
        path: str,
        credentials: Credentials | None,
        *,
        limits: WebSocketLimits | None,
        subprotocols: Sequence[str],
        priority: Priority,
    ) -> AsyncGenerator[WebSocket]:
        """Open a WebSocket with one set of credentials, once the pacer lets the handshake through."""
        headers = {**self._headers, **({} if credentials is None else credentials.headers())}
        run = self._run.get()
        pacer, queue = run.pacer, run.pacer.handshake_queue(priority)
        async with PlainExitStack() as stack:
            slot = await queue.acquire(priority)
            sent_at = trio.current_time()
            try:
                websocket = await stack.enter_async_context(
                    self._open(
                        path,
                        headers=headers,
                        subprotocols=subprotocols,
                        limits=limits or self.limits,
                        closing=run.closing,
                    )
                )
            except TplusError as exc:
                run.failed(exc)
                if isinstance(exc, HandshakeRejected):
                    pacer.answered(queue, exc.status, sent_at, exc.retry_after)
                raise
            finally:
                queue.release(slot)
            run.succeeded()
            pacer.answered(queue, 101, sent_at, None)
            yield websocket

    async def wait_until_back(self) -> None:
        """Wait until a connection succeeds again after one could not be made."""
        await self._run.get().waiting.park()

    async def retire_connections(self) -> None:
        """Let no further request use a connection that is open now: the service may have moved."""
        await self._http.retire_connections()

    async def aclose(self) -> None:
        """End the REST requests of this ``trio.run`` and close its connections."""
        await self._http.aclose()


def _pacer_of(run: RunLocal[_RunState]) -> Callable[[], Pacer]:
    """Return a function that returns the present run's pacer. It does not refer to the service, which refers to it."""
    return lambda: run.get().pacer


def _with_credentials(request: Request, credentials: Credentials | None) -> Request:
    return request if credentials is None else attrs.evolve(request, headers=credentials.headers())
