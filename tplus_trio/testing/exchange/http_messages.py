"""Requests and answers of the exchange: HTTP messages without their encoding."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs

__all__ = ["Rejection", "Request", "Response"]

JSON: Final = ("content-type", "application/json")


@attrs.frozen
class Request:
    """An HTTP request.

    Attributes:
        method: The method, in capitals.
        target: The path and query, as sent.
        headers: The headers, with names in lower case; if a header is repeated, the last one.
        body: The whole body.
    """

    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The target's path, unquoted, without a trailing slash."""
        return clean_path(self.target)

    @property
    def query(self) -> dict[str, str]:
        """The target's query; if a name is repeated, the last value."""
        return dict(parse_qsl(_split(self.target).query, keep_blank_values=True))


def as_object(value: object) -> dict[str, Any]:
    """Return ``value`` if it is a JSON object, otherwise an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return ``value`` if it is a JSON array, otherwise an empty one."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]  # of anything


def _split(target: str) -> SplitResult:
    """Return the parts of a request target, which may be any text that a client sends."""
    try:
        return urlsplit(target)
    except ValueError:  # an illegal address in brackets
        return SplitResult("", "", target, "", "")


def clean_path(target: str) -> str:
    """Return the path of a request target, unquoted, without query and trailing slash."""
    return unquote(_split(target).path).rstrip("/") or "/"


@attrs.frozen
class Response:
    """An HTTP answer.

    Attributes:
        status: The status code.
        body: The body.
        headers: Pairs of name and value; the server adds the length, and the ``Date`` unless there is one.
        delay: The seconds that the server waits before it sends the answer, 0 or more.
        is_sent: Whether the server sends the answer; if not, the connection stays open without one.
        drops: Whether the server then ends the connection.
        may_be_replaced: Whether ``replace_answers`` may still replace it.
        later: Holds the answer once the exchange has made it, if that is later than the request; the other attributes
            mean nothing then.
    """

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = (JSON,)
    delay: float = 0.0
    is_sent: bool = True
    drops: bool = False
    may_be_replaced: bool = True
    later: LateResponse | None = None


@attrs.define(eq=False)
class LateResponse:
    """The place of an answer that the exchange makes later than the request arrives.

    Attributes:
        response: The answer; None until it is made.
        on_ready: Called without arguments when the answer is made.
        finish: Returns the answer to send in place of the exchange's own.
    """

    response: Response | None = None
    on_ready: Callable[[], object] | None = None
    finish: Callable[[Response], Response] | None = None

    def set(self, response: Response) -> None:
        """Put the answer in its place."""
        self.response = response if self.finish is None else self.finish(response)
        if self.on_ready is not None:
            self.on_ready()


class Rejection(Exception):
    """A request or a handshake was refused.

    Attributes:
        response: The answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    @property
    def error(self) -> dict[str, Any]:
        """The error in the answer: its code, message and other fields."""
        return error_of(self.response)


def error_of(response: Response) -> dict[str, Any]:
    """Return the error in an answer: its code, message and other fields; the code ``UNKNOWN`` without one."""
    try:
        body = json.loads(response.body)
    except ValueError:
        body = None
    return as_object(as_object(body).get("error")) or {"code": "UNKNOWN", "message": ""}


def json_response(value: Any, status: int = 200) -> Response:
    """Return an answer with a JSON body."""
    return Response(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def error(
    status: int,
    code: str,
    message: str,
    *,
    details: Mapping[str, Any] | None = None,
    retryable: bool | None = None,
    retry_after: float | None = None,
) -> Rejection:
    """Return a refusal with the service's error object, to be raised.

    Args:
        status: The HTTP status code.
        code: The service's error code.
        message: What is wrong, for a reader.
        details: Further fields; None is none.
        retryable: Whether the same request may succeed later; None leaves the field out.
        retry_after: Seconds for a ``Retry-After`` header; None sends no header.
    """
    fields: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        fields["details"] = dict(details)
    if retryable is not None:
        fields["retryable"] = retryable
    response = json_response({"error": fields}, status)
    if retry_after is not None:
        seconds = f"{retry_after:.9f}".rstrip("0").rstrip(".")
        response = attrs.evolve(response, headers=(*response.headers, ("retry-after", seconds)))
    return Rejection(response)
