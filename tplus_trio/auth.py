"""Sign-in: one session for each user and service, with one token and at most one sign-in under way."""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from tplus_trio import codec
from tplus_trio.errors import DecodeError, TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models import AuthToken, Nonce
from tplus_trio.observer import Observer
from tplus_trio.refusals import api_error
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor, SecretBytes, SecretText
from tplus_trio.threads import run_in_thread
from tplus_trio.transport.handshake_answer import excerpt
from tplus_trio.transport.http import Answer, Http, Request
from tplus_trio.transport.pacing import Dispatch, Priority
from tplus_trio.users import User
from tplus_trio.users.terminal import restore_echo

__all__ = ["Credentials", "Session", "body_of", "sign"]

_log = logging.getLogger("tplus_trio.auth")

#: A token is renewed this long before it expires (or at half its life, where that is shorter).
_MARGIN_NS: Final = 60 * 1_000_000_000
#: Seconds for which a failed sign-in is not tried again where requests may go without one.
_ANONYMOUS_FOR: Final = 60.0
#: Characters. A longer nonce is not signed.
_LONGEST_NONCE: Final = 1024
#: Seconds between sign-ins after a service closed a connection because of its token: the first pause, which doubles,
#: and the longest. A connection that lasted as long as the first pause shows that the service accepted its token.
_FIRST_PAUSE: Final = 10.0
_LONGEST_PAUSE: Final = 600.0
_SIGN_IN: Final = Dispatch(Priority.SIGN_IN)
#: The characters that a header can carry, and the most of them: servers refuse longer heads.
_TOKEN: Final = re.compile(r"[!-~]+")
_LONGEST_TOKEN: Final = 16 * 1024


async def sign(user: User, payload: str) -> bytes:
    """Sign as ``user``. A stored key that is still encrypted is decrypted in a thread first.

    It is a checkpoint only then: what is signed is sent next, which is one.

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
    return SecretBytes(user.sign(payload))


@attrs.frozen
class Credentials:
    """The token of a signed-in user."""

    public_key: str
    token: SecretText = attrs.field(repr=False)
    #: The number of the sign-in that issued them, counted from 1 for each session.
    number: int
    #: When they are renewed, in nanoseconds since the epoch.
    renew_at_ns: float

    def headers(self) -> dict[str, str]:
        """The headers of a request or handshake."""
        return {"Authorization": SecretText(f"Bearer {self.token}"), "User-Id": self.public_key}


@attrs.define
class _Pause:
    """When the next try is allowed."""

    #: Seconds on trio's clock.
    until: float = -math.inf
    #: Seconds of the next pause.
    length: float = _FIRST_PAUSE


@attrs.define(eq=False)
class _RunState:
    """What a session knows in one ``trio.run``."""

    #: Held by the task that signs in.
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    #: When a connection that the service closes may cause the next sign-in.
    revocations: _Pause = attrs.field(factory=_Pause)
    #: Until when no sign-in is tried where requests may go without one.
    anonymous: _Pause = attrs.field(factory=_Pause)


class Session:
    """One user's session with one service: one token, and one sign-in in flight at most.

    A task that needs a token while another one signs in waits for that sign-in and shares its outcome, a failure
    included. If the task that signs in is cancelled, the next in line signs in instead.
    """

    # Eleven attributes: five of them are how a sign-in is made.
    def __init__(
        self,
        user: User,
        http: Http,
        prefix: str,
        now_ns: Callable[[], int],
        redactor: Redactor,
        observer: Observer,
    ) -> None:
        self._user = user
        self._observer = observer
        self._http = http
        self._redactor = redactor
        self._prefix = prefix
        self._now_ns = now_ns
        self._run = RunLocal(_RunState)
        #: Sign-ins begun, and sign-ins that have ended.
        self.begun: int = 0
        self._sign_ins = 0
        self._credentials: Credentials | None = None
        self._failure: Exception | None = None

    @property
    def is_signing_in(self) -> bool:
        """Whether a task of this ``trio.run`` signs in now."""
        return self._run.get().lock.locked()

    async def credentials(self, refused: Credentials | None = None) -> Credentials:
        """Return credentials that are valid now, and not those that the service has just refused.

        Cancelled, it leaves no sign-in half-done for others: the next task that needs one begins anew. It is no
        checkpoint if the credentials are there: what they are for is sent next, which is one.

        Args:
            refused: The credentials that the service has just refused.

        Raises:
            ApiError: the sign-in was refused.
            ConnectionFailed: the service could not be reached.
        """
        if (known := self._usable(refused)) is not None:
            return known
        before = self._sign_ins
        async with self._run.get().lock:
            if (known := self._usable(refused)) is not None:
                return known
            if self._sign_ins != before:
                # Another task signed in meanwhile: its outcome is for all tasks that waited, whatever the clock says.
                if self._failure is not None:
                    raise copy.copy(self._failure) from self._failure.__cause__
                if self._credentials is not None and self._credentials is not refused:
                    return self._credentials
            try:
                self._credentials = await self._sign_in()
            except (TplusError, ValueError) as exc:
                # A copy: the error itself refers to the frames through which it passes, and to all their locals.
                self._failure = copy.copy(exc)
                self._failure.__cause__ = exc.__cause__
                self._sign_ins += 1
                raise
            self._failure = None
            self._sign_ins += 1
            return self._credentials

    async def optional_credentials(self, refused: Credentials | None = None) -> Credentials | None:
        """The same where requests may go without credentials: None if the sign-in fails."""
        pause = self._run.get().anonymous
        if trio.current_time() < pause.until:
            await trio.lowlevel.checkpoint()
            return None
        try:
            return await self.credentials(refused)
        except (TplusError, ValueError) as exc:
            if trio.current_time() >= pause.until:  # else another task with the same failure has logged it
                pause.until = trio.current_time() + _ANONYMOUS_FOR
                log_event(
                    _log,
                    logging.WARNING,
                    LogEvent.SIGN_IN_FAILED,
                    "sign-in as %s failed, going on anonymously: %s",
                    self._user.public_key,
                    exc,
                    public_key=self._user.public_key,
                    error=str(exc),
                )
            return None

    def revoke(self, credentials: Credentials) -> None:
        """Drop credentials because of which the service closed a connection, so that the next one signs in afresh.

        If the service closes connections with fresh credentials too, it has another reason: the pauses between sign-ins
        double.
        """
        pause, now = self._run.get().revocations, trio.current_time()
        if self._credentials is credentials and now >= pause.until:
            self._credentials = None
            pause.until, pause.length = now + pause.length, min(2 * pause.length, _LONGEST_PAUSE)

    def prove(self, seconds: float) -> None:
        """Note for how many seconds the service kept a connection open. Long enough, the pauses start over."""
        if seconds >= _FIRST_PAUSE:
            self._run.get().revocations.length = _FIRST_PAUSE

    def _usable(self, refused: Credentials | None) -> Credentials | None:
        known = self._credentials
        if known is None or known is refused or self._now_ns() >= known.renew_at_ns:
            return None
        return known

    async def _sign_in(self) -> Credentials:
        began = trio.current_time()
        try:
            credentials = await self._ask_for_token()
        except Exception as exc:
            self._observer.sign_in(trio.current_time() - began, exc)
            raise
        self._observer.sign_in(trio.current_time() - began, None)
        return credentials

    async def _ask_for_token(self) -> Credentials:
        key = self._user.public_key
        self.begun += 1
        number = self.begun
        answer = await self._http.send(Request("GET", f"{self._prefix}/nonce/{key}", dispatch=_SIGN_IN))
        nonce = codec.decode(body_of(answer, self._redactor), Nonce).value
        if len(nonce) > _LONGEST_NONCE or "{" in nonce:
            # The same key signs orders. A server must not get an order signed by calling it a nonce.
            msg = "the nonce that the service gave is no nonce: it is not signed"
            raise DecodeError(msg)
        body = await self._proof(key, nonce)
        answer = await self._http.send(Request("POST", f"{self._prefix}/auth", body=body, dispatch=_SIGN_IN))
        # The token is not redacted: it may be the one that the service issued before.
        granted = SecretBytes(answer.body if 200 <= answer.status < 300 else body_of(answer, self._redactor))
        token = codec.decode(granted, AuthToken)
        if not _TOKEN.fullmatch(token.token):
            msg = "the token that the service issued cannot be sent in a header"
            raise DecodeError(msg)
        if len(token.token) > _LONGEST_TOKEN:
            msg = f"the token that the service issued is longer than {_LONGEST_TOKEN} characters"
            raise DecodeError(msg)
        now = self._now_ns()
        left = token.expiry_ns - now
        # If it has expired already, the clocks disagree, and its expiry says nothing: it is used until refused.
        renew_at_ns = now + left - min(_MARGIN_NS, left // 2) if left > 0 else math.inf
        self._redactor.tell_token(token.token, token.expiry_ns, now)
        return Credentials(key, SecretText(token.token), number, renew_at_ns)

    async def _proof(self, key: str, nonce: str) -> bytes:
        """The body of the sign-in request."""
        signature = await sign(self._user, nonce)
        self._redactor.tell_signature(signature)
        return SecretBytes(
            codec.encode({"user_id": key, "nonce": nonce, "signature": list(signature), "additional_signers": []})
        )


def body_of(answer: Answer, redactor: Redactor, *, signed: bool = False) -> bytes:
    """The body of an answer with a status of 2xx, without secrets that the server repeats.

    Args:
        answer: The answer.
        redactor: Takes secrets out of it.
        signed: Whether the request carried a signature.

    Raises:
        ApiError: another status. It holds no secret either.
    """
    if 200 <= answer.status < 300:
        return redactor.answer(answer.body, signed=signed)
    text: dict[str, Any] | str
    if 300 <= answer.status < 400:
        text = "the service redirects, and redirects are not followed"
    else:
        try:
            text = redactor.tree(codec.decode(answer.body, dict[str, Any]))
        except DecodeError:
            text = redactor.text(excerpt(answer.body))
    raise api_error(answer.status, text, retry_after=answer.retry_after)
