"""The text that is signed for each kind of order and operation, and the body that carries it."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from tests.helpers.wire_texts import ASSET, KEY, LIMIT_ORDER, limit_order
from tplus_trio import codec, models
from tplus_trio.models import (
    GTD,
    IOC,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    OrderTrigger,
    ReplaceOrderDetails,
    TimeInForce,
    TriggerAbove,
    TriggerBelow,
)


class TestSigning:
    def test_a_limit_order(self) -> None:
        assert codec.signable(limit_order()) == LIMIT_ORDER
        assert codec.encode(limit_order()) == LIMIT_ORDER.encode()

    @pytest.mark.parametrize(
        ("terms", "text"),
        [
            (GTD(post_only=False, timestamp_ns=5), '{"GTD":{"post_only":false,"timestamp_ns":5}}'),
            (IOC(fill_or_kill=False), '{"IOC":{"fill_or_kill":false}}'),
        ],
    )
    def test_other_times_in_force(self, terms: TimeInForce, text: str) -> None:
        expected = LIMIT_ORDER.replace('{"GTC":{"post_only":true}}', text)
        assert codec.signable(limit_order(details=LimitOrderDetails(1000, 5, terms))) == expected

    @pytest.mark.parametrize(
        ("size", "text"),
        [
            (
                MarketQuantity(MarketBaseQuantity(5)),
                '{"BaseAsset":{"quantity":5,"max_sellable_amount":null}}',
            ),
            (
                MarketQuantity(quote_asset=MarketQuoteQuantity(5, 6)),
                '{"QuoteAsset":{"quantity":5,"max_sellable_quantity":6}}',
            ),
        ],
    )
    def test_market_orders(self, size: MarketQuantity, text: str) -> None:
        details = f'{{"Market":{{"quantity":{text},"fill_or_kill":false}}}}'
        expected = re.sub(r'(?<="details":).*(?=,"side")', lambda _: details, LIMIT_ORDER)
        assert codec.signable(limit_order(details=MarketOrderDetails(size))) == expected

    @pytest.mark.parametrize(
        ("condition", "text"),
        [
            (TriggerBelow(9500), '{"parent_order_id":null,"condition":{"PriceBelow":{"price":9500}}}'),
            (TriggerAbove(9500), '{"parent_order_id":null,"condition":{"PriceAbove":{"price":9500}}}'),
        ],
    )
    def test_triggers(self, condition: Any, text: str) -> None:
        expected = LIMIT_ORDER.replace('"trigger":null', f'"trigger":{text}')
        assert codec.signable(limit_order(trigger=OrderTrigger(None, condition))) == expected

    def test_cancelling(self) -> None:
        cancel = CancelOrder("oid-1", ASSET, KEY)
        text = f'{{"order_id":"oid-1","asset_id":"200","signer":"{KEY}","protocol_version":1}}'
        assert codec.signable(cancel) == text
        assert (
            codec.encode(CancelOrderRequest(cancel, b"\x01\x02", 7)).decode()
            == f'{{"cancel":{text},"signature":[1,2],"post_sign_timestamp":7}}'
        )

    def test_replacing(self) -> None:
        details = ReplaceOrderDetails(
            order_id="oid-1",
            base_asset=ASSET,
            timestamp_ns=9,
            new_price_limit=1050,
            new_quantity=6,
            book_quantity_decimals=3,
            book_price_decimals=2,
        )
        text = (
            '{"order_id":"oid-1","base_asset":"200","timestamp_ns":9,"new_price_limit":1050,"new_quantity":6,'
            '"new_trigger":null,"book_quantity_decimals":3,"book_price_decimals":2,"protocol_version":1}'
        )
        assert codec.signable(details) == text
        assert (
            codec.encode(models.ReplaceOrderRequestPayload(details, KEY, b"\x01", 7)).decode()
            == f'{{"request":{text},"signer":"{KEY}","signature":[1],"post_sign_timestamp":7,"additional_signers":[]}}'
        )
        triggered = attrs.evolve(details, new_trigger=TriggerAbove(5))
        assert '"new_trigger":{"PriceAbove":{"price":5}}' in codec.signable(triggered)
        assert codec.decode(codec.encode(triggered), ReplaceOrderDetails) == triggered

    def test_amending(self) -> None:
        amend = models.AmendOrderRequest(
            request=models.AmendOrder(
                order_id="oid-1", base_asset=ASSET, new_quantity=4, book_quantity_decimals=3, timestamp_ns=9
            ),
            user_id=KEY,
        )
        assert codec.encode(amend).decode() == (
            '{"request":{"order_id":"oid-1","base_asset":"200","new_quantity":4,"book_quantity_decimals":3,'
            '"expected_authorization_revision":null,"timestamp_ns":9,"source":"User"},'
            f'"user_id":"{KEY}","target":{{"account":0,"is_spot":false}},"oms_operator_pubkey":"",'
            '"receive_timestamp_ns":null}'
        )

    def test_the_posted_body(self) -> None:
        request = CreateOrderRequest(limit_order(), b"\x01\x02", 7)
        body = f'{{"order":{LIMIT_ORDER},"signature":[1,2],"post_sign_timestamp":7,"additional_signers":[]}}'
        assert codec.encode(request).decode() == body
        assert codec.encode({"orders": [request, request]}).decode() == f'{{"orders":[{body},{body}]}}'
        assert codec.decode(body, CreateOrderRequest) == request
