"""Checks of callers' arguments, at run time because callers may not use a type checker."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, TypeVar

__all__ = ["check_choice", "check_count", "check_instance", "check_list", "check_number", "has_utf8"]

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def check_count(name: str, value: object, *, least: int = 1) -> int:
    """Check an argument that counts something, and return it.

    Args:
        name: The argument's name in the error message.
        value: The argument.
        least: The smallest legal value.

    Raises:
        TypeError: The value is not an ``int``.
        ValueError: The value is less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} is at least {least}, not {value}")
    return value


def check_number(name: str, value: object, *, least: float = 0.0, more: bool = False, finite: bool = False) -> float:
    """Check an argument that measures something, such as a number of seconds or a factor, and return it.

    Args:
        name: The argument's name in the error message.
        value: The argument.
        least: The lower bound.
        more: Whether the value must be more than ``least``, not only at least that.
        finite: Whether infinity is illegal.

    Raises:
        TypeError: The value is not a number.
        ValueError: The value is NaN, out of range, or too large for a float.
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
    """Check an argument that is a member of an enumeration, and return the member.

    Raises:
        ValueError: The value is not a member.
    """
    try:
        return choices(value)
    except ValueError:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}") from None


def check_instance(name: str, value: object, kind: type[T]) -> T:
    """Check the type of an argument, and return the argument.

    Raises:
        TypeError: The value is not an instance of ``kind``.
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} is {article} {kind.__name__}, not {type(value).__name__}")
    return value


def check_list(name: str, values: Any, of: str) -> tuple[Any, ...]:
    """Check that an argument is a collection, and return its items.

    Args:
        name: The argument's name in the error message.
        values: The argument.
        of: The class of the items in the error message. The items are not checked.

    Raises:
        TypeError: The value cannot be iterated over.
    """
    try:
        items = iter(values)
    except TypeError:
        raise TypeError(f"{name} is a list of {of}, not {type(values).__name__}") from None
    return tuple(items)


def has_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8: a lone surrogate, which JSON allows, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
