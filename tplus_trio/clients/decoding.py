"""Decodes an answer; the error names the path of the request."""

from __future__ import annotations

from typing import TypeVar

from tplus_trio import codec
from tplus_trio.errors import DecodeError

__all__ = ["decode_at"]

T = TypeVar("T")


def decode_at(path: str, body: bytes, kind: type[T]) -> T:
    """Decode the answer to a request.

    Raises:
        DecodeError: the answer is not of that type; the message names the path.
    """
    try:
        return codec.decode(body, kind)
    except DecodeError as exc:
        raise DecodeError(f"{path}: {exc}") from exc
