"""The unexpected exceptions of the embedded exchange, and how the pytest plugin collects them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["CrashLog", "watch_crashes"]


class CrashLog(list[Exception]):
    """The unexpected exceptions of one exchange. Each is also reported to the innermost :func:`watch_crashes`."""

    def append(self, crash: Exception) -> None:
        """Keep an exception, and report it."""
        super().append(crash)
        if _watches:
            _watches[-1].reports.append((self, crash))


class CrashWatch:
    """The unexpected exceptions of all exchanges of this process since the watch began."""

    def __init__(self) -> None:
        self.reports: list[tuple[CrashLog, Exception]] = []

    def take(self) -> list[Exception]:
        """Return the exceptions since the last call, except those that a test removed from the exchange's list."""
        reports, self.reports = self.reports, []
        return [crash for log, crash in reports if any(kept is crash for kept in log)]


_watches: Final[list[CrashWatch]] = []


@contextmanager
def watch_crashes() -> Generator[CrashWatch]:
    """Collect the unexpected exceptions of all exchanges while the body runs.

    Only the innermost watch gets a report: a test run inside a test must not fail the outer test.
    """
    watch = CrashWatch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
