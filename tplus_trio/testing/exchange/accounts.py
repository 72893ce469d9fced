"""Who is who: nonces and tokens."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.signatures import is_public_key, signature_is_good

__all__ = ["Accounts"]

_MAX_NONCES: Final = 10_000


class Accounts:
    """Nonces and tokens. One token opens every service, as all of them live on one origin here.

    Args:
        now_ns: The clock.
        token_ttl: How long a token is good, in seconds.
        seed: Of the nonces.
    """

    def __init__(self, now_ns: Callable[[], int], token_ttl: float, seed: int = 0) -> None:
        #: The clock.
        self.now_ns = now_ns
        #: How long a new token is good, in seconds.
        self.token_ttl = token_ttl
        #: How many tokens were handed out.
        self.sign_ins: int = 0
        self._random = random.Random(seed)
        self._nonces: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, int]] = {}
        #: The user of each revoked token, and the code that its feeds are closed with.
        self._revoked: dict[str, tuple[str, int]] = {}

    def new_nonce(self, public_key: str) -> str:
        """A nonce for one sign-in of one user."""
        if not is_public_key(public_key):
            raise error(400, "INVALID_PUBLIC_KEY", "a public key is 64 lower-case hex digits")
        nonce = str(self._random.randrange(10**17, 10**18))
        self._nonces[nonce] = public_key
        if len(self._nonces) > _MAX_NONCES:
            del self._nonces[next(iter(self._nonces))]
        return nonce

    def sign_in(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a signed nonce, which is then spent, and hand out a token."""
        user, nonce = body.get("user_id"), body.get("nonce")
        if not isinstance(user, str) or not isinstance(nonce, str):
            raise error(400, "INVALID_REQUEST", "user_id and nonce must be strings")
        if self._nonces.pop(nonce, None) != user:
            raise error(401, "NONCE_INVALID", "this nonce was not given to this user, or was used already")
        if not signature_is_good(user, nonce, body.get("signature")):
            raise error(401, "INVALID_SIGNATURE", "the nonce's signature is not this user's")
        token = secrets.token_urlsafe(32)
        expiry_ns = self.now_ns() + int(self.token_ttl * 1e9)
        self._tokens[token] = (user, expiry_ns)
        self.sign_ins += 1
        return {"token": token, "expiry_ns": expiry_ns}

    def user_of(self, headers: Mapping[str, str]) -> str | None:
        """Whose token a request carries; None without one.

        Raises:
            Rejection: (401) The token is unknown, expired, or not the named user's.
        """
        authorization = headers.get("authorization")
        if authorization is None:
            return None
        kind, _, token = authorization.partition(" ")
        user, expiry_ns = self._tokens.get(token, ("", 0))
        if kind.lower() != "bearer" or not user or headers.get("user-id") != user:
            raise error(401, "UNAUTHORIZED", "the token is not this user's")
        if expiry_ns <= self.now_ns():
            del self._tokens[token]
            raise error(401, "UNAUTHORIZED", "the token has expired")
        return user

    def expire_all(self) -> None:
        """Make every token that was handed out useless."""
        self._tokens.clear()
        self._revoked.clear()

    def revoke_all(self, code: int) -> None:
        """Make every token useless for requests; a handshake with one is answered 101, then closed with ``code``."""
        self._revoked.update({token: (user, code) for token, (user, _) in self._tokens.items()})
        self._tokens.clear()

    def revoked(self, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """The user and close code of a revoked token; None if the request carries no such token."""
        return self._revoked.get(headers.get("authorization", "").partition(" ")[2])
