"""Orders in the forms of older versions of the service are decoded as the same orders."""

from __future__ import annotations

import json
import re

import pytest

from tests.helpers.wire_texts import KEY, LIMIT_ORDER, limit_order
from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    GTD,
    IOC,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    Order,
    OrderTrigger,
    TimeInForce,
    TriggerAbove,
)


class TestOldFormsOfOrders:
    @pytest.mark.parametrize(
        ("new", "old"),
        [
            ('"time_in_force":{"GTC":{"post_only":true}}', '"time_in_force":{"post_only":true}'),
            ('"time_in_force":{"GTC":{"post_only":true}}', '"time_in_force":{"type":"gtc","post_only":true}'),
            (
                '{"Limit":{"limit_price":1000,"quantity":5,"time_in_force":{"GTC":{"post_only":true}}}}',
                '{"limit_price":"1000","quantity":"5","time_in_force":{"GTC":{"post_only":true}}}',
            ),
            ('"book_price_decimals":2', '"book_price_decimals":"2"'),
            ('"side":"Sell"', '"side":"ask"'),
            ('"base_asset":"200"', '"base_asset":{"Index":200}'),
            (f'"{KEY}"', f'"0x{KEY.upper()}"'),
            (f'"{KEY}"', json.dumps(list(bytes.fromhex(KEY)))),
            ('"trigger":null,', ""),
        ],
    )
    def test_old_forms_are_read_as_the_new_ones(self, new: str, old: str) -> None:
        assert new in LIMIT_ORDER
        assert codec.decode(LIMIT_ORDER.replace(new, old), Order) == limit_order()

    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ('{"post_only":false,"timestamp_ns":5}', GTD(post_only=False, timestamp_ns=5)),
            ('{"fill_or_kill":true}', IOC(fill_or_kill=True)),
            ('{"type":"GTD","post_only":false,"timestamp_ns":5}', GTD(post_only=False, timestamp_ns=5)),
        ],
    )
    def test_times_in_force_without_a_name(self, text: str, terms: TimeInForce) -> None:
        body = LIMIT_ORDER.replace('{"GTC":{"post_only":true}}', text)
        assert codec.decode(body, Order).details == LimitOrderDetails(1000, 5, terms)

    @pytest.mark.parametrize("key", ["BaseAsset", "base_asset"])
    def test_market_sizes(self, key: str) -> None:
        size = f'{{"{key}":{{"quantity":"5","max_sellable_amount":null}}}}'
        text = f'{{"Market":{{"quantity":{size},"fill_or_kill":true}}}}'
        body = re.sub(r'(?<="details":).*(?=,"side")', lambda _: text, LIMIT_ORDER)
        expected = MarketOrderDetails(MarketQuantity(MarketBaseQuantity(5)), fill_or_kill=True)
        assert codec.decode(body, Order).details == expected

    @pytest.mark.parametrize(
        "text",
        ['{"PriceAbove":{"price":5}}', '{"price_above":{"price":5}}', '{"type":"PriceAbove","price":"5"}'],
    )
    def test_triggers(self, text: str) -> None:
        body = LIMIT_ORDER.replace('"trigger":null', f'"trigger":{{"parent_order_id":"p","condition":{text}}}')
        assert codec.decode(body, Order).trigger == OrderTrigger("p", TriggerAbove(5))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('{"GTC":{"post_only":true}}', "{}"),
            ('{"GTC":{"post_only":true}}', "null"),
            ('{"GTC":{"post_only":true}}', '"GTC"'),
            ('"details":{', '"details":null,"other":{'),
            ('"trigger":null', '"trigger":{"parent_order_id":null,"condition":null}'),
            ('"trigger":null', '"trigger":{"parent_order_id":null,"condition":{"price":5}}'),
            ('"trigger":null', '"trigger":5'),
            ('"quantity":5', '"quantity":-5'),
            ('"quantity":5', '"quantity":5.5'),
            ('"oid-1"', f'"{"a" * 25}"'),
        ],
    )
    def test_what_is_not_an_order_is_refused(self, old: str, new: str) -> None:
        assert old in LIMIT_ORDER
        with pytest.raises(DecodeError, match="not the expected Order: "):
            codec.decode(LIMIT_ORDER.replace(old, new), Order)
