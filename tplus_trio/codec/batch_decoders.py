"""Decoders of many frames of a busy feed at once, for frames of the usual form.

A batch decoder returns the items of all frames in order, the same items as the feed's frame decoder. It returns None if
any frame has an unusual form; the caller then decodes each frame with the frame decoder, which accepts every legal form
and explains errors. A single frame is decoded by the frame decoder, which is faster for one.

The frames are joined with line breaks and decoded as JSON lines. msgspec allows several values on a line and values
that span lines. But if there are as many values as lines, each line is one value: a value cannot span two lines here,
because JSON allows no opening bracket directly after the closing bracket that ends a line, and no line break within a
string.
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
    "depth_lines",
    "kline_batch_decoder",
]

T = TypeVar("T")

#: Takes messages and returns their items, or None if the caller must decode them one by one.
BatchDecoder: TypeAlias = Callable[[Sequence[bytes | str]], Sequence[T] | None]

#: The first and the last byte of every frame, as sets.
_OBJECT: Final = (set(b"{"), set(b"}"))
_LIST: Final = (set(b"["), set(b"]"))
_BYTES: Final = {bytes}
_PLAIN_LINES: Final = PLAIN + b"\n"
#: The bytes of a frame of plain numbers, without its keys and braces.
_SIGNS: Final = PLAIN.translate(None, b"{}")
#: The lines that remain of such a frame without those bytes: one for each legal order of the keys.
_FRAMES: Final = frozenset(b"{%b}\n" % keys for keys in KEYS)
#: The key of control messages. The search as a pattern takes half as long as with ``in``, because quotes are frequent.
_find_type: Final = re.compile(rb'"type"').search
#: The keys of a candle in the order that the service nearly always uses.
_BAR_KEYS: Final = b"openhighlowclosevolumeopen_timestamp_nsclose_timestamp_ns"


def _lines_decoder(kind: Any, record: type) -> Callable[[bytes], list[Any]]:
    """Return a reader of JSON lines. It raises one of ``MALFORMED``, also if an ``int`` has a point or an exponent."""
    strict = msgspec.json.Decoder(kind, dec_hook=quick_hook).decode_lines
    lax = msgspec.json.Decoder(kind, strict=False, dec_hook=quick_hook).decode_lines
    has_fractions = spells_fractions(record)

    def decode_lines(lines: bytes) -> list[Any]:
        try:
            return strict(lines)
        except msgspec.ValidationError:
            # Perhaps the numbers are strings. The lax reader would round fractions and drop the sign of "-0": the frame
            # decoder takes those.
            if has_fractions(lines) or b'"-0' in lines:
                raise
            return lax(lines)

    return decode_lines


_diffs: Final[Callable[[bytes], list[OrderBookDiff]]] = _lines_decoder(OrderBookDiff, OrderBookDiff)
_trades: Final[Callable[[bytes], list[Trade]]] = _lines_decoder(Trade, Trade)
_user_trades: Final[Callable[[bytes], list[UserTrade]]] = _lines_decoder(UserTrade, UserTrade)
_check_candles: Final = checker(KlineUpdate)
_candles: Final[Callable[[bytes], list[list[KlineUpdate]]]] = _lines_decoder(list[KlineUpdate], KlineUpdate)


def _joined(frames: Sequence[bytes | str]) -> bytes:
    """Join the frames with line breaks; empty if one is a ``str`` or a binary message (a subclass of ``bytes``)."""
    return b"\n".join(frames) if set(map(type, frames)) == _BYTES else b""  # type: ignore[arg-type]  # all are bytes


def _lines(frames: Sequence[bytes | str], brackets: tuple[set[int], set[int]]) -> bytes | None:
    """Join the frames with line breaks; None if the lines could not be told apart (see the module's docstring)."""
    first, last = brackets
    lines = _joined(frames)
    if not lines or not all(frames) or not lines.isascii():
        return None
    return lines if {frame[0] for frame in frames} == first and {frame[-1] for frame in frames} == last else None


def _batch_decoder(decode_lines: Callable[[bytes], list[T]], check: Callable[[Sequence[T]], None]) -> BatchDecoder[T]:
    """Return a batch decoder of frames that hold one record each."""

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


#: Decodes frames as :data:`~tplus_trio.codec.decode_trade_frame` does.
decode_trade_batch: Final[BatchDecoder[Trade]] = _batch_decoder(_trades, checker(Trade))
#: Decodes frames as :data:`~tplus_trio.codec.decode_user_trade_frame` does.
decode_user_trade_batch: Final[BatchDecoder[UserTrade]] = _batch_decoder(_user_trades, checker(UserTrade))


def depth_lines(frames: Sequence[bytes | str]) -> bytes | None:
    """Join frames of plain numbers with line breaks; None if a frame has another form."""
    lines = _joined(frames)
    if not lines:
        return None
    # Each frame must leave its keys within one pair of braces. With as many diffs as frames, each frame is one diff.
    rest = lines.translate(None, _SIGNS) + b"\n"
    one = rest[: len(rest) // len(frames)]
    return lines if one in _FRAMES and rest == one * len(frames) else None


def decode_depth_batch(frames: Sequence[bytes | str]) -> Sequence[OrderBookDiff] | None:
    """Decode frames as :func:`~tplus_trio.codec.decode_depth_frame` does."""
    lines = None if len(frames) == 1 else depth_lines(frames)
    # If the longest frame is too short to hold a number of more than 100 digits, no search is needed.
    if lines is None or (max(map(len, frames)) > SHORT and not has_short_numbers(lines)):
        return None
    try:
        diffs = _diffs(lines)
    except MALFORMED:
        return None
    return diffs if len(diffs) == len(frames) else None


def kline_batch_decoder(asset_id: AssetIdentifier) -> BatchDecoder[KlineUpdate]:
    """Return a decoder of frames as :func:`~tplus_trio.codec.kline_frame_decoder` does."""
    begin = b'{"asset_id":' + msgspec.json.encode(str(asset_id)) + b","

    def decode_batch(frames: Sequence[bytes | str]) -> Sequence[KlineUpdate] | None:
        lines = _lines(frames, _LIST)
        if lines is None:
            return None
        braces = lines.count(b"{")
        # As for books: without digits and signs, candles of plain numbers leave only their keys.
        is_plain = lines.translate(None, _PLAIN_LINES) == _BAR_KEYS * braces and has_short_numbers(lines)
        # The asset is written into every candle below. No candle may name an asset itself, escaped or not.
        if not is_plain and (b"asset_id" in lines or b"\\" in lines):
            return None
        try:
            lists = _candles(lines.replace(b"{", begin))
            candles = list(chain.from_iterable(lists))
            if not is_plain:
                _check_candles(candles)
        except MALFORMED:
            return None
        # With as many braces as candles, no brace stood anywhere else, such as in a string.
        return candles if len(lists) == len(frames) and len(candles) == braces else None

    return decode_batch


def decode_order_event_batch(frames: Sequence[bytes | str]) -> Sequence[OrderEvent] | None:
    """Decode frames as :data:`~tplus_trio.codec.decode_order_event_frame` does."""
    events: list[Any] = []
    for frame in frames:
        event = read_event(frame) if type(frame) is bytes else None
        if event is None:
            return None
        events.append(event)
    return events
