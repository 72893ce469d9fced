"""Secrets: values that no repr shows, and a redactor that takes them out of what a service says."""

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
#: Characters. A piece of a secret of this length is hidden.
_PIECE: Final = 8
#: Sixteen or more numbers of a byte each: a signature or a key, or most of one.
_NUMBERS: Final = re.compile(r"\[?(?:\b\d{1,3}\s*,\s*){15,}\d{1,3}\]?")
_NUMBERS_IN_BYTES: Final = re.compile(_NUMBERS.pattern.encode())
_TELLING: Final = re.compile("auth|cookie|key|pass|secret|sign|token", re.IGNORECASE)
#: How many tokens and signatures are remembered: a service that repeats one does so at once.
_TOKENS: Final = 64
_SIGNATURES: Final = 16
#: Nanoseconds for which an expired token is remembered: an answer may be under way.
_GRACE_NS: Final = 300 * 1_000_000_000
#: Characters and parts. What exceeds this is left out of an error's details, which are for people to read.
_LARGEST_TREE: Final = 64 * 1024
_DEEPEST_TREE: Final = 50


class SecretText(str):
    """Text that no repr shows, not even that of a frame's locals in a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[…]'"


class SecretBytes(bytes):
    """Bytes that no repr shows."""

    def __repr__(self) -> str:
        return "b'[…]'"


class _Unseen:
    """A value of a wrong type in place of a secret. It will be refused for its type."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def conceal(value: T) -> T:
    """The same text or bytes with a repr that hides them, or None; for other values an object that knows their type."""
    if isinstance(value, str):
        return cast("T", SecretText(value))
    if isinstance(value, bytes):
        return cast("T", SecretBytes(value))
    return value if value is None or isinstance(value, _Unseen) else cast("T", _Unseen(type(value).__name__))


def kind_of(value: object) -> str:
    """The name of the type that a value had before it was concealed, for an error message."""
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
    """Knows the secrets that were sent to one service, and takes them out of what the service says.

    Signatures are sent as rows of numbers of a byte each; sixteen or more in a row are always taken out. Other
    spellings are known for the latest secrets. A text is searched once for all of them, in time that grows with the
    text alone. A redactor may be used in several threads.

    Args:
        headers: Sent with every request. Those whose name suggests it are secrets.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        told = [value.split(" ")[-1] for name, value in (headers or {}).items() if _TELLING.search(name)]
        self._headers = [_Secret(value) for value in told if len(value) >= _PIECE]
        #: Clients may be used in several threads. What is told goes into new tuples under the lock.
        self._lock = threading.Lock()
        self._tokens: tuple[_Secret, ...] = ()
        self._signatures: tuple[_Secret, ...] = ()
        #: What was prepared for the last search, each with the tuple that it was prepared of.
        self._lasting: tuple[tuple[_Secret, ...], _Pieces] | None = None
        self._passing: tuple[tuple[_Secret, ...], _Pieces] | None = None

    def tell_token(self, token: str, until_ns: float = math.inf, now_ns: float = -math.inf) -> None:
        """Note a token before it is sent.

        Args:
            token: The token.
            until_ns: When it expires, in nanoseconds since the epoch. Five minutes later it may be forgotten. A token
                that has expired already is remembered like one without an end, because the clocks disagree.
            now_ns: The present time on the same clock. Tokens that expired more than five minutes ago are forgotten.
        """
        told = _Secret(token, until_ns if until_ns > now_ns else math.inf)
        with self._lock:
            kept = (known for known in self._tokens if known.until_ns + _GRACE_NS >= now_ns)
            self._tokens = (*kept, told)[-_TOKENS:]

    def tell_signature(self, signature: bytes) -> None:
        """Note a signature before it is sent."""
        with self._lock:
            self._signatures = (*self._signatures, _Secret(signature))[-_SIGNATURES:]

    def text(self, text: str) -> str:
        """A text without secrets and longer pieces of them, escaped (see :func:`~tplus_trio.escapes.escape`)."""
        text = _NUMBERS.sub(_MASK, text)
        tokens, signatures = self._tokens, self._signatures
        if (lasting := self._lasting) is None or lasting[0] is not tokens:
            lasting = self._lasting = (tokens, _Pieces([*self._headers, *tokens]))
        if (passing := self._passing) is None or passing[0] is not signatures:
            passing = self._passing = (signatures, _Pieces(signatures))
        return escape(_without(text, lasting[1], passing[1]))

    def answer(self, body: bytes, *, signed: bool) -> bytes:
        """An answer without the secrets that a server may repeat in it. This is the one place for REST and WebSockets.

        Args:
            body: The answer, in UTF-8. JSON stays JSON.
            signed: Whether it answers something that carried a signature. If so, signatures are taken out in every
                spelling, and so is each row of sixteen or more numbers of a byte.

        Returns:
            The answer without tokens, secret headers and, if ``signed``, signatures.
        """
        return self._without_signatures(body) if signed else self._without_tokens(body)

    def _without_tokens(self, body: bytes) -> bytes:
        for secret in (*self._headers, *self._tokens):
            for told in secret.as_sent:
                if told in body:
                    body = body.replace(told, _MASK.encode())
        return body

    def _without_signatures(self, body: bytes) -> bytes:
        for signature in self._signatures:
            for told in signature.in_bytes:
                if told in body:
                    body = body.replace(told, _MASK.encode())
        return _NUMBERS_IN_BYTES.sub(b"[]", self._without_tokens(body))

    def tree(self, value: Any) -> Any:
        """Plain objects without secrets. What exceeds 64 KiB in total, or is nested deeper than 50, is left out."""
        return _Pruning(self.text).tree(value, 0)

    def error(self, error: E) -> E:
        """The same error without secrets. A cause or context that holds a secret is removed."""
        error.args = tuple(self.tree(arg) for arg in error.args)
        if any(self._shows(link) for link in _chain(error.__cause__)):
            error.__cause__ = None
        if any(self._shows(link) for link in _chain(error.__context__)):
            error.__context__ = None
        return error

    def _shows(self, error: BaseException) -> bool:
        said = escape(f"{error} {error!r} {vars(error)}")
        return self.text(said) != said


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
        return tuple(told.encode() for told in self.spellings[:2])

    @cached_property
    def in_bytes(self) -> tuple[bytes, ...]:
        # In JSON, the backslashes of an escaped spelling are doubled.
        escaped = (json.dumps(told)[1:-1] for told in self.spellings)
        return tuple(told.encode() for told in dict.fromkeys((*self.spellings, *escaped)))


class _Pieces:
    """All pieces of some secrets, to be found in a text with one lookup for each of its characters.

    A secret is cut into pieces of eight characters, so that any fifteen of its characters in a row hold a whole piece.
    Each piece is kept with the characters before and after it, up to the next piece.
    """

    def __init__(self, secrets: Iterable[_Secret]) -> None:
        self.around: dict[str, tuple[set[str], set[str]]] = {}
        short: list[str] = []
        for told in dict.fromkeys(told for secret in secrets for told in secret.spellings):
            if len(told) < _PIECE:
                short.append(re.escape(told))
            for start in range(0, len(told) - _PIECE + 1, _PIECE):
                end = start + _PIECE
                before, after = self.around.setdefault(told[start:end], (set(), set()))
                before.add(told[max(0, start - _PIECE + 1) : start])
                after.add(told[end : end + _PIECE - 1])
        #: Secrets that are too short to be cut are found whole.
        self.short = re.compile("|".join(sorted(short, key=len, reverse=True))) if any(short) else None

    def reach(self, text: str, at: int) -> tuple[int, int]:
        """The start and end of the part of a secret around the piece that begins at ``at``."""
        before, after = self.around[text[at : at + _PIECE]]
        end = at + _PIECE
        left = max(_in_common(reversed(text[max(0, at - _PIECE + 1) : at]), reversed(told)) for told in before)
        right = max(_in_common(text[end : end + _PIECE - 1], told) for told in after)
        return at - left, end + right


def _without(text: str, *sought: _Pieces) -> str:
    """A text without the secrets whose pieces are given."""
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
    """How many characters are equal at the beginning."""
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


def _spellings(secret: str | bytes) -> tuple[str, ...]:
    """The spellings in which a service may repeat a secret; first those that it may have in JSON."""
    raw = secret.encode() if isinstance(secret, str) else bytes(secret)
    texts: list[str] = []
    if isinstance(secret, str):
        text = str(secret)  # a plain str, whose repr shows it
        texts += (text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe=""))
    texts += (repr(raw)[2:-1], raw.hex(), raw.hex().upper())
    texts += (encode(raw).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode))
    return tuple(dict.fromkeys(texts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error with its causes and contexts."""
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
