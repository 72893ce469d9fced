"""One T+ service as a signed-in user sees it: REST and WebSockets over one connector."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from tplus_trio.auth import Credentials, Session, body_of, sign
from tplus_trio.errors import ConnectionFailed, HandshakeRejected, MissingUserError, TplusError
from tplus_trio.exits import PlainExitStack
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor, SecretText
from tplus_trio.transport.closing import CloseBudget
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.http import Answer, Http
from tplus_trio.transport.pacing import Dispatch, Pacer, Priority
from tplus_trio.transport.request_statistics import RequestStatistics
from tplus_trio.transport.websocket import WebSocket, WebSocketLimits, open_websocket
from tplus_trio.users import User

__all__ = ["Service"]

_log = logging.getLogger("tplus_trio.auth")

_REFUSED: Final = frozenset({401, 403})
#: Close codes with which a service ends the connections of a token that it no longer accepts.
_REVOKING: Final = frozenset({1008, 3000, 4401, 4403})
#: How often a request is sent at most. Each time but the first, it was refused with credentials that another task had
#: asked for before.
_MOST_TRIES: Final = 5
_CALL: Final = Dispatch()


class Service:
    """One T+ service: REST and WebSockets, anonymous or signed in, over one connector."""

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
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.now_ns = now_ns
        self._connector = connector
        self._tls = tls
        self._headers = {name: SecretText(value) for name, value in headers.items()}
        self.redactor: Redactor = Redactor(headers)
        self._auth_prefix = auth_prefix
        self._pacer = RunLocal(partial(Pacer, draw))
        self._is_refusing = False
        self._closing = CloseBudget(limits.close_timeout)
        #: Whether the last connection could not be made, and the streams that wait for one that can.
        self._is_away = False
        self._absent = trio.lowlevel.ParkingLot()
        self._http = Http(
            endpoint,
            connector,
            tls=tls,
            timeout=timeout,
            max_body=limits.max_message_size,
            headers=self._headers,
            redactor=self.redactor,
            pacer=self._pacer,
        )
        self._sessions: dict[str, Session] = {}

    def _session(self, user: User | None) -> Session | None:
        if user is None:
            return None
        session = self._sessions.get(user.public_key)
        if session is None:
            session = Session(user, self._http, self._auth_prefix, self.now_ns, self.redactor)
            self._sessions[user.public_key] = session
        return session

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
        """Other credentials than the refused ones, and whether their sign-in was begun after the refusal.

        If not, they may be as old as those that were refused, and another refusal is not final.
        """
        session = self._session(user)
        begun = 0 if session is None else session.begun
        credentials = await self._sign_in(user, required, refused)
        return credentials, credentials is None or credentials.number > begun

    @property
    def is_scarce(self) -> bool:
        """Whether requests are to be saved: the last handshake failed, or the service limits its clients."""
        return self._is_refusing or self._pacer.get().is_limited

    def request_statistics(self) -> RequestStatistics:
        """Return the counts of the REST requests as they are now."""
        return self._http.statistics()

    async def sign(self, user: User, payload: str) -> bytes:
        """Sign what is to be sent to this service; see :func:`sign`."""
        signature = await sign(user, payload)
        self.redactor.tell_signature(signature)
        return signature

    async def sign_in(self, user: User) -> None:
        """Sign in now, where there is no usable token yet."""
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
            body: JSON.
            user: Whom to sign in as.
            required: Whether the service asks for that; where not, a failed sign-in leaves the request anonymous.
            dispatch: How urgent it is.

        Raises:
            ApiError: the service said no. A 401 or 403 is raised after a sign-in made for this request, and a retry.
            RateLimitError: the service said no, or had asked for a pause longer than the client's timeout.
            ConnectionFailed: it could not be reached, or did not answer in time.
            MissingUserError: a user is required and there is none.
        """
        credentials, is_last = await self._sign_in(user, required), False
        answer = await self._request(method, path, params, body, credentials, dispatch)
        for _ in range(_MOST_TRIES - 1):
            if credentials is None or is_last or answer.status not in _REFUSED:
                break
            _log.info("%s %s was refused with %d: signing in afresh", method, path, answer.status)
            credentials, is_last = await self._sign_in_afresh(user, required, credentials)
            answer = await self._request(method, path, params, body, credentials, dispatch)
        return body_of(answer, self.redactor, signed=body is not None)

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        body: bytes | None,
        credentials: Credentials | None,
        dispatch: Dispatch,
    ) -> Answer:
        headers = None if credentials is None else credentials.headers()
        return await self._http.request(method, path, params=params, body=body, headers=headers, dispatch=dispatch)

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        user: User | None = None,
        required: bool = False,
        limits: WebSocketLimits | None = None,
    ) -> AsyncGenerator[WebSocket]:
        """Open a WebSocket; the arguments and the errors are those of :meth:`request`.

        Raises:
            HandshakeRejected: the service said no. A 401 or 403 is raised after one fresh sign-in and one retry.
        """
        async with PlainExitStack() as stack:
            websocket, credentials = await self._connect(stack, path, user, required, limits)
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
        self, stack: PlainExitStack, path: str, user: User | None, required: bool, limits: WebSocketLimits | None
    ) -> tuple[WebSocket, Credentials | None]:
        """Open a WebSocket on a stack, signing in as often as that may help."""
        credentials, is_last = await self._sign_in(user, required), False
        left = _MOST_TRIES
        while True:
            left -= 1
            try:
                websocket = await stack.enter_async_context(self._websocket(path, credentials, limits))
            except HandshakeRejected as exc:
                if credentials is None or is_last or not left or exc.status not in _REFUSED:
                    raise
                _log.info("the handshake on %s was refused with %d: signing in afresh", path, exc.status)
                credentials, is_last = await self._sign_in_afresh(user, required, credentials)
            else:
                return websocket, credentials

    @asynccontextmanager
    async def _websocket(
        self, path: str, credentials: Credentials | None, limits: WebSocketLimits | None
    ) -> AsyncGenerator[WebSocket]:
        headers = {**self._headers, **({} if credentials is None else credentials.headers())}
        pacer = self._pacer.get()
        queue = pacer.handshakes
        async with PlainExitStack() as stack:
            ticket = await queue.acquire(Priority.RECOVERY)
            sent_at = trio.current_time()
            try:
                websocket = await stack.enter_async_context(
                    open_websocket(
                        self._connector,
                        self.endpoint,
                        path,
                        tls=self._tls,
                        headers=headers,
                        limits=limits or self.limits,
                        redactor=self.redactor,
                        closing=self._closing,
                    )
                )
            except TplusError as exc:
                self._is_refusing = True
                self._is_away = isinstance(exc, ConnectionFailed)
                if isinstance(exc, HandshakeRejected):
                    pacer.answered(queue, exc.status, sent_at, exc.retry_after)
                raise
            finally:
                queue.release(ticket)
            self._is_refusing = False
            self._closing.restore()
            if self._is_away:
                self._is_away = False
                self._absent.unpark_all()
            pacer.answered(queue, 101, sent_at, None)
            yield websocket

    async def wait_until_back(self) -> None:
        """Wait until a connection is made after others could not be."""
        await self._absent.park()

    async def retire_connections(self) -> None:
        """Let no request use a connection that is open now, for the service may have moved."""
        await self._http.retire_connections()

    async def aclose(self) -> None:
        """Close the connections that are kept for REST."""
        await self._http.aclose()
