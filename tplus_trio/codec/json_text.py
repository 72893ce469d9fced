"""JSON text for every decoder: UTF-8, exact numbers, control messages, and the error for bad input."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from tplus_trio.errors import DecodeError
from tplus_trio.escapes import escape
from tplus_trio.models import AssetIdentifier
from tplus_trio.models.numbers import check_decimal

__all__ = [
    "MALFORMED",
    "as_json",
    "check_nesting",
    "decode_hook",
    "exact",
    "failure",
    "holds_control",
    "is_control",
    "parse",
    "quick_hook",
    "whole",
]

#: The errors that decoding raises for bad input: those of msgspec for types, of the models for values, of attribute and
#: key look-ups for unexpected structures, and RecursionError for deep nesting.
MALFORMED: Final = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)

#: The length of an excerpt or a reason in an error message, in characters.
_EXCERPT: Final = 120
#: How deeply plain objects may be nested. msgspec reads deeper ones, but Python cannot print or encode those again.
_NESTING: Final = 100
#: The values of ``type`` in known control messages.
_CONTROL: Final = frozenset({"subscriptions", "ping", "pong"})
#: A key that names a secret, and its value up to its end or the end of the text, which may be cut or broken.
#: The pattern does not backtrack, because it runs over every bad frame.
_SECRET: Final = re.compile(
    r'("(?=[^"]*?(?:signature|token|secret|password|private))[^"]*+"\s*+:\s*+)(?:\[[^\]]*\]?|"(?:[^"\\]|\\.)*"?)',
    re.IGNORECASE,
)


class _Head(msgspec.Struct):
    """The key that marks a control message."""

    type: Any = None


_head: Final = msgspec.json.Decoder(_Head)
_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: The keys that a control message may have beside its type: times and numbers.
_ENVELOPE: Final = re.compile(r"type|id|seq|sequence|ts|t|time|.*timestamp.*|.*_(?:time|ns|ms)", re.IGNORECASE)


def as_json(text: bytes | str) -> bytes:
    """Return the input as UTF-8 bytes.

    Raises:
        UnicodeError: The input is not UTF-8. msgspec does not check the texts that it skips.
    """
    data = text.encode() if isinstance(text, str) else text
    if not data.isascii():
        data.decode()
    return data


def holds_control(text: bytes | str, fields: AbstractSet[str] | None = None) -> bool:
    """Return whether a frame is a control message, which any feed may carry between its data.

    An object of an unknown ``type`` is a control message if it has no data, such as a heartbeat of a newer service.

    Args:
        text: The frame.
        fields: The keys of the feed's data, of which a control message has none. None means that data may have a
            ``type`` too: then all keys but times and numbers count as data.
    """
    if not (b'"type"' in text if isinstance(text, bytes) else '"type"' in text):
        return False
    try:
        data = as_json(text)
        kind = _head.decode(data).type
        if not isinstance(kind, str) or kind in _CONTROL:
            return is_control(kind, has_data=True)
        keys = _keys.decode(data).keys()
    except MALFORMED:
        return False
    return all(_ENVELOPE.fullmatch(key) for key in keys) if fields is None else fields.isdisjoint(keys)


def is_control(kind: object, *, has_data: bool) -> bool:
    """Return whether an object is a control message, as `holds_control` does.

    Args:
        kind: The value of its ``type``.
        has_data: Whether it has a key of the feed's data.
    """
    return isinstance(kind, str) and (not has_data or kind in _CONTROL)


def decode_hook(kind: type, value: object) -> object:
    """Make an `AssetIdentifier`, the only type of the models that msgspec does not know."""
    if kind is AssetIdentifier:
        return AssetIdentifier(value)  # type: ignore[arg-type]  # it checks the type of any value itself
    raise TypeError(f"no way to make a {kind.__name__}")


#: The same with a cache, because busy feeds repeat the same assets. It refuses the older forms of assets, which have no
#: hash. A hostile service could send numbers of equal hashes; the size of the cache bounds the cost of a look-up.
quick_hook: Final = lru_cache(maxsize=512, typed=True)(decode_hook)


def exact(text: str) -> Decimal:
    """Convert the text of a JSON number to a Decimal, exactly.

    Raises:
        ValueError: The number has more than 100 digits or an exponent beyond ±99.
    """
    number = Decimal(text)
    check_decimal(number, "a number", signed=True)
    return number


_WHOLE: Final = re.compile(r"-?[0-9]{1,100}")


def whole(value: object) -> int:
    """Convert a decoded whole number to an ``int``, exactly. It may be a text, or have a point or an exponent.

    Raises:
        TypeError: The value is not a number.
        ValueError: The number is not whole or has more than 100 digits.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if not isinstance(value, Decimal | str):
        raise TypeError(f"expected a whole number, got {type(value).__name__}")
    number = value if isinstance(value, Decimal) else exact(value)
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"expected a whole number, got {str(value)[:40]!r}")
    return int(number)


_untyped: Final = msgspec.json.Decoder(float_hook=exact)


def parse(data: bytes) -> Any:
    """Decode JSON to plain objects with exact numbers.

    Raises:
        RecursionError: The objects are nested too deeply.
    """
    value = _untyped.decode(data)
    # Few brackets cannot be nested too deeply.
    if data.count(b"[") + data.count(b"{") > _NESTING:
        check_nesting(value)
    return value


def check_nesting(value: object, left: int = _NESTING) -> None:
    """Check how deeply plain objects are nested.

    Args:
        value: Plain objects.
        left: How many levels of nesting are allowed.

    Raises:
        RecursionError: The objects are nested more deeply.
    """
    if not left:
        raise RecursionError
    if isinstance(value, list | dict):
        for item in cast("Iterable[object]", value.values() if isinstance(value, dict) else value):
            if isinstance(item, (list, dict)) and item:
                check_nesting(cast("object", item), left - 1)


def failure(what: str, text: bytes | str, error: Exception, *, secret: bool = False) -> DecodeError:
    """Return the error to raise for bad input.

    Args:
        what: The expected kind of input, with its article.
        text: The input.
        error: The error that decoding raised.
        secret: Whether the message must not show any part of the input.
    """
    match error:
        case RecursionError():
            reason = "nested too deeply"
        case UnicodeError():
            reason = "not UTF-8"
        case KeyError():
            reason = f"{error.args[0]!r} is missing" if error.args else "a key is missing"
        case _:
            reason = str(error) or type(error).__name__
    if secret:
        return DecodeError(f"not {what}: {_cut(reason)}")
    beginning = text[: 20 * _EXCERPT]
    shown = beginning.decode(errors="replace") if isinstance(beginning, bytes) else beginning
    excerpt = _SECRET.sub(r"\1…", shown)
    return DecodeError(f"not {what}: {_cut(reason)}: {_cut(excerpt)}")


def _cut(text: str) -> str:
    text = escape(text)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
