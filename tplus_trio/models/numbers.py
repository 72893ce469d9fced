"""What a number on this exchange may be: the converter and the validators that the models share."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

__all__ = [
    "check_decimal",
    "finite",
    "in_limits",
    "maybe_decimal",
    "maybe_finite",
    "maybe_not_negative",
    "not_negative",
    "signed_number",
    "to_decimal",
    "unsigned_number",
]

#: Wide enough for any 256-bit amount, narrow enough that no arithmetic on a value can be made to take long.
_LIMITS: Final = decimal.Context(
    prec=100,
    Emax=99,
    Emin=-99,
    traps=[
        decimal.Clamped,
        decimal.Inexact,
        decimal.InvalidOperation,
        decimal.Overflow,
        decimal.Rounded,
        decimal.Subnormal,
    ],
)


#: Gives a number of a sane size back, or an infinity or a NaN; raises a DecimalException over any other.
in_limits: Final = _LIMITS.plus


def to_decimal(value: Decimal | int | str) -> Decimal:
    """Turn what is exact into a Decimal.

    Raises:
        TypeError: For a float, whose digits are not the ones that were meant, and for anything else.
        ValueError: For text that is not a number.
    """
    if isinstance(value, Decimal):
        return value
    given = cast("object", value)  # callers need not be typed
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise TypeError(f"expected a Decimal, an int or a numeric str, got {type(given).__name__}")
    try:
        return Decimal(value)
    except decimal.InvalidOperation:
        raise ValueError(f"not a number: {str(value)[:40]!r}") from None


def check_decimal(value: Decimal, name: str, *, signed: bool = False) -> None:
    """Refuse what is no quantity of anything.

    Args:
        value: The number.
        name: What it is called in the error.
        signed: Whether it may be below zero.

    Raises:
        ValueError: For NaN, an infinity, a number of more than 100 digits or of an exponent beyond ±99, and,
            unless ``signed``, one below zero.
    """
    try:
        in_limits(value)
    except decimal.DecimalException:
        raise ValueError(f"{name} must have at most 100 digits and an exponent within ±99") from None
    if not value.is_finite():
        raise ValueError(f"{name} must be finite, got {value}")
    if not signed and value < 0:
        raise ValueError(f"{name} must not be negative, got {value}")


def finite(_: object, attribute: attrs.Attribute[Any], value: Decimal) -> None:
    """An attrs validator: any finite number of a sane size."""
    check_decimal(value, attribute.name, signed=True)


def not_negative(_: object, attribute: attrs.Attribute[Any], value: Decimal) -> None:
    """An attrs validator: any finite number of a sane size that is not below zero."""
    check_decimal(value, attribute.name)


# The models of the busy feeds check their numbers in converters: msgspec runs validators, each a call, but no
# converters, and the codec checks what it has decoded in a quicker way.

if TYPE_CHECKING:  # which mypy takes from a function, not from a Converter

    def unsigned_number(value: Decimal | int | str) -> Decimal:
        """An attrs converter: :func:`to_decimal`, then what :func:`not_negative` checks."""
        ...

    def signed_number(value: Decimal | int | str) -> Decimal:
        """An attrs converter: :func:`to_decimal`, then what :func:`finite` checks."""
        ...

else:

    def _unsigned(value: Decimal | int | str, field: attrs.Attribute[Any]) -> Decimal:
        number = to_decimal(value)
        check_decimal(number, field.name)
        return number

    def _signed(value: Decimal | int | str, field: attrs.Attribute[Any]) -> Decimal:
        number = to_decimal(value)
        check_decimal(number, field.name, signed=True)
        return number

    unsigned_number = attrs.Converter(_unsigned, takes_field=True)
    signed_number = attrs.Converter(_signed, takes_field=True)


def maybe_decimal(value: Decimal | int | str | None) -> Decimal | None:
    """:func:`to_decimal`, or None as it is."""
    return None if value is None else to_decimal(value)


def maybe_finite(_: object, attribute: attrs.Attribute[Any], value: Decimal | None) -> None:
    """An attrs validator: None, or what :func:`finite` allows."""
    if value is not None:
        check_decimal(value, attribute.name, signed=True)


def maybe_not_negative(_: object, attribute: attrs.Attribute[Any], value: Decimal | None) -> None:
    """An attrs validator: None, or what :func:`not_negative` allows."""
    if value is not None:
        check_decimal(value, attribute.name)
