"""Order books and their changes: the one feed that comes a hundred thousand times a second."""

from __future__ import annotations

from typing import Final

import msgspec

from tplus_trio.codec.text import MALFORMED, as_json, failure, holds_control
from tplus_trio.models import OrderBook, OrderBookDiff
from tplus_trio.models.numbers import check_decimal

__all__ = ["KEYS", "PLAIN", "SHORT", "decode_depth_frame", "has_short_numbers", "read_book", "read_diff"]

_decode_diff: Final = msgspec.json.Decoder(OrderBookDiff, strict=False).decode
_decode_book: Final = msgspec.json.Decoder(OrderBook, strict=False).decode

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
        diff = _decode_diff(data)
        if data.translate(None, PLAIN) in KEYS and (len(data) <= SHORT or has_short_numbers(data)):
            return (diff,)
        if holds_control(as_json(data)):
            return ()
        _check(diff)
    except MALFORMED as error:
        if holds_control(frame):
            return ()
        raise failure("an order book diff", frame, error) from None
    return (diff,)


def read_diff(data: bytes) -> OrderBookDiff:
    """A diff on its own, outside a stream; raises one of ``MALFORMED``."""
    diff = _decode_diff(data)
    _check(diff)
    return diff


def read_book(data: bytes) -> OrderBook:
    """The answer of ``/marketdepth/{asset}``: a whole book; raises one of ``MALFORMED``.

    Keys may be missing, as in a book with an empty side, but not all of them: an answer about something else
    is no empty book.
    """
    book = _decode_book(data)
    if data.translate(None, PLAIN) not in KEYS or not has_short_numbers(data):
        _check(book)
    if not any(key in data for key in (b'"asks"', b'"bids"', b'"sequence_number"')):
        raise ValueError("neither asks, bids nor sequence_number")
    return book
