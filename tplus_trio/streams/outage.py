"""The outages of a session: when one begins, the failure that it began with, and when it is over."""

from __future__ import annotations

import copy
import logging

from tplus_trio.log_events import LogEvent, log_event

__all__ = ["Outage", "log_failed_for_good", "without_traceback"]

_log = logging.getLogger("tplus_trio.streams")


class Outage:
    """The time from a session's first failure until it is live again.

    The first failure is logged as a warning, and the end at info level. Failures in between are logged at debug level,
    because a service that is away for an hour would fill a log.

    Args:
        name: The name of the session in log lines: its path.
    """

    def __init__(self, name: str) -> None:
        self.name: str = name
        #: The failure that the present outage began with; None while there is none.
        self.cause: Exception | None = None
        self._began_at = 0.0
        self._failures = 0
        self._was_live = False

    def failed(self, failure: Exception, delay: float, now: float) -> None:
        """Log a failure. The next attempt follows in ``delay`` seconds; ``now`` is in seconds on trio's clock."""
        self._failures += 1
        # As text: a log record that is kept would keep the failure's frames.
        text = str(failure)
        if self.cause is None:
            self.cause, self._began_at, self._failures = without_traceback(failure), now, 1
            log_event(
                _log,
                logging.WARNING,
                LogEvent.OUTAGE_BEGAN,
                "%s: %s; trying again in %.2f s",
                self.name,
                text,
                delay,
                path=self.name,
                error=text,
                delay=delay,
            )
        else:
            log_event(
                _log,
                logging.DEBUG,
                LogEvent.ATTEMPT_FAILED,
                "%s: %s; failure %d, trying again in %.2f s",
                self.name,
                text,
                self._failures,
                delay,
                path=self.name,
                error=text,
                delay=delay,
                failures=self._failures,
            )

    def ended_for_good(self, failure: Exception) -> None:
        """Note and log the failure that ends the session."""
        self.cause = without_traceback(failure)
        log_failed_for_good(self.name, failure, was_live=self._was_live)

    def over(self, now: float) -> None:
        """End the outage, if there is one: the session is live. ``now`` is in seconds on trio's clock."""
        self._was_live = True
        if self.cause is not None:
            count = "1 failure" if self._failures == 1 else f"{self._failures} failures"
            log_event(
                _log,
                logging.INFO,
                LogEvent.OUTAGE_ENDED,
                "%s: live again after %.1f s and %s",
                self.name,
                now - self._began_at,
                count,
                path=self.name,
                seconds=now - self._began_at,
                failures=self._failures,
            )
            self.cause = None


def log_failed_for_good(name: str, failure: Exception, *, was_live: bool) -> None:
    """Log the failure that ends a stream: as a warning if it was live, because nobody may be reading it."""
    log_event(
        _log,
        logging.WARNING if was_live else logging.DEBUG,
        LogEvent.STREAM_FAILED,
        "%s failed for good: %s",
        name,
        repr(failure),
        path=name,
        error=repr(failure),
    )


def without_traceback(failure: Exception) -> Exception:
    """Copy a failure. Its traceback would keep the frames of the session alive, and with them the session."""
    kept = copy.copy(failure)
    cause = failure.__cause__
    kept.__cause__ = copy.copy(cause) if isinstance(cause, Exception) else None
    return kept
