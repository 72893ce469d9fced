"""What a check of ``tplus-trio doctor`` finds, and how long it may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

import attrs
import trio

from tplus_trio.errors import (
    ApiError,
    AuthError,
    CertificateRefused,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    NotFoundError,
    RateLimitError,
    ServerError,
    TplusError,
)

__all__ = ["Finding", "Verdict", "advice_for", "bounded"]


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    #: Something is unusual, and nothing is wrong.
    NOTE = "note"
    #: The check was not made.
    SKIP = "skip"
    WRONG = "WRONG"


@attrs.frozen
class Finding:
    """The result of one check.

    Attributes:
        verdict: How it ended.
        name: The check.
        text: What was found.
        advice: What to do; empty if there is nothing to do.
    """

    verdict: Verdict
    name: str
    text: str
    advice: str = ""

    def line(self) -> str:
        """Format the finding as one line."""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.verdict:<5}  {self.name:<26}  {self.text}{advice}"


async def bounded(name: str, seconds: float, check: Callable[[], Awaitable[Finding]]) -> Finding:
    """Make a check, and give it up after so many seconds.

    Args:
        name: The check.
        seconds: The longest time.
        check: Makes it.

    Returns:
        What it found; a `TplusError` and the end of the time are findings too.
    """
    with trio.move_on_after(seconds):
        try:
            return await check()
        except TplusError as exc:
            return Finding(Verdict.WRONG, name, str(exc), advice_for(exc))
    return Finding(Verdict.WRONG, name, f"no result within {seconds:g} s", "the service, or the way to it, is too slow")


#: What to do about an error; the first class that fits counts.
_ADVICE: Final[tuple[tuple[type[TplusError], str], ...]] = (
    (CertificateRefused, "renew the certificate, or add its authority with SSL_CERT_FILE"),
    (RateLimitError, "too many requests: wait, or sign in for higher limits"),
    (AuthError, "check that the service knows this user, and the clock of this machine"),
    (NotFoundError, "check the URL: the service may be at another port or under a prefix"),
    (ServerError, "the service fails: its operator has to look"),
    (DecodeError, "this is no T+ service, or one of another version"),
    (ConnectionFailed, "check that the service runs and that nothing on the way closes connections"),
    (HandshakeRejected, "check that a proxy before the service passes WebSockets on"),
    (ApiError, "check the URL: another service may answer there"),
)


def advice_for(error: TplusError) -> str:
    """Return what to do about an error of the client."""
    return next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")
