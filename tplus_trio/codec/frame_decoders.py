"""The frame decoder of each feed: it returns the items of a frame, and no items for a control message.

A new feed whose frames are one record each is one line here: ``decode_x_frame = _record_decoder("an x", X)``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias, TypeVar, cast, get_type_hints

from tplus_trio.codec.converter import converter
from tplus_trio.codec.json_text import MALFORMED, as_json, failure, holds_control, parse
from tplus_trio.codec.number_checks import checker, one_checker
from tplus_trio.codec.record_reader import record_reader
from tplus_trio.codec.row_reader import read_rows
from tplus_trio.models import (
    AssetIdentifier,
    IntentAggregateUpdate,
    KlineUpdate,
    OrderEvent,
    PositionUpdate,
    Rows,
    Ticker,
    Timebar,
    Trade,
    UserActivityEvent,
    UserTrade,
)

__all__ = [
    "FrameDecoder",
    "decode_intent_frame",
    "decode_order_event_frame",
    "decode_positions_frame",
    "decode_ticker_frame",
    "decode_tickers_frame",
    "decode_trade_frame",
    "decode_user_event_frame",
    "decode_user_trade_frame",
    "kline_frame_decoder",
]

T = TypeVar("T")

#: The keys of data that a control message may have too.
_COMMON: Final = frozenset({"timestamp_ns", "user_id"})

#: Takes a text frame and returns its items; raises :class:`~tplus_trio.errors.DecodeError`. If a frame has several
#: items and some are bad, the result is a :class:`~tplus_trio.models.Rows` of the good ones, with the others in
#: ``bad``.
FrameDecoder: TypeAlias = Callable[[bytes | str], Sequence[T]]


def _frame_decoder(
    what: str, read: Callable[[bytes], Sequence[T]], fields: AbstractSet[str] | None = None
) -> FrameDecoder[T]:
    """Return the frame decoder of a feed.

    Args:
        what: A frame's data as error messages name it, with its article.
        read: Reads the data of a frame; raises one of ``MALFORMED``.
        fields: The keys of the data, of which a control message has none; see `holds_control`.
    """

    def decode_frame(frame: bytes | str) -> Sequence[T]:
        try:
            data = as_json(frame)
            return () if holds_control(data, fields) else read(data)
        except MALFORMED as error:
            raise failure(what, frame, error) from None

    return decode_frame


def _record_decoder(what: str, kind: type[T]) -> FrameDecoder[T]:
    """Return the decoder of a feed whose frames are one record each."""
    decode, check = record_reader(kind), one_checker(kind)
    fields = frozenset(get_type_hints(kind)) - _COMMON

    def read(data: bytes) -> tuple[T]:
        item = decode(data)
        check(item)
        return (item,)

    return _frame_decoder(what, read, fields)


def _rows_decoder(
    what: str, kind: type[T], make: Callable[[Sequence[T]], Sequence[Any]], *, may_be_one: bool = False
) -> FrameDecoder[Any]:
    """Return the decoder of a feed whose frames are a list of records each.

    Args:
        what: A frame's data as error messages name it, with its article.
        kind: The type of a record.
        make: Makes the items of the records.
        may_be_one: Whether a frame may also be one bare record.
    """
    decode = record_reader(list[kind])  # type: ignore[valid-type]  # a class that is a variable
    check = checker(cast("Hashable", kind))
    fields = frozenset(get_type_hints(kind)) - _COMMON

    def read(data: bytes) -> Sequence[Any]:
        try:
            records = decode(data)
            check(records)
        except MALFORMED:
            rows = read_rows(data, kind)
            if not rows:
                raise
            return Rows(make(rows), rows.bad)
        return make(records)

    def read_one_or_many(data: bytes) -> Sequence[Any]:
        return read(b"[%b]" % data) if data.lstrip()[:1] == b"{" else read(data)

    return _frame_decoder(what, read_one_or_many if may_be_one else read, fields)


def _variant(union: Any) -> Callable[[bytes], tuple[Any]]:
    """Return a reader of frames that are one variant of a tagged union each."""
    return lambda data: (converter.structure(parse(data), union),)


#: ``/trades``.
decode_trade_frame: FrameDecoder[Trade] = _record_decoder("a trade", Trade)
#: ``/trades/user/{key}`` and ``/trades/user/events/{key}``.
decode_user_trade_frame: FrameDecoder[UserTrade] = _record_decoder("a user trade", UserTrade)
#: ``/ticker/ws/{asset}``.
decode_ticker_frame: FrameDecoder[Ticker] = _record_decoder("a ticker", Ticker)
#: ``/tickers/ws``: one item for each market that changed.
decode_tickers_frame: FrameDecoder[Ticker] = _rows_decoder("a list of tickers", Ticker, tuple)
#: ``/positions/ws/{key}``.
decode_positions_frame: FrameDecoder[PositionUpdate] = _record_decoder("a position update", PositionUpdate)
#: ``/intent/ws``.
decode_intent_frame: FrameDecoder[IntentAggregateUpdate] = _record_decoder("an intent update", IntentAggregateUpdate)
#: ``/orders``. An unknown variant becomes an :class:`~tplus_trio.UnknownOrderEvent`.
decode_order_event_frame: FrameDecoder[OrderEvent] = _frame_decoder("an order event", _variant(OrderEvent))
#: ``/account/events/{key}``.
decode_user_event_frame: FrameDecoder[UserActivityEvent] = _frame_decoder("a user event", _variant(UserActivityEvent))


def kline_frame_decoder(asset_id: AssetIdentifier) -> FrameDecoder[KlineUpdate]:
    """Return the decoder of ``/klines/diff/{asset}``: a list of candles, or one candle, that do not name the asset."""
    return _rows_decoder(
        "a list of candles",
        Timebar,
        lambda bars: tuple([KlineUpdate.of(asset_id, bar) for bar in bars]),
        may_be_one=True,
    )
