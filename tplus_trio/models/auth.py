"""What a sign-in is made of."""

from __future__ import annotations

import attrs

__all__ = ["AuthToken", "Nonce"]


@attrs.frozen
class Nonce:
    """What a server wants signed before it hands out a token; good once."""

    value: str


@attrs.frozen
class AuthToken:
    """A bearer token. Its text is in no repr."""

    token: str = attrs.field(repr=False)
    #: Nanoseconds since the Unix epoch, UTC.
    expiry_ns: int
