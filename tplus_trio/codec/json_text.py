"""What every decoder does with its bytes: make them JSON, know a control message, say what was wrong."""

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
    "parse",
    "quick_hook",
    "whole",
]

#: What decoding raises over input that is not as promised: msgspec over shapes, models over values, attribute
#: and key look-ups over other people's structures, and the stack over nesting without end.
MALFORMED: Final = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)

_EXCERPT: Final = 120
#: How deeply plain objects may be nested. What is nested as deeply as can be read cannot be printed or written again.
_NESTING: Final = 100
_CONTROL: Final = frozenset({"subscriptions", "ping", "pong"})
#: A value whose key says that nobody else should read it, as far as it goes: the text may be cut or broken.
#: Nothing is tried twice: this is run over every bad frame.
_SECRET: Final = re.compile(
    r'("(?=[^"]*?(?:signature|token|secret|password|private))[^"]*+"\s*+:\s*+)(?:\[[^\]]*\]?|"(?:[^"\\]|\\.)*"?)',
    re.IGNORECASE,
)


class _Head(msgspec.Struct):
    """The one key that tells a control message."""

    type: Any = None


_head: Final = msgspec.json.Decoder(_Head)
_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: What a control message may say besides its type: when it was sent, and its number.
_ENVELOPE: Final = re.compile(r"type|id|seq|sequence|ts|t|time|.*timestamp.*|.*_(?:time|ns|ms)", re.IGNORECASE)


def as_json(text: bytes | str) -> bytes:
    """The input as UTF-8 bytes.

    Raises:
        UnicodeError: If it is not UTF-8. msgspec does not look into what it skips, so it has to be asked.
    """
    data = text.encode() if isinstance(text, str) else text
    if not data.isascii():
        data.decode()
    return data


def holds_control(text: bytes | str, fields: AbstractSet[str] | None = None) -> bool:
    """Whether this is a control message, which every stream may carry between its data.

    An object whose ``type`` is not known here is one as well if it has no data: a heartbeat of a newer service.

    Args:
        text: The frame.
        fields: The keys of the feed's data, of which a control message has none. None where data may be tagged by a
            ``type`` itself: then everything but a time and a number is data.
    """
    if not (b'"type"' in text if isinstance(text, bytes) else '"type"' in text):
        return False
    try:
        data = as_json(text)
        kind = _head.decode(data).type
        if not isinstance(kind, str):
            return False
        if kind in _CONTROL:
            return True
        keys = _keys.decode(data).keys()
    except MALFORMED:
        return False
    return all(_ENVELOPE.fullmatch(key) for key in keys) if fields is None else fields.isdisjoint(keys)


def decode_hook(kind: type, value: object) -> object:
    """How msgspec makes the one type of ours that it does not know."""
    if kind is AssetIdentifier:
        return AssetIdentifier(value)  # type: ignore[arg-type]  # anything at all, and it says what it refuses
    raise TypeError(f"no way to make a {kind.__name__}")


#: The same for the text of an asset, which the busy feeds repeat; refuses the older forms, which have no hash. An asset
#: may be a number, and numbers can be chosen to have equal hashes: the size bounds what a look-up costs then.
quick_hook: Final = lru_cache(maxsize=512, typed=True)(decode_hook)


def exact(text: str) -> Decimal:
    """A JSON number as what it says.

    Raises:
        ValueError: If it has too many digits or too large an exponent.
    """
    number = Decimal(text)
    check_decimal(number, "a number", signed=True)
    return number


_WHOLE: Final = re.compile(r"-?[0-9]{1,100}")


def whole(value: object) -> int:
    """A whole number of plain JSON, exact: also one that is written as text, or with a point or an exponent.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is not whole, or has more than 100 digits.
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
    """JSON as plain objects, with every number exact.

    Raises:
        RecursionError: If it is nested too deeply.
    """
    value = _untyped.decode(data)
    # What has few brackets need not be looked through.
    if data.count(b"[") + data.count(b"{") > _NESTING:
        check_nesting(value)
    return value


def check_nesting(value: object, left: int = _NESTING) -> None:
    """Look at plain objects.

    Raises:
        RecursionError: If they are nested too deeply.
    """
    if not left:
        raise RecursionError
    if isinstance(value, list | dict):
        for item in cast("Iterable[object]", value.values() if isinstance(value, dict) else value):
            if isinstance(item, (list, dict)) and item:
                check_nesting(cast("object", item), left - 1)


def failure(what: str, text: bytes | str, error: Exception, *, secret: bool = False) -> DecodeError:
    """The error to raise over a piece of input.

    Args:
        what: What it should have been.
        text: The input.
        error: What was raised over it.
        secret: Whether no part of the input may be shown.
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
