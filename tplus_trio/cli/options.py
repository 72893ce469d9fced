"""Arguments and options that several commands have."""

from __future__ import annotations

import math
import re
from typing import Final

import click

from tplus_trio.models import AssetIdentifier

__all__ = ["asset", "duration", "finite", "positive"]

_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def asset(ctx: click.Context, param: click.Parameter, value: str | None) -> AssetIdentifier | None:
    """Convert a market; a callback."""
    try:
        return None if value is None else AssetIdentifier(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


def positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Check that a number is more than 0; a callback."""
    if value is not None and not value > 0:  # NaN is refused too
        raise click.BadParameter(f"{value:g} is not more than 0", ctx, param)
    return value


def finite(ctx: click.Context, param: click.Parameter, value: float) -> float | None:
    """Check that a number is finite and more than 0; a callback."""
    if math.isinf(value):
        raise click.BadParameter(f"{value:g} is not finite", ctx, param)
    return positive(ctx, param, value)


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Convert a time such as ``30``, ``30s``, ``500ms``, ``5m`` or ``2h`` to seconds; a callback."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    seconds = 0.0 if found is None else float(found[1]) * _UNITS[found[2] or "s"]
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{value!r} is not a time such as 30s, 500ms, 5m or 2h", ctx, param)
    return seconds
