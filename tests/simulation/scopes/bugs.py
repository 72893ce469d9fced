"""Bugs to plant, one at a time, to show that the worlds find them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

__all__ = ["SCOPE_BUGS"]

#: The bugs by name.
SCOPE_BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {}
