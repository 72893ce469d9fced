"""Accounts: nonces, tokens and sign-ins."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.signatures import is_public_key, signature_is_good
from tplus_trio.users.user import User

__all__ = ["Accounts", "public_key_of"]

_MAX_NONCES: Final = 10_000


class Accounts:
    """Nonces and tokens. One token is valid for every service, because all services share one origin here.

    Args:
        now_ns: The clock, in nanoseconds since the Unix epoch.
        token_ttl: The lifetime of a token, in seconds.
        seed: The seed of the nonces.
    """

    def __init__(self, now_ns: Callable[[], int], token_ttl: float, seed: int = 0) -> None:
        #: The clock.
        self.now_ns = now_ns
        #: The lifetime of a new token, in seconds.
        self.token_ttl = token_ttl
        #: The number of tokens issued.
        self.sign_ins: int = 0
        self._random = random.Random(seed)
        self._nonces: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, int]] = {}
        #: The user of each revoked token, and the close code of its feeds.
        self._revoked: dict[str, tuple[str, int]] = {}

    def new_nonce(self, public_key: str) -> str:
        """Return a nonce for one sign-in of one user.

        Raises:
            Rejection: (400) It is no public key.
        """
        if not is_public_key(public_key):
            raise error(400, "INVALID_PUBLIC_KEY", "a public key is 64 lower-case hex digits")
        nonce = str(self._random.randrange(10**17, 10**18))
        self._nonces[nonce] = public_key
        if len(self._nonces) > _MAX_NONCES:
            del self._nonces[next(iter(self._nonces))]
        return nonce

    def sign_in(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Check a signed nonce, which is then used up, and return a token and its expiry.

        Raises:
            Rejection: (400) The request is malformed. (401) The nonce is not this user's, or the signature is not.
        """
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
        """Return the user whose token a request carries; None if it carries none.

        Raises:
            Rejection: (401) The token is unknown, expired, or another user's.
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

    def expiry_of(self, headers: Mapping[str, str]) -> int | None:
        """Return when the token that a request carries expires, in nanoseconds; None if it is not valid."""
        found = self._tokens.get(headers.get("authorization", "").partition(" ")[2])
        return None if found is None else found[1]

    def end_sessions(self, user: str | None) -> None:
        """Make the tokens of a user invalid, or those of all users."""
        self._tokens = {token: found for token, found in self._tokens.items() if user not in (None, found[0])}

    def expire_all(self) -> None:
        """Make every issued token invalid."""
        self._tokens.clear()
        self._revoked.clear()

    def revoke_all(self, code: int) -> None:
        """Make every token invalid for requests; a handshake with one is answered 101, then closed with ``code``."""
        self._revoked.update({token: (user, code) for token, (user, _) in self._tokens.items()})
        self._tokens.clear()

    def revoked(self, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """Return the user and close code of a revoked token; None if the request carries none."""
        return self._revoked.get(headers.get("authorization", "").partition(" ")[2])


def public_key_of(user: User | str) -> str:
    """Return the public key of a user, who may be given by it."""
    return user if isinstance(user, str) else user.public_key
