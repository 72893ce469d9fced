from __future__ import annotations

import copy
import datetime as dt
import importlib
import pickle
import pkgutil
from decimal import Decimal
from typing import Any, cast

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import models
from tplus_trio.models import (
    AssetIdentifier,
    Interval,
    KlinesPage,
    KlineUpdate,
    OrderBook,
    OrderBookDiff,
    PriceLevel,
    TickerOpenInterest,
    Timebar,
    Trade,
    UserTrade,
    numbers,
)

CHAIN = "00000000000000a4b1"


WETH = "82af49447d8a07e3bd95bd0d56f35241523fbab1"


CANONICAL = f"{WETH}{'0' * 24}@{CHAIN}"


class TestAssetIdentifier:
    @pytest.mark.parametrize("given", [200, "200", "0200", {"Index": 200}, {"Index": "200"}, AssetIdentifier(200)])
    def test_an_index_in_any_form_is_the_same_asset(self, given: Any) -> None:
        asset = AssetIdentifier(given)
        assert asset == "200"
        assert asset.indexed
        assert type(asset) is AssetIdentifier

    @pytest.mark.parametrize(
        "given",
        [
            f"{WETH}@{CHAIN}",
            f"0x{WETH}@{CHAIN}",
            f"0x{WETH.upper()}@0x{CHAIN.upper()}",
            CANONICAL,
            {"Address": f"0x{WETH}@{CHAIN}"},
            {"Address": {"address": list(bytes.fromhex(WETH)), "chain": list(bytes.fromhex(CHAIN))}},
        ],
    )
    def test_an_address_in_any_form_is_the_same_asset(self, given: Any) -> None:
        asset = AssetIdentifier(given)
        assert asset == CANONICAL
        assert not asset.indexed
        assert asset.address == f"{WETH}{'0' * 24}"
        assert asset.chain_hex == CHAIN
        assert asset.evm_address == f"0x{WETH}"

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "ETH",
            "ETH-USD",
            "-1",
            "1.0",
            " 200",
            "2 00",
            "²",
            "٣",
            -1,
            10**78,
            "9" * 79,
            f"@{CHAIN}",
            f"0x@{CHAIN}",
            f"{WETH}@",
            f"{WETH}@{CHAIN}00",
            f"{WETH}@{CHAIN[:-1]}",
            f"{WETH[:-1]}@{CHAIN}",
            f"{'00' * 33}@{CHAIN}",
            f"{WETH}@{CHAIN}@{CHAIN}",
            f"{WETH[:-2]}zz@{CHAIN}",
            f"{WETH[:-2]} 0@{CHAIN}",
            WETH,
            "7" * 100_000,
            {},
            {"Index": True},
            {"Index": -1},
            {"Index": 1.5},
            {"Index": None},
            {"Address": None},
            {"Address": {"address": [], "chain": [0] * 9}},
            {"Address": {"address": [256], "chain": [0] * 9}},
            {"Address": {"address": "ab", "chain": [0] * 9}},
            {"Address": {"address": ["a"], "chain": [0] * 9}},
        ],
    )
    def test_anything_else_is_refused_with_the_legal_forms(self, given: Any) -> None:
        with pytest.raises(ValueError, match=r"an asset is a registry index .* or '<address.*<chain") as caught:
            AssetIdentifier(given)
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("given", [True, False, None, 2.0, b"200", [200], Decimal(200)])
    def test_another_type_is_a_type_error(self, given: Any) -> None:
        with pytest.raises(TypeError, match="an asset is a registry index"):
            AssetIdentifier(given)

    def test_an_index_has_no_address(self) -> None:
        for name in ("address", "chain_hex", "evm_address"):
            with pytest.raises(ValueError, match="registry index"):
                getattr(AssetIdentifier(200), name)

    def test_an_asset_is_a_string(self) -> None:
        asset = AssetIdentifier("0200")
        by_text: dict[str, int] = {asset: 1}
        assert by_text["200"] == 1
        assert f"/marketdepth/{asset}" == "/marketdepth/200"
        assert repr(asset) == "AssetIdentifier('200')"

    def test_the_argument_is_called_root(self) -> None:
        assert AssetIdentifier(root="200") == "200"

    def test_copies_of_an_asset_are_equal(self) -> None:
        asset = AssetIdentifier(CANONICAL)
        for twin in (copy.deepcopy(asset), pickle.loads(pickle.dumps(asset))):
            assert twin == asset
            assert type(twin) is AssetIdentifier

    @settings(deadline=None)
    @given(st.binary(min_size=1, max_size=32), st.binary(min_size=9, max_size=9))
    def test_canonical_text_is_a_fixed_point(self, address: bytes, chain: bytes) -> None:
        asset = AssetIdentifier(f"0x{address.hex()}@{chain.hex()}")
        assert bytes.fromhex(asset.address) == address.ljust(32, b"\0")
        assert AssetIdentifier(str(asset)) == asset

    def test_the_same_text_is_parsed_once(self) -> None:
        assert AssetIdentifier("12345") is AssetIdentifier("12345")


def trade(**changes: Any) -> Trade:
    fields: dict[str, Any] = {
        "asset_id": AssetIdentifier(200),
        "trade_id": 1,
        "price": Decimal("1.5"),
        "quantity": Decimal(2),
        "timestamp_ns": 3,
        "buyer_is_maker": True,
    }
    return Trade(**fields | changes)


class TestNumbers:
    @pytest.mark.parametrize(
        "number", ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "-1E-20", "1E+100", "1E-100", "1" * 101]
    )
    def test_an_illegal_quantity_is_refused(self, number: str) -> None:
        with pytest.raises(ValueError, match="quantity must"):
            trade(quantity=Decimal(number))

    def test_an_absurd_exponent_is_refused_without_being_spelled_out(self) -> None:
        with pytest.raises(ValueError, match="exponent"):
            trade(quantity=Decimal("1E+999999999"))

    @pytest.mark.parametrize("number", ["0", "-0", "1E+99", "1E-99", "0.1000000000000000055511151231257827", "9" * 100])
    def test_a_legal_quantity_keeps_its_digits(self, number: str) -> None:
        assert str(trade(quantity=Decimal(number)).quantity) == number

    @pytest.mark.parametrize("number", [1.5, True, None, b"1", [1]])
    def test_what_is_not_exact_is_a_type_error(self, number: Any) -> None:
        with pytest.raises(TypeError, match="expected a Decimal, an int or a numeric str"):
            trade(price=number)

    def test_exact_numbers_become_decimals(self) -> None:
        made = trade(price="1.50", quantity=2)
        assert (str(made.price), made.quantity) == ("1.50", Decimal(2))
        assert type(made.quantity) is Decimal

    def test_a_text_that_is_not_a_number_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not a number: 'x"):
            trade(price="x" * 1000)

    def test_a_fee_may_be_a_rebate_but_not_infinite(self) -> None:
        fields: dict[str, Any] = {
            "asset_id": 200,
            "trade_id": 1,
            "order_id": "a",
            "price": 1,
            "quantity": 1,
            "timestamp_ns": 1,
            "is_maker": True,
            "is_buyer": True,
            "status": "Pending",
        }
        assert UserTrade(**fields, trading_fee=Decimal("-0.25")).trading_fee == Decimal("-0.25")
        assert UserTrade(**fields).trading_fee == 0
        with pytest.raises(ValueError, match="trading_fee must be finite"):
            UserTrade(**fields, trading_fee=Decimal("Infinity"))

    @pytest.mark.parametrize(
        ("maker", "buyer", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
    )
    def test_buyer_is_maker(self, maker: bool, buyer: bool, expected: bool) -> None:
        made = UserTrade(AssetIdentifier(1), 1, "a", Decimal(1), Decimal(1), 1, maker, buyer, "Confirmed")
        assert made.buyer_is_maker is expected


class TestBooks:
    def test_plain_pairs_become_levels(self) -> None:
        book = OrderBook(asks=[("10.5", 2), [Decimal(11), "0.1"]], bids=[(10, 1)], sequence_number=7)
        assert book.asks == (PriceLevel(Decimal("10.5"), Decimal(2)), PriceLevel(Decimal(11), Decimal("0.1")))
        assert book.bids[0].quantity == 1
        assert type(book.bids[0].price) is Decimal
        assert OrderBook() == OrderBook((), (), 0)

    def test_floats_in_levels_are_refused(self) -> None:
        with pytest.raises(TypeError, match="float"):
            OrderBookDiff(bids=[(cast("Any", 10.5), 1)], asks=[], sequence_number=1)

    def test_a_level_of_three_values_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unpack"):
            OrderBook(asks=[(1, 2, 3)])

    @pytest.mark.parametrize("number", ["NaN", "-Infinity", "-0.1", "1e100", "9" * 101])
    def test_illegal_numbers_of_a_book_are_refused(self, number: str) -> None:
        with pytest.raises(ValueError, match="price must"):
            OrderBook(asks=[(number, 1)])
        with pytest.raises(ValueError, match="quantity must"):
            OrderBookDiff(bids=[], asks=[(1, Decimal(number))], sequence_number=1)

    def test_models_are_frozen_and_hashable(self) -> None:
        book = OrderBook(asks=[(1, 2)])
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            book.sequence_number = 5  # type: ignore[misc]  # the point of the test
        assert len({book, OrderBook(asks=[(1, 2)]), trade(), trade()}) == 2


class TestKlines:
    BAR = Timebar(
        Decimal(1),
        Decimal(2),
        Decimal(3),
        Decimal(4),
        Decimal(5),
        1_700_000_000_123_456_789,
        1_700_000_060_000_000_000,
    )

    def test_candle_times_are_utc_datetimes(self) -> None:
        assert self.BAR.open_datetime == dt.datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=dt.UTC)
        assert self.BAR.close_datetime == dt.datetime(2023, 11, 14, 22, 14, 20, tzinfo=dt.UTC)

    def test_an_update_is_a_timebar_with_its_asset(self) -> None:
        update = KlineUpdate.of(AssetIdentifier(200), self.BAR)
        assert isinstance(update, Timebar)
        assert update.asset_id == "200"
        for field in attrs.fields(Timebar):
            assert getattr(update, field.name) == getattr(self.BAR, field.name)

    def test_a_page_holds_a_tuple(self) -> None:
        assert KlinesPage([self.BAR]).items == (self.BAR,)

    def test_intervals_are_text_as_the_service_spells_it(self) -> None:
        assert f"?interval={Interval.HOUR_4}" == "?interval=240"
        assert [str(interval) for interval in Interval] == (
            [
                "1S",
                "5S",
                "15S",
                "30S",
                "1",
                "3",
                "5",
                "15",
                "30",
                "60",
                "120",
                "240",
                "360",
                "480",
                "720",
                "1D",
                "3D",
                "1W",
                "1M",
            ]
        )


def test_open_interest_is_the_larger_side() -> None:
    assert TickerOpenInterest(long=Decimal(3), short=Decimal(5), timestamp_ns=1).total_open_interest == 5
    assert TickerOpenInterest(long=Decimal(3), timestamp_ns=1).total_open_interest == 3
    assert TickerOpenInterest(timestamp_ns=1).total_open_interest is None


def test_every_public_name_is_exported() -> None:
    modules = [
        importlib.import_module(f"{models.__name__}.{module.name}") for module in pkgutil.iter_modules(models.__path__)
    ]
    names = {name for module in modules if module.__name__ != numbers.__name__ for name in module.__all__}
    assert set(models.__all__) == names  # type: ignore[attr-defined]  # it is made at run time
    assert all(hasattr(models, name) for name in names)
