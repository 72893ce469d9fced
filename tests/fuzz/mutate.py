"""Inputs out of inputs: changed by byte, or by what JSON is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Final, TypeAlias

__all__ = ["Change", "change_bytes", "change_json"]

#: Makes an input out of an input, another one, and words of the format.
Change: TypeAlias = Callable[[Random, bytes, bytes, Sequence[bytes]], bytes]
_Span: TypeAlias = tuple[int, int]

_NUMBERS: Final = (
    b"0 -0 -1 1 5.0 1.5 -1.5 1e2 1E+5 0e500 1e99 1e100 1e-99 1e-100 1e999999999 -1e400 1E-999999999 255 256 4294967296 "
    b"9223372036854775808 18446744073709551615 18446744073709551616 0x10 01 1. .5 +1 NaN Infinity -Infinity "
).split() + [b"9" * n for n in (77, 78, 79, 100, 101, 4300, 4301)]
_TEXTS: Final = [
    *(rb"\ud800 \udc00\ud800 \ud83d\ude00 \u0000 \n \/ \" \x NaN sNaN -NaN inf -Infinity nan1 5_0 ping Buy".split()),
    *(b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "é٣\u2028\U0001f600".encode()),
    *(b"", b" 5 ", b"5\n", b"x" * 25, b"x" * 5000, b"200", b"00200", b"ab@" + b"0" * 18, b"0xAB@0X" + b"0" * 18),
]
_VALUES: Final = [
    *_NUMBERS,
    *(b'"%s"' % text for text in (*_NUMBERS, *_TEXTS)),
    *(b"null", b"true", b"false", b"[]", b"{}", b"[null]", b"[[]]", b'{"type":"ping"}', b'{"Index":200}', b'"', b"\\"),
    *(b"[" * n + b"]" * n for n in (100, 900, 3000)),
    *(b'{"a":' * n + b"1" + b"}" * n for n in (100, 900, 3000)),
]
#: They take their time, so they are rare.
_HUGE: Final = [
    *(b"9" * 1_000_000, b'"%s"' % (b"9" * 1_000_000), b"0." + b"0" * 1_000_000 + b"1", b"1e" + b"9" * 100_000),
    *(b'"%s"' % (b"x" * 1_000_000), b"[" * 100_000, b'{"a":' * 100_000, b"[" + b"1," * 100_000 + b"1]"),
]
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.0-9a-zA-Z]+|[\[\]{},:]', re.DOTALL)
#: Longer inputs are not looked into.
_LONG: Final = 20_000
_BYTES: Final = (0, 1, 9, 10, 13, 32, 34, 44, 45, 48, 92, 123, 125, 126, 127, 128, 129, 192, 237, 254, 255)


def change_bytes(random: Random, data: bytes, other: bytes, words: Sequence[bytes]) -> bytes:
    """Change a few bytes, or a stretch of them."""
    for _ in range(1 + int(random.expovariate(1.4))):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + int(random.expovariate(0.1)))
        match random.randrange(9):
            case 0:
                data = data[:at] + bytes([random.choice(_BYTES)]) + data[at + 1 :]
            case 1 if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
            case 2:
                data = data[:at] + data[to:]
            case 3:
                data = data[:to] + data[at:]
            case 4:
                data = data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
            case 5:
                data = data[:at] + other[random.randrange(len(other) + 1) :]
            case 6 if words:
                data = data[:at] + random.choice(words) + data[at:]
            case 7:
                middle = random.randrange(len(other) + 1)
                data = data[:at] + other[middle : middle + to - at] + data[to:]
            case _:
                data = data[:at]
    return data


def change_json(random: Random, data: bytes, other: bytes, words: Sequence[bytes]) -> bytes:
    """Change values, keys and members; at times bytes."""
    for _ in range(1 + int(random.expovariate(1.4))):
        values, members = _parts(data) if len(data) < _LONG else ((), ())
        if not values or not random.randrange(12):
            data = change_bytes(random, data, other, words)
            continue
        start, end = random.choice(values)
        value = data[start:end]
        match random.randrange(10):
            case 0 | 1 | 2:
                data = data[:start] + _like(random, value, words) + data[end:]
            case 3:
                text, spans = random.choice(((data, values), (other, _parts(other[:_LONG])[0] or ((0, 0),))))
                a, b = random.choice(spans)
                data = data[:start] + text[a:b] + data[end:]
            case 4:  # a number as a text, a text as whatever it says
                data = data[:start] + (value[1:-1] if value[:1] == b'"' else b'"%s"' % value) + data[end:]
            case 5:
                begins, ends = (b"[", b'{"a":', b'{"type":"x","a":', value + b" "), (b"]", b"}", b"}", b"")
                n = random.randrange(len(begins))
                data = data[:start] + begins[n] + value + ends[n] + data[end:]
            case 6 if members:
                start, end = random.choice(members)
                data = data[:start] + data[end + (data[end : end + 1] == b",") :]
            case 7 if members:
                start, end = random.choice(members)
                data = data[:start] + data[start:end] + b"," + data[start:]
            case 8 if members:
                start, end = random.choice(members)
                key = data[start:end].partition(b":")[0]
                others = [data[a:b].partition(b":")[0] for a, b in members]
                key = random.choice((_like(random, key, words), *others))
                data = data[:start] + key + b":" + data[start:end].partition(b":")[2] + data[end:]
            case _:
                at = data.find(b"{", start) + 1
                member = random.choice((*words, b'"x":'))
                if b":" not in member:
                    member += b":"
                if member[-1:] == b":":
                    member += _value(random, words)
                data = data[:at] + member + b"," + data[at:]
    return data


def _like(random: Random, value: bytes, words: Sequence[bytes]) -> bytes:
    """Another value, mostly of the same kind."""
    text = value[:1] == b'"'
    match random.randrange(4):
        case 0 if text:
            return b'"%s"' % change_bytes(random, value[1:-1], value[1:-1], ())
        case 0 if value[:19].isdigit():
            return b"%d" % (int(value[:19]) + random.choice((-1, 1, 255, -(10**6), 10**18)))
        case 1 if text or value[:1] not in b"{[tfn":
            return b'"%s"' % random.choice(_TEXTS) if text else random.choice(_NUMBERS)
        case 2 if text:
            return b'"%s"' % random.choice(_NUMBERS)
    return _value(random, words)


def _value(random: Random, words: Sequence[bytes]) -> bytes:
    if not random.randrange(3000):
        return random.choice(_HUGE)
    return random.choice(words) if words and not random.randrange(4) else random.choice(_VALUES)


@lru_cache(maxsize=4096)
def _parts(data: bytes) -> tuple[Sequence[_Span], Sequence[_Span]]:
    """Where the values are, and the members of objects, as far as this is JSON."""
    values: list[_Span] = []
    members: list[_Span] = []
    open_: list[tuple[int, int | None]] = []
    key: int | None = None
    for token in _TOKEN.finditer(data):
        start, end = token.span()
        match data[start : start + 1]:
            case b"{" | b"[":
                open_.append((start, key))
                key = None
                continue
            case b":":
                key = values.pop()[0] if values else None
                continue
            case b",":
                continue
            case b"}" | b"]":
                if not open_:
                    continue
                start, key = open_.pop()
        values.append((start, end))
        if key is not None:
            members.append((key, end))
            key = None
    return values, members
