"""The error types of this package. All of them are a :class:`TplusError`.

An error carries its parts as attributes and as positional ``args``, so that it survives copying and pickling.
No error carries a secret: no key, token, password or signature is passed to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

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
    "JournalCorrupt",
    "JournalInUse",
    "JournalNotWritten",
    "KeyfileError",
    "LeaseRefused",
    "MissingUserError",
    "NotFoundError",
    "OrderEnded",
    "OrderFateUnknown",
    "OrderLimitExceeded",
    "OrderRejected",
    "OrdersLeftResting",
    "RateLimitError",
    "RestartLimitExceeded",
    "SequenceGap",
    "ServerError",
    "SlowConsumer",
    "TplusError",
]


class TplusError(Exception):
    """The base class of every error type that this package defines.

    Its text is printable and on one line: text that came from a service is escaped.
    """

    def __str__(self) -> str:
        return escape(super().__str__())


class ConnectionFailed(TplusError):
    """A connection could not be made, or was lost: refused, reset, timed out, closed, or silent.

    The cause (``__cause__``) is the network error, if there was one.
    """

    #: The code of the close frame that ended a WebSocket; None if there was no close frame.
    close_code: int | None = None
    #: True if no byte of the request has left, so the service cannot have seen it.
    nothing_sent: bool = False


class CertificateRefused(ConnectionFailed):
    """The server's TLS certificate did not verify. A retry would fail in the same way."""

    nothing_sent = True


class HandshakeRejected(TplusError):
    """The server answered a WebSocket handshake with a status other than ``101``."""

    def __init__(self, status: int, body: str = "", retry_after: float | None = None, location: str = "") -> None:
        super().__init__(status, body, retry_after, location)
        #: The HTTP status code.
        self.status = status
        #: The beginning of the response body, as text. For an HTML page: its title, or else its words on one line.
        self.body = body
        #: Seconds to wait before the next attempt, where the server named them (``Retry-After``).
        self.retry_after = retry_after
        #: The target of a redirect (``Location``, shortened), ``""`` if there is none. Redirects are not followed.
        self.location = location

    def __str__(self) -> str:
        target = f" to {escape(self.location)}" if self.location else ""
        body = f": {escape(self.body)}" if self.body else ""
        return f"WebSocket handshake rejected with status {self.status}{target}{body}"


class DecodeError(TplusError):
    """Bytes from the server do not follow the protocol.

    This class is not a `ValueError`: a `ValueError` means that an argument was wrong and that nothing was sent. The
    message holds a short excerpt, never a whole frame.
    """


class KeyfileError(TplusError, ValueError):
    """A stored user cannot be read: the password is wrong, or the file is not a valid keyfile."""


class MissingUserError(TplusError):
    """The call needs a user, but neither the call nor its client names one."""

    def __init__(self, message: str = "a user is required: pass user=… or give the client a default_user=…") -> None:
        super().__init__(message)


class RestartLimitExceeded(TplusError):
    """A stream failed more often than its :class:`~tplus_trio.RestartPolicy` allows.

    The cause (``__cause__``) is the last failure.
    """

    def __init__(self, failures: int, within: float) -> None:
        super().__init__(failures, within)
        #: How many failures occurred within the window.
        self.failures = failures
        #: The window of the policy, in seconds.
        self.within = within

    def __str__(self) -> str:
        return f"{self.failures} failures within {self.within:g} s"


class SlowConsumer(TplusError):
    """The buffer of a stream with ``overflow="error"`` was full when the next item arrived."""

    def __init__(self, buffer: int) -> None:
        super().__init__(buffer)
        #: The capacity of the buffer, in items.
        self.buffer = buffer

    def __str__(self) -> str:
        return f"the consumer is slower than the stream: its buffer of {self.buffer} items is full"


class SequenceGap(TplusError):
    """A diff is not the next change of the book that it was applied to. The book is unchanged."""

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(expected, received)
        #: The next sequence number of the book.
        self.expected = expected
        #: The sequence number of the diff.
        self.received = received

    def __str__(self) -> str:
        return f"sequence number {self.received} does not follow: expected {self.expected}"


#: What a book that is not in sync is doing, for each state of its stream.
_SITUATIONS: Final[Mapping[str, str]] = {
    "connecting": "it is connecting",
    "syncing": "it is asking for a snapshot",
    "backoff": "it is waiting to reconnect",
}


class BookNotSynced(TplusError):
    """A price was read from a live book that is not in sync with the exchange.

    The cause (``__cause__``) is the failure that started the current outage, or the failure that ended the stream of
    the book, if there was one.
    """

    def __init__(self, asset_id: str, state: str, reason: str = "") -> None:
        super().__init__(asset_id, state, reason)
        #: The market, as text.
        self.asset_id = asset_id
        #: The state of the book's stream: a value of `StreamState`.
        self.state = state
        #: The text of the failure, ``""`` if there was none.
        self.reason = reason
        #: The ``id()`` of the live book that raised this error; None if something else created it.
        self.book_id: int | None = None

    def __str__(self) -> str:
        reason = f": {escape(self.reason)}" if self.reason else ""
        if self.state == "closed":
            ending = f"its stream failed for good{reason}" if reason else "its context was left"
            return f"the book of {self.asset_id} is closed: {ending}"
        situation = _SITUATIONS.get(self.state, self.state)
        since = f", since{reason}" if reason else ""
        return f"the book of {self.asset_id} is not in sync ({situation}{since}); wait with `await book.wait_synced()`"


class BookNotEntered(BookNotSynced, RuntimeError):
    """A live book was used before it was entered with ``async with``.

    This class is also a `RuntimeError`, because the program has to be changed.
    """

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
        #: The error code of the server, ``"UNKNOWN"`` if it sent none.
        self.code = code
        #: The error text of the server, at most 500 characters; ``""`` if it sent none.
        self.message = message
        #: The HTTP status code; 0 if no answer of the service states the error.
        self.status = status
        #: The ``details`` object of the server, unchanged; None if it sent none.
        self.details = details
        #: Whether the server says that the same request may succeed later; None if it does not say.
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
    """The service refused an order, or the request for it never took effect and never will.

    The reason of a refusal may be its margin, price, size or time in force, or that it would have traded with an order
    of its user. With the code ``NEVER_TOOK_EFFECT`` and the status 0, no answer says so, but what was seen of the order
    or the declared `ServiceRules`.
    """

    @property
    def order_id(self) -> str | None:
        """The id of the refused order; None if the server did not name it."""
        order_id = self.details.get("order_id") if self.details else None
        return order_id if isinstance(order_id, str) else None

    @property
    def reason(self) -> str:
        """Why the service refused it: its text, or its code if it sent no text."""
        return self.message or self.code


class OrderLimitExceeded(TplusError, ValueError):
    """An order is beyond the client's `OrderLimits`. Nothing was sent."""


class OrderFateUnknown(TplusError):
    """An order request was sent, and neither its answer nor what was seen afterwards states what became of it.

    The request may have been carried out, or may still be. ``orders_in_doubt`` of the client has the order until it is
    known; a client that was entered goes on to find out. It does not have the order if this was a change and the order
    has ended since: then ``why`` says so, and nothing is left to find out. The cause (``__cause__``) is the error with
    which the doubt began, if there was one.
    """

    def __init__(self, order_id: str, operation: str, sent_at_ns: int, why: str) -> None:
        super().__init__(order_id, operation, sent_at_ns, why)
        #: The order, as the request named it.
        self.order_id = order_id
        #: ``"create"``, ``"cancel"``, ``"replace"``, ``"amend"``, ``"batch-create"`` or ``"batch-replace"``.
        self.operation = operation
        #: When the request was sent, in nanoseconds since the Unix epoch by the clock of the client.
        self.sent_at_ns = sent_at_ns
        #: Why it is in doubt, such as what was wrong with the answer.
        self.why = why

    def __str__(self) -> str:
        state = _DOUBTS.get(self.operation, "may have its old terms or its new ones")
        return (
            f"the {self.operation} request was sent, but {self.why}; order {self.order_id!r} {state}: "
            "see orders_in_doubt, and do not send the request again before it is known"
        )


class OrderEnded(TplusError):
    """An order ended before what a task waited for: it was canceled or expired before all of it traded."""

    def __init__(self, order_id: str, reason: str) -> None:
        super().__init__(order_id, reason)
        #: The order.
        self.order_id = order_id
        #: How it ended, in the service's words, such as ``"Canceled"``.
        self.reason = reason

    def __str__(self) -> str:
        return escape(f"order {self.order_id!r} has ended: {self.reason}")


class NamedOrder(Protocol):
    """Something that names an order."""

    @property
    def order_id(self) -> str:
        """The id of the order."""
        ...


class OrdersLeftResting(TplusError):
    """A scope canceled its orders, and some of them were not proved gone within its deadline.

    They may rest. The client goes on canceling them while it lives; ``orders_in_doubt`` has those that are left.
    """

    def __init__(self, orders: tuple[NamedOrder, ...]) -> None:
        super().__init__(orders)
        #: The orders.
        self.orders = orders

    def __str__(self) -> str:
        names = ", ".join(repr(order.order_id) for order in self.orders)
        return escape(f"not proved gone, and may rest: {names}; see orders_in_doubt")


class LeaseRefused(TplusError):
    """An order with a lease was not sent: the service's time is not known well enough for its expiry."""


class JournalCorrupt(TplusError):
    """A journal of orders is not as it was written. Nothing was changed or sent.

    An unfinished last line is normal, and no error. The message names the file, the line, and what is wrong.
    """


class JournalInUse(TplusError):
    """Another scope, of this process or another one, uses the journal. Nothing was changed or sent."""


class JournalNotWritten(TplusError):
    """A request about an order could not be written to the journal, and was not sent. The cause is the system's error.

    Once the disk has failed to keep what was written, nothing more is sent until a scope opens the journal anew.
    """


#: What may have become of an order, by operation.
_DOUBTS: Final[Mapping[str, str]] = {
    "create": "may exist",
    "batch-create": "may exist",
    "cancel": "may be gone or still open",
}


class AuthError(ApiError):
    """The service refused the sign-in, its token or a signature (mostly HTTP 401 or 403)."""


class RateLimitError(ApiError):
    """The service received too many requests (HTTP 429), or asked for a pause longer than the timeout of the call."""


class NotFoundError(ApiError):
    """The requested resource does not exist (HTTP 404, or a code that ends in ``_NOT_FOUND``).

    A cancel, replacement or amendment that raises it did nothing: there was no such open order.
    """


class ServerError(ApiError):
    """The server failed or timed out (HTTP 408 or 5xx, or a code such as ``INTERNAL_ERROR`` or ``TIMEOUT``).

    A call about an order raises it only before the order is sent; such an answer to the order leaves it in doubt.
    """
