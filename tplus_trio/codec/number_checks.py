"""Checks of the numbers of decoded models: the same checks as in the models' converters.

msgspec runs the validators of a model, but not its converters. The fields that a converter checks are found in the
attrs fields of the models, so that a new field needs no line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, DecimalException
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast, get_args, get_type_hints

import attrs

from tplus_trio.models.numbers import check_decimal, in_limits, signed_number, unsigned_number

__all__ = ["check_all", "checker", "one_checker"]

_INFINITY: Final = Decimal("Infinity")
#: A lower bound of the legal numbers for each converter that checks numbers.
_LEAST: Final[tuple[tuple[Any, Decimal], ...]] = (
    (unsigned_number, Decimal(0)),
    (signed_number, Decimal("-1e100")),
)


class _Column(NamedTuple):
    """A field of numbers."""

    name: str
    get: Callable[[Any], Decimal]
    least: Decimal


class _Plan(NamedTuple):
    """The checks of a class."""

    #: The fields to check.
    columns: tuple[_Column, ...]
    #: The fields whose values have fields to check.
    nested: tuple[Callable[[Any], Any], ...]


@cache
def _plan(cls: type) -> _Plan:
    columns: list[_Column] = []
    nested: list[Callable[[Any], Any]] = []
    if attrs.has(cls):
        hints = get_type_hints(cls)
        for field in attrs.fields(cls):
            get = attrgetter(field.name)
            for converter, least in _LEAST:
                if field.converter is converter:
                    columns.append(_Column(field.name, get, least))
            if _has_plan(hints[field.name]):
                nested.append(get)
    return _Plan(tuple(columns), tuple(nested))


def _has_plan(hint: Any) -> bool:
    """Return whether a type has fields to check, at any depth."""
    return any(map(_has_plan, get_args(hint))) or (
        isinstance(hint, type) and attrs.has(hint) and any(_plan(cast("type", hint)))
    )


def _check_column(records: Iterable[Any], column: _Column) -> None:
    """Check one field of records in as few bytecodes as possible. Raises as :func:`check_all` does."""
    _, get, least = column
    try:
        for value in map(in_limits, map(get, records)):
            # A comparison with NaN is False or raises InvalidOperation.
            if not least <= value < _INFINITY:
                break
        else:
            return
    except DecimalException:
        pass
    for value in map(get, records):
        check_decimal(value, column.name, signed=bool(least))


@cache
def checker(cls: type) -> Callable[[Sequence[Any]], None]:
    """Return a check of records of a class. It raises as :func:`check_all` does."""
    columns, nested = _plan(cls)

    def check(records: Sequence[Any]) -> None:
        for column in columns:
            _check_column(records, column)
        for get in nested:
            for record in records:
                check_all(get(record))

    return check


def one_checker(cls: type) -> Callable[[Any], None]:
    """Return a check of one record of a class. It raises as :func:`check_all` does."""
    columns, nested = _plan(cls)
    check = checker(cls)
    places = [(get, least) for _, get, least in columns]
    infinity, limits = _INFINITY, in_limits

    def check_one(record: Any) -> None:
        try:
            for get, least in places:
                if not least <= limits(get(record)) < infinity:
                    break
            else:
                if not nested:
                    return
        except DecimalException:
            pass
        check((record,))

    return check_one


def check_all(value: object) -> None:
    """Check the numbers of any decoded value, at any depth.

    Raises:
        ValueError: A number is not legal for its field.
    """
    if isinstance(value, list | tuple):
        rows = cast("Sequence[object]", value)
        kinds: set[type] = {type(row) for row in rows}
        if len(kinds) == 1 and attrs.has(kind := kinds.pop()):
            checker(kind)(rows)
        else:
            for row in rows:
                check_all(row)
    elif isinstance(value, dict):
        for item in cast("Mapping[object, object]", value).values():
            check_all(item)
    elif attrs.has(kind := cast("type", type(value))):
        checker(kind)((value,))
