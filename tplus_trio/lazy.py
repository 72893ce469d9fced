"""Names of a package that are loaded when they are asked for: importing it costs next to nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(package: str, room_of: Mapping[str, str], name: str) -> Any:
    """Fetch a package's name from the room that it lives in, and keep it at hand.

    Raises:
        AttributeError: no room has it.
    """
    room = room_of.get(name)
    if room is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(import_module(f"{package}.{room}"), name)
    setattr(sys.modules[package], name, value)
    return value
