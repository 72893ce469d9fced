"""Checks of what callers pass, where a type alone does not say enough. Callers need not be typed."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, TypeVar

__all__ = ["check_choice", "check_count", "check_instance", "check_number"]

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def check_count(name: str, value: object, *, least: int = 1) -> int:
    """Check an argument that counts something.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} is at least {least}, not {value}")
    return value


def check_number(name: str, value: object, *, least: float = 0.0, more: bool = False, finite: bool = False) -> float:
    """Check an argument that measures something: a number of seconds, a factor.

    Args:
        name: What it is called.
        value: What was passed.
        least: What it must not be less than.
        more: Whether it must be more than that.
        finite: Whether infinity is refused.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is a number that a float can hold, not one of more than 300 digits") from None
    if not (number > least if more else number >= least) or (finite and math.isinf(number)):
        bound = f"more than {least:g}" if more else f"at least {least:g}"
        raise ValueError(f"{name} is {bound}{' and finite' if finite else ''}, not {value!r}")
    return number


def check_choice(name: str, value: Any, choices: type[E]) -> E:
    """Check an argument that is one of a few.

    Raises:
        ValueError: it is none of them.
    """
    try:
        return choices(value)
    except ValueError:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}") from None


def check_instance(name: str, value: object, kind: type[T]) -> T:
    """Check an argument of a certain type.

    Raises:
        TypeError: it is of another.
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} is {article} {kind.__name__}, not {type(value).__name__}")
    return value
