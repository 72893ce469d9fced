"""Calls functions in the step in which a stream or a book stops being live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LossWatchers"]

Loss = TypeVar("Loss")


class LossWatchers(Generic[Loss]):
    """Functions that are called with each loss, in the order in which they were added."""

    def __init__(self) -> None:
        self._watchers: list[Callable[[Loss], object]] = []

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, watcher: Callable[[Loss], object]) -> None:
        """Call a function with each loss from now on. It must return at once and raise nothing."""
        self._watchers.append(watcher)

    def remove(self, watcher: Callable[[Loss], object]) -> None:
        """Stop calling a function that was added."""
        self._watchers.remove(watcher)

    def notify(self, loss: Loss) -> None:
        """Call each function."""
        for watcher in tuple(self._watchers):
            watcher(loss)
