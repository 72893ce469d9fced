"""Many frames of a busy feed at once, where they are of the usual kind.

A batch decoder gives the items of all the frames, in order, or None if anything about any of them is unusual: then
each is for the feed's frame decoder, which tells what it is. It never gives other items than that would. A frame by
itself it leaves to that too, where that is quicker.

The frames are decoded as lines of one text. msgspec does not hold a line to one value, but as many values as lines
are one on each: a value cannot go on in the next line, since after the bracket that ends a line JSON allows no bracket
to open, and no line break within a string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from tplus_trio.codec.book_decoders import KEYS, PLAIN, SHORT, has_short_numbers
from tplus_trio.codec.fast_order_events import read_event
from tplus_trio.codec.json_text import MALFORMED, quick_hook
from tplus_trio.codec.number_checks import checker
from tplus_trio.codec.record_reader import spells_fractions
from tplus_trio.models import AssetIdentifier, KlineUpdate, OrderBookDiff, OrderEvent, Trade, UserTrade

__all__ = [
    "BatchDecoder",
    "decode_depth_batch",
    "decode_order_event_batch",
    "decode_trade_batch",
    "decode_user_trade_batch",
    "kline_batch_decoder",
]

T = TypeVar("T")

#: Takes messages; gives their items, or None if they are to be decoded one by one.
BatchDecoder: TypeAlias = Callable[[Sequence[bytes | str]], Sequence[T] | None]

#: The first byte of a frame and the last: what begins and ends with brackets of its own.
_OBJECT: Final = (set(b"{"), set(b"}"))
_LIST: Final = (set(b"["), set(b"]"))
_BYTES: Final = {bytes}
_PLAIN_LINES: Final = PLAIN + b"\n"
#: What a frame of plain numbers has besides its keys and braces, and what it leaves without, as a line.
_SIGNS: Final = PLAIN.translate(None, b"{}")
_FRAMES: Final = frozenset(b"{%b}\n" % keys for keys in KEYS)
#: A key that control messages have. Quotes are many: to search for it as a pattern takes half of what ``in`` does.
_find_type: Final = re.compile(rb'"type"').search
#: Of a candle as it is spelled nearly always.
_BAR_KEYS: Final = b"openhighlowclosevolumeopen_timestamp_nsclose_timestamp_ns"


def _lines_decoder(kind: Any, record: type) -> Callable[[bytes], list[Any]]:
    """What reads lines; raises one of ``MALFORMED``, also over a whole number that is written as a fraction."""
    strict = msgspec.json.Decoder(kind, dec_hook=quick_hook).decode_lines
    lax = msgspec.json.Decoder(kind, strict=False, dec_hook=quick_hook).decode_lines
    has_fractions = spells_fractions(record)

    def decode_lines(lines: bytes) -> list[Any]:
        try:
            return strict(lines)
        except msgspec.ValidationError:
            # Numeric strings, perhaps. What is a fraction would be rounded here, and is for the frame decoder.
            if has_fractions(lines):
                raise
            return lax(lines)

    return decode_lines


_diffs: Final[Callable[[bytes], list[OrderBookDiff]]] = _lines_decoder(OrderBookDiff, OrderBookDiff)
_trades: Final[Callable[[bytes], list[Trade]]] = _lines_decoder(Trade, Trade)
_user_trades: Final[Callable[[bytes], list[UserTrade]]] = _lines_decoder(UserTrade, UserTrade)
_check_candles: Final = checker(KlineUpdate)
_candles: Final[Callable[[bytes], list[list[KlineUpdate]]]] = _lines_decoder(list[KlineUpdate], KlineUpdate)


def _joined(frames: Sequence[bytes | str]) -> bytes:
    """The frames as lines; nothing if one is text, or a binary message, which is bytes too, but of its own class."""
    return b"\n".join(frames) if set(map(type, frames)) == _BYTES else b""  # type: ignore[arg-type]  # bytes all, then


def _lines(frames: Sequence[bytes | str], brackets: tuple[set[int], set[int]]) -> bytes | None:
    """The frames as lines, or None if that would not be one for each: see the top."""
    first, last = brackets
    lines = _joined(frames)
    if not lines or not all(frames) or not lines.isascii():
        return None
    return lines if {frame[0] for frame in frames} == first and {frame[-1] for frame in frames} == last else None


def _batch_decoder(decode_lines: Callable[[bytes], list[T]], check: Callable[[Sequence[T]], None]) -> BatchDecoder[T]:
    """A batch decoder of frames that are one record each."""

    def decode_batch(frames: Sequence[bytes | str]) -> Sequence[T] | None:
        lines = None if len(frames) == 1 else _lines(frames, _OBJECT)
        if lines is None or _find_type(lines):
            return None
        try:
            items = decode_lines(lines)
            check(items)
        except MALFORMED:
            return None
        return items if len(items) == len(frames) else None

    return decode_batch


#: As :data:`~tplus_trio.codec.decode_trade_frame`.
decode_trade_batch: Final[BatchDecoder[Trade]] = _batch_decoder(_trades, checker(Trade))
#: As :data:`~tplus_trio.codec.decode_user_trade_frame`.
decode_user_trade_batch: Final[BatchDecoder[UserTrade]] = _batch_decoder(_user_trades, checker(UserTrade))


def decode_depth_batch(frames: Sequence[bytes | str]) -> Sequence[OrderBookDiff] | None:
    """As :func:`~tplus_trio.codec.decode_depth_frame`."""
    lines = b"" if len(frames) == 1 else _joined(frames)
    if not lines:
        return None
    # What is left of each frame is its keys within the only braces: with as many diffs as frames, each is one of these.
    rest = lines.translate(None, _SIGNS) + b"\n"
    one = rest[: len(rest) // len(frames)]
    if one not in _FRAMES or rest != one * len(frames):
        return None
    # Where even the longest frame is too short to hold a long number, none need be looked for.
    if max(map(len, frames)) > SHORT and not has_short_numbers(lines):
        return None
    try:
        diffs = _diffs(lines)
    except MALFORMED:
        return None
    return diffs if len(diffs) == len(frames) else None


def kline_batch_decoder(asset_id: AssetIdentifier) -> BatchDecoder[KlineUpdate]:
    """As :func:`~tplus_trio.codec.kline_frame_decoder`."""
    begin = b'{"asset_id":' + msgspec.json.encode(str(asset_id)) + b","

    def decode_batch(frames: Sequence[bytes | str]) -> Sequence[KlineUpdate] | None:
        lines = _lines(frames, _LIST)
        if lines is None:
            return None
        braces = lines.count(b"{")
        # What is left of plain numbers without their digits is their keys, as for books.
        is_plain = lines.translate(None, _PLAIN_LINES) == _BAR_KEYS * braces and has_short_numbers(lines)
        # The asset is written into every candle, which must have said nothing of one itself, escaped or not.
        if not is_plain and (b"asset_id" in lines or b"\\" in lines):
            return None
        try:
            lists = _candles(lines.replace(b"{", begin))
            candles = list(chain.from_iterable(lists))
            if not is_plain:
                _check_candles(candles)
        except MALFORMED:
            return None
        # As many braces as candles: none of them stood anywhere else, such as in a string.
        return candles if len(lists) == len(frames) and len(candles) == braces else None

    return decode_batch


def decode_order_event_batch(frames: Sequence[bytes | str]) -> Sequence[OrderEvent] | None:
    """As :data:`~tplus_trio.codec.decode_order_event_frame`."""
    events: list[Any] = []
    for frame in frames:
        event = read_event(frame) if type(frame) is bytes else None
        if event is None:
            return None
        events.append(event)
    return events
