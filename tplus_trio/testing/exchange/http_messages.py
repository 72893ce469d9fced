"""Requests and answers as the exchange sees them: HTTP without its bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs

__all__ = ["Rejection", "Request", "Response"]

JSON: Final = ("content-type", "application/json")


@attrs.frozen
class Request:
    """An HTTP request.

    Attributes:
        method: In capitals.
        target: Path and query, as sent.
        headers: Names in lower case; of a header sent twice, the last.
        body: All of it.
    """

    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The target's path, unquoted, without a slash at the end."""
        return clean_path(self.target)

    @property
    def query(self) -> dict[str, str]:
        """The target's query; of a name given twice, the last."""
        return dict(parse_qsl(_split(self.target).query, keep_blank_values=True))


def as_object(value: object) -> dict[str, Any]:
    """``value`` if it is a JSON object, and an empty one otherwise."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """``value`` if it is a JSON array, and an empty one otherwise."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]  # of anything


def _split(target: str) -> SplitResult:
    """The parts of a request target, which whoever connects may choose."""
    try:
        return urlsplit(target)
    except ValueError:  # not even an address in brackets
        return SplitResult("", "", target, "", "")


def clean_path(target: str) -> str:
    """The path of a request target, unquoted, without query, and without a slash at the end."""
    return unquote(_split(target).path).rstrip("/") or "/"


@attrs.frozen
class Response:
    """An HTTP answer.

    Attributes:
        status: The status code.
        body: The body.
        headers: Pairs of name and value; the length is added by whoever sends it.
        delay: Seconds that whoever sends it waits first.
    """

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = (JSON,)
    delay: float = 0.0


class Rejection(Exception):
    """A request or a handshake that is refused; carries the answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's content: code, message and whatever else."""
        try:
            body = json.loads(self.response.body)
        except ValueError:
            body = None
        return as_object(as_object(body).get("error")) or {"code": "UNKNOWN", "message": ""}


def json_response(value: Any, status: int = 200) -> Response:
    """An answer with a JSON body."""
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
    """A refusal in the service's envelope, ready to be raised.

    Args:
        status: The HTTP status code.
        code: The service's own code.
        message: What is wrong, for a human.
        details: Whatever belongs to it.
        retryable: Whether the same request may succeed later.
        retry_after: Seconds, sent as ``Retry-After``.
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
