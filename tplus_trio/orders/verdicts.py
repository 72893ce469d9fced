"""What an answer, or its absence, says about the request: pure."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

from tplus_trio.errors import (
    ApiError,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    RestartLimitExceeded,
    TplusError,
)
from tplus_trio.models import OperationStatus, OrderOperationResponse

__all__ = ["Verdict", "verdict_of_answer", "verdict_of_error"]


class Verdict(enum.Enum):
    """What the outcome of one request says about one order."""

    if not TYPE_CHECKING:
        # Members are equal if they are identical. Enum's own hash is a Python function.
        __hash__ = object.__hash__

    #: The service took the request.
    TAKEN = "taken"
    #: The service refused the request.
    REFUSED = "refused"
    #: The service refused the token or the user: 401 or 403.
    UNAUTHORIZED = "unauthorized"
    #: The request contradicts what the service has, such as an order of this id, or later terms of the order: the
    #: service refused it, or it had carried out a copy of it.
    CONFLICT = "conflict"
    #: The service has no such open order: it refused this request, or it had carried out a copy of it.
    NOT_FOUND = "not found"
    #: The outcome says nothing: the request may have been carried out, or may still be.
    UNKNOWN = "unknown"
    #: No byte of the request has left.
    UNSENT = "unsent"


#: The codes with which the service refuses an order, of those that are documented.
_REFUSALS: Final = re.compile(
    "INSUFFICIENT_MARGIN|INVALID_ORDER.*|ORDER_REJECTED|SELF_TRADE.*|REDUCE_ONLY.*|POST_ONLY.*|FOK_.*|IOC_.*"
    "|RATE_LIMITED|INVALID_SIGNATURE|SIGNER_.*|NONCE_.*"
)
#: The codes of 401 and 403: a batch and the control channel answer with them and no status.
_UNAUTHORIZED: Final = frozenset({"UNAUTHORIZED", "FORBIDDEN"})
_CHANGES: Final = frozenset({"replace", "amend", "batch-replace"})
_FAILURES: Final = re.compile("TIMEOUT.*|INTERNAL_ERROR|CE_COMMUNICATION_ERROR")


def verdict_of_error(error: TplusError, operation: str, *, was_sent: bool) -> Verdict:
    """Return what the error of a whole request says.

    Args:
        error: The error.
        operation: What was requested.
        was_sent: Whether a byte of the request may have left.
    """
    if not was_sent or isinstance(error, HandshakeRejected | RestartLimitExceeded):
        return Verdict.UNSENT
    if isinstance(error, ConnectionFailed):
        return Verdict.UNSENT if error.nothing_sent else Verdict.UNKNOWN
    if isinstance(error, DecodeError) or not isinstance(error, ApiError):
        return Verdict.UNKNOWN
    return _verdict_of_refusal(error.code, error.status, operation)


def verdict_of_answer(answer: OrderOperationResponse, operation: str) -> Verdict:
    """Return what an answer with status 200 says about its order."""
    if answer.status is OperationStatus.RECEIVED:
        return Verdict.TAKEN
    if answer.status is not OperationStatus.REJECTED:
        return Verdict.UNKNOWN
    reason = answer.reason or ""
    if _is_conflict(reason, operation):
        return Verdict.CONFLICT
    if reason.endswith("_NOT_FOUND"):
        return Verdict.NOT_FOUND
    if reason in _UNAUTHORIZED:
        return Verdict.UNAUTHORIZED
    return Verdict.UNKNOWN if _FAILURES.fullmatch(reason) else Verdict.REFUSED


def _is_conflict(code: str, operation: str) -> bool:
    """Return whether a refusal may follow a copy of the request that was carried out.

    A copy of a replacement or amendment meets an order that has a later revision, which is refused without a code of
    its own.
    """
    return code == "DUPLICATE_ORDER" or (code == "ORDER_REJECTED" and operation in _CHANGES)


def _verdict_of_refusal(code: str, status: int, operation: str) -> Verdict:
    # The order of these matters: a proxy in front of the service may send a status of its own with the service's code.
    if status == 408 or status >= 500 or _FAILURES.fullmatch(code):
        return Verdict.UNKNOWN
    if status == 409 or _is_conflict(code, operation):
        return Verdict.CONFLICT
    if code.endswith("_NOT_FOUND"):
        return Verdict.NOT_FOUND
    if status in {401, 403} or code in _UNAUTHORIZED:
        return Verdict.UNAUTHORIZED
    return Verdict.REFUSED if status == 429 or _REFUSALS.fullmatch(code) else Verdict.UNKNOWN
