"""REST answers to models; models to what is sent and signed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, cast

import msgspec

from tplus_trio.codec.books import read_book, read_diff
from tplus_trio.codec.numbers import check_all
from tplus_trio.codec.shapes import converter, is_record
from tplus_trio.codec.text import MALFORMED, as_json, check_nesting, decode_hook, exact, failure, parse
from tplus_trio.models import (
    AuthToken,
    KlinesPage,
    Nonce,
    OrderBook,
    OrderBookDiff,
    OrderResponse,
    Timebar,
    UserOrders,
)

__all__ = ["decode", "encode", "signable"]

T = TypeVar("T")

_encoders: Final = {style: msgspec.json.Encoder(enc_hook=str, decimal_format=style) for style in ("string", "number")}
_klines: Final[msgspec.json.Decoder[KlinesPage | list[Timebar]]] = msgspec.json.Decoder(
    KlinesPage | list[Timebar], strict=False
)
_orders: Final = msgspec.json.Decoder(tuple[OrderResponse, ...], strict=False, dec_hook=decode_hook)
_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])


def _klines_page(data: bytes) -> KlinesPage:
    page = _klines.decode(data)
    return KlinesPage(page) if isinstance(page, list) else page


def _user_orders(data: bytes) -> UserOrders:
    body = _raw.decode(data)
    if isinstance(body, list):
        return UserOrders(_orders.decode(data), {})
    return UserOrders(
        _orders.decode(body["orders"]),
        {key: parse(bytes(raw)) for key, raw in body.items() if key != "orders"},
    )


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
        return msgspec.json.Decoder(kind, strict=False, dec_hook=decode_hook, float_hook=exact).decode
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


def signable(obj: Any) -> str:
    """The text of which a signature is made: the model's JSON, to the byte what is sent."""
    return encode(obj).decode()
