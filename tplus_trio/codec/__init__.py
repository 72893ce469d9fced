"""Bytes to models, and models to bytes. No I/O, no state.

* The *frame* of a feed: ``decode_…_frame`` returns its items, and no items for a control message. For busy feeds,
  ``decode_…_batch`` decodes many frames at once.
* The *body* of a REST answer: :func:`decode` returns the model asked for. :func:`decode_rows`, :func:`decode_page` and
  :func:`decode_listing` return the good rows of a list and name the bad ones. A new read needs no line here:
  ``decode(body, Model)`` works for every model.
* A model to send or sign: :func:`encode`, :func:`signable`; as plain objects for `json.dumps`: :func:`unstructure`.

Numbers may be JSON numbers or numeric strings. They become :class:`~decimal.Decimal` or ``int`` directly from their
text, never through a float: ``float_depth`` reads floats too, but only to sort by them. If a JSON key is repeated, the
last value wins. Input that breaks the protocol raises :class:`~tplus_trio.errors.DecodeError`.

The modules:

* ``frame_decoders`` and ``batch_decoders``: the decoders of the feeds;
* ``book_decoders`` and ``fast_order_events``: the fast decoders of the two busiest feeds; ``float_depth``: changes of
  a book that keeps its prices as floats;
* ``rest_bodies``: decoding of REST answers, encoding of what is sent and signed; ``order_text``: the usual order's
  signed text, written faster;
* ``record_reader``: msgspec readers for models whose JSON is simply their fields; ``row_reader``: lists of such records
  with bad rows among them;
* ``converter``: the cattrs converter for models with another JSON form;
* ``number_checks``: checks of decoded numbers; ``json_text``: JSON text, control messages and error messages.
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
from tplus_trio.codec.float_depth import FLOAT_DIGITS, FloatDiff, decode_float_depth_batch
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
from tplus_trio.codec.rest_bodies import (
    decode,
    decode_listing,
    decode_page,
    decode_rows,
    encode,
    page_fields,
    signable,
    unstructure,
)

__all__ = [
    "FLOAT_DIGITS",
    "BatchDecoder",
    "FloatDiff",
    "FrameDecoder",
    "decode",
    "decode_depth_batch",
    "decode_depth_frame",
    "decode_float_depth_batch",
    "decode_intent_frame",
    "decode_listing",
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
    "page_fields",
    "signable",
    "unstructure",
]
