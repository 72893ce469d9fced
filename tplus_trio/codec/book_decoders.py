"""Order books and their changes: the one feed that comes a hundred thousand times a second."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeVar

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
    """A level that may have more elements, such as a count of orders. They are skipped."""

    price: Decimal
    quantity: Decimal


class _Levels(msgspec.Struct, gc=False):
    """A book or a diff as far as it may differ from the usual form: longer levels, another spelling of the number."""

    asks: list[_Level] | msgspec.UnsetType = msgspec.UNSET
    bids: list[_Level] | msgspec.UnsetType = msgspec.UNSET
    sequence_number: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_levels: Final = msgspec.json.Decoder(_Levels).decode


def _side(levels: list[_Level] | msgspec.UnsetType) -> tuple[PriceLevel, ...]:
    return () if isinstance(levels, msgspec.UnsetType) else tuple([PriceLevel(at.price, at.quantity) for at in levels])


def _read_loosely(data: bytes, kind: type[T]) -> T:
    """A book or a diff whose form is not the usual one; raises one of ``MALFORMED``."""
    found = _decode_levels(data)
    raw = found.sequence_number
    if kind is OrderBookDiff:
        for name in found.__struct_fields__:
            if getattr(found, name) is msgspec.UNSET:
                raise KeyError(name)
    number = 0 if isinstance(raw, msgspec.UnsetType) else whole(parse(bytes(raw)))
    return kind(asks=_side(found.asks), bids=_side(found.bids), sequence_number=number)


# The numbers of a frame are checked by its spelling. Without digits, points and JSON's own signs, a frame of
# plain numbers leaves its keys and nothing else: no minus, no exponent, no NaN, no further key. What leaves
# more is looked at number by number.
PLAIN: Final = b'0123456789.,:[]{}" '
KEYS: Final = frozenset(
    {
        b"asksbidssequence_number",
        b"bidsaskssequence_number",
        b"sequence_numberasksbids",
        b"sequence_numberbidsasks",
    }
)
#: The keys of a frame that has data.
FIELDS: Final = frozenset({"asks", "bids", "sequence_number"})
#: The longest number. A frame has to be this much longer than its keys and signs to hold a longer one.
_DIGITS: Final = 100
_TOO_LONG: Final = b"0" * (_DIGITS + 1)
#: Every digit and point becomes a zero, and nothing else does.
_SHAPE: Final = bytes(ord("0") if byte in b"0123456789." else 0 for byte in range(256))
#: Of every so many bytes one is looked at first; as many of those in a row as a number that is too long has at least.
_STEP: Final = 10
_MAYBE_TOO_LONG: Final = b"0" * (len(_TOO_LONG) // _STEP)
SHORT: Final = len(b'{"asks":[],"bids":[],"sequence_number":}') + _DIGITS


def has_short_numbers(data: bytes) -> bool:
    """Whether no number has more than 100 digits. Exponents are for others to find."""
    return _MAYBE_TOO_LONG not in data[::_STEP].translate(_SHAPE) or _TOO_LONG not in data.translate(_SHAPE)


def _check(book: OrderBook | OrderBookDiff) -> None:
    """Look at every number of a book.

    Raises:
        ValueError: If one is NaN, infinite, negative or absurdly large.
    """
    if not 0 <= book.sequence_number < 10**_DIGITS:
        raise ValueError(f"sequence_number must have at most {_DIGITS} digits and not be negative")
    for level in (*book.asks, *book.bids):
        check_decimal(level.price, "price")
        check_decimal(level.quantity, "quantity")


def decode_depth_frame(frame: bytes | str) -> tuple[OrderBookDiff, ...]:
    """A frame of ``/marketdepth/diff/{asset}``: one change, or none in a control message.

    Raises:
        DecodeError: If it is neither.
    """
    try:
        data = frame.encode() if isinstance(frame, str) else frame
        try:
            diff = _decode_diff(data)
        except MALFORMED:
            if holds_control(as_json(data), FIELDS):
                return ()
            diff = _read_loosely(data, OrderBookDiff)
        if data.translate(None, PLAIN) in KEYS and (len(data) <= SHORT or has_short_numbers(data)):
            return (diff,)
        if holds_control(as_json(data), FIELDS):
            return ()
        _check(diff)
    except MALFORMED as error:
        raise failure("an order book diff", frame, error) from None
    return (diff,)


def read_diff(data: bytes) -> OrderBookDiff:
    """A diff on its own, outside a stream; raises one of ``MALFORMED``."""
    try:
        diff = _decode_diff(data)
    except MALFORMED:
        diff = _read_loosely(data, OrderBookDiff)
    _check(diff)
    return diff


def read_book(data: bytes) -> OrderBook:
    """The answer of ``/marketdepth/{asset}``: a whole book, sorted; raises one of ``MALFORMED``.

    Keys may be missing, as in a book with an empty side, but not all of them: an answer about something else
    is no empty book.
    """
    try:
        book = _decode_book(data)
    except MALFORMED:
        book = _read_loosely(data, OrderBook)
    if data.translate(None, PLAIN) not in KEYS or not has_short_numbers(data):
        _check(book)
    if not any(key in data for key in (b'"asks"', b'"bids"', b'"sequence_number"')):
        raise ValueError("neither asks, bids nor sequence_number")
    # msgspec fills the fields without the model's converters.
    asks, bids = sorted_asks(book.asks), sorted_bids(book.bids)
    if asks != book.asks or bids != book.bids:
        return OrderBook(asks, bids, book.sequence_number)
    return book
