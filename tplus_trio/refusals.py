"""Which error an answer means: from the code, the text and the status that the service sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from tplus_trio.errors import ApiError, AuthError, NotFoundError, OrderRejected, RateLimitError, ServerError

__all__ = ["api_error", "order_rejected"]

_BY_CODE: Final[Mapping[str, type[ApiError]]] = {
    "UNAUTHORIZED": AuthError,
    "INVALID_SIGNATURE": AuthError,
    "RATE_LIMITED": RateLimitError,
    "INTERNAL_ERROR": ServerError,
    "CE_COMMUNICATION_ERROR": ServerError,
    "TIMEOUT": ServerError,
    "TIMEOUT_UNKNOWN_STATE": ServerError,
}
#: Characters of a server's code and message; the rest is cut off.
_LONGEST_CODE: Final = 100
_LONGEST_MESSAGE: Final = 500
#: What a code looks like, in a place where a text may stand too.
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,99}")
_AUTH_PREFIXES: Final = ("SIGNER_", "NONCE_")
_ORDER_PREFIXES: Final = (
    "INSUFFICIENT_MARGIN",
    "INVALID_ORDER",
    "ORDER_REJECTED",
    "DUPLICATE_ORDER",
    "SELF_TRADE",
    "REDUCE_ONLY",
    "POST_ONLY",
    "FOK_",
    "IOC_",
)


def _class_of(code: str, status: int) -> type[ApiError]:
    """Return the most specific error class for a server's code, or else for its HTTP status."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code.startswith(_AUTH_PREFIXES):
        return AuthError
    if code.endswith("_NOT_FOUND"):
        return NotFoundError
    if code.startswith(_ORDER_PREFIXES):
        return OrderRejected
    if status in {401, 403}:
        return AuthError
    # A proxy answers 408 also after it has passed the request on.
    by_status = {404: NotFoundError, 408: ServerError, 429: RateLimitError}
    return by_status.get(status, ServerError if status >= 500 else ApiError)


def order_rejected(order_id: str, reason: str | None) -> OrderRejected:
    """Build the error for an order that the service refused in an answer with status 200.

    Args:
        order_id: The order.
        reason: The service's reason: a code such as ``POST_ONLY_WOULD_CROSS``, a text, or None.
    """
    text = reason or ""
    code = text if _CODE.fullmatch(text) else "ORDER_REJECTED"
    return OrderRejected(code, text[:_LONGEST_MESSAGE], 200, {"order_id": order_id})


def api_error(
    status: int,
    body: object,
    *,
    retry_after: float | None = None,
) -> ApiError:
    """Build the error for an HTTP error response.

    Args:
        status: The HTTP status code, 4xx or 5xx.
        body: The decoded JSON body, or the text if it was not JSON. The known forms are the envelope ``{"error":
            {"code", "message", "details"?, "retryable"?}}``, the flat ``{"error": "text"}``, and plain text.
        retry_after: The ``Retry-After`` header in seconds; None if there was none.

    Returns:
        The most specific error class for the code and the status. Without a code in the body, it is ``"UNKNOWN"``.
    """
    code, message = "UNKNOWN", ""
    details: Mapping[str, Any] | None = None
    retryable: bool | None = None
    error: Any = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else body
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        code = str(fields.get("code") or code)[:_LONGEST_CODE]
        message = str(fields.get("message") or "")
        details = fields["details"] if isinstance(fields.get("details"), dict) else None
        retryable = fields["retryable"] if isinstance(fields.get("retryable"), bool) else None
    elif isinstance(error, str):
        message = error
    return _class_of(code, status)(code, message[:_LONGEST_MESSAGE], status, details, retryable, retry_after)
