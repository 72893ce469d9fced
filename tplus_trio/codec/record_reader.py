"""Records whose JSON is simply their fields, read by msgspec; whole numbers that are written otherwise, read exactly.

The quick reader takes JSON integers for ``int`` fields and nothing else. What it refuses is read again, with numeric
strings and whole numbers like ``5.0`` and ``1e3`` allowed, none of which passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, get_args, get_type_hints

import attrs
import msgspec

from tplus_trio.codec.converter import converter
from tplus_trio.codec.json_text import MALFORMED, decode_hook, exact, parse

__all__ = ["record_reader", "spells_fractions"]

T = TypeVar("T")

#: What is matched where a type has no whole numbers.
_NEVER: Final = re.compile(rb"(?!)")


def _whole_fields(kind: Any) -> Iterator[str]:
    """The names of the fields within a type that are whole numbers."""
    for argument in get_args(kind):
        yield from _whole_fields(argument)
    if isinstance(kind, type) and attrs.has(kind):
        for name, hint in get_type_hints(kind).items():
            if int in (hint, *get_args(hint)):
                yield name
            yield from _whole_fields(hint)


def spells_fractions(kind: Any) -> Callable[[bytes], bool]:
    """What tells whether a text may have a whole number of a type with a point or an exponent."""
    names = sorted(set(_whole_fields(kind)))
    find = re.compile(rb'"(?:%s)"\s*:\s*"?-?\d+[.eE]' % "|".join(names).encode()) if names else _NEVER
    # A key may be escaped, and then the pattern does not find it.
    return lambda data: b"\\" in data or find.search(data) is not None


def record_reader(kind: type[T]) -> Callable[[bytes], T]:
    """What reads JSON into a type; it raises one of ``MALFORMED``."""
    strict = msgspec.json.Decoder(kind, dec_hook=decode_hook, float_hook=exact).decode
    lax = msgspec.json.Decoder(kind, strict=False, dec_hook=decode_hook, float_hook=exact).decode
    has_fractions = spells_fractions(kind)

    def read(data: bytes) -> T:
        try:
            return strict(data)
        except MALFORMED:
            pass
        model = lax(data)
        if not has_fractions(data):
            return model
        exactly: T = converter.structure(parse(data), kind)
        return exactly

    return read
