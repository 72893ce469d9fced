"""Signing in: one session per user and service, and the service as a signed-in user sees it."""

from __future__ import annotations

import copy
import logging
import math
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import trio

from tplus_trio import codec
from tplus_trio.errors import ConnectionFailed, DecodeError, HandshakeRejected, MissingUserError, TplusError, api_error
from tplus_trio.exits import PlainExitStack
from tplus_trio.models import AuthToken, Nonce
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor, SecretBytes, SecretText
from tplus_trio.threads import run_in_thread
from tplus_trio.transport.closing import CloseBudget
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.http import Answer, Http
from tplus_trio.transport.pacing import Dispatch, Pacer, Priority
from tplus_trio.transport.websocket import WebSocket, WebSocketLimits, open_websocket
from tplus_trio.users import User
from tplus_trio.users.terminal import restore_echo

__all__ = ["Service", "sign"]

_log = logging.getLogger("tplus_trio.auth")

#: A token is renewed this long before it expires (or at half its life, where that is shorter).
_MARGIN_NS: Final = 60 * 1_000_000_000
#: Where signing in is a favour, a failed one is not tried again for this long, in seconds.
_ANONYMOUS_FOR: Final = 60.0
#: Characters.
_LONGEST_NONCE: Final = 1024
_REFUSED: Final = frozenset({401, 403})
#: Close codes with which a service ends the connections of a token that it no longer accepts.
_REVOKING: Final = frozenset({1008, 3000, 4401, 4403})
#: Seconds between sign-ins that such closes cause: the first pause, which doubles, and the longest. A connection that
#: lasted for as long as the first pause shows that its token was accepted.
_FIRST_PAUSE: Final = 10.0
_LONGEST_PAUSE: Final = 600.0
#: How often a request is sent at most. Each time but the first, it was refused with credentials that another task had
#: asked for before.
_MOST_TRIES: Final = 5
_CALL: Final = Dispatch()
_SIGN_IN: Final = Dispatch(Priority.SIGN_IN)
#: What a header can carry, and how many characters of it: a longer head is refused by any server.
_TOKEN: Final = re.compile(r"[!-~]+")
_LONGEST_TOKEN: Final = 16 * 1024


async def sign(user: User, payload: str) -> bytes:
    """Sign as ``user``, decrypting a stored key in a thread where that has not happened yet.

    Raises:
        ValueError: the key cannot be decrypted.
    """
    if user.locked:
        # Deriving the key takes a tenth of a second, and may ask for a password.
        try:
            await run_in_thread(user.unlock)
        except BaseException:  # Ctrl-C at the question for a password: the thread still waits for the answer
            restore_echo()
            raise
    else:
        await trio.lowlevel.checkpoint()
    return SecretBytes(user.sign(payload))


@attrs.frozen
class _Credentials:
    """What a signed-in request carries."""

    public_key: str
    token: SecretText = attrs.field(repr=False)
    #: Which of the session's sign-ins issued them.
    number: int
    #: Nanoseconds since the epoch.
    renew_at_ns: float

    def headers(self) -> dict[str, str]:
        return {"Authorization": SecretText(f"Bearer {self.token}"), "User-Id": self.public_key}


@attrs.define
class _Pause:
    """When something is tried again, in seconds on trio's clock."""

    until: float = -math.inf
    #: How long the next pause is to be.
    length: float = _FIRST_PAUSE


class _Session:
    """One user's session with one service: one token, and one sign-in in flight at most.

    Whoever needs a token while another task signs in waits for that sign-in and shares what comes of it, a failure
    included. If the task that signs in is cancelled, the next in line does it instead.
    """

    def __init__(self, user: User, http: Http, prefix: str, now_ns: Callable[[], int], redactor: Redactor) -> None:
        self._user = user
        self._http = http
        self._redactor = redactor
        self._prefix = prefix
        self._now_ns = now_ns
        self._lock = trio.Lock()
        #: How many sign-ins were begun, and how many have ended.
        self.begun: int = 0
        self._sign_ins = 0
        self._credentials: _Credentials | None = None
        #: When a connection that the service closes may cause the next sign-in.
        self._revocations: RunLocal[_Pause] = RunLocal(_Pause)
        self._failure: Exception | None = None
        #: Until when a favour is not asked for again.
        self._anonymous: RunLocal[_Pause] = RunLocal(_Pause)

    async def credentials(self, refused: _Credentials | None = None) -> _Credentials:
        """Credentials that are good for now, other than those that the service has just refused.

        Raises:
            ApiError: the sign-in was refused.
            ConnectionFailed: the service could not be reached.
        """
        if (known := self._usable(refused)) is not None:
            await trio.lowlevel.checkpoint()
            return known
        before = self._sign_ins
        async with self._lock:
            if (known := self._usable(refused)) is not None:
                return known
            if self._sign_ins != before:
                # Somebody signed in meanwhile: that was for everybody who waited, whatever the clock says.
                if self._failure is not None:
                    raise copy.copy(self._failure) from self._failure.__cause__
                if self._credentials is not None and self._credentials is not refused:
                    return self._credentials
            try:
                self._credentials = await self._sign_in()
            except (TplusError, ValueError) as exc:
                # A copy: the error itself holds the frames of whoever it reaches, and all that lives in them.
                self._failure = copy.copy(exc)
                self._failure.__cause__ = exc.__cause__
                self._sign_ins += 1
                raise
            self._failure = None
            self._sign_ins += 1
            return self._credentials

    async def optional_credentials(self, refused: _Credentials | None = None) -> _Credentials | None:
        """The same where signing in is a favour: None where it fails."""
        pause = self._anonymous.get()
        if trio.current_time() < pause.until:
            await trio.lowlevel.checkpoint()
            return None
        try:
            return await self.credentials(refused)
        except (TplusError, ValueError) as exc:
            if trio.current_time() >= pause.until:  # else another task that shares the failure has logged it
                pause.until = trio.current_time() + _ANONYMOUS_FOR
                _log.warning("sign-in as %s failed, going on anonymously: %s", self._user.public_key, exc)
            return None

    def revoke(self, credentials: _Credentials) -> None:
        """Sign in afresh before the next connection, since the service closed one over these.

        A service that closes connections over fresh credentials too has another reason: sign-ins are spaced, ever more.
        """
        pause, now = self._revocations.get(), trio.current_time()
        if self._credentials is credentials and now >= pause.until:
            self._credentials = None
            pause.until, pause.length = now + pause.length, min(2 * pause.length, _LONGEST_PAUSE)

    def prove(self) -> None:
        """The service keeps a connection open: the next close over credentials is news again."""
        self._revocations.get().length = _FIRST_PAUSE

    def _usable(self, refused: _Credentials | None) -> _Credentials | None:
        known = self._credentials
        if known is None or known is refused or self._now_ns() >= known.renew_at_ns:
            return None
        return known

    async def _sign_in(self) -> _Credentials:
        key = self._user.public_key
        self.begun += 1
        number = self.begun
        answer = await self._http.request("GET", f"{self._prefix}/nonce/{key}", dispatch=_SIGN_IN)
        nonce = codec.decode(_body(answer, self._redactor), Nonce).value
        if len(nonce) > _LONGEST_NONCE or "{" in nonce:
            # Orders are signed with the same key: no server gets the signature of one by calling it a nonce.
            msg = "the nonce that the service gave is no nonce: it is not signed"
            raise DecodeError(msg)
        body = await self._proof(key, nonce)
        answer = await self._http.request("POST", f"{self._prefix}/auth", body=body, dispatch=_SIGN_IN)
        # What it issues goes through as it is: it may be the token that it issued before.
        granted = SecretBytes(answer.body if 200 <= answer.status < 300 else _body(answer, self._redactor))
        token = codec.decode(granted, AuthToken)
        if not _TOKEN.fullmatch(token.token):
            msg = "the token that the service issued cannot be sent in a header"
            raise DecodeError(msg)
        if len(token.token) > _LONGEST_TOKEN:
            msg = f"the token that the service issued is longer than {_LONGEST_TOKEN} characters"
            raise DecodeError(msg)
        now = self._now_ns()
        left = token.expiry_ns - now
        # One that has expired already says that the clocks disagree, and nothing about when: it is used until refused.
        renew_at_ns = now + left - min(_MARGIN_NS, left // 2) if left > 0 else math.inf
        self._redactor.tell_token(token.token, token.expiry_ns, now)
        return _Credentials(key, SecretText(token.token), number, renew_at_ns)

    async def _proof(self, key: str, nonce: str) -> bytes:
        """What is sent to be signed in."""
        signature = await sign(self._user, nonce)
        self._redactor.tell_signature(signature)
        return SecretBytes(
            codec.encode({"user_id": key, "nonce": nonce, "signature": list(signature), "additional_signers": []})
        )


def _body(answer: Answer, redactor: Redactor, *, signed: bool = False) -> bytes:
    """The body of an answer that says yes.

    A server may repeat what it was told; neither an error nor a model shall.

    Raises:
        ApiError: it says no.
    """
    if 200 <= answer.status < 300:
        return redactor.signed(answer.body) if signed else redactor.body(answer.body)
    text: dict[str, Any] | str
    if 300 <= answer.status < 400:
        text = "the service redirects, and redirects are not followed"
    else:
        try:
            text = redactor.tree(codec.decode(answer.body, dict[str, Any]))
        except DecodeError:
            text = redactor.text(answer.body[:500].decode(errors="replace"))
    raise api_error(answer.status, text, retry_after=answer.retry_after)


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
        self._sessions: dict[str, _Session] = {}

    def _session(self, user: User | None) -> _Session | None:
        if user is None:
            return None
        session = self._sessions.get(user.public_key)
        if session is None:
            session = _Session(user, self._http, self._auth_prefix, self.now_ns, self.redactor)
            self._sessions[user.public_key] = session
        return session

    async def _sign_in(
        self, user: User | None, required: bool, refused: _Credentials | None = None
    ) -> _Credentials | None:
        session = self._session(user)
        if session is None:
            if required:
                raise MissingUserError
            return None
        return await (session.credentials(refused) if required else session.optional_credentials(refused))

    async def _sign_in_afresh(
        self, user: User | None, required: bool, refused: _Credentials
    ) -> tuple[_Credentials | None, bool]:
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
        return _body(answer, self.redactor, signed=body is not None)

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        body: bytes | None,
        credentials: _Credentials | None,
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
                if credentials is not None and trio.current_time() - opened_at >= _FIRST_PAUSE:
                    self._sessions[credentials.public_key].prove()

    async def _connect(
        self, stack: PlainExitStack, path: str, user: User | None, required: bool, limits: WebSocketLimits | None
    ) -> tuple[WebSocket, _Credentials | None]:
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
        self, path: str, credentials: _Credentials | None, limits: WebSocketLimits | None
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
