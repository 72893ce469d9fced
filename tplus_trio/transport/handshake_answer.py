"""Collects and parses a server's answer to a WebSocket handshake, and describes it in errors. Pure: no I/O."""

from __future__ import annotations

import html
import re
from typing import Final, cast

import trio_websocket

from tplus_trio.errors import ConnectionFailed, HandshakeRejected
from tplus_trio.secret import Redactor
from tplus_trio.transport.reader_phase import ReaderEvent
from tplus_trio.transport.retry_after import retry_after

__all__ = [
    "HandshakeAnswer",
    "describe_foreign",
    "excerpt",
    "handshake_failure",
    "is_foreign",
    "readable",
    "refusal",
]

#: Characters. The longest excerpt of a server's text that an error shows.
_EXCERPT: Final = 200
#: Characters. The longest excerpt of a body that is not an HTML page.
_LONGEST_TEXT: Final = 500
#: Bytes of a body that are searched for a page's title and words.
_SEARCHED: Final = 8192
#: The end of a head as h11 reads it: lines may end without the carriage return.
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_SWITCHING: Final = re.compile(rb"HTTP/[0-9]\.[0-9] 101")
#: Bytes. An answer is a head and, for a refusal, a short body. Each read copies all bytes before it, so answers must
#: stay short.
_LONGEST_ANSWER: Final = 64 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})\b")
_HEADER: Final = rb"^%b:[ \t]*([^\r\n]*)"
_HTTP_1: Final = b"HTTP/1."
#: How answers of other protocols begin, and the likely reason. HTTP/2: the head of a SETTINGS or GOAWAY frame.
_FOREIGN: Final = (
    (
        re.compile(rb"\0[\0-\x40].[\4\7].\0\0\0\0", re.DOTALL),
        "HTTP/2: the server chose it by ALPN, or a proxy speaks HTTP/2 in clear; it has to offer HTTP/1.1",
    ),
    (re.compile(rb"HTTP/[2-9]"), "a later version of HTTP; the server or proxy has to offer HTTP/1.1"),
    (
        re.compile(rb"[\x14-\x17]\x03[\0-\4]"),
        "TLS: the port expects TLS, so the base URL has to begin with https://",
    ),
    (re.compile(rb"SSH-"), "SSH: the host or port is another service's"),
    (re.compile(rb"\s*<"), "a page without an HTTP head"),
)
#: Characters of an answer of another protocol that an error shows.
_BEGINNING: Final = 60
#: Bytes that are enough to recognise an answer's protocol.
_TELLING: Final = 9
_ELEMENTS: Final = re.compile(r"(?is)<!--.*?(-->|$)|<(script|style)\b.*?(</\2>|$)|<[^>]*(>|$)")
_TITLE: Final = re.compile(r"(?is)<title[^>]*>(.*?)(</title|$)")
_PAGE: Final = re.compile(r"(?i)\s*<(!doctype|!--|html|head|body|title|h1|center|p|div)\b|\s*<!--")


class HandshakeAnswer:
    """The bytes of an answer that have arrived so far.

    Args:
        split: Whether trio-websocket gets the head of an accepting answer alone, without what came after it.
    """

    def __init__(self, *, split: bool) -> None:
        self._split = split
        #: The bytes that came during the handshake: the answer's head, and the beginning of a refusal's body.
        self.received: bytes = b""
        self._early = b""

    @property
    def for_trio_websocket(self) -> bytes:
        """The bytes that trio-websocket gets once the head is complete."""
        return self.received[: len(self.received) - len(self._early)]

    def add_to_head(self, data: bytes) -> ReaderEvent | None:
        """Add bytes to the head.

        Returns:
            Whether the answer accepts or refuses; None while its head is incomplete.

        Raises:
            ValueError: the answer is not HTTP/1, or its head is longer than 64 KiB.
        """
        searched = max(len(self.received) - 3, 0)
        self.received += data
        if is_foreign(self.received):
            msg = "the answer is not HTTP/1.1"
            raise ValueError(msg)
        found = _HEAD_END.search(self.received, searched)
        end = len(self.received) if found is None else found.end()
        if end > _LONGEST_ANSWER:
            msg = f"the head of the answer is longer than {_LONGEST_ANSWER} bytes"
            raise ValueError(msg)
        if found is None:
            return None
        if not _SWITCHING.match(self.received):
            return ReaderEvent.REFUSED
        if not self._split:
            return ReaderEvent.ACCEPTED_PLAIN
        self._early = self.received[end:]
        return ReaderEvent.ACCEPTED

    def add_to_body(self, data: bytes) -> None:
        """Add bytes to a refusal's body.

        Raises:
            ValueError: head and body together are longer than 64 KiB.
        """
        self.received += data
        if len(self.received) > _LONGEST_ANSWER:
            msg = f"the answer is longer than {_LONGEST_ANSWER} bytes"
            raise ValueError(msg)

    def forget(self) -> bytes:
        """Free the memory when the handshake is done.

        Returns:
            The bytes that came after the head of an accepting answer.
        """
        early, self._early, self.received = self._early, b"", b""
        return early


def is_foreign(data: bytes, *, ended: bool = False) -> bool:
    """Whether an answer is not HTTP/1. It is False also while too few bytes have arrived to decide.

    Args:
        data: The bytes so far.
        ended: Whether no more bytes will come.
    """
    if not data or data[: len(_HTTP_1)] == _HTTP_1[: len(data)]:
        return False
    return ended or len(data) >= _TELLING or _protocol(data) is not None


def describe_foreign(data: bytes, redactor: Redactor) -> str:
    """Describe an answer that is not HTTP/1, and quote its beginning. Secrets are removed before it is cut."""
    known = _protocol(data)
    text = readable(redactor.text(data[:_SEARCHED].decode("latin-1")))[:_BEGINNING]
    return f"the answer is not HTTP/1.1, it begins with '{text}'" + (f" ({known})" if known else "")


def _protocol(data: bytes) -> str | None:
    return next((name for pattern, name in _FOREIGN if pattern.match(data)), None)


def readable(text: str) -> str:
    """Return a server's text as one line of at most 200 printable characters; of an HTML page, its title or words."""
    text = text[:_SEARCHED]
    if _PAGE.match(text):
        title = _TITLE.search(text)
        words = html.unescape(_ELEMENTS.sub(" ", text))
        text = (html.unescape(title[1]) if title else "").strip() or words
    line = " ".join(text[: 4 * _EXCERPT].split())[:_EXCERPT]
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)[:_EXCERPT]


def excerpt(body: bytes) -> str:
    """Return the beginning of a refusal's body as text; an HTML page becomes one line. It may hold secrets."""
    text = body[:_SEARCHED].decode(errors="replace")
    return readable(text) if _PAGE.match(text) else text[:_LONGEST_TEXT]


def refusal(answer: bytes, redactor: Redactor) -> HandshakeRejected | None:
    """Return the error for a refusal, whose head or body may be incomplete; None if the answer is not a refusal."""
    status = _STATUS.match(answer)
    if status is None or status[1] == b"101":
        return None
    end = _HEAD_END.search(answer)
    head, body = (answer, b"") if end is None else (answer[: end.start() + 1], answer[end.end() :])
    return _rejected(int(status[1]), body, _header(head, b"retry-after"), _header(head, b"location"), redactor, head)


def _header(head: bytes, name: bytes) -> bytes | None:
    """Return a header's value, or all its values joined by commas as in RFC 9110; None if there is none."""
    values = re.findall(_HEADER % name, head, re.IGNORECASE | re.MULTILINE)
    return b", ".join(values) if values else None


def _rejected(
    status: int, body: bytes, after: bytes | None, location: bytes | None, redactor: Redactor, head: bytes
) -> HandshakeRejected:
    # The redactor runs last, on the text that is shown: a page may spell secrets with HTML entities.
    shown = redactor.text(excerpt(body))[:_EXCERPT]
    date = _header(head, b"date")
    wait = (
        None
        if after is None
        else retry_after(after.decode("latin-1"), date=None if date is None else date.decode("latin-1"))
    )
    target = "" if location is None else redactor.text(readable(location[:_SEARCHED].decode("latin-1")))
    return HandshakeRejected(status, shown, wait, target if 300 <= status < 400 else "")


def handshake_failure(failure: BaseException, answer: bytes, redactor: Redactor) -> Exception:
    """Return the error of this package for a failed handshake.

    Args:
        failure: What trio-websocket raised, bare or in groups.
        answer: The bytes that the server sent so far.
        redactor: Removes secrets from the error.
    """
    while isinstance(failure, BaseExceptionGroup):
        failure = cast("BaseExceptionGroup[BaseException]", failure).exceptions[0]
    match failure:
        case trio_websocket.ConnectionRejected():
            head = b"".join(b"%b: %b\r\n" % header for header in failure.headers)
            body = failure.body or b""
            return _rejected(
                failure.status_code, body, _header(head, b"retry-after"), _header(head, b"location"), redactor, head
            )
        case ConnectionFailed() | HandshakeRejected():
            return failure
        case _:
            # h11 quotes the line in a form in which the redactor does not find secrets.
            reason = readable(redactor.text(str(_reason(failure)).partition(": bytearray")[0]))
            line = readable(redactor.text(answer[:_SEARCHED].partition(b"\n")[0].decode("latin-1")))
            broken = ConnectionFailed(f"not a WebSocket handshake: {reason}; the answer begins with '{line}'")
            broken.__cause__ = failure
            return redactor.error(broken)


def _reason(failure: BaseException) -> BaseException:
    """Return the error that says what was wrong with an answer.

    trio-websocket replies to a protocol violation, but a client may not send during the handshake. So the error says
    only that the reply failed. Its context is the violation.
    """
    reason: BaseException | None = failure
    while reason is not None:
        if type(reason).__name__ == "RemoteProtocolError":
            deeper = reason.__context__
            return deeper if type(deeper).__name__ == "RemoteProtocolError" and deeper is not None else reason
        reason = reason.__context__
    return failure
