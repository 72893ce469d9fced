"""Bytes to models, and models to bytes. No I/O, no state.

Three ways in, by what the bytes are:

* a *frame* of a stream: ``decode_…_frame`` gives the items that it holds, none for a control message;
  of the busy feeds also many frames at once, ``decode_…_batch``;
* the *body* of a REST answer: :func:`decode` gives the model asked for; :func:`decode_rows` and :func:`decode_page`
  give the good rows of a list, and say which rows were bad;
* a model to be sent or signed: :func:`encode`, :func:`signable`; as plain objects: :func:`unstructure`.

Numbers go from their text to :class:`~decimal.Decimal` or ``int`` and never through a float, be they JSON
numbers or numeric strings. What is not as the protocol says raises :class:`~tplus_trio.errors.DecodeError`.
"""

from __future__ import annotations

from tplus_trio.codec.batch_decoders import (
    BatchDecoder,
    decode_depth_batch,
    decode_order_event_batch,
    decode_trade_batch,
    decode_user_trade_batch,
    kline_batch_decoder,
)
from tplus_trio.codec.book_decoders import decode_depth_frame
from tplus_trio.codec.frame_decoders import (
    FrameDecoder,
    decode_intent_frame,
    decode_order_event_frame,
    decode_positions_frame,
    decode_ticker_frame,
    decode_tickers_frame,
    decode_trade_frame,
    decode_user_event_frame,
    decode_user_trade_frame,
    kline_frame_decoder,
)
from tplus_trio.codec.rest_bodies import decode, decode_page, decode_rows, encode, signable, unstructure

__all__ = [
    "BatchDecoder",
    "FrameDecoder",
    "decode",
    "decode_depth_batch",
    "decode_depth_frame",
    "decode_intent_frame",
    "decode_order_event_batch",
    "decode_order_event_frame",
    "decode_page",
    "decode_positions_frame",
    "decode_rows",
    "decode_ticker_frame",
    "decode_tickers_frame",
    "decode_trade_batch",
    "decode_trade_frame",
    "decode_user_event_frame",
    "decode_user_trade_batch",
    "decode_user_trade_frame",
    "encode",
    "kline_batch_decoder",
    "kline_frame_decoder",
    "signable",
    "unstructure",
]
