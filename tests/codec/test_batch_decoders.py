"""A batch decoder returns the items of the frame decoder, or None."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codec.test_frame_decoders import FEEDS
from tests.helpers.wire_texts import ASSET, BAR, LIMIT_ORDER, ORDER_EVENTS, REAL_TRADE, USER_TRADE
from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import OrderBookDiff, OrderCreatedEvent, TradeTarget
from tplus_trio.transport.websocket import BinaryMessage

DEPTH = '{"asks":[[10.25,"3.0"]],"bids":[[9,1e0]],"sequence_number":5}'
ORDERS = [f'{{"{name}":{fields}}}' for name, (_, fields) in ORDER_EVENTS.items()]
#: Spelled as the exchange does: integers are JSON numbers.
CREATED = f'{{"Created":{{"user_order":{LIMIT_ORDER},"signature":[1,255],"book_timestamp_ns":5}}}}'


def float_depth_batch(frames: Sequence[bytes | str]) -> Sequence[OrderBookDiff] | None:
    """Decode changes to floats, and return what they say exactly."""
    found = codec.decode_float_depth_batch(frames)
    return None if found is None else [one.exact if isinstance(one, codec.FloatDiff) else one for one in found]


#: A feed's batch decoder, its frame decoder, and good frames of it.
BATCHES: dict[str, tuple[codec.BatchDecoder[Any], codec.FrameDecoder[Any], list[str]]] = {
    "depth": (
        codec.decode_depth_batch,
        codec.decode_depth_frame,
        [DEPTH.replace("1e0", "1"), FEEDS["depth"][1], '{"asks":[],"bids":[],"sequence_number":6}'],
    ),
    "depth as floats": (
        float_depth_batch,
        codec.decode_depth_frame,
        [DEPTH.replace("1e0", "1"), FEEDS["depth"][1], '{"asks":[],"bids":[],"sequence_number":6}'],
    ),
    "trades": (codec.decode_trade_batch, codec.decode_trade_frame, [REAL_TRADE, REAL_TRADE.replace("122519", "7")]),
    "user trades": (
        codec.decode_user_trade_batch,
        codec.decode_user_trade_frame,
        [USER_TRADE, USER_TRADE[:-1] + ',"trading_fee":-0.5}'],
    ),
    "klines": (
        codec.kline_batch_decoder(ASSET),
        codec.kline_frame_decoder(ASSET),
        [f"[{BAR}]", f"[{BAR},{BAR}]", "[]"],
    ),
    "orders": (
        codec.decode_order_event_batch,
        codec.decode_order_event_frame,
        [CREATED, ORDERS[list(ORDER_EVENTS).index("Removed")], ORDERS[list(ORDER_EVENTS).index("CreateFailed")]],
    ),
}
each_feed = pytest.mark.parametrize(("decode_batch", "decode", "frames"), BATCHES.values(), ids=BATCHES)

_NUMBERS = [
    "-1",
    '"-0.5"',
    '"NaN"',
    '"sNaN"',
    '"inf"',
    "1e999",
    "1" * 101,
    '"1E-100"',
    "1.5",
    "5.0",
    "1e2",
    "true",
    "null",
]
_NUMBERS += ['"5"', '"null"', "-0", '"1E+99"', "256", "0", '""', "9" * 30]

_PIECES = [
    "\n",
    "}\n{",
    "]\n[",
    " ",
    "{",
    "}",
    "[",
    "]",
    ",",
    '"',
    "\\",
    "é",
    '"type":"ping",',
    '"type":"gtc",',
    '"x":"}{",',
]
_PIECES += ['"x":"}\n{",', '"x":{},', '"asset_id":"7",', '"asset\\u005fid":"7",', '"order_id":"",', '"account":-1,']


def one_by_one(decode: codec.FrameDecoder[Any], frames: Sequence[bytes]) -> list[Any] | None:
    """Return the items of frames, or None if one is refused."""
    try:
        return [item for frame in frames for item in decode(frame)]
    except DecodeError:
        return None


@st.composite
def spoiled(draw: st.DrawFn, good: list[str]) -> bytes:
    """Draw a good frame with one change. Most results are still good frames or look like one."""
    text = draw(st.sampled_from(good))
    at = draw(st.integers(0, len(text)))
    piece = draw(st.sampled_from(_PIECES))
    change: Callable[[], str] = draw(
        st.sampled_from(
            [
                lambda: text,
                lambda: text[:at] + piece + text[at:],
                lambda: text[:1] + piece + text[1:],
                lambda: text.replace("{", "{" + piece, 1),
                lambda: text[: text.rfind("{") + 1] + piece + text[text.rfind("{") + 1 :],
                lambda: text[:at],
                lambda: text[at:],
                lambda: text + text,
                lambda: f"{text} {text}",
                lambda: f"{text}\n{text}",
                lambda: f" {text}",
                lambda: "",
                lambda: '{"type":"ping"}',
                lambda: text.replace("{", '{"type":"subscriptions",', 1),
            ]
        )
    )
    return change().encode()


@st.composite
def renumbered(draw: st.DrawFn, good: list[str]) -> bytes:
    """Draw a good frame with one of its values replaced."""
    value = json.loads(draw(st.sampled_from(good)))
    spots = list(_spots(value))
    if spots:
        holder, key = draw(st.sampled_from(spots))
        holder[key] = "@"
    return json.dumps(value, separators=(",", ":")).replace('"@"', draw(st.sampled_from(_NUMBERS))).encode()


def _spots(value: Any) -> Any:
    """Yield every place of a value within lists and objects."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _spots(item)


@each_feed
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_batch_has_the_items_of_its_frames(
    decode_batch: codec.BatchDecoder[Any], decode: codec.FrameDecoder[Any], frames: list[str], data: st.DataObject
) -> None:
    any_frame = st.sampled_from(frames).map(str.encode) | spoiled(frames) | renumbered(frames)
    batch = data.draw(st.lists(any_frame, max_size=4))
    items = decode_batch(batch)
    if items is not None:
        expected = one_by_one(decode, batch)
        assert items == expected
        assert repr(items) == repr(expected)  # to the last digit and type


@each_feed
def test_usual_frames_are_decoded_at_once(
    decode_batch: codec.BatchDecoder[Any], decode: codec.FrameDecoder[Any], frames: list[str]
) -> None:
    for batch in ([frame.encode()] * 2 for frame in frames):
        assert decode_batch(batch) == one_by_one(decode, batch)
    batch = [frame.encode() for frame in frames] * 40
    assert decode_batch(batch) == one_by_one(decode, batch)


@each_feed
def test_a_batch_with_a_frame_that_is_not_bytes_is_not_decoded(
    decode_batch: codec.BatchDecoder[Any], decode: codec.FrameDecoder[Any], frames: list[str]
) -> None:
    assert decode_batch([frames[0]] * 2) is None
    assert decode_batch([BinaryMessage(frames[0].encode())] * 2) is None
    assert not decode_batch([])


@each_feed
def test_as_many_values_as_frames_but_not_one_in_each_are_refused(
    decode_batch: codec.BatchDecoder[Any], decode: codec.FrameDecoder[Any], frames: list[str]
) -> None:
    """One frame has two values and another has none."""
    text = frames[0]
    for cut in range(1, len(text)):
        batch = [text[:cut].encode(), f"{text[cut:]}{text}".encode()]
        assert decode_batch(batch) is None
    assert decode_batch([b"", f"{text} {text}".encode()]) is None


def test_a_created_order_is_as_its_constructor_makes_it() -> None:
    (event,) = codec.decode_order_event_batch([CREATED.encode()]) or ()
    assert isinstance(event, OrderCreatedEvent)
    assert codec.encode(event.user_order).decode() == LIMIT_ORDER
    assert type(event.user_order.target) is TradeTarget
    assert (event.signature, hash(event)) == ((1, 255), hash(codec.decode_order_event_frame(CREATED)[0]))


@pytest.mark.parametrize("depth", [1, 49, 50, 51, 97, 98, 99, 100, 101, 100_000])
@pytest.mark.parametrize("key", ["limit_overrides", "limit_overrides_signature", "amend_overrides"])
def test_arbitrary_json_is_not_nested_deeper_than_elsewhere(key: str, depth: int) -> None:
    value = f'{{"a":{"[" * (depth - 1)}1{"]" * (depth - 1)}}}'
    frame = CREATED.replace('"book_timestamp_ns"', f'"{key}":{value},"book_timestamp_ns"').encode()
    expected = one_by_one(codec.decode_order_event_frame, [frame])
    assert codec.decode_order_event_batch([frame]) in (expected, None)
    assert (expected is None) == (depth > 98)
    assert (codec.decode_order_event_batch([frame]) is None) == (depth > 50)


def test_a_value_that_spans_two_frames_is_refused() -> None:
    """Both frames begin and end with a brace, and there are two values, but the first spans both frames."""
    batch = [b'{"x":', f'{{"y":0}},{REAL_TRADE[1:]}{REAL_TRADE}'.encode()]
    assert codec.decode_trade_batch(batch) is None


@pytest.mark.parametrize("number", ["-1", '"-0.5"', '"NaN"', '"sNaN"', '"Infinity"', "1e100", "1e-100", "1" * 101])
@pytest.mark.parametrize(
    ("feed", "field"),
    [("trades", "price"), ("trades", "quantity"), ("user trades", "price"), ("user trades", "quantity")]
    + [("klines", field) for field in ("open", "close", "low", "high", "volume")],
)
def test_one_bad_number_among_good_ones_is_seen(feed: str, field: str, number: str) -> None:
    decode_batch, decode, frames = BATCHES[feed]
    value = json.loads(frames[0])
    (value[0] if feed == "klines" else value)[field] = "@"
    bad = json.dumps(value).replace('"@"', number).encode()
    good = frames[0].encode()
    assert decode_batch([good, good]) is not None
    assert decode_batch([good, bad, good]) is None
    with pytest.raises(DecodeError):
        decode(bad)
