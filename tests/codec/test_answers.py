"""Answers of REST: envelopes, bare values and plain objects."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.wire_texts import ASSET, LISTED_ORDER, REMOVED
from tplus_trio import codec, models
from tplus_trio.errors import DecodeError
from tplus_trio.models import AuthToken, Market, Nonce, OrderEvent, Side, UserOrders


class TestAnswers:
    def test_nonces_come_as_an_object_or_bare(self) -> None:
        for body in ('{"value":5,"expiry":1}', '{"value":"5"}', '"5"', "5"):
            assert codec.decode(body, Nonce) == Nonce("5")
        for body in ("{}", "null", "true", "5.5", '{"value":null}', "[]", '{"nonce":5}'):
            with pytest.raises(DecodeError):
                codec.decode(body, Nonce)

    def test_tokens_are_decoded(self) -> None:
        assert codec.decode('{"token":"t","expiry_ns":"5"}', AuthToken) == AuthToken("t", 5)

    def test_markets_are_decoded(self) -> None:
        body = '{"asset_id":"200","book_price_decimals":2,"book_quantity_decimals":-3,"tick_size":"0.01"}'
        assert codec.decode(body, Market) == Market(ASSET, 2, -3)

    def test_orders_come_in_an_envelope_or_bare(self) -> None:
        orders = codec.decode(f"[{LISTED_ORDER}]", UserOrders)
        assert (str(orders.orders[0].limit_price), orders.orders[0].side) == ("10.50", Side.BUY)
        assert orders.page == {}
        page = codec.decode(f'{{"orders":[{LISTED_ORDER}],"has_next_page":false,"x":1.10}}', UserOrders)
        assert page.orders == orders.orders
        assert page.page == {"has_next_page": False, "x": Decimal("1.10")}
        assert str(page.page["x"]) == "1.10"
        for body in ("{}", '{"orders":null}', '{"orders":[{}]}', '[{"order_id":"o"}]', "5", '{"error":"x"}'):
            with pytest.raises(DecodeError):
                codec.decode(body, UserOrders)

    def test_answers_to_operations_are_decoded(self) -> None:
        answer = codec.decode('{"order_id":"o","status":"Rejected","reason":"margin"}', models.OrderOperationResponse)
        assert answer == models.OrderOperationResponse("o", models.OperationStatus.REJECTED, "margin")
        unknown = codec.decode('{"order_id":"o","status":"Maybe"}', models.OrderOperationResponse)
        assert (unknown.status, unknown.status.is_known, answer.status.is_known) == ("Maybe", False, True)

    def test_plain_objects_keep_their_numbers(self) -> None:
        body = '{"a":0.1000000000000000055511151231257827,"b":12345678901234567890123}'
        assert codec.decode(body, dict[str, Any]) == {
            "a": Decimal("0.1000000000000000055511151231257827"),
            "b": 12345678901234567890123,
        }
        for bad in ('{"a":1e999999999}', "[]", '{"a":'):
            with pytest.raises(DecodeError):
                codec.decode(bad, dict[str, Any])

    def test_containers_of_tagged_unions_are_decoded(self) -> None:
        events = codec.decode(f'[{{"Removed":{REMOVED}}},{{"type":"odd"}}]', list[OrderEvent])
        assert [event.event_type for event in events] == ["REMOVED", "UNKNOWN"]
