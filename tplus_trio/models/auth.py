"""Sign-in: the nonce to sign and the token that is issued for its signature."""

from __future__ import annotations

import attrs

__all__ = ["AuthToken", "Nonce"]


@attrs.frozen
class Nonce:
    """A text that the user signs once to obtain a token (``GET /nonce/{public_key}``)."""

    #: The text to sign. A number in the answer becomes text.
    value: str


@attrs.frozen
class AuthToken:
    """A bearer token of one user and one service (``POST /auth``)."""

    #: The token's text. It does not appear in the repr.
    token: str = attrs.field(repr=False)
    #: When the token expires, in nanoseconds since the Unix epoch, UTC.
    expiry_ns: int
