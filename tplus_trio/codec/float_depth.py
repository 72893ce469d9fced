"""Changes of a book, read to floats for a book that keeps its prices as floats.

Reading a number to a float takes a quarter of the time of a `Decimal`. A price of at most 15 digits survives that: two
such prices are equal, or less than each other, exactly if their floats are. So a book may sort and look up its prices
as floats. What a program reads of it are `Decimal`s all the same: they are read from the text of the change, which is
kept, in the usual way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from tplus_trio.codec.batch_decoders import decode_depth_batch, depth_lines
from tplus_trio.codec.book_decoders import SHORT, decode_depth_frame, has_short_numbers
from tplus_trio.codec.json_text import MALFORMED
from tplus_trio.models import OrderBookDiff, PriceLevel

__all__ = ["FLOAT_DIGITS", "FloatDiff", "decode_float_depth_batch"]

#: Prices with at most so many digits and points are compared as floats.
FLOAT_DIGITS: Final = 15
#: Maps digits and points to "0" and all other bytes to NUL.
_SHAPE: Final = bytes(ord("0") if byte in b"0123456789." else 0 for byte in range(256))
_LONG: Final = b"0" * (FLOAT_DIGITS + 1)
#: A price stands at the beginning of its level.
_find_long_price: Final = re.compile(rb'\[ *"? *[0-9.]{%d}' % len(_LONG)).search


class FloatDiff(msgspec.Struct, gc=False, rename={"float_asks": "asks", "float_bids": "bids"}):
    """A change of a book whose prices are read to floats. Everything else is read from its text when asked for."""

    #: Prices and quantities. A quantity says only whether it is 0.
    float_asks: list[tuple[float, float]]
    float_bids: list[tuple[float, float]]
    sequence_number: int
    #: The message.
    text: bytes = b""

    @property
    def exact(self) -> OrderBookDiff:
        """The change as a stream delivers it."""
        (diff,) = decode_depth_frame(self.text)
        return diff

    @property
    def bids(self) -> tuple[PriceLevel, ...]:
        """The changed levels of the bid side."""
        return self.exact.bids

    @property
    def asks(self) -> tuple[PriceLevel, ...]:
        """The changed levels of the ask side."""
        return self.exact.asks

    @property
    def previous_sequence_number(self) -> int:
        """The sequence number of the book that this change applies to."""
        return self.sequence_number - 1


_strict: Final = msgspec.json.Decoder(FloatDiff).decode_lines
#: For services that write numbers as strings.
_lax: Final = msgspec.json.Decoder(FloatDiff, strict=False).decode_lines


def decode_float_depth_batch(frames: Sequence[bytes | str]) -> Sequence[FloatDiff | OrderBookDiff] | None:
    """Decode frames as `decode_depth_batch` does: to `FloatDiff` if all of them allow that, else exactly."""
    lines = depth_lines(frames)
    if lines is None or not _has_float_prices(lines):
        return decode_depth_batch(frames)
    try:
        try:
            diffs: list[FloatDiff] = _strict(lines)
        except msgspec.ValidationError:
            diffs = _lax(lines)
    except MALFORMED:
        return decode_depth_batch(frames)
    if len(diffs) != len(frames):
        return None
    for diff, frame in zip(diffs, frames, strict=True):
        diff.text = frame  # type: ignore[assignment]  # `depth_lines` returns lines only if all frames are bytes
    return diffs


def _has_float_prices(lines: bytes) -> bool:
    """Return whether every price can be read to a float, and every number is legal."""
    if _LONG not in lines.translate(_SHAPE):
        return True
    return _find_long_price(lines) is None and (len(lines) <= SHORT or has_short_numbers(lines))
