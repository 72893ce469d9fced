"""Signing in: one session per user and service, and the service as a signed-in user sees it."""

from __future__ import annotations

import copy
import logging
import math
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from tplus_trio import codec
from tplus_trio.errors import DecodeError, HandshakeRejected, MissingUserError, TplusError, api_error
from tplus_trio.exits import PlainExitStack
from tplus_trio.models import AuthToken, Nonce
from tplus_trio.secret import Redactor, SecretBytes, SecretText
from tplus_trio.threads import run_in_thread
from tplus_trio.transport.connector import Connector, Endpoint
from tplus_trio.transport.http import Answer, Http, retry_after
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
#: What a header can carry.
_TOKEN: Final = re.compile(r"[!-~]+")


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
    #: Nanoseconds since the epoch.
    renew_at_ns: float

    def headers(self) -> dict[str, str]:
        return {"Authorization": SecretText(f"Bearer {self.token}"), "User-Id": self.public_key}


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
        self._sign_ins = 0
        self._credentials: _Credentials | None = None
        self._failure: Exception | None = None
        self._anonymous_until = 0.0

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
        if trio.current_time() < self._anonymous_until:
            await trio.lowlevel.checkpoint()
            return None
        try:
            return await self.credentials(refused)
        except (TplusError, ValueError) as exc:
            if trio.current_time() >= self._anonymous_until:  # else whoever shares the failure has said so
                self._anonymous_until = trio.current_time() + _ANONYMOUS_FOR
                _log.warning("sign-in as %s failed, going on anonymously: %s", self._user.public_key, exc)
            return None

    def _usable(self, refused: _Credentials | None) -> _Credentials | None:
        known = self._credentials
        if known is None or known is refused or self._now_ns() >= known.renew_at_ns:
            return None
        return known

    async def _sign_in(self) -> _Credentials:
        key = self._user.public_key
        answer = await self._http.request("GET", f"{self._prefix}/nonce/{key}")
        nonce = codec.decode(_body(answer, self._redactor), Nonce).value
        if len(nonce) > _LONGEST_NONCE or "{" in nonce:
            # Orders are signed with the same key: no server gets the signature of one by calling it a nonce.
            msg = "the nonce that the service gave is no nonce: it is not signed"
            raise DecodeError(msg)
        body = await self._proof(key, nonce)
        answer = await self._http.request("POST", f"{self._prefix}/auth", body=body)
        # What it issues goes through as it is: it may be the token that it issued before.
        granted = SecretBytes(answer.body if 200 <= answer.status < 300 else _body(answer, self._redactor))
        token = codec.decode(granted, AuthToken)
        if not _TOKEN.fullmatch(token.token):
            msg = "the token that the service issued cannot be sent in a header"
            raise DecodeError(msg)
        now = self._now_ns()
        left = token.expiry_ns - now
        # One that has expired already says that the clocks disagree, and nothing about when: it is used until refused.
        renew_at_ns = now + left - min(_MARGIN_NS, left // 2) if left > 0 else math.inf
        self._redactor.tell_token(token.token, token.expiry_ns, now)
        return _Credentials(key, SecretText(token.token), renew_at_ns)

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
    raise api_error(answer.status, text, retry_after=retry_after(answer.headers.get("retry-after", "")))


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
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.now_ns = now_ns
        self._connector = connector
        self._tls = tls
        self._headers = {name: SecretText(value) for name, value in headers.items()}
        self.redactor: Redactor = Redactor(headers)
        self._auth_prefix = auth_prefix
        self._http = Http(
            endpoint,
            connector,
            tls=tls,
            timeout=timeout,
            max_body=limits.max_message_size,
            headers=self._headers,
            redactor=self.redactor,
        )
        self._sessions: dict[str, _Session] = {}

    async def _sign_in(
        self, user: User | None, required: bool, refused: _Credentials | None = None
    ) -> _Credentials | None:
        if user is None:
            if required:
                raise MissingUserError
            return None
        session = self._sessions.get(user.public_key)
        if session is None:
            session = _Session(user, self._http, self._auth_prefix, self.now_ns, self.redactor)
            self._sessions[user.public_key] = session
        return await (session.credentials(refused) if required else session.optional_credentials(refused))

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
    ) -> bytes:
        """Send a request and return the body of its answer.

        Args:
            method: An HTTP method.
            path: The path, quoted, with a leading slash.
            params: The query.
            body: JSON.
            user: Whom to sign in as.
            required: Whether the service asks for that; where not, a failed sign-in leaves the request anonymous.

        Raises:
            ApiError: the service said no. A 401 or 403 is raised after one fresh sign-in and one retry.
            ConnectionFailed: it could not be reached, or did not answer in time.
            MissingUserError: a user is required and there is none.
        """
        credentials = await self._sign_in(user, required)
        answer = await self._request(method, path, params, body, credentials)
        if credentials is not None and answer.status in _REFUSED:
            _log.info("%s %s was refused with %d: signing in afresh", method, path, answer.status)
            credentials = await self._sign_in(user, required, refused=credentials)
            answer = await self._request(method, path, params, body, credentials)
        return _body(answer, self.redactor, signed=body is not None)

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        body: bytes | None,
        credentials: _Credentials | None,
    ) -> Answer:
        headers = None if credentials is None else credentials.headers()
        return await self._http.request(method, path, params=params, body=body, headers=headers)

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
            credentials = await self._sign_in(user, required)
            try:
                websocket = await stack.enter_async_context(self._websocket(path, credentials, limits))
            except HandshakeRejected as exc:
                if credentials is None or exc.status not in _REFUSED:
                    raise
                _log.info("the handshake on %s was refused with %d: signing in afresh", path, exc.status)
                credentials = await self._sign_in(user, required, refused=credentials)
                websocket = await stack.enter_async_context(self._websocket(path, credentials, limits))
            yield websocket

    @asynccontextmanager
    async def _websocket(
        self, path: str, credentials: _Credentials | None, limits: WebSocketLimits | None
    ) -> AsyncGenerator[WebSocket]:
        headers = {**self._headers, **({} if credentials is None else credentials.headers())}
        async with open_websocket(
            self._connector,
            self.endpoint,
            path,
            tls=self._tls,
            headers=headers,
            limits=limits or self.limits,
            redactor=self.redactor,
        ) as websocket:
            yield websocket

    async def aclose(self) -> None:
        """Close the connections that are kept for REST."""
        await self._http.aclose()
