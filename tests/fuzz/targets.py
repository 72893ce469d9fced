"""All targets by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .local import ARGUMENTS, KEYFILES, TAPES
from .machines import MACHINES
from .runner import Target
from .wire import ANSWERS, FEEDS, FRAMES

__all__ = ["TARGETS"]

TARGETS: Final[Mapping[str, Target]] = {
    "frames": FRAMES,
    "feeds": FEEDS,
    "answers": ANSWERS,
    "keyfiles": KEYFILES,
    "tapes": TAPES,
    "arguments": ARGUMENTS,
    "machines": MACHINES,
}
