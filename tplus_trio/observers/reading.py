"""Reading a client's statistics from the thread of a metrics library."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

from tplus_trio.clients.statistics import ClientStatistics

__all__ = ["HasStatistics", "StatisticsReader"]


class HasStatistics(Protocol):
    """A client of this package."""

    def statistics(self) -> ClientStatistics:
        """Return the client's counts."""
        ...


class StatisticsReader:
    """Reads the statistics of clients in the thread that trio runs in, whatever thread asks.

    A client may be added inside a ``trio.run`` alone. Once that run has ended, its clients are read no more.
    """

    def __init__(self) -> None:
        self._sources: list[tuple[str, Callable[[], ClientStatistics], trio.lowlevel.TrioToken]] = []

    def add(self, name: str, client: HasStatistics) -> None:
        """Read a client from now on, under a name of the caller's."""
        self._sources.append((name, client.statistics, trio.lowlevel.current_trio_token()))

    def read(self) -> dict[str, list[ClientStatistics]]:
        """Return the statistics of all clients by name. The caller waits for the next turn of trio's loop."""
        found: dict[str, list[ClientStatistics]] = {}
        for source in tuple(self._sources):
            name, statistics, token = source
            try:
                found.setdefault(name, []).append(_read(statistics, token))
            except trio.RunFinishedError:
                with suppress(ValueError):  # another thread has removed it
                    self._sources.remove(source)
        return found


def _read(statistics: Callable[[], ClientStatistics], token: trio.lowlevel.TrioToken) -> ClientStatistics:
    try:
        is_in_loop = trio.lowlevel.current_trio_token() is token
    except RuntimeError:
        is_in_loop = False
    return statistics() if is_in_loop else trio.from_thread.run_sync(statistics, trio_token=token)
