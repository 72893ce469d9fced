"""REST answers to models; models to what is sent and signed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, cast

import attrs
import msgspec

from tplus_trio.codec.book_decoders import read_book, read_diff
from tplus_trio.codec.converter import converter, is_record
from tplus_trio.codec.json_text import MALFORMED, as_json, check_nesting, failure, parse
from tplus_trio.codec.number_checks import check_all
from tplus_trio.codec.record_reader import record_reader
from tplus_trio.codec.row_reader import read_rows
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    AuthToken,
    BadRow,
    KlinesPage,
    Nonce,
    OrderBook,
    OrderBookDiff,
    OrderResponse,
    Rows,
    Timebar,
    UserOrders,
)

__all__ = ["decode", "decode_page", "decode_rows", "encode", "signable", "unstructure"]

T = TypeVar("T")
P = TypeVar("P", KlinesPage, UserOrders)

_encoders: Final = {style: msgspec.json.Encoder(enc_hook=str, decimal_format=style) for style in ("string", "number")}
_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])


@attrs.frozen
class _Envelope:
    """The fields of a page of candles beside its rows."""

    has_next_page: bool = False
    next_page: int | None = None
    truncated_before_ns: int | None = None


_read_envelope: Final = record_reader(_Envelope)


def _page(data: bytes, key: str) -> tuple[bytes, dict[str, Any]]:
    """The list on a page, which may be all that there is of it, and the page's other fields."""
    body = _raw.decode(data)
    if isinstance(body, list):
        return data, {}
    return bytes(body[key]), {name: parse(bytes(raw)) for name, raw in body.items() if name != key}


@lru_cache(maxsize=256)
def _list_reader(kind: Any) -> Callable[[bytes], Any]:
    return record_reader(list[kind])


def _rows(data: bytes, kind: type[T]) -> Rows[T]:
    """The records of a list; at once if all are good. Raises one of ``MALFORMED`` if it is no list."""
    try:
        records = _list_reader(cast("Hashable", kind))(data)
        check_all(records)
    except MALFORMED:
        return read_rows(data, kind)
    return Rows(records)


def _klines_page(data: bytes) -> KlinesPage:
    listed, page = _page(data, "items")
    candles = _rows(listed, Timebar)
    envelope = _read_envelope(data) if page else _Envelope()
    return KlinesPage(
        candles, envelope.has_next_page, envelope.next_page, envelope.truncated_before_ns, bad=candles.bad
    )


def _user_orders(data: bytes) -> UserOrders:
    listed, page = _page(data, "orders")
    orders = _rows(listed, OrderResponse)
    return UserOrders(tuple(orders), page, orders.bad)


def _nonce(data: bytes) -> Nonce:
    body = parse(data)
    value: object = cast("Mapping[str, object]", body)["value"] if isinstance(body, Mapping) else body
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("expected a text or an integer")
    return Nonce(str(value))


#: Where an answer has an older form besides, or is checked in another way.
_BY_TYPE: Final[Mapping[Any, Callable[[bytes], Any]]] = {
    OrderBook: read_book,
    OrderBookDiff: read_diff,
    KlinesPage: _klines_page,
    UserOrders: _user_orders,
    Nonce: _nonce,
}


@lru_cache(maxsize=256)
def _reader(kind: Any) -> Callable[[bytes], Any]:
    """What makes a type out of JSON; found once."""
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if is_record(kind):
        return record_reader(kind)
    return lambda data: converter.structure(parse(data), kind)


def decode(body: bytes | str, kind: type[T]) -> T:
    """Make a model, or a container of models (``list[Trade]``), out of a REST answer.

    A page may come in its envelope or as a bare list, a nonce as an object or bare.

    Args:
        body: The answer's body.
        kind: What it should be: any model, ``list[…]`` or ``tuple[…, ...]`` of one, ``dict[str, Any]``.

    Raises:
        DecodeError: If it is not that. The message shows the beginning of the body, but no secret.
    """
    model = _decode(body, kind)
    bad: Sequence[BadRow] = getattr(model, "bad", ())
    if bad:
        raise DecodeError(f"row {bad[0].position} is {bad[0].reason}")
    return model


def decode_page(body: bytes | str, kind: type[P]) -> P:
    """Make a page out of a REST answer as far as its rows are good; its ``bad`` has the others.

    Args:
        body: The answer's body.
        kind: `KlinesPage` or `UserOrders`.

    Raises:
        DecodeError: If it is no page.
    """
    return _decode(body, kind)


def decode_rows(body: bytes | str, kind: type[T]) -> Rows[T]:
    """Make the records of a JSON list out of a REST answer as far as they are good; ``bad`` has the others.

    Args:
        body: The answer's body.
        kind: What each should be: any model.

    Raises:
        DecodeError: If it is no list.
    """
    try:
        return _rows(as_json(body), kind)
    except MALFORMED as error:
        raise failure(f"a list of {kind.__name__}", body, error) from None


def _decode(body: bytes | str, kind: type[T]) -> T:
    try:
        model: T = _reader(cast("Hashable", kind))(as_json(body))
        check_nesting(model)
        check_all(model)
    except MALFORMED as error:
        name = getattr(kind, "__name__", "answer")
        raise failure(f"the expected {name}", body, error, secret=kind is AuthToken) from None
    return model


def encode(obj: Any, *, decimals: Literal["string", "number"] = "string") -> bytes:
    """Write a model, or plain objects with models in them, as compact JSON with the wire's key order.

    Args:
        obj: What to write.
        decimals: Whether a Decimal becomes a JSON string or a JSON number; either way with all of its digits.
    """
    return _encoders[decimals].encode(converter.unstructure(obj))


def unstructure(obj: Any) -> Any:
    """A model, or plain objects with models in them, as what `json.dumps` takes.

    Decimals become text with all of their digits and without an exponent: ``0.00000073``, not ``7.3E-7``.
    """
    return _plain(converter.unstructure(obj))


def _plain(value: object) -> Any:
    """Plain objects without Decimals, tuples and texts of other classes."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def signable(obj: Any) -> str:
    """The text of which a signature is made: the model's JSON, to the byte what is sent."""
    return encode(obj).decode()
