"""Readers, made of msgspec decoders, of records whose JSON is simply their fields.

The first, strict decoder takes only JSON integers for ``int`` fields. A record that it refuses is read again, with
numeric strings and whole numbers such as ``5.0`` and ``1e3`` allowed. No number passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, get_args, get_type_hints

import attrs
import msgspec

from tplus_trio.codec.converter import converter, is_record
from tplus_trio.codec.json_text import MALFORMED, decode_hook, exact, parse

__all__ = ["record_reader", "spells_fractions"]

T = TypeVar("T")

#: Matches nothing: the pattern for a type without ``int`` fields.
_NEVER: Final = re.compile(rb"(?!)")


def _whole_fields(kind: Any) -> Iterator[str]:
    """Yield the names of the ``int`` fields within a type."""
    for argument in get_args(kind):
        yield from _whole_fields(argument)
    if isinstance(kind, type) and attrs.has(kind):
        for name, hint in get_type_hints(kind).items():
            if int in (hint, *get_args(hint)):
                yield name
            yield from _whole_fields(hint)


def spells_fractions(kind: Any) -> Callable[[bytes], bool]:
    """Return a function that tells whether a text may spell an ``int`` field of a type with a point or an exponent."""
    names = sorted(set(_whole_fields(kind)))
    find = re.compile(rb'"(?:%s)"\s*:\s*"?-?\d+[.eE]' % "|".join(names).encode()) if names else _NEVER
    # The pattern does not find an escaped key.
    return lambda data: b"\\" in data or find.search(data) is not None


def record_reader(kind: type[T]) -> Callable[[bytes], T]:
    """Return a function that reads JSON into a type. It raises one of ``MALFORMED``."""
    if not is_record(kind):
        return lambda data: converter.structure(parse(data), kind)
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
