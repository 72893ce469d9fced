"""When a stream that failed is started again, and when it is not."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

from tplus_trio.arguments import check_count, check_number
from tplus_trio.errors import (
    ApiError,
    CertificateRefused,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    RateLimitError,
    RestartLimitExceeded,
    ServerError,
)

__all__ = ["RestartPolicy"]

#: Seconds. A `Retry-After` beyond this is a mistake, or a clock's that is years off, more likely than a wish.
_LONGEST_WAIT: Final = 3600.0
#: Seconds over which streams come back once one of them shows that the service is there.
_SHORT: Final = 0.5
#: Seconds: the least delay after the first failure, four times as much with each one, up to the second figure. Whatever
#: the policy and the draw, a service that refuses is not asked thousands of times a second, and virtual time goes on.
#: The first is small: a connection that was lost once may be made again at once.
_LEAST_DELAY: Final = 0.001
_MOST_LEAST_DELAY: Final = 0.25
#: Statuses other than 429 and 5xx with which the same request may succeed later: Request Timeout, and Too Early.
_PASSING: Final = frozenset({408, 425, 429})


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """How a stream that failed for a passing reason is started again: after an exponential delay with full jitter.

    The n-th delay in a row is drawn evenly between 0 and ``min(max_delay, initial_delay * factor ** (n - 1))`` seconds.
    It is at least ``min(0.25, 0.001 * 4 ** (n - 1))`` seconds, also where ``max_delay`` is less or the draw is 0. A
    ``Retry-After`` of the server's is kept where it is longer, up to an hour. The delay starts over once a stream has
    been live for ``within`` seconds.

    Raises:
        ValueError: a number is out of its range.
    """

    initial_delay: float = attrs.field(default=0.25)
    max_delay: float = attrs.field(default=30.0)
    factor: float = attrs.field(default=2.0)
    #: More failures than this within ``within`` seconds raise `RestartLimitExceeded`; None means without limit.
    max_restarts: int | None = attrs.field(default=None)
    within: float = attrs.field(default=60.0)

    def __attrs_post_init__(self) -> None:
        for name, least in (("initial_delay", 0.0), ("max_delay", 0.0), ("factor", 1.0), ("within", 0.0)):
            check_number(name, getattr(self, name), least=least, finite=True)
        if self.max_restarts is not None:
            check_count("max_restarts", self.max_restarts, least=0)

    def ceiling(self, failures: int) -> float:
        """The longest delay, in seconds, after ``failures`` failures in a row."""
        # 0.25 * 2.0 ** 2000 would overflow long after max_delay has been reached.
        doublings = min(failures - 1, 512)
        try:
            return min(self.max_delay, self.initial_delay * self.factor**doublings)
        except OverflowError:
            return self.max_delay


class Restarts:
    """One stream's failures, counted against its policy. Pure: the time is an argument."""

    def __init__(self, policy: RestartPolicy | None, draw: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._draw = draw
        self._failures: deque[float] = deque()
        self._in_a_row = 0
        self._live_since: float | None = None

    def live(self, now: float) -> None:
        """The stream is live from now on, or again after it was made whole over a connection that lasted."""
        if self._live_since is None:
            self._live_since = now

    def failed(self, failure: Exception, now: float) -> float:
        """Count a failure.

        Args:
            failure: What happened.
            now: Seconds on any clock that does not go back.

        Returns:
            The seconds to wait before the next attempt.

        Raises:
            Exception: ``failure`` itself, where it is fatal or the policy allows no restart.
            RestartLimitExceeded: the policy allows no more.
        """
        policy = self._policy
        if policy is None or not is_passing(failure):
            raise failure
        if self._live_since is not None and now - self._live_since >= policy.within:
            self._in_a_row = 0
        self._live_since = None
        self._in_a_row += 1
        if policy.max_restarts is not None:
            self._failures.append(now)
            while self._failures[0] < now - policy.within:
                self._failures.popleft()
            if len(self._failures) > policy.max_restarts:
                raise RestartLimitExceeded(len(self._failures), policy.within) from failure
        asked: float = getattr(failure, "retry_after", None) or 0.0
        return max(self.jitter(self._in_a_row), min(asked, _LONGEST_WAIT))

    def spread(self, left: float) -> float:
        """A short delay, in seconds, where ``left`` was still to wait and need not be any more."""
        return self._draw() * min(max(left, 0.0), _SHORT)

    def jitter(self, failures: int) -> float:
        """A delay, in seconds, for so many attempts in a row that came to nothing."""
        least = min(_LEAST_DELAY * 4.0 ** max(min(failures - 1, 16), 0), _MOST_LEAST_DELAY)
        return max(self._draw() * (self._policy or RestartPolicy()).ceiling(failures), least)


def is_passing(failure: Exception) -> bool:
    """Whether the same attempt may succeed later.

    Lost, refused, timed out, closed, 408, 425, 429 and 5xx pass; so do an answer that cannot be decoded, and a page
    (2xx) in place of a handshake, which a proxy in maintenance gives. A refused certificate and any other status,
    redirects included, are for good.
    """
    match failure:
        case CertificateRefused():
            return False
        case HandshakeRejected(status=status):
            return status in _PASSING or status >= 500 or 200 <= status < 300
        case ConnectionFailed() | RateLimitError() | ServerError() | DecodeError():
            return True
        case ApiError(status=status):
            return status in _PASSING
        case _:
            return False
