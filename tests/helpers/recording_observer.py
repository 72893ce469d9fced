"""An observer that records its calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tplus_trio.observer import OBSERVER_METHODS, Observer

__all__ = ["RecordingObserver"]


class RecordingObserver(Observer):
    """Records each call as its name and arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    @property
    def counts(self) -> Counter[str]:
        """Count the calls of each method."""
        return Counter(name for name, _ in self.calls)

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each call of a method."""
        return [arguments for called, arguments in self.calls if called == name]


def _recorder(name: str) -> Any:
    def record(self: RecordingObserver, *arguments: Any) -> None:
        self.calls.append((name, arguments))

    return record


for _name in OBSERVER_METHODS:
    setattr(RecordingObserver, _name, _recorder(_name))
