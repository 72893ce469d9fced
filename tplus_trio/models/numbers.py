"""The legal numbers of the exchange, as converters and validators that the models share."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

__all__ = [
    "EXACT",
    "check_decimal",
    "finite",
    "in_limits",
    "maybe_decimal",
    "maybe_finite",
    "maybe_not_negative",
    "named_decimal",
    "not_negative",
    "signed_number",
    "to_decimal",
    "unsigned_number",
]

#: 100 digits hold any 256-bit amount. The bounds keep arithmetic on a hostile value cheap.
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


#: Digits enough for sums and products of a few legal numbers, whatever the caller's decimal context is.
EXACT: Final = decimal.Context(prec=300, Emax=999, Emin=-999, traps=[decimal.InvalidOperation])

#: Returns a number within the limits, an infinity or a NaN unchanged; raises a DecimalException for any other.
in_limits: Final = _LIMITS.plus


def to_decimal(value: Decimal | int | str) -> Decimal:
    """Convert an exact number to a Decimal.

    Raises:
        TypeError: The value is a float, whose digits may differ from the intended ones, or of another type.
        ValueError: The value is a text that is not a number.
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


def named_decimal(name: str, value: Decimal | int | str) -> Decimal:
    """Convert an argument with :func:`to_decimal`; the error names the argument.

    Raises:
        TypeError: The value is a float, or of another type.
        ValueError: The value is a text that is not a number.
    """
    try:
        return to_decimal(value)
    except TypeError:
        msg = f"{name} is a Decimal, an int or a numeric str, not {type(value).__name__}"
        raise TypeError(msg) from None
    except ValueError as exc:
        msg = f"{name} is {exc}"
        raise ValueError(msg) from None


def check_decimal(value: Decimal, name: str, *, signed: bool = False) -> None:
    """Check that a number is a legal price, quantity or amount.

    Args:
        value: The number.
        name: Its name in the error message.
        signed: Whether it may be negative.

    Raises:
        ValueError: The number is NaN or infinite, has more than 100 digits or an exponent beyond ±99, or is negative
            although ``signed`` is False.
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
    """Check a field as :func:`check_decimal` does, negative numbers allowed (an attrs validator)."""
    check_decimal(value, attribute.name, signed=True)


def not_negative(_: object, attribute: attrs.Attribute[Any], value: Decimal) -> None:
    """Check a field as :func:`check_decimal` does (an attrs validator)."""
    check_decimal(value, attribute.name)


# The models of busy feeds check their numbers in converters, not in validators. msgspec calls each validator while it
# decodes, which is slow, but it does not call converters. `tplus_trio.codec.number_checks` finds these two converters
# in the models and checks whole batches of decoded numbers.

if TYPE_CHECKING:  # mypy infers the type of __init__'s argument from a function, but not from a Converter

    def unsigned_number(value: Decimal | int | str) -> Decimal:
        """Convert with :func:`to_decimal` and check that the number is legal and not negative (an attrs converter)."""
        ...

    def signed_number(value: Decimal | int | str) -> Decimal:
        """Convert with :func:`to_decimal` and check that the number is legal (an attrs converter)."""
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
    """Convert with :func:`to_decimal`; None stays None (an attrs converter)."""
    return None if value is None else to_decimal(value)


def maybe_finite(_: object, attribute: attrs.Attribute[Any], value: Decimal | None) -> None:
    """Check a field as :func:`finite` does; None is legal (an attrs validator)."""
    if value is not None:
        check_decimal(value, attribute.name, signed=True)


def maybe_not_negative(_: object, attribute: attrs.Attribute[Any], value: Decimal | None) -> None:
    """Check a field as :func:`not_negative` does; None is legal (an attrs validator)."""
    if value is not None:
        check_decimal(value, attribute.name)
