"""The terms of orders: names, values and units in the messages, and the units of a market."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.helpers.world import ASSET, open_world
from tplus_trio import (
    GTC,
    GTD,
    IOC,
    LimitOrderDetails,
    Market,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Order,
    OrderTrigger,
    Side,
    TradeTarget,
    TriggerAbove,
)
from tplus_trio.orders.terms import (
    BaseSize,
    LimitSize,
    OrderTerms,
    QuoteSize,
    check_amount,
    check_limit_size,
    check_market_size,
    check_terms,
    scaled,
)

#: A price unit is 0.01 quote units, a quantity unit 0.001 base units, an amount unit 0.00001 quote units.
MARKET = Market(ASSET, 2, 3)
LIMIT = LimitSize(price=900, quantity=5, time_in_force=GTC())


def terms(**changes: Any) -> OrderTerms:
    legal: dict[str, Any] = {
        "side": "Buy",
        "target": None,
        "max_trading_fees_rate": None,
        "trigger": None,
        "reduce_only": False,
    }
    return check_terms("o", ASSET, LIMIT, **legal | changes)


@pytest.mark.parametrize(
    ("quantity", "price", "said"), [(1, -1, "price is more than 0"), (-1, 1, "quantity is more than 0")]
)
async def test_terms_are_named_as_the_caller_names_them(
    quantity: int, price: int, said: str, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        with pytest.raises(ValueError, match=f"^{said}.*-1"):
            await world.oms.create_limit_order(quantity, price, "Buy", asset_id=ASSET)


@pytest.mark.parametrize("value", [1, 10**30, Decimal("0.001"), Decimal("1E+9")])
def test_a_legal_number_is_returned_as_it_is(value: int | Decimal) -> None:
    assert check_amount("price", value, "quote units") is value


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0, ValueError, "price is more than 0, not 0"),
        (Decimal("-0.0"), ValueError, "price is more than 0, not -0.0"),
        (Decimal("NaN"), ValueError, "price must be finite, got NaN"),
        (True, TypeError, "price is an int (units of the book) or a Decimal (quote units), not bool"),
        (1.0, TypeError, "price is an int (units of the book) or a Decimal (quote units), not float"),
        (None, TypeError, "price is an int (units of the book) or a Decimal (quote units), not NoneType"),
    ],
)
def test_any_other_number_is_refused(value: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        check_amount("price", value, "quote units")


def test_a_number_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^price must have at most 100 digits"):
        check_amount("price", Decimal("1E+1000"), "quote units")


# The numbers have at most 28 digits, as many as the usual decimal context keeps.
@given(st.integers(1, 10**27 - 1), st.integers(-3, 18))
def test_a_decimal_and_its_units_are_the_same_number(units: int, decimals: int) -> None:
    assert scaled("price", units, decimals) == units
    assert scaled("price", Decimal(units).scaleb(-decimals), decimals) == units
    with pytest.raises(ValueError, match=r"^price .* is no multiple of "):
        scaled("price", Decimal(10 * units + 1).scaleb(-decimals - 1), decimals)


class TestSizes:
    def test_each_number_has_the_unit_of_its_name(self) -> None:
        rests = GTD(timestamp_ns=7, post_only=False)
        limit = LimitSize(price=Decimal("1.5"), quantity=Decimal("1.5"), time_in_force=rests)
        assert limit.to_details(MARKET) == LimitOrderDetails(150, 1_500, rests)
        one = Decimal("1.5")
        base = BaseSize(base_quantity=one, max_sellable_amount=one, fill_or_kill=True)
        bought = MarketBaseQuantity(1_500, 150_000)
        assert base.to_details(MARKET) == MarketOrderDetails(MarketQuantity(base_asset=bought), True)
        quote = QuoteSize(quote_quantity=one, max_sellable_quantity=one, fill_or_kill=False)
        spent = MarketQuoteQuantity(150_000, 1_500)
        assert quote.to_details(MARKET) == MarketOrderDetails(MarketQuantity(quote_asset=spent), False)

    def test_units_of_the_book_stay_as_they_are(self) -> None:
        assert LIMIT.to_details(MARKET) == LimitOrderDetails(900, 5, GTC())
        base = BaseSize(base_quantity=5, max_sellable_amount=None, fill_or_kill=False)
        assert base.to_details(MARKET).quantity == MarketQuantity(base_asset=MarketBaseQuantity(5, None))
        quote = QuoteSize(quote_quantity=5, max_sellable_quantity=None, fill_or_kill=False)
        assert quote.to_details(MARKET).quantity == MarketQuantity(quote_asset=MarketQuoteQuantity(5, None))

    @pytest.mark.parametrize(
        ("size", "name"),
        [
            (LimitSize(price=Decimal("0.001"), quantity=1, time_in_force=GTC()), "price"),
            (LimitSize(price=1, quantity=Decimal("0.0001"), time_in_force=GTC()), "quantity"),
            (BaseSize(base_quantity=Decimal("0.0001"), max_sellable_amount=None, fill_or_kill=False), "base_quantity"),
            (BaseSize(base_quantity=1, max_sellable_amount=Decimal("1E-6"), fill_or_kill=False), "max_sellable_amount"),
            (
                QuoteSize(quote_quantity=Decimal("1E-6"), max_sellable_quantity=None, fill_or_kill=False),
                "quote_quantity",
            ),
            (
                QuoteSize(quote_quantity=1, max_sellable_quantity=Decimal("0.0001"), fill_or_kill=False),
                "max_sellable_quantity",
            ),
        ],
    )
    def test_what_is_no_multiple_of_a_unit_is_named(self, size: LimitSize | BaseSize | QuoteSize, name: str) -> None:
        with pytest.raises(ValueError, match=f"^{name} .* is no multiple of "):
            size.to_details(MARKET)

    def test_a_limit_order_rests_until_it_is_cancelled(self) -> None:
        size = check_limit_size(5, 900, None)
        assert (size.price, size.quantity, size.time_in_force) == (900, 5, GTC(post_only=False))
        at_once = IOC(fill_or_kill=True)
        assert check_limit_size(5, 900, at_once).time_in_force is at_once
        with pytest.raises(TypeError, match=r"^time_in_force is a GTC\(\), GTD\(\) or IOC\(\).*not 'GTC'$"):
            check_limit_size(5, 900, "GTC")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                (None, None, False, None, None),
                "exactly one of base_quantity and quote_quantity .* neither is given",
            ),
            ((1, 1, False, None, None), "exactly one of base_quantity and quote_quantity .* both are given"),
            ((1, None, False, None, 1), "max_sellable_quantity goes with quote_quantity; base_quantity takes"),
            ((None, 1, False, 1, None), "max_sellable_amount goes with base_quantity; quote_quantity takes"),
            ((0, None, False, None, None), "base_quantity is more than 0, not 0"),
            ((None, 0, False, None, None), "quote_quantity is more than 0, not 0"),
            ((1, None, False, 0, None), "max_sellable_amount is more than 0, not 0"),
            ((None, 1, False, None, 0), "max_sellable_quantity is more than 0, not 0"),
        ],
    )
    def test_a_market_order_has_one_size_and_its_own_cap(self, arguments: tuple[Any, ...], message: str) -> None:
        with pytest.raises(ValueError, match=f"^{message}"):
            check_market_size(*arguments)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((1.5, None, False, None, None), "base_quantity is an int .*base units"),
            ((None, 1.5, False, None, None), "quote_quantity is an int .*quote units"),
            ((1, None, False, 1.5, None), "max_sellable_amount is an int .*quote units"),
            ((None, 1, False, None, 1.5), "max_sellable_quantity is an int .*base units"),
            ((1, None, 1, None, None), "fill_or_kill"),
        ],
    )
    def test_the_unit_of_a_number_is_named(self, arguments: tuple[Any, ...], message: str) -> None:
        with pytest.raises(TypeError, match=f"^{message}"):
            check_market_size(*arguments)


class TestTerms:
    def test_none_is_replaced_by_the_defaults(self) -> None:
        order = terms().to_order(MARKET, "ab" * 32, 7)
        assert (order.side, order.details) == (Side.BUY, LimitOrderDetails(900, 5, GTC()))
        assert order.target == TradeTarget.margin_account_spot_trade()
        assert (order.max_trading_fees_rate, order.reduce_only, order.trigger) == (50_000, False, None)
        assert (order.book_price_decimals, order.book_quantity_decimals) == (2, 3)
        assert (order.signer, order.order_id, order.base_asset) == ("ab" * 32, "o", ASSET)
        assert order.creation_timestamp_ns == 7

    @pytest.mark.parametrize("trigger", [None, OrderTrigger("parent", TriggerAbove(5))])
    @pytest.mark.parametrize("size", [LIMIT, BaseSize(base_quantity=5, max_sellable_amount=None, fill_or_kill=True)])
    def test_it_is_the_order_that_its_own_constructor_makes(
        self, size: LimitSize | BaseSize, trigger: OrderTrigger | None
    ) -> None:
        order = check_terms(
            "o",
            ASSET,
            size,
            side="sell",
            target=None,
            max_trading_fees_rate=None,
            trigger=trigger,
            reduce_only=True,
        ).to_order(MARKET, "ab" * 32, 7)
        again = Order(**{field.name: getattr(order, field.name) for field in attrs.fields(Order)})
        assert type(order) is Order
        assert (order, hash(order), repr(order)) == (again, hash(again), repr(again))
        assert order.protocol_version == 1

    def test_what_is_given_is_kept(self) -> None:
        target, trigger = TradeTarget(account=3, is_spot=False), OrderTrigger("parent", TriggerAbove(5))
        order = terms(side="sell", target=target, max_trading_fees_rate=0, trigger=trigger, reduce_only=True).to_order(
            MARKET, "ab" * 32, 7
        )
        assert (order.side, order.target, order.trigger) == (Side.SELL, target, trigger)
        assert (order.max_trading_fees_rate, order.reduce_only) == (0, True)

    @pytest.mark.parametrize(
        ("name", "value", "kind"),
        [
            ("side", "up", ValueError),
            ("target", 1, TypeError),
            ("max_trading_fees_rate", -1, ValueError),
            ("max_trading_fees_rate", 0.5, TypeError),
            ("trigger", TriggerAbove(5), TypeError),
            ("reduce_only", 1, TypeError),
        ],
    )
    def test_an_argument_that_is_not_legal_is_named(self, name: str, value: object, kind: type[Exception]) -> None:
        with pytest.raises(kind, match=f"^{name} "):
            terms(**{name: value})
