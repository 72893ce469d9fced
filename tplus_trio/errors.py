"""What goes wrong, as types: every error of this package is a :class:`TplusError`.

An error carries its parts as attributes and as positional ``args``, so that it survives copying and pickling.
None carries a secret: no key, token, password or signature is ever given to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from tplus_trio.escapes import escape

__all__ = [
    "ApiError",
    "AuthError",
    "BookNotEntered",
    "BookNotSynced",
    "CertificateRefused",
    "ConnectionFailed",
    "DecodeError",
    "HandshakeRejected",
    "KeyfileError",
    "MissingUserError",
    "NotFoundError",
    "OrderFateUnknown",
    "OrderRejected",
    "RateLimitError",
    "RestartLimitExceeded",
    "SequenceGap",
    "ServerError",
    "SlowConsumer",
    "TplusError",
]


class TplusError(Exception):
    """The base of every error that this package raises on its own account.

    Its text is printable and on one line: what a service said in it is escaped.
    """

    def __str__(self) -> str:
        return escape(super().__str__())


class ConnectionFailed(TplusError):
    """A connection could not be made, or was lost: refused, reset, timed out, closed, or silent.

    The cause (``__cause__``) is the error of the network underneath, where there was one.
    """

    #: The code of the close frame with which a WebSocket ended; None where there was none.
    close_code: int | None = None
    #: Whether no connection was made, so that the service cannot have seen the request.
    nothing_sent: bool = False


class CertificateRefused(ConnectionFailed):
    """The server's TLS certificate did not verify. Trying again would not help."""

    nothing_sent = True


class HandshakeRejected(TplusError):
    """The server answered a WebSocket handshake with something other than ``101``."""

    def __init__(self, status: int, body: str = "", retry_after: float | None = None, location: str = "") -> None:
        super().__init__(status, body, retry_after, location)
        #: The HTTP status code.
        self.status = status
        #: The beginning of the answer's body, as text; of an HTML page its title, or its words in one line.
        self.body = body
        #: Seconds to wait before the next attempt, where the server named them (``Retry-After``).
        self.retry_after = retry_after
        #: Where a redirect leads to (its ``Location``, shortened), ``""`` for none. It is not followed.
        self.location = location

    def __str__(self) -> str:
        target = f" to {escape(self.location)}" if self.location else ""
        body = f": {escape(self.body)}" if self.body else ""
        return f"WebSocket handshake rejected with status {self.status}{target}{body}"


class DecodeError(TplusError):
    """Bytes from the server are not what the protocol says they are.

    It is no ValueError: that one means that an argument was wrong and that nothing was sent. The message holds a short
    excerpt, never a whole frame.
    """


class KeyfileError(TplusError, ValueError):
    """A stored user cannot be read: a wrong password, or a file that is not the keyfile it should be."""


class MissingUserError(TplusError):
    """The call needs a user, and neither the call nor its client has one."""

    def __init__(self, message: str = "a user is required: pass user=… or give the client a default_user=…") -> None:
        super().__init__(message)


class RestartLimitExceeded(TplusError):
    """A stream failed more often than its :class:`~tplus_trio.RestartPolicy` allows.

    The cause (``__cause__``) is the last failure.
    """

    def __init__(self, failures: int, within: float) -> None:
        super().__init__(failures, within)
        self.failures = failures
        #: The policy's window, in seconds.
        self.within = within

    def __str__(self) -> str:
        return f"{self.failures} failures within {self.within:g} s"


class SlowConsumer(TplusError):
    """The stream's buffer was full and its policy is ``overflow="error"``."""

    def __init__(self, buffer: int) -> None:
        super().__init__(buffer)
        #: How many items the buffer holds.
        self.buffer = buffer

    def __str__(self) -> str:
        return f"the consumer is slower than the stream: its buffer of {self.buffer} items is full"


class SequenceGap(TplusError):
    """A diff does not follow the book that it was to be applied to."""

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(expected, received)
        #: The sequence number that would have followed.
        self.expected = expected
        #: The one that came.
        self.received = received

    def __str__(self) -> str:
        return f"sequence number {self.received} does not follow: expected {self.expected}"


#: What a book that is not in sync is doing, by the state of its stream.
_SITUATIONS: Final[Mapping[str, str]] = {
    "connecting": "it is connecting",
    "syncing": "it is asking for a snapshot",
    "backoff": "it waits before it connects again",
}


class BookNotSynced(TplusError):
    """A price was read from a live book that is not in step with the exchange.

    The failure that the present outage began with, or the one that ended the book's stream, is the cause
    (``__cause__``), where there was one.
    """

    def __init__(self, asset_id: str, state: str, reason: str = "") -> None:
        super().__init__(asset_id, state, reason)
        self.asset_id = asset_id
        #: The state of the book's stream, as in `StreamState`.
        self.state = state
        #: The failure in words, ``""`` for none.
        self.reason = reason

    def __str__(self) -> str:
        reason = f": {escape(self.reason)}" if self.reason else ""
        if self.state == "closed":
            ending = f"its stream failed for good{reason}" if reason else "its context was left"
            return f"the book of {self.asset_id} is closed: {ending}"
        situation = _SITUATIONS.get(self.state, self.state)
        since = f", since{reason}" if reason else ""
        return f"the book of {self.asset_id} is not in sync ({situation}{since}); wait with `await book.wait_synced()`"


class BookNotEntered(BookNotSynced, RuntimeError):
    """A live book was used that nobody has entered. It is a `RuntimeError`, too: the program has to be changed."""

    def __init__(self, asset_id: str, state: str = "connecting") -> None:
        super().__init__(asset_id, state)

    def __str__(self) -> str:
        return f"the book of {self.asset_id} was not entered: `async with client.open_book(...) as book:`"


class ApiError(TplusError):
    """The server answered a request with an error."""

    def __init__(
        self,
        code: str,
        message: str,
        status: int,
        details: Mapping[str, Any] | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message, status, details, retryable, retry_after)
        #: The server's own code, ``"UNKNOWN"`` where it gave none.
        self.code = code
        self.message = message
        #: The HTTP status code.
        self.status = status
        #: Whatever the server added, as it came.
        self.details = details
        #: Whether the server says that the same request may succeed later; None where it says nothing.
        self.retryable = retryable
        #: Seconds to wait before the next attempt, where the server named them (``Retry-After``).
        self.retry_after = retry_after

    def __str__(self) -> str:
        return escape(
            f"[{self.code}] {self.message} (HTTP {self.status})"
            if self.message
            else f"[{self.code}] HTTP {self.status}"
        )


class OrderRejected(ApiError):
    """An order was refused: for its margin, price, size, time in force, or because it would have met its own user's."""

    @property
    def order_id(self) -> str | None:
        """The refused order, where the server named it."""
        order_id = self.details.get("order_id") if self.details else None
        return order_id if isinstance(order_id, str) else None


class OrderFateUnknown(TplusError):
    """A request about an order was sent, and its answer does not say what became of it: it may have been carried out.

    Look the order up by its id before you send the request again. The cause (``__cause__``) is the answer's
    `DecodeError`, where it could not be read.
    """

    def __init__(self, order_id: str, operation: str, sent_at_ns: int, why: str) -> None:
        super().__init__(order_id, operation, sent_at_ns, why)
        self.order_id = order_id
        #: ``"create"`` or ``"cancel"``.
        self.operation = operation
        #: When it was sent: nanoseconds since the Unix epoch by the client's clock.
        self.sent_at_ns = sent_at_ns
        #: What was wrong with the answer.
        self.why = why

    def __str__(self) -> str:
        return f"the {self.operation} request was sent, but {self.why}; {may_exist(self.order_id, self.operation)}"


def may_exist(order_id: str, operation: str) -> str:
    """What to say of an order whose request may have been carried out."""
    said = f"order {order_id!r} may exist" if operation == "create" else f"order {order_id!r} may be gone or still rest"
    return f"{said}: look it up, as with get_user_orders(), before you send it again"


class AuthError(ApiError):
    """The sign-in, its token or a signature was refused."""


class RateLimitError(ApiError):
    """Too many requests (HTTP 429)."""


class NotFoundError(ApiError):
    """There is no such thing (HTTP 404)."""


class ServerError(ApiError):
    """The fault is the server's (HTTP 5xx)."""


_BY_CODE: Final[Mapping[str, type[ApiError]]] = {
    "UNAUTHORIZED": AuthError,
    "INVALID_SIGNATURE": AuthError,
    "RATE_LIMITED": RateLimitError,
    "INTERNAL_ERROR": ServerError,
    "CE_COMMUNICATION_ERROR": ServerError,
    "TIMEOUT": ServerError,
    "TIMEOUT_UNKNOWN_STATE": ServerError,
}
#: What a server sends beyond this is left out.
_LONGEST_CODE: Final = 100
_LONGEST_MESSAGE: Final = 500
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
    """The most specific error for a server's code, else for its HTTP status."""
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
    return {404: NotFoundError, 429: RateLimitError}.get(status, ServerError if status >= 500 else ApiError)


def api_error(
    status: int,
    body: object,
    *,
    retry_after: float | None = None,
) -> ApiError:
    """Build the error that an answer stands for.

    Args:
        status: The HTTP status code, 4xx or 5xx.
        body: The decoded JSON body, or the text where it was not JSON: the envelope ``{"error": {"code", "message",
            "details"?, "retryable"?}}``, the flat ``{"error": "text"}``, or plain text.
        retry_after: The ``Retry-After`` header in seconds.
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
