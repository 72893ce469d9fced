"""What the options of several commands share: checks of their values, and examples in their help."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from decimal import Decimal

    from tplus_trio.models.asset import AssetIdentifier

__all__ = ["asset", "duration", "examples", "finite", "number", "positive"]

#: Seconds in each unit of a duration.
_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*(ms|s|m|h|)", re.ASCII)


def examples(*commands: str) -> str:
    """Return the end of a help text: command lines to copy, without the program's name."""
    return "\n".join(["\b", "Examples:" if len(commands) > 1 else "Example:", *(f"  tplus-trio {c}" for c in commands)])


def asset(ctx: click.Context, param: click.Parameter, value: str | None) -> AssetIdentifier | None:
    """Check a market (a callback of click)."""
    from tplus_trio.models.asset import AssetIdentifier  # noqa: PLC0415 - the help does not need the models

    try:
        return None if value is None else AssetIdentifier(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Convert a duration to seconds (a callback of click)."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{value!r} is no time above 0, like 500ms, 30s, 5m, 1h, or 30 in seconds", ctx, param)
    return seconds


def number(ctx: click.Context, param: click.Parameter, value: str | None) -> Decimal | None:
    """Convert a price, quantity or amount (a callback of click)."""
    from tplus_trio.models.numbers import to_decimal  # noqa: PLC0415 - not for the help
    from tplus_trio.orders.terms import check_amount  # noqa: PLC0415 - the help does not need them

    try:
        if value is None:
            return None
        decimal = to_decimal(value)
        check_amount("a price or quantity", decimal, "")
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None
    return decimal


def positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Check a number that is more than 0 (a callback of click)."""
    if value is not None and not value > 0:  # NaN is refused too
        raise click.BadParameter(f"{value:g} is not more than 0", ctx, param)
    return value


def finite(ctx: click.Context, param: click.Parameter, value: float) -> float | None:
    """Check a number that is more than 0 and finite (a callback of click)."""
    if math.isinf(value):
        raise click.BadParameter(f"{value:g} is not finite", ctx, param)
    return positive(ctx, param, value)
