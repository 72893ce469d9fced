"""Depth frames and order books: numbers are exact, levels are sorted, bad numbers are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import LocalBook, codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import OrderBook, OrderBookDiff, PriceLevel


class TestDepth:
    def test_numbers_are_exact_in_any_spelling(self) -> None:
        thirty = "123456789012345.123456789012345"
        frame = (
            f'{{"bids":[["0.1000000000000000055511151231257827",1.30e-5],[{thirty},"{thirty}"]],'
            '"asks":[[0.1000000000000000055511151231257827,0],["1E2",0.00]],"sequence_number":"18446744073709551615"}'
        )
        (diff,) = codec.decode_depth_frame(frame)
        assert [tuple(map(str, level)) for level in diff.bids] == [
            ("0.1000000000000000055511151231257827", "0.0000130"),
            (thirty, thirty),
        ]
        assert [tuple(map(str, level)) for level in diff.asks] == [
            ("0.1000000000000000055511151231257827", "0"),
            ("1E+2", "0.00"),
        ]
        assert diff.sequence_number == 2**64 - 1
        assert type(diff.bids[0]) is PriceLevel

    def test_a_diff_may_have_empty_sides(self) -> None:
        assert codec.decode_depth_frame('{"sequence_number":0,"asks":[],"bids":[]}') == (OrderBookDiff((), (), 0),)

    @pytest.mark.parametrize(
        "frame",
        [
            '{"asks":[],"bids":[]}',
            '{"asks":[],"sequence_number":1}',
            '{"asks":null,"bids":[],"sequence_number":1}',
            '{"asks":[[1]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,null]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,true]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,""]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,"abc"]],"bids":[],"sequence_number":1}',
            '{"asks":[["1.2.3",1]],"bids":[],"sequence_number":1}',
            '{"asks":[{"price":1,"quantity":2}],"bids":[],"sequence_number":1}',
            '{"asks":[],"bids":[],"sequence_number":-1}',
            '{"asks":[],"bids":[],"sequence_number":1.5}',
            '{"asks":[],"bids":[],"sequence_number":true}',
            '{"asks":[],"bids":[],"sequence_number":null}',
            '{"asks":[],"bids":[],"sequence_number":"x"}',
            f'{{"asks":[],"bids":[],"sequence_number":{"9" * 101}}}',
            f'{{"asks":[],"bids":[],"sequence_number":{"9" * 5000}}}',
        ],
    )
    def test_what_is_not_a_diff_is_refused(self, frame: str) -> None:
        with pytest.raises(DecodeError, match="not an order book diff"):
            codec.decode_depth_frame(frame)
        with pytest.raises(DecodeError):
            codec.decode(frame, OrderBookDiff)

    spelled = st.one_of(
        st.decimals(allow_nan=True, allow_infinity=True).map(str),
        st.integers(-(10**120), 10**120).map(str),
        st.floats().map(repr),
        st.sampled_from(["-0", "-0.0", "1e99", "1e100", "1e-99", "1e-100", "0e500", "nan", "NAN", "Inf", "9" * 100]),
        st.integers(90, 110).map(lambda n: "1" * n),
        st.integers(90, 110).map(lambda n: "0." + "1" * n),
    )

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(spelled, st.booleans()), min_size=2, max_size=40),
        st.booleans(),
        st.sampled_from(["", " "]),
    )
    def test_a_frame_is_refused_exactly_if_one_of_its_numbers_is(
        self, numbers: list[tuple[str, bool]], plain: bool, space: str
    ) -> None:
        """Other numbers, spaces and spellings around it make no difference."""
        spelled = [str(n % 7 + 1) if plain else text for n, (text, _) in enumerate(numbers)]
        levels = [
            [json.dumps(text) if quoted or not _is_json_number(text) else text for text in pair]
            for pair, (_, quoted) in zip(zip(spelled[::2], spelled[1::2], strict=False), numbers, strict=False)
        ]
        half = len(levels) // 2
        sides = [
            f",{space}".join(f"[{price},{quantity}]" for price, quantity in part)
            for part in (levels[:half], levels[half:])
        ]
        frame = f'{{"asks":{space}[{sides[0]}],{space}"bids":[{sides[1]}],"sequence_number":7}}'
        used = spelled[: len(levels) * 2]
        if all(_is_quantity(text) for text in used):
            (diff,) = codec.decode_depth_frame(frame)
            assert [str(n).removeprefix("-") for level in (*diff.asks, *diff.bids) for n in level] == [
                str(Decimal(text)).removeprefix("-")
                for text in used  # a JSON -0 is an integer, and so 0
            ]
        else:
            with pytest.raises(DecodeError):
                codec.decode_depth_frame(frame)

    def test_a_long_number_among_many_short_ones_is_refused(self) -> None:
        for place in range(30):
            levels = [["1.5", "2.5"] for _ in range(30)]
            levels[place][1] = "1" * 101
            frame = json.dumps({"asks": levels, "bids": [], "sequence_number": 1})
            with pytest.raises(DecodeError, match="100 digits"):
                codec.decode_depth_frame(frame)
            levels[place][1] = "1" * 100
            codec.decode_depth_frame(json.dumps({"asks": levels, "bids": [], "sequence_number": 1}))

    def test_a_book_has_exact_levels_and_its_number(self) -> None:
        body = '{"asks":[["2","1e-5"]],"bids":[[1,"3.0"]],"sequence_number":5}'
        assert codec.decode(body, OrderBook) == OrderBook([(2, "0.00001")], [(1, 3)], 5)
        assert codec.decode('{"bids":[]}', OrderBook) == OrderBook()

    @pytest.mark.parametrize("more", ["", ",4", ',"a count"'], ids=["pairs", "counts", "texts"])
    def test_a_book_is_sorted_best_first(self, more: str) -> None:
        levels = ",".join(f"[{price},{quantity}{more}]" for price, quantity in ((2, 5), (1, 6), (3, 7), (2, 8)))
        book = codec.decode(f'{{"asks":[{levels}],"bids":[{levels}],"sequence_number":5}}', OrderBook)
        # If a price is repeated, its last level wins. So these levels must keep their order.
        assert plain(book.asks) == [(1, 6), (2, 5), (2, 8), (3, 7)]
        assert plain(book.bids) == [(3, 7), (2, 5), (2, 8), (1, 6)]
        by_hand = [(2, 5), (1, 6), (3, 7), (2, 8)]
        assert book == OrderBook(asks=by_hand, bids=by_hand, sequence_number=5)
        local = LocalBook(book)
        assert plain(local.asks()) == [(1, 6), (2, 8), (3, 7)]
        assert plain(local.bids()) == [(3, 7), (2, 8), (1, 6)]

    def test_a_price_that_cannot_be_sorted_is_refused(self) -> None:
        levels = [PriceLevel(Decimal(price), Decimal(1)) for price in ("1", "nan")]
        with pytest.raises(ValueError, match="price"):
            OrderBook(asks=levels)
        with pytest.raises(ValueError, match="price"):
            OrderBook(bids=levels)

    @pytest.mark.parametrize(
        "body",
        [
            "{}",
            '{"error":"no such market"}',
            "[]",
            '{"asks":[[1,-1]]}',
            '{"asks":[["NaN",1]]}',
            f'{{"asks":[[1,2]],"bids":[[1,{"1" * 101}]],"sequence_number":1}}',
            '{"sequence_number":-5}',
            b'{"asks":[],"x":"\xff"}',
        ],
    )
    def test_what_is_not_a_book_is_refused(self, body: bytes | str) -> None:
        with pytest.raises(DecodeError, match="not the expected OrderBook: "):
            codec.decode(body, OrderBook)


def plain(levels: Iterable[PriceLevel]) -> list[tuple[int, int]]:
    return [(int(price), int(quantity)) for price, quantity in levels]


def _is_json_number(text: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", text) is not None


def _is_quantity(text: str) -> bool:
    number = Decimal(text)
    if not number.is_finite() or number < 0:
        return False
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number == 0:
        return -198 <= exponent <= 99
    return len(digits) <= 100 and -99 <= number.adjusted() <= 99
