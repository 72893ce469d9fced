"""One decoder per stream. Each takes a frame and gives the items in it: none, if it is a control message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from tplus_trio.codec.numbers import check_trades, check_user_trades
from tplus_trio.codec.shapes import converter
from tplus_trio.codec.text import MALFORMED, as_json, decode_hook, failure, holds_control, parse
from tplus_trio.models import (
    AssetIdentifier,
    IntentAggregateUpdate,
    KlineUpdate,
    OrderEvent,
    PositionUpdate,
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

#: Takes a text frame, gives its items; raises :class:`~tplus_trio.errors.DecodeError`.
FrameDecoder: TypeAlias = Callable[[bytes | str], Sequence[T]]


def _frame_decoder(what: str, read: Callable[[bytes], Sequence[T]]) -> FrameDecoder[T]:
    """A frame decoder out of what reads one stream's data."""

    def decode_frame(frame: bytes | str) -> Sequence[T]:
        try:
            data = as_json(frame)
            return () if holds_control(data) else read(data)
        except MALFORMED as error:
            raise failure(what, frame, error) from None

    return decode_frame


def _one(kind: type[T], check: Callable[[Sequence[T]], None] = lambda _: None) -> Callable[[bytes], tuple[T]]:
    """Read a frame that is one record, and check what its class leaves to the codec."""
    decode = msgspec.json.Decoder(kind, strict=False, dec_hook=decode_hook).decode

    def read(data: bytes) -> tuple[T]:
        item = (decode(data),)
        check(item)
        return item

    return read


def _variant(union: Any) -> Callable[[bytes], tuple[Any]]:
    """Read a frame that is one variant of an enumeration."""
    return lambda data: (converter.structure(parse(data), union),)


#: ``/trades``.
decode_trade_frame: FrameDecoder[Trade] = _frame_decoder("a trade", _one(Trade, check_trades))
#: ``/trades/user/{key}`` and ``/trades/user/events/{key}``.
decode_user_trade_frame: FrameDecoder[UserTrade] = _frame_decoder("a user trade", _one(UserTrade, check_user_trades))
#: ``/ticker/ws/{asset}``.
decode_ticker_frame: FrameDecoder[Ticker] = _frame_decoder("a ticker", _one(Ticker))
#: ``/tickers/ws``: the markets that changed, one item each.
decode_tickers_frame: FrameDecoder[Ticker] = _frame_decoder(
    "a list of tickers", msgspec.json.Decoder(tuple[Ticker, ...], strict=False, dec_hook=decode_hook).decode
)
#: ``/positions/ws/{key}``.
decode_positions_frame: FrameDecoder[PositionUpdate] = _frame_decoder("a position update", _one(PositionUpdate))
#: ``/intent/ws``.
decode_intent_frame: FrameDecoder[IntentAggregateUpdate] = _frame_decoder(
    "an intent update", _one(IntentAggregateUpdate)
)
#: ``/orders``. A variant of an unknown name is an :class:`~tplus_trio.UnknownOrderEvent`.
decode_order_event_frame: FrameDecoder[OrderEvent] = _frame_decoder("an order event", _variant(OrderEvent))
#: ``/account/events/{key}``.
decode_user_event_frame: FrameDecoder[UserActivityEvent] = _frame_decoder("a user event", _variant(UserActivityEvent))

_timebars: msgspec.json.Decoder[list[Timebar] | Timebar] = msgspec.json.Decoder(list[Timebar] | Timebar, strict=False)


def kline_frame_decoder(asset_id: AssetIdentifier) -> FrameDecoder[KlineUpdate]:
    """The decoder of ``/klines/diff/{asset}``: a list of candles, or one, without the name of the asset."""

    def read(data: bytes) -> tuple[KlineUpdate, ...]:
        bars = _timebars.decode(data)
        return tuple(KlineUpdate.of(asset_id, bar) for bar in (bars if isinstance(bars, list) else [bars]))

    return _frame_decoder("a list of candles", read)
