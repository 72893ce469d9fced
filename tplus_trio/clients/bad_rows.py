"""Logs the rows of a page that could not be decoded, or raises if there are no others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tplus_trio.errors import DecodeError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models import BadRow

__all__ = ["report_bad_rows"]

_log = logging.getLogger("tplus_trio.clients")


def report_bad_rows(path: str, good: Sequence[object], bad: Sequence[BadRow]) -> None:
    """Log the bad rows of a page, if there are any.

    Raises:
        DecodeError: all rows are bad.
    """
    if not bad:
        return
    first = bad[0]
    if not good:
        raise DecodeError(f"row {first.position} of {path} is {first.reason}")
    log_event(
        _log,
        logging.WARNING,
        LogEvent.ROWS_MALFORMED,
        "%s: %d rows could not be read: row %d is %s",
        path,
        len(bad),
        first.position,
        first.reason,
        path=path,
        rows=len(bad),
        error=first.reason,
    )
