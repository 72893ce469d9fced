"""How long a connection may be silent, where some of those who use it allow less than its own limits."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["SilenceBound"]


class SilenceBound:
    """The limits of the blocks that allow a connection less silence than ``ping_interval`` and ``ping_timeout``.

    The connection is pinged when the least of these limits has passed since the last ping, and given up if no byte
    comes within the same time after the ping.
    """

    def __init__(self) -> None:
        self._limits: list[float] = []
        #: Called when the limits have changed; None while nobody waits.
        self.on_change: Callable[[], object] | None = None

    def add(self, seconds: float) -> None:
        """Allow at most so many seconds of silence."""
        self._limits.append(seconds)
        self._changed()

    def remove(self, seconds: float) -> None:
        """Withdraw a limit that was added."""
        self._limits.remove(seconds)
        self._changed()

    def least(self, seconds: float) -> float:
        """Return the least of the limits and ``seconds``."""
        return min([seconds, *self._limits])

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
