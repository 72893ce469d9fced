"""The failures of the embedded exchange itself, and who is to hear of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["CrashLog", "watch_crashes"]


class CrashLog(list[Exception]):
    """The crashes of one exchange. Appending one also reports it to the innermost :func:`watch_crashes`."""

    def append(self, crash: Exception) -> None:
        """Keep a crash, and report it."""
        super().append(crash)
        if _watches:
            _watches[-1].reports.append((self, crash))


class CrashWatch:
    """The crashes of every exchange of this process since the watch began."""

    def __init__(self) -> None:
        self.reports: list[tuple[CrashLog, Exception]] = []

    def take(self) -> list[Exception]:
        """The crashes since the last call, without those that a test expected and took out of the exchange's list."""
        reports, self.reports = self.reports, []
        return [crash for log, crash in reports if any(kept is crash for kept in log)]


_watches: Final[list[CrashWatch]] = []


@contextmanager
def watch_crashes() -> Generator[CrashWatch]:
    """Collect crashes while the body runs, whichever exchange they happen in.

    An inner watch takes the reports from the outer one: a test run that is started inside a test is not that test's.
    """
    watch = CrashWatch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
