"""The restart policy: when a session that failed connects again, and when it ends."""

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

#: Seconds. A longer `Retry-After` is probably a mistake, or comes from a clock that is years off.
_LONGEST_WAIT: Final = 3600.0
#: Seconds over which streams spread their attempts once one of them has connected again.
_SHORT: Final = 0.5
#: Seconds: the least delay after the first failure. It grows fourfold with each failure, up to the second figure. So no
#: policy and no draw lets a client ask a service that refuses thousands of times a second, and virtual time advances.
#: The first figure is small because a connection that was lost once can usually be made again at once.
_LEAST_DELAY: Final = 0.001
_MOST_LEAST_DELAY: Final = 0.25
#: Statuses other than 429 and 5xx with which the same request may succeed later: Request Timeout, and Too Early.
_PASSING: Final = frozenset({408, 425, 429})


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """When a stream connects again after a failure that may pass: after an exponential delay with full jitter.

    The n-th delay in a row is drawn evenly between 0 and ``min(max_delay, initial_delay * factor ** (n - 1))`` seconds.
    It is at least ``min(0.25, 0.001 * 4 ** (n - 1))`` seconds, even if ``max_delay`` is less or the draw is 0. A longer
    ``Retry-After`` of the server is kept instead, up to an hour. The delay starts over once a stream has been live for
    ``within`` seconds.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of its range.
    """

    #: Seconds, at least 0: the upper bound of the first delay.
    initial_delay: float = attrs.field(default=0.25)
    #: Seconds, at least 0: the upper bound of every delay.
    max_delay: float = attrs.field(default=30.0)
    #: At least 1: how the upper bound grows with each failure in a row.
    factor: float = attrs.field(default=2.0)
    #: At least 0. More failures than this within ``within`` seconds raise `RestartLimitExceeded`; None means no limit.
    max_restarts: int | None = attrs.field(default=None)
    #: Seconds, at least 0.
    within: float = attrs.field(default=60.0)

    def __attrs_post_init__(self) -> None:
        for name, least in (("initial_delay", 0.0), ("max_delay", 0.0), ("factor", 1.0), ("within", 0.0)):
            check_number(name, getattr(self, name), least=least, finite=True)
        if self.max_restarts is not None:
            check_count("max_restarts", self.max_restarts, least=0)

    def ceiling(self, failures: int) -> float:
        """Return the upper bound of the delay after ``failures`` failures in a row, in seconds."""
        # 0.25 * 2.0 ** 2000 would overflow long after max_delay has been reached.
        doublings = min(failures - 1, 512)
        try:
            return min(self.max_delay, self.initial_delay * self.factor**doublings)
        except OverflowError:
            return self.max_delay


class Restarts:
    """The failures of one session, counted against its policy. Pure: the time is an argument."""

    def __init__(self, policy: RestartPolicy | None, draw: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._draw = draw
        self._failures: deque[float] = deque()
        self._in_a_row = 0
        self._live_since: float | None = None

    def live(self, now: float) -> None:
        """Note that the session is live: now for the first time, or again after a hole over the same connection."""
        if self._live_since is None:
            self._live_since = now

    def failed(self, failure: Exception, now: float) -> float:
        """Count a failure.

        Args:
            failure: The failure.
            now: The time in seconds, on any clock that does not go back.

        Returns:
            The delay before the next attempt, in seconds.

        Raises:
            Exception: ``failure`` itself, if it will not pass or the policy allows no restart.
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

    def shortened(self) -> float:
        """Draw a factor from [0.75, 1), for delays that must not become 0."""
        return 0.75 + 0.25 * self._draw()

    def spread(self, left: float) -> float:
        """Draw the rest of a delay whose reason is gone, in seconds: less than 0.5 s and less than ``left``."""
        return self._draw() * min(max(left, 0.0), _SHORT)

    def jitter(self, failures: int) -> float:
        """Draw the delay after ``failures`` failed attempts in a row, in seconds."""
        least = min(_LEAST_DELAY * 4.0 ** max(min(failures - 1, 16), 0), _MOST_LEAST_DELAY)
        return max(self._draw() * (self._policy or RestartPolicy()).ceiling(failures), least)


def is_passing(failure: Exception) -> bool:
    """Return whether the same attempt may succeed later.

    These pass: a connection that was lost, refused, timed out or closed; the statuses 408, 425, 429 and 5xx; an answer
    that cannot be decoded; and a page (2xx) in place of a handshake, which a proxy under maintenance sends. A refused
    TLS certificate and any other status, redirects included, do not pass.
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
