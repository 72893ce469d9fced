"""Bodies of REST answers to models, and models to the JSON that is sent and signed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, cast, get_type_hints

import attrs
import msgspec

from tplus_trio.codec.book_decoders import read_book, read_diff
from tplus_trio.codec.converter import converter
from tplus_trio.codec.json_text import MALFORMED, as_json, check_nesting, failure, parse
from tplus_trio.codec.number_checks import check_all
from tplus_trio.codec.order_text import order_text
from tplus_trio.codec.record_reader import record_reader
from tplus_trio.codec.row_reader import read_rows
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    AuthToken,
    BadRow,
    HistoricalUserOrder,
    HistoricalUserTrade,
    KlinesPage,
    MarketResponse,
    MarketsPage,
    Nonce,
    Order,
    OrderBook,
    OrderBookDiff,
    OrderResponse,
    Position,
    Rows,
    Timebar,
    UserOrders,
    UserOrdersPage,
    UserPositionsPage,
    UserTradesPage,
)

__all__ = ["decode", "decode_listing", "decode_page", "decode_rows", "encode", "page_fields", "signable", "unstructure"]

T = TypeVar("T")
P = TypeVar("P", KlinesPage, MarketsPage, UserOrders, UserOrdersPage, UserPositionsPage, UserTradesPage)

_encoders: Final = {style: msgspec.json.Encoder(enc_hook=str, decimal_format=style) for style in ("string", "number")}
_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])


def _page(data: bytes, key: str) -> tuple[bytes, dict[str, Any]]:
    """Split a page into its list and its other fields. A bare list is a page without other fields."""
    body = _raw.decode(data)
    if isinstance(body, list):
        return data, {}
    return bytes(body[key]), {name: parse(bytes(raw)) for name, raw in body.items() if name != key}


@lru_cache(maxsize=256)
def _list_reader(kind: Any) -> Callable[[bytes], Any]:
    return record_reader(list[kind])


def _rows(data: bytes, kind: type[T]) -> Rows[T]:
    """Read the records of a list, all at once if all are good. Raises one of ``MALFORMED`` if it is not a list."""
    try:
        records = _list_reader(cast("Hashable", kind))(data)
        check_all(records)
    except MALFORMED:
        return read_rows(data, kind)
    return Rows(records)


def _page_reader(kind: Any, key: str, row: type[T]) -> Callable[[bytes], Any]:
    """Return the reader of a page model: its rows stand under a key, beside the page's other fields."""
    hints = get_type_hints(kind)
    envelope: Any = attrs.make_class(
        "_Envelope",
        {
            field.name: attrs.field(type=hints[field.name], default=field.default)
            for field in attrs.fields(kind)
            if field.name not in {key, "bad"}
        },
        frozen=True,
    )
    read_envelope = record_reader(envelope)

    def read(data: bytes) -> Any:
        listed, page = _page(data, key)
        rows = _rows(listed, row)
        others = attrs.asdict(read_envelope(data) if page else envelope(), recurse=False)
        return kind(**{key: tuple(rows)}, bad=rows.bad, **others)

    return read


def _user_orders(data: bytes) -> UserOrders:
    listed, page = _page(data, "orders")
    orders = _rows(listed, OrderResponse)
    return UserOrders(tuple(orders), page, orders.bad)


def _nonce(data: bytes) -> Nonce:
    body = parse(data)
    value: object = cast("Mapping[str, object]", body)["value"] if isinstance(body, Mapping) else body
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("expected a str or an int")
    return Nonce(str(value))


#: The readers of models that have an older form too, or whose numbers are checked in another way.
_BY_TYPE: Final[Mapping[Any, Callable[[bytes], Any]]] = {
    OrderBook: read_book,
    OrderBookDiff: read_diff,
    KlinesPage: _page_reader(KlinesPage, "items", Timebar),
    MarketsPage: _page_reader(MarketsPage, "markets", MarketResponse),
    UserOrders: _user_orders,
    UserOrdersPage: _page_reader(UserOrdersPage, "orders", HistoricalUserOrder),
    UserPositionsPage: _page_reader(UserPositionsPage, "positions", Position),
    UserTradesPage: _page_reader(UserTradesPage, "trades", HistoricalUserTrade),
    Nonce: _nonce,
}


@lru_cache(maxsize=256)
def _reader(kind: Any) -> Callable[[bytes], Any]:
    """Return the reader that makes a type out of JSON. Making a reader is slow, so it is cached."""
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    return record_reader(kind)


def decode(body: bytes | str, kind: type[T]) -> T:
    """Decode a REST answer to a model or a container of models.

    A page may come in its envelope or as a bare list, a nonce as an object or bare.

    Args:
        body: The body of the answer.
        kind: The type to return: any model, ``list[…]`` or ``tuple[…, ...]`` of one, or ``dict[str, Any]``.

    Raises:
        DecodeError: The body is not of that type, or a row of a page is bad. The message shows the beginning of the
            body without secrets.
    """
    model = _decode(body, kind)
    bad: Sequence[BadRow] = getattr(model, "bad", ())
    if bad:
        raise DecodeError(f"row {bad[0].position} is {bad[0].reason}")
    return model


def decode_page(body: bytes | str, kind: type[P]) -> P:
    """Decode a REST answer to a page of its good rows. The page's ``bad`` has the other rows.

    Args:
        body: The body of the answer.
        kind: A model of a page, such as `KlinesPage`.

    Raises:
        DecodeError: The body is not such a page.
    """
    return _decode(body, kind)


def decode_listing(body: bytes | str, key: str, kind: type[T]) -> tuple[Rows[T], Mapping[str, Any]]:
    """Decode a REST answer that is a page or a bare list to its good rows, and the page's other fields.

    Args:
        body: The body of the answer.
        key: The key of the rows on a page.
        kind: The type of each row: any model.

    Returns:
        The rows, whose ``bad`` has the others, and the fields as the service spells them: none for a bare list.

    Raises:
        DecodeError: The body is not such a page.
    """
    try:
        listed, page = _page(as_json(body), key)
        return _rows(listed, kind), page
    except MALFORMED as error:
        raise failure(f"a page of {kind.__name__}", body, error) from None


def page_fields(body: bytes | str, key: str) -> Mapping[str, Any]:
    """Return the fields of a page as the service spells them, without its rows: none for a bare list.

    Args:
        body: The body of the answer.
        key: The key of the rows on a page.

    Raises:
        DecodeError: The body is neither a page nor a list.
    """
    try:
        return _page(as_json(body), key)[1]
    except MALFORMED as error:
        raise failure("a page", body, error) from None


def decode_rows(body: bytes | str, kind: type[T]) -> Rows[T]:
    """Decode a REST answer that is a JSON list to its good rows. The result's ``bad`` has the other rows.

    Args:
        body: The body of the answer.
        kind: The type of each row: any model.

    Raises:
        DecodeError: The body is not a JSON list.
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
    """Encode a model, or plain objects that contain models, as compact JSON in the key order of the protocol.

    Args:
        obj: The object to encode.
        decimals: Whether a Decimal becomes a JSON ``"string"`` or a JSON ``"number"``. Both keep all of its digits.
    """
    return _encoders[decimals].encode(converter.unstructure(obj))


def unstructure(obj: Any) -> Any:
    """Convert a model, or plain objects that contain models, to plain objects that `json.dumps` accepts.

    A Decimal becomes a text with all of its digits and without an exponent: ``0.00000073``, not ``7.3E-7``.
    """
    return _plain(converter.unstructure(obj))


def _plain(value: object) -> Any:
    """Convert Decimals, tuples and subclasses of ``str`` within plain objects to plain JSON types."""
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
    """Return the text that a user signs for a model: its JSON, byte for byte as it is sent."""
    text = order_text(obj) if isinstance(obj, Order) else None
    return encode(obj).decode() if text is None else text
