"""Faults of requests and handshakes that are refused, or answered without being carried out."""

from __future__ import annotations

from typing import Final

import attrs

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults, path_prefix
from tplus_trio.testing.exchange.http_messages import Rejection, Response, error

__all__ = ["RefusalFaults", "failure_response"]

_CODES: Final = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "RATE_LIMITED",
    503: "SERVER_BUSY",
}


@attrs.define
class _RateLimit:
    """A token bucket that requests and handshakes share."""

    path: str
    per_second: float
    burst: float
    refusal: Response
    tokens: float
    at_ns: int

    def admits(self, path: str, now_ns: int) -> bool:
        """Take a token for a request on ``path``; return False if no token is left."""
        if not path.startswith(self.path):
            return True
        self.tokens = min(self.burst, self.tokens + (now_ns - self.at_ns) * 1e-9 * self.per_second)
        self.at_ns = now_ns
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True


class RefusalFaults(FaultGroup):
    """Refused requests and handshakes; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._handshakes: PendingFaults[Response] = self._pending("reject_handshakes", "answer_handshakes")
        self._requests: PendingFaults[Response] = self._pending("fail_requests", "answer_requests")
        self._limit: _RateLimit | None = None
        self._on_clear("limit_rate", lambda: self.limit_rate(None))
        #: The number of requests and handshakes that :meth:`limit_rate` refused.
        self.refused: int = 0

    def reject_handshakes(
        self,
        n: int = 1,
        status: int = 503,
        *,
        path: str = "",
        retry_after: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Refuse the next ``n`` WebSocket handshakes on paths that begin with ``path``.

        Args:
            n: The number of handshakes, 0 or more.
            status: The HTTP status code, from 200 to 599.
            path: The prefix of the paths; ``""`` is all paths.
            retry_after: Seconds for a ``Retry-After`` header, 0 or more; None sends no header.
            seconds: Refuse every handshake for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        failure = failure_response(status, retry_after)
        self._handshakes.add("reject_handshakes", path_prefix(path), n, failure, seconds)

    def fail_requests(
        self,
        path: str = "",
        status: int = 500,
        n: int = 1,
        *,
        retry_after: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Answer the next ``n`` REST requests on paths that begin with ``path`` with an error; do not carry them out.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            status: The HTTP status code, from 200 to 599.
            n: The number of requests, 0 or more.
            retry_after: Seconds for a ``Retry-After`` header, 0 or more; None sends no header.
            seconds: Fail every request for this many seconds instead of ``n`` of them:
                ``fail_requests(status=503, seconds=1800)``.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._requests.add("fail_requests", path_prefix(path), n, failure_response(status, retry_after), seconds)

    def answer_requests(self, path: str, response: Response, n: int = 1, *, seconds: float | None = None) -> None:
        """Answer the next ``n`` REST requests on paths that begin with ``path`` with this ``response``.

        The requests are not carried out; :meth:`replace_answers` carries them out first.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            response: The answer, such as a proxy's page:
                ``Response(404, b"<html>", (("content-type", "text/html"),))``.
            n: The number of requests, 0 or more.
            seconds: Answer every request so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        check_instance("response", response, Response)
        self._requests.add("answer_requests", path_prefix(path), n, response, seconds)

    def answer_handshakes(self, path: str, response: Response, n: int = 1, *, seconds: float | None = None) -> None:
        """Answer the next ``n`` handshakes on paths that begin with ``path`` with ``response``, as a proxy does.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            response: The answer.
            n: The number of handshakes, 0 or more.
            seconds: Answer every handshake so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        check_instance("response", response, Response)
        self._handshakes.add("answer_handshakes", path_prefix(path), n, response, seconds)

    def limit_rate(
        self,
        per_second: float | None,
        *,
        path: str = "",
        retry_after: float | None = None,
        burst: float | None = None,
    ) -> None:
        """Answer 429 to requests and handshakes beyond ``per_second``; all of them share the limit, as at a gateway.

        ``exchange.refused`` counts the refused ones. One limit is in force at a time.

        Args:
            per_second: The number of requests and handshakes admitted per second, more than 0; None withdraws the
                limit.
            path: The prefix of the limited paths; ``""`` is all paths.
            retry_after: Seconds for a ``Retry-After`` header, 0 or more; None sends no header.
            burst: The number admitted at once after a pause, 1 or more; None is ``per_second``, at least 1.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``per_second`` is not positive, or ``burst`` is less than 1.
        """
        if per_second is None:
            self._limit = None
            return
        check_number("per_second", per_second, more=True, finite=True)
        most = max(1.0, per_second) if burst is None else check_number("burst", burst, least=1.0, finite=True)
        self._limit = _RateLimit(
            path_prefix(path), per_second, most, failure_response(429, retry_after), most, self._targets.now_ns()
        )

    # Called by the exchange

    def on_handshake(self, path: str) -> None:
        """Use up one pending refusal of a handshake on ``path``.

        Raises:
            Rejection: A refusal was pending, or the rate limit is exceeded.
        """
        self._check_rate(path)
        if (refusal := self._handshakes.take(path)) is not None:
            raise Rejection(refusal)

    def on_request(self, path: str) -> None:
        """Use up one pending failure of a request on ``path``.

        Raises:
            Rejection: A failure was pending, or the rate limit is exceeded.
        """
        self._check_rate(path)
        if (failure := self._requests.take(path)) is not None:
            raise Rejection(failure)

    def _check_rate(self, path: str) -> None:
        if self._limit is not None and not self._limit.admits(path, self._targets.now_ns()):
            self.refused += 1
            raise Rejection(self._limit.refusal)


def failure_response(status: int, retry_after: float | None) -> Response:
    """Return the answer that refuses a request with a status.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: ``status`` is not an HTTP status code, or ``retry_after`` is negative.
    """
    if not 200 <= check_count("status", status) <= 599:
        raise ValueError(f"status is an HTTP status code, from 200 to 599, not {status}")
    if retry_after is not None:
        check_number("retry_after", retry_after)
    return error(
        status,
        _CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "REFUSED"),
        "ordered by the test",
        retryable=status in {429, 503},
        retry_after=retry_after,
    ).response
