"""The fast writer of an order's signed text writes what the converter writes."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.model_values import KEY
from tplus_trio import GTC, GTD, IOC, AssetIdentifier, Order, Side, TradeTarget, codec
from tplus_trio.codec.order_text import order_text
from tplus_trio.models import (
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    OrderTrigger,
    TriggerAbove,
)

numbers = st.integers(0, 2**64)
flags = st.booleans()
terms = st.builds(GTC, flags) | st.builds(GTD, flags, numbers) | st.builds(IOC, flags)


def _is_legal(text: str) -> bool:
    try:
        return 1 <= len(text.encode()) <= 24
    except UnicodeEncodeError:
        return False


orders = st.builds(
    Order,
    signer=st.just(KEY),
    order_id=st.text(min_size=1, max_size=24).filter(_is_legal),
    base_asset=st.sampled_from([AssetIdentifier(200), AssetIdentifier("ab" * 32 + "@00000000000000a4b1")]),
    book_price_decimals=st.integers(-20, 20),
    book_quantity_decimals=st.integers(-20, 20),
    details=st.builds(LimitOrderDetails, numbers, numbers, terms),
    side=st.sampled_from([Side.BUY, Side.SELL]),
    creation_timestamp_ns=numbers,
    target=st.builds(TradeTarget, st.integers(0, 99), flags),
    reduce_only=flags,
    max_trading_fees_rate=numbers,
)


@given(orders)
def test_the_fast_text_of_a_limit_order_is_the_converters(order: Order) -> None:
    assert order_text(order) == codec.encode(order).decode()
    assert codec.signable(order) == codec.encode(order).decode()


@given(orders)
def test_other_orders_are_left_to_the_converter(order: Order) -> None:
    triggered = attrs.evolve(order, trigger=OrderTrigger(None, TriggerAbove(5)))
    market = attrs.evolve(order, details=MarketOrderDetails(MarketQuantity(MarketBaseQuantity(5))))
    for other in (triggered, market):
        assert order_text(other) is None
        assert codec.signable(other) == codec.encode(other).decode()
