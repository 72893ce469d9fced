"""Decoders of order books and their changes, the feed with up to a hundred thousand frames a second."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Final, TypeVar

import attrs
import msgspec

from tplus_trio.codec.json_text import MALFORMED, as_json, failure, holds_control, parse, whole
from tplus_trio.models import OrderBook, OrderBookDiff, PriceLevel
from tplus_trio.models.book import sorted_asks, sorted_bids
from tplus_trio.models.numbers import check_decimal

__all__ = ["KEYS", "PLAIN", "SHORT", "decode_depth_frame", "has_short_numbers", "read_book", "read_diff"]

T = TypeVar("T", OrderBook, OrderBookDiff)

_decode_diff: Final = msgspec.json.Decoder(OrderBookDiff).decode
_decode_book: Final = msgspec.json.Decoder(OrderBook).decode


class _Level(msgspec.Struct, array_like=True, gc=False):
    """A level that may have more elements, such as a count of orders. Further elements are skipped."""

    price: Decimal
    quantity: Decimal


class _Levels(msgspec.Struct, gc=False):
    """A book or a diff of an unusual form: longer levels, or another spelling of the sequence number."""

    asks: list[_Level] | msgspec.UnsetType = msgspec.UNSET
    bids: list[_Level] | msgspec.UnsetType = msgspec.UNSET
    sequence_number: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_levels: Final = msgspec.json.Decoder(_Levels).decode


def _side(levels: list[_Level] | msgspec.UnsetType) -> tuple[PriceLevel, ...]:
    return () if isinstance(levels, msgspec.UnsetType) else tuple([PriceLevel(at.price, at.quantity) for at in levels])


def _read_loosely(data: bytes, kind: type[T]) -> T:
    """Read a book or a diff of an unusual form. Raises one of ``MALFORMED``."""
    found = _decode_levels(data)
    raw = found.sequence_number
    if kind is OrderBookDiff:
        for name in found.__struct_fields__:
            if getattr(found, name) is msgspec.UNSET:
                raise KeyError(name)
    number = 0 if isinstance(raw, msgspec.UnsetType) else whole(parse(bytes(raw)))
    return kind(asks=_side(found.asks), bids=_side(found.bids), sequence_number=number)


# The numbers of a frame are checked by its spelling. If digits, points and the signs of JSON are removed from a frame
# of plain numbers, only its keys remain: no minus, no exponent, no NaN, no further key. If more remains, each number is
# checked on its own.
PLAIN: Final = b'0123456789.,:[]{}" '
#: The keys of data. A control message has none of them.
_FIELDS: Final = frozenset(field.name for field in attrs.fields(OrderBookDiff))
#: What remains of a frame of plain numbers: its keys, in any order.
KEYS: Final = frozenset("".join(names).encode() for names in permutations(_FIELDS))
#: The most digits of a number. A frame with a longer number is longer than its keys and signs by more than this.
_DIGITS: Final = 100
_TOO_LONG: Final = b"0" * (_DIGITS + 1)
#: Maps digits and points to "0" and all other bytes to NUL.
_SHAPE: Final = bytes(ord("0") if byte in b"0123456789." else 0 for byte in range(256))
#: A first, quick search looks only at every tenth byte.
_STEP: Final = 10
#: A number that is too long has at least this many such bytes in a row.
_MAYBE_TOO_LONG: Final = b"0" * (len(_TOO_LONG) // _STEP)
#: No frame of this length or less can hold a number that is too long.
SHORT: Final = len(b'{"asks":[],"bids":[],"sequence_number":}') + _DIGITS


def has_short_numbers(data: bytes) -> bool:
    """Return whether no number has more than 100 digits. Exponents are not checked here."""
    return _MAYBE_TOO_LONG not in data[::_STEP].translate(_SHAPE) or _TOO_LONG not in data.translate(_SHAPE)


def _check(book: OrderBook | OrderBookDiff) -> None:
    """Check every number of a book.

    Raises:
        ValueError: A number is NaN, infinite or negative, or has more than 100 digits or an exponent beyond ±99.
    """
    if not 0 <= book.sequence_number < 10**_DIGITS:
        raise ValueError(f"sequence_number must have at most {_DIGITS} digits and not be negative")
    for level in (*book.asks, *book.bids):
        check_decimal(level.price, "price")
        check_decimal(level.quantity, "quantity")


def decode_depth_frame(frame: bytes | str) -> tuple[OrderBookDiff, ...]:
    """Decode a frame of ``/marketdepth/diff/{asset}``: one change, or none if it is a control message.

    Raises:
        DecodeError: The frame is neither.
    """
    try:
        data = frame.encode() if isinstance(frame, str) else frame
        try:
            diff = _decode_diff(data)
        except MALFORMED:
            if holds_control(as_json(data), _FIELDS):
                return ()
            diff = _read_loosely(data, OrderBookDiff)
        if data.translate(None, PLAIN) in KEYS and (len(data) <= SHORT or has_short_numbers(data)):
            return (diff,)
        if holds_control(as_json(data), _FIELDS):
            return ()
        _check(diff)
    except MALFORMED as error:
        raise failure("an order book diff", frame, error) from None
    return (diff,)


def read_diff(data: bytes) -> OrderBookDiff:
    """Read a diff outside a stream. Raises one of ``MALFORMED``."""
    try:
        diff = _decode_diff(data)
    except MALFORMED:
        diff = _read_loosely(data, OrderBookDiff)
    _check(diff)
    return diff


def read_book(data: bytes) -> OrderBook:
    """Read an answer of ``/marketdepth/{asset}``: a whole book, which is sorted here. Raises one of ``MALFORMED``.

    Keys may be missing, as in a book with an empty side. But if all are missing, the answer is not a book.
    """
    try:
        book = _decode_book(data)
    except MALFORMED:
        book = _read_loosely(data, OrderBook)
    if data.translate(None, PLAIN) not in KEYS or not has_short_numbers(data):
        _check(book)
    if not any(b'"%b"' % name.encode() in data for name in _FIELDS):
        raise ValueError("neither asks, bids nor sequence_number")
    # msgspec does not run the model's converters, which sort the levels.
    asks, bids = sorted_asks(book.asks), sorted_bids(book.bids)
    if asks != book.asks or bids != book.bids:
        return OrderBook(asks, bids, book.sequence_number)
    return book
