"""Changes that are read to floats: the same changes as those read exactly, or read exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.spelled_numbers import SPELLED_NUMBERS, depth_text
from tplus_trio.codec import FloatDiff, decode_depth_frame, decode_float_depth_batch
from tplus_trio.errors import DecodeError
from tplus_trio.models import OrderBookDiff

NUMBER = '{"asks":[[%s,1]],"bids":[],"sequence_number":7}'


@given(
    st.lists(
        st.builds(
            depth_text,
            st.lists(st.tuples(SPELLED_NUMBERS, SPELLED_NUMBERS), max_size=3),
            st.lists(st.tuples(SPELLED_NUMBERS, SPELLED_NUMBERS), max_size=3),
            st.integers(0, 10**20),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=1000)
def test_every_change_is_the_exact_one(texts: list[str]) -> None:
    frames = [text.encode() for text in texts]
    expected: list[OrderBookDiff] = []
    for frame in frames:
        try:
            expected += decode_depth_frame(frame)
        except DecodeError:
            assert decode_float_depth_batch(frames) is None
            return
    found = decode_float_depth_batch(frames)
    if found is None:
        return  # the caller decodes each frame exactly
    assert len(found) == len(expected)
    for one, diff in zip(found, expected, strict=True):
        assert (one.sequence_number, one.previous_sequence_number) == (diff.sequence_number, diff.sequence_number - 1)
        assert repr((one.bids, one.asks)) == repr((diff.bids, diff.asks))
        if isinstance(one, FloatDiff):
            for floats, levels in ((one.float_bids, diff.bids), (one.float_asks, diff.asks)):
                assert [price for price, _ in floats] == [float(level.price) for level in levels]
                assert [bool(quantity) for _, quantity in floats] == [bool(level.quantity) for level in levels]


@given(st.lists(st.decimals(0, 10**16, allow_nan=False, places=None).map(abs), min_size=2, max_size=2))
def test_prices_that_are_read_to_floats_compare_as_they_do(prices: list[Decimal]) -> None:
    frames = [(NUMBER % f"{price:f}").encode() for price in prices]
    found = [decode_float_depth_batch([frame]) for frame in frames]
    floats = [one[0].float_asks[0][0] for one in found if one is not None and isinstance(one[0], FloatDiff)]
    if len(floats) == 2:
        a, b = prices
        assert (floats[0] < floats[1], floats[0] == floats[1]) == (a < b, a == b)


@pytest.mark.parametrize(
    "number", ["1", "0", "1.10", "123456789012345", "1234567.1234567", '"1.50"', "0.0000000000001"]
)
def test_a_usual_price_is_read_to_a_float(number: str) -> None:
    found = decode_float_depth_batch([(NUMBER % number).encode()])
    assert found is not None
    assert isinstance(found[0], FloatDiff)


@pytest.mark.parametrize(
    "number",
    [
        "1234567890123456",
        "1234567890.12345678",
        "0.1000000000000000055511151231257827",
        "1e5",
        "1e-400",
        '"1E2"',
        "9007199254740993",
        '"9007199254740993"',
        "0.30000000000000004",
    ],
)
def test_an_unusual_price_is_not(number: str) -> None:
    frames = [(NUMBER % number).encode()] * 2
    found = decode_float_depth_batch(frames)
    assert found is None or not any(isinstance(one, FloatDiff) for one in found)


def test_a_long_quantity_and_a_long_number_do_not_matter() -> None:
    text = depth_text([("1.4", '"0.000000000000000000001"')], [("1.5", "0.123456789012345678")], 1732850000000000000)
    found = decode_float_depth_batch([text.encode()])
    assert found is not None
    (diff,) = found
    assert isinstance(diff, FloatDiff)
    assert diff.float_bids[0][1] > 0
    assert diff.asks[0].quantity == Decimal("0.123456789012345678")


@pytest.mark.parametrize(
    "text",
    [
        b'{"asks":[[-1,1]],"bids":[],"sequence_number":7}',
        b'{"asks":[[1,1,3]],"bids":[],"sequence_number":7}',
        b'{"asks":[[1]],"bids":[],"sequence_number":7}',
        b'{"asks":[],"bids":[]}',
        b'{"asks":[],"bids":[],"sequence_number":7,"text":"x"}',
        b'{"type":"ping"}',
        b"",
        b"[]",
    ],
)
def test_other_frames_are_left_to_the_frame_decoder(text: bytes) -> None:
    assert decode_float_depth_batch([text]) is None
    assert decode_float_depth_batch([NUMBER.encode() % b"1", text]) is None
