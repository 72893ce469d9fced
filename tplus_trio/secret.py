"""Secrets: values whose repr hides them, and a redactor that removes them from what a service sends."""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from tplus_trio.escapes import escape

__all__ = ["Redactor", "SecretBytes", "SecretText", "conceal", "kind_of"]

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_MASK: Final = "[…]"
#: Characters. The length of the pieces into which a secret is cut for the search.
_PIECE: Final = 8
#: Sixteen or more numbers of one to three digits: a signature or a key, or most of one.
_NUMBERS: Final = re.compile(r"\[?(?:\b\d{1,3}\s*,\s*){15,}\d{1,3}\]?")
#: The commas of such a row.
_LEAST_COMMAS: Final = 15
_NUMBERS_IN_BYTES: Final = re.compile(_NUMBERS.pattern.encode())
_TELLING: Final = re.compile("auth|cookie|key|pass|secret|sign|token", re.IGNORECASE)
#: How many tokens and signatures are remembered. A service that repeats one does so in its next answers.
_TOKENS: Final = 64
_SIGNATURES: Final = 16
#: Nanoseconds for which an expired token is remembered, because an answer that repeats it may still arrive.
_GRACE_NS: Final = 300 * 1_000_000_000
#: Characters, and levels of nesting. The rest of an error's details is masked: they are for people to read.
_LARGEST_TREE: Final = 64 * 1024
_DEEPEST_TREE: Final = 50


class SecretText(str):
    """Text whose repr hides it, also in a traceback that shows local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[…]'"


class SecretBytes(bytes):
    """Bytes whose repr hides them."""

    def __repr__(self) -> str:
        return "b'[…]'"


class _Unseen:
    """Stands for a value of a wrong type that was given as a secret. Its user refuses it because of its type."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def conceal(value: T) -> T:
    """Return text or bytes with a repr that hides them, None for None, else an object that keeps the value's type."""
    if isinstance(value, str):
        return cast("T", SecretText(value))
    if isinstance(value, bytes):
        return cast("T", SecretBytes(value))
    return value if value is None or isinstance(value, _Unseen) else cast("T", _Unseen(type(value).__name__))


def kind_of(value: object) -> str:
    """Return the name of the type that a value had before `conceal`, for an error message."""
    match value:
        case _Unseen():
            return value.kind
        case SecretText():
            return "str"
        case SecretBytes():
            return "bytes"
        case _:
            return type(value).__name__


class Redactor:
    """Remembers the secrets that were sent to one service, and removes them from what the service sends.

    Signatures are sent as lists of numbers from 0 to 255; sixteen or more in a row are always removed. The latest
    secrets are removed in their other spellings, too. A text is searched once for all secrets, in time that grows with
    the text alone. A redactor may be used in several threads.

    Args:
        headers: Sent with every request. Those whose names suggest secrets are removed.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        values = [value.split(" ")[-1] for name, value in (headers or {}).items() if _TELLING.search(name)]
        self._headers = [_Secret(value) for value in values if len(value) >= _PIECE]
        #: Clients may be used in several threads. A new secret leads to a new tuple, made under the lock.
        self._lock = threading.Lock()
        self._tokens: tuple[_Secret, ...] = ()
        self._signatures: tuple[_Secret, ...] = ()
        #: Each spelling of a signature has a backslash, or so many bytes in a row that are no quotation marks.
        self._least_run = math.inf
        #: The pieces for the last search, each with the tuple of secrets from which they were made.
        self._lasting: tuple[tuple[_Secret, ...], _Pieces] | None = None
        self._passing: tuple[tuple[_Secret, ...], _Pieces] | None = None

    def tell_token(self, token: str, until_ns: float = math.inf, now_ns: float = -math.inf) -> None:
        """Remember a token before it is sent.

        Args:
            token: The token.
            until_ns: When it expires, in nanoseconds since the epoch. It may be forgotten five minutes later. A token
                that has already expired is remembered like one that never expires, because the clocks disagree.
            now_ns: The present time on the same clock. Tokens that expired more than five minutes ago are forgotten.
        """
        secret = _Secret(token, until_ns if until_ns > now_ns else math.inf)
        with self._lock:
            kept = (known for known in self._tokens if known.until_ns + _GRACE_NS >= now_ns)
            self._tokens = (*kept, secret)[-_TOKENS:]

    def tell_signature(self, signature: bytes) -> None:
        """Remember a signature before it is sent."""
        secret = _Secret(signature)
        with self._lock:
            self._signatures = (*self._signatures, secret)[-_SIGNATURES:]
            self._least_run = min(self._least_run, secret.least_run)

    def text(self, text: str) -> str:
        """Return a text without secrets and longer parts of them, escaped (:func:`~tplus_trio.escapes.escape`)."""
        text = _NUMBERS.sub(_MASK, text)
        tokens, signatures = self._tokens, self._signatures
        if (lasting := self._lasting) is None or lasting[0] is not tokens:
            lasting = self._lasting = (tokens, _Pieces([*self._headers, *tokens]))
        if (passing := self._passing) is None or passing[0] is not signatures:
            passing = self._passing = (signatures, _Pieces(signatures))
        return escape(_without(text, lasting[1], passing[1]))

    def answer(self, body: bytes, *, signed: bool) -> bytes:
        """Return an answer without the secrets that it repeats. REST and WebSockets both use this method.

        Args:
            body: The answer, in UTF-8. JSON stays JSON.
            signed: Whether the request carried a signature. If so, signatures are removed in every spelling, and so is
                each row of sixteen or more numbers of one to three digits.

        Returns:
            The answer without tokens, secret headers and, if ``signed``, signatures.
        """
        return self._without_signatures(body) if signed else self._without_tokens(body)

    def _without_tokens(self, body: bytes) -> bytes:
        for secret in (*self._headers, *self._tokens):
            for spelling in secret.as_sent:
                if spelling in body:
                    body = body.replace(spelling, _MASK.encode())
        return body

    def _without_signatures(self, body: bytes) -> bytes:
        # Most answers have neither: to make the spellings would take longer than all else.
        if b"\\" in body or max(map(len, body.split(b'"'))) >= self._least_run:
            for spelling in [spelling for signature in self._signatures for spelling in signature.in_bytes]:
                if spelling in body:
                    body = body.replace(spelling, _MASK.encode())
        body = self._without_tokens(body)
        return _NUMBERS_IN_BYTES.sub(b"[]", body) if body.count(b",") >= _LEAST_COMMAS else body

    def tree(self, value: Any) -> Any:
        """Return plain objects without secrets. Parts beyond 64 KiB in total, or nested deeper than 50, are masked."""
        return _Pruning(self.text).tree(value, 0)

    def error(self, error: E) -> E:
        """Remove secrets from an error, and each cause or context that holds one. Return the same error."""
        error.args = tuple(self.tree(arg) for arg in error.args)
        if any(self._shows(link) for link in _chain(error.__cause__)):
            error.__cause__ = None
        if any(self._shows(link) for link in _chain(error.__context__)):
            error.__context__ = None
        return error

    def _shows(self, error: BaseException) -> bool:
        shown = escape(f"{error} {error!r} {vars(error)}")
        return self.text(shown) != shown


class _Secret:
    """A secret with the spellings in which a service may repeat it."""

    def __init__(self, secret: str | bytes, until_ns: float = math.inf) -> None:
        self._secret = secret
        self.until_ns = until_ns

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        return _spellings(self._secret)

    @cached_property
    def as_sent(self) -> tuple[bytes, ...]:
        """The spellings that it may have in JSON."""
        return tuple(spelling.encode() for spelling in self.spellings[:2])

    @cached_property
    def in_bytes(self) -> tuple[bytes, ...]:
        # In JSON, the backslashes of an escaped spelling are doubled.
        escaped = (json.dumps(spelling)[1:-1] for spelling in self.spellings)
        return tuple(spelling.encode() for spelling in dict.fromkeys((*self.spellings, *escaped)))

    @property
    def least_run(self) -> int:
        """A number of bytes without a quotation mark in a row that each spelling without a backslash has."""
        # Each spelling has at least a character for each byte. The only one that has quotation marks is the literal,
        # where most bytes are written with a backslash.
        raw = _raw(self._secret)
        return 0 if b'"' in raw and "\\" not in repr(raw) else len(raw)


class _Pieces:
    """The pieces of some secrets. A search needs one lookup for each character of a text.

    A secret is cut into pieces of eight characters, so that any fifteen of its characters in a row hold a whole piece.
    Each piece is kept with the characters before and after it, up to the next piece.
    """

    def __init__(self, secrets: Iterable[_Secret]) -> None:
        self.around: dict[str, tuple[set[str], set[str]]] = {}
        short: list[str] = []
        for spelling in dict.fromkeys(spelling for secret in secrets for spelling in secret.spellings):
            if len(spelling) < _PIECE:
                short.append(re.escape(spelling))
            for start in range(0, len(spelling) - _PIECE + 1, _PIECE):
                end = start + _PIECE
                before, after = self.around.setdefault(spelling[start:end], (set(), set()))
                before.add(spelling[max(0, start - _PIECE + 1) : start])
                after.add(spelling[end : end + _PIECE - 1])
        #: Finds secrets that are shorter than a piece, as a whole.
        self.short = re.compile("|".join(sorted(short, key=len, reverse=True))) if any(short) else None

    def reach(self, text: str, at: int) -> tuple[int, int]:
        """Return the start and end of the part of a secret around the piece that begins at ``at``."""
        before, after = self.around[text[at : at + _PIECE]]
        end = at + _PIECE
        left = max(_in_common(reversed(text[max(0, at - _PIECE + 1) : at]), reversed(known)) for known in before)
        right = max(_in_common(text[end : end + _PIECE - 1], known) for known in after)
        return at - left, end + right


def _without(text: str, *sought: _Pieces) -> str:
    """Return a text without the secrets whose pieces are given."""
    for pieces in sought:
        if pieces.short is not None:
            text = pieces.short.sub(_MASK, text)
    kept, done = list[str](), 0
    for at in range(len(text) - _PIECE + 1):
        piece = text[at : at + _PIECE]
        for pieces in sought:
            if piece in pieces.around:
                start, end = pieces.reach(text, at)
                if start > done or not kept:
                    kept += (text[done:start], _MASK)
                done = max(done, end)
    return "".join((*kept, text[done:]))


def _in_common(some: Iterable[str], others: Iterable[str]) -> int:
    """Count the equal characters at the beginning."""
    count = 0
    for character, other in zip(some, others, strict=False):
        if character != other:
            break
        count += 1
    return count


class _Pruning:
    """One walk through plain objects, with a limit on their total size."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text
        self._left = _LARGEST_TREE

    def tree(self, value: Any, depth: int) -> Any:
        self._left -= len(value) + 1 if isinstance(value, str) else 1
        if self._left < 0 or depth > _DEEPEST_TREE:
            return _MASK
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.tree(key, depth): self.tree(item, depth + 1) for key, item in items}
        if isinstance(value, list):
            parts = cast("list[object]", value)
            if len(parts) >= 16 and all(type(part) is int and 0 <= part <= 255 for part in parts):
                return []
            return [self.tree(part, depth + 1) for part in parts]
        return value


def _raw(secret: str | bytes) -> bytes:
    """Return a secret as plain bytes, whose repr shows them."""
    return secret.encode() if isinstance(secret, str) else bytes(secret)


def _spellings(secret: str | bytes) -> tuple[str, ...]:
    """Return the spellings in which a service may repeat a secret. The first two are those in JSON."""
    raw = _raw(secret)
    texts: list[str] = []
    if isinstance(secret, str):
        text = str(secret)  # a plain str, whose repr shows it
        texts += (text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe=""))
    texts += (repr(raw)[2:-1], raw.hex(), raw.hex().upper())
    texts += (encode(raw).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode))
    return tuple(dict.fromkeys(texts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all of its causes and contexts."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += (link.__cause__, link.__context__)
        if isinstance(link, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", link).exceptions
