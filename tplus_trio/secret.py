"""Secrets on their way: values that do not show, and what a service says without what it was told in confidence."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

__all__ = ["Redactor", "SecretBytes", "SecretText", "conceal", "kind_of"]

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_MASK: Final = "[…]"
#: A piece of a secret that is worth hiding.
_PIECE: Final = 8
#: Sixteen and more numbers of a byte each: a signature or a key, or most of one.
_NUMBERS: Final = re.compile(r"\[?(?:\b\d{1,3}\s*,\s*){15,}\d{1,3}\]?")
_NUMBERS_IN_BYTES: Final = re.compile(_NUMBERS.pattern.encode())
_TELLING: Final = re.compile("auth|cookie|key|pass|secret|sign|token", re.IGNORECASE)
#: How many tokens and signatures are remembered: who repeats one does so at once.
_TOKENS: Final = 64
_SIGNATURES: Final = 16


class SecretText(str):
    """Text that no repr shows, such as that of a frame's locals in a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[…]'"


class SecretBytes(bytes):
    """Bytes that no repr shows, likewise."""

    def __repr__(self) -> str:
        return "b'[…]'"


class _Unseen:
    """Something that was meant to be a secret, and will be refused for what it is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def conceal(value: T) -> T:
    """The same text or bytes, or None, unseen; for anything else something that only tells what it was."""
    if isinstance(value, str):
        return cast("T", SecretText(value))
    if isinstance(value, bytes):
        return cast("T", SecretBytes(value))
    return value if value is None or isinstance(value, _Unseen) else cast("T", _Unseen(type(value).__name__))


def kind_of(value: object) -> str:
    """What type something was before it was concealed, for an error to say."""
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
    """Knows what one service was told in confidence, and takes it out of what the service says.

    Numbers of a byte each, as which signatures are sent, go out wherever sixteen stand in a row; other spellings are
    known for what was told last.

    Args:
        headers: Sent with every request; those whose name tells are secrets.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        told = [value.split(" ")[-1] for name, value in (headers or {}).items() if _TELLING.search(name)]
        self._headers = [_spellings(value) for value in told if len(value) >= _PIECE]
        self._tokens: deque[tuple[str, ...]] = deque(maxlen=_TOKENS)
        self._signatures: deque[bytes] = deque(maxlen=_SIGNATURES)

    def tell_token(self, token: str) -> None:
        """A token is about to be sent."""
        self._tokens.append(_spellings(token))

    def tell_signature(self, signature: bytes) -> None:
        """A signature is about to be sent."""
        self._signatures.append(signature)

    def _told(self) -> Iterator[str]:
        for spellings in (*self._headers, *self._tokens):
            yield from spellings
        for signature in self._signatures:
            yield from _spellings(signature)

    def text(self, text: str) -> str:
        """A text without secrets, and without larger pieces of them."""
        text = _NUMBERS.sub(_MASK, text)
        told = list(self._told())
        for secret in told:  # first whole ones: tokens are often alike
            text = text.replace(secret, _MASK)
        for secret in told:
            text = _without_pieces(text, secret)
        return text

    def body(self, body: bytes) -> bytes:
        """An answer's body without tokens and signatures as they were sent; JSON stays JSON."""
        for spellings in (*self._headers, *self._tokens):
            for token in spellings[:2]:
                if (told := token.encode()) in body:
                    body = body.replace(told, _MASK.encode())
        return body

    def signed(self, body: bytes) -> bytes:
        """The answer to something signed, likewise."""
        for signature in self._signatures:
            for told in _spellings(signature):
                body = body.replace(told.encode(), _MASK.encode())
        return _NUMBERS_IN_BYTES.sub(b"[]", self.body(body))

    def tree(self, value: Any) -> Any:
        """Plain objects without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.tree(key): self.tree(item) for key, item in items}
        if isinstance(value, list):
            parts = cast("list[object]", value)
            if len(parts) >= 16 and all(type(part) is int and 0 <= part <= 255 for part in parts):
                return []
            return [self.tree(part) for part in parts]
        return value

    def error(self, error: E) -> E:
        """The same error without secrets; a cause that holds one is left out."""
        error.args = tuple(self.tree(arg) for arg in error.args)
        if any(self._shows(link) for link in _chain(error.__cause__)):
            error.__cause__ = None
        if any(self._shows(link) for link in _chain(error.__context__)):
            error.__context__ = None
        return error

    def _shows(self, error: BaseException) -> bool:
        said = f"{error} {error!r} {vars(error)}"
        return self.text(said) != said


def _spellings(secret: str | bytes) -> tuple[str, ...]:
    """The ways in which a secret may come back; first those in which it may stand in JSON."""
    raw = secret.encode() if isinstance(secret, str) else bytes(secret)
    texts: list[str] = []
    if isinstance(secret, str):
        text = str(secret)  # one that its repr shows
        texts += (text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe=""))
    texts += (repr(raw)[2:-1], raw.hex(), raw.hex().upper())
    texts += (encode(raw).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode))
    return tuple(dict.fromkeys(texts))


def _without_pieces(text: str, secret: str) -> str:
    """A text without pieces of a secret that are long enough to matter."""
    for start in range(0, len(secret) - _PIECE + 1, _PIECE):
        piece, kept, done = secret[start : start + _PIECE], list[str](), 0
        while (at := text.find(piece, done)) >= 0:
            end = at + _PIECE
            for character in secret[start + _PIECE :]:
                if text[end : end + 1] != character:
                    break
                end += 1
            for character in reversed(secret[:start]):
                if at <= done or text[at - 1] != character:
                    break
                at -= 1
            kept += (text[done:at], _MASK)
            done = end
        text = "".join((*kept, text[done:]))
    return text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came of."""
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
