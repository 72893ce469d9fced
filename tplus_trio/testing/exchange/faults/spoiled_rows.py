"""Bad rows: changing or removing fields of one row in a JSON message or answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from tplus_trio.testing.exchange.http_messages import as_list, as_object

__all__ = ["Spoiling", "checked_spoiling", "compact_json", "json_of", "rows_of", "spoil"]

#: The fields in which an object holds its rows, by the names that the service gives them.
_ROWS: Final = ("items", "orders", "positions", "markets", "results")

#: The index of the row, the fields to change with their new values, and the fields to remove.
Spoiling: TypeAlias = tuple[int, dict[str, Any], tuple[str, ...]]


def checked_spoiling(change: Mapping[str, Any] | None, missing: Sequence[str], row: int = 0) -> Spoiling:
    """Check and copy what a row's fields are changed to.

    Raises:
        TypeError: ``missing`` is a string, or ``change`` is not a mapping.
        ValueError: There is nothing to change.
    """
    if isinstance(missing, str):
        raise TypeError("missing is a sequence of field names, not a str")
    if not change and not missing:
        raise ValueError("say which fields to change, or which are missing")
    return row, dict(change or {}), tuple(missing)


def spoil(text: bytes, spoiling: Spoiling) -> bytes:
    """Return a message or an answer with one row changed; unchanged if it has no row, or is no JSON."""
    row, fields, missing = spoiling
    body = json_of(text)
    spoiled = _row_of(body, row)
    if not spoiled:
        return text
    spoiled.update(fields)
    for name in missing:
        spoiled.pop(name, None)
    return compact_json(body)


def json_of(text: bytes) -> Any:
    """Return what a message or an answer contains; None if another fault has replaced it by what is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def rows_of(body: Any) -> list[Any] | None:
    """Return the rows of an answer; None if it has none."""
    if isinstance(body, list):
        return as_list(cast("object", body))
    fields = as_object(body)
    return next((as_list(fields[name]) for name in _ROWS if isinstance(fields.get(name), list)), None)


def _row_of(body: Any, row: int) -> dict[str, Any]:
    """Return one row of a message or an answer, which may be its own row; empty if there is none."""
    rows = rows_of(body)
    if rows is not None:
        return as_object(rows[min(row, len(rows) - 1)]) if rows else {}
    fields = as_object(body)
    # An order event's row is the object inside its variant.
    return (as_object(next(iter(fields.values()))) if len(fields) == 1 else {}) or fields


def compact_json(value: object) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
