"""Conversions between prices and quantities and the book's units: exact, or refused."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio import Asset, FeeTierConfig, Market, MarketFeeSchedule, MarketsPage, codec
from tplus_trio.errors import DecodeError

MARKET = Market("200", 2, 3)


def test_exact_numbers_convert() -> None:
    assert MARKET.price_to_units(Decimal("123.45")) == 12345
    assert MARKET.price_to_units("123.45") == 12345
    assert MARKET.price_to_units(123) == 12300
    assert MARKET.quantity_to_units(Decimal("0.005")) == 5
    assert MARKET.amount_to_units(Decimal("0.00001")) == 1
    assert MARKET.units_to_price(12345) == Decimal("123.45")
    assert MARKET.units_to_quantity(5) == Decimal("0.005")
    assert MARKET.units_to_amount(Decimal(1)) == Decimal("0.00001")
    assert Market("200", -2, 0).price_to_units(Decimal(1200)) == 12


@pytest.mark.parametrize(
    ("price", "error", "message"),
    [
        (Decimal("123.455"), ValueError, "price 123.455 is no multiple of 0.01"),
        (Decimal(-1), ValueError, "price must not be negative"),
        (Decimal("NaN"), ValueError, "price must"),
        (Decimal("Infinity"), ValueError, "price must"),
        (123.45, TypeError, "price is a Decimal, an int or a numeric str, not float"),
        ("a lot", ValueError, "^price is not a number: 'a lot'$"),
    ],
)
def test_other_numbers_are_refused(price: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MARKET.price_to_units(price)


def test_units_that_are_a_float_are_refused() -> None:
    units: Any = 12345.0
    with pytest.raises(TypeError, match=r"^units is a Decimal, an int or a numeric str, not float$"):
        MARKET.units_to_price(units)


def test_rounding_is_on_request() -> None:
    assert MARKET.price_to_units(Decimal("1.239"), rounding=decimal.ROUND_DOWN) == 123
    assert MARKET.price_to_units(Decimal("1.231"), rounding=decimal.ROUND_UP) == 124
    assert MARKET.quantity_to_units(Decimal("0.0005"), rounding=decimal.ROUND_HALF_EVEN) == 0
    with pytest.raises(ValueError, match="rounding is one of ROUND_05UP, ROUND_CEILING"):
        MARKET.price_to_units(Decimal(1), rounding="down")


@given(units=st.integers(0, 10**30), decimals=st.integers(-20, 20), precision=st.integers(1, 5))
def test_units_come_back_whatever_the_callers_context_is(units: int, decimals: int, precision: int) -> None:
    market = Market("200", decimals, 0)
    with decimal.localcontext(decimal.Context(prec=precision)):
        assert market.price_to_units(market.units_to_price(units)) == units


def test_a_page_of_markets_is_a_sequence_and_names_its_bad_rows() -> None:
    good = '{"asset_id":"200","book_price_decimals":2,"book_quantity_decimals":3,"tick_size":"0.01"}'
    body = f'{{"markets":[{good},{{"asset_id":"201"}}],"total_markets":2,"page":0,"has_next_page":false}}'
    page = codec.decode_page(body, MarketsPage)
    assert [market.market for market in page] == [MARKET]
    assert len(page) == 1
    assert page[0] in page
    assert page[0:1] == (page[0],)
    assert (page[0].tick_size, page.has_next_page, page.total_markets) == (Decimal("0.01"), False, 2)
    assert [row.position for row in page.bad] == [1]
    with pytest.raises(DecodeError):
        codec.decode_page('{"total":1}', MarketsPage)


def test_a_fee_schedule_and_the_registry_of_assets() -> None:
    tier = '{"min_rolling_volume_usd":0,"taker_fee_rate":5,"maker_fee_rate":2}'
    schedule = f'{{"fee_account":"f","global":[{tier}],"per_asset":[]}}'
    market = f'{{"asset_id":"200","book_price_decimals":2,"book_quantity_decimals":3,"fee_schedule":{schedule}}}'
    asset = '{"index":200,"symbol":"ETH","name":"Ether","asset_class":"crypto","representations":["a@b"]}'
    page = codec.decode_page(f'{{"markets":[{market}],"symbol_map":{{"200":{asset}}}}}', MarketsPage)
    assert page.total_markets is None
    assert page[0].fee_schedule is not None
    assert page[0].fee_schedule.global_[0].taker_fee_rate == 5
    assert page.symbol_map is not None
    assert page.symbol_map[200].symbol == "ETH"


def test_any_sequence_becomes_a_tuple() -> None:
    tier = FeeTierConfig(0, 5, 2)
    schedule = MarketFeeSchedule("f", [tier], per_asset=iter([tier]))
    assert (schedule.global_, schedule.per_asset) == ((tier,), (tier,))
    assert Asset(200, "ETH", "Ether", "crypto", ["a@b"]).representations == ("a@b",)
