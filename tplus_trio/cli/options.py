"""What the options of several commands share: checks of their values, and examples in their help."""

from __future__ import annotations

import math
import re
from typing import Final

import click

__all__ = ["duration", "examples", "positive"]

#: Seconds in each unit of a duration.
_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*(ms|s|m|h|)", re.ASCII)


def examples(*commands: str) -> str:
    """Return the end of a help text: command lines to copy, without the program's name."""
    return "\n".join(["\b", "Examples:" if len(commands) > 1 else "Example:", *(f"  tplus-trio {c}" for c in commands)])


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Convert a duration to seconds (a callback of click)."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{value!r} is no time above 0, like 500ms, 30s, 5m, 1h, or 30 in seconds", ctx, param)
    return seconds


def positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Check a number that is more than 0 (a callback of click)."""
    if value is not None and not value > 0:  # NaN is refused too
        raise click.BadParameter(f"{value:g} is not more than 0", ctx, param)
    return value
