"""The reader of lists of which some records are bad: it reads the records one by one."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from tplus_trio.codec.json_text import MALFORMED, as_json, failure
from tplus_trio.codec.number_checks import check_all
from tplus_trio.codec.record_reader import record_reader
from tplus_trio.models import BadRow, Rows

__all__ = ["read_rows"]

T = TypeVar("T")

_raw: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_rows(data: bytes, kind: type[T]) -> Rows[T]:
    """Read the good records of a JSON list; ``bad`` has the others. Raises one of ``MALFORMED`` if it is not a list."""
    read = record_reader(kind)
    good: list[T] = []
    bad: list[BadRow] = []
    for position, raw in enumerate(_raw.decode(data)):
        row = bytes(raw)
        try:
            record = read(as_json(row))
            check_all(record)
        except MALFORMED as error:
            bad.append(BadRow(position, str(failure(f"a {kind.__name__}", row, error)), row))
        else:
            good.append(record)
    return Rows(good, bad)
