"""What a stream says of its troubles: when an outage begins, what it began with, and when it is over."""

from __future__ import annotations

import copy
import logging

__all__ = ["Outage"]

_log = logging.getLogger("tplus_trio.streams")


class Outage:
    """The time from a stream's first failure until it is live again.

    The first failure is logged as a warning and the end as information; failures in between are logged at debug level,
    since a service that is away for an hour would fill a log.

    Args:
        name: What the stream is called in the log: its path.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        #: The failure that the present outage began with; None while there is none.
        self.cause: Exception | None = None
        self._began_at = 0.0
        self._failures = 0
        self._was_live = False

    def failed(self, failure: Exception, delay: float, now: float) -> None:
        """Log a failure, after which the next attempt is made in ``delay`` seconds."""
        self._failures += 1
        if self.cause is None:
            self.cause, self._began_at, self._failures = _without_traceback(failure), now, 1
            # As text: a record that is kept would keep the failure's frames.
            _log.warning("%s: %s; trying again in %.2f s", self._name, str(failure), delay)
        else:
            _log.debug("%s: %s; failure %d, trying again in %.2f s", self._name, str(failure), self._failures, delay)

    def ended_for_good(self, failure: Exception) -> None:
        """Log the failure that ends the stream: as a warning if it was live, for nobody may be waiting for items."""
        self.cause = _without_traceback(failure)
        level = logging.WARNING if self._was_live else logging.DEBUG
        _log.log(level, "%s failed for good: %s", self._name, repr(failure))

    def over(self, now: float) -> None:
        """The stream is live."""
        self._was_live = True
        if self.cause is not None:
            count = "1 failure" if self._failures == 1 else f"{self._failures} failures"
            _log.info("%s: live again after %.1f s and %s", self._name, now - self._began_at, count)
            self.cause = None


def _without_traceback(failure: Exception) -> Exception:
    """A copy that keeps no frames alive, and with them the stream whose failure it is."""
    kept = copy.copy(failure)
    cause = failure.__cause__
    kept.__cause__ = copy.copy(cause) if isinstance(cause, Exception) else None
    return kept
