from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, get_args

import attrs
import pytest

from tplus_trio import codec, models
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Order,
    OrderCreatedEvent,
    OrderEvent,
    OrderTrigger,
    OrderUpdatedEvent,
    ReplaceOrderDetails,
    Side,
    TimeInForce,
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
    UnknownOrderEvent,
    UserActivityEvent,
)

KEY = "d04a" + "0" * 56 + "8737"
ASSET = AssetIdentifier(200)
REMOVED = (
    '{"order_id":"oid-1","asset_id":"200","user_id":"u","timestamp_ns":1,"reason":"Completed","filled_quantity":5}'
)
DEPOSIT = '{"user":"u","asset":"200","amount":"1000000000000000000","chain_id":"1","deposit_nonce":1,"timestamp_ns":2}'


def order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "signer": KEY,
        "order_id": "oid-1",
        "base_asset": ASSET,
        "book_price_decimals": 2,
        "book_quantity_decimals": 3,
        "details": LimitOrderDetails(1000, 5, GTC(post_only=True)),
        "side": Side.SELL,
        "creation_timestamp_ns": 1795365106157325064,
        "target": TradeTarget(account=1, is_spot=True),
    }
    return Order(**fields | changes)


class TestSigning:
    LIMIT = (
        '{"signer":"' + KEY + '","order_id":"oid-1","base_asset":"200","book_price_decimals":2,'
        '"book_quantity_decimals":3,"details":{"Limit":{"limit_price":1000,"quantity":5,"time_in_force":'
        '{"GTC":{"post_only":true}}}},"side":"Sell","trigger":null,"creation_timestamp_ns":1795365106157325064,'
        '"target":{"account":1,"is_spot":true},"reduce_only":false,"max_trading_fees_rate":50000,"protocol_version":1}'
    )

    def test_a_limit_order(self) -> None:
        assert codec.signable(order()) == self.LIMIT
        assert codec.encode(order()) == self.LIMIT.encode()

    @pytest.mark.parametrize(
        ("terms", "text"),
        [
            (GTD(post_only=False, timestamp_ns=5), '{"GTD":{"post_only":false,"timestamp_ns":5}}'),
            (IOC(fill_or_kill=False), '{"IOC":{"fill_or_kill":false}}'),
        ],
    )
    def test_other_times_in_force(self, terms: TimeInForce, text: str) -> None:
        expected = self.LIMIT.replace('{"GTC":{"post_only":true}}', text)
        assert codec.signable(order(details=LimitOrderDetails(1000, 5, terms))) == expected

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
        expected = re.sub(r'(?<="details":).*(?=,"side")', lambda _: details, self.LIMIT)
        assert codec.signable(order(details=MarketOrderDetails(size))) == expected

    @pytest.mark.parametrize(
        ("condition", "text"),
        [
            (TriggerBelow(9500), '{"parent_order_id":null,"condition":{"PriceBelow":{"price":9500}}}'),
            (TriggerAbove(9500), '{"parent_order_id":null,"condition":{"PriceAbove":{"price":9500}}}'),
        ],
    )
    def test_triggers(self, condition: Any, text: str) -> None:
        expected = self.LIMIT.replace('"trigger":null', f'"trigger":{text}')
        assert codec.signable(order(trigger=OrderTrigger(None, condition))) == expected

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
        request = CreateOrderRequest(order(), b"\x01\x02", 7)
        body = f'{{"order":{self.LIMIT},"signature":[1,2],"post_sign_timestamp":7,"additional_signers":[]}}'
        assert codec.encode(request).decode() == body
        assert codec.encode({"orders": [request, request]}).decode() == f'{{"orders":[{body},{body}]}}'
        assert codec.decode(body, CreateOrderRequest) == request


ORDER_EVENTS: dict[str, tuple[str, str]] = {
    "Created": (
        "CREATED",
        (
            f'{{"user_order":{TestSigning.LIMIT},"signature":[1,2],"book_timestamp_ns":"5","amend_overrides":{{"a":1.10}},'
            '"trigger_touched":null,"is_liquidation":true}'
        ),
    ),
    "Updated": (
        "UPDATED",
        '{"order_id":"o","status":"Open","filled_quantity":"1","remaining_quantity":2,"update_timestamp_ns":3}',
    ),
    "Canceled": (
        "CANCELED",
        '{"order_id":"o","asset_id":"200","user_id":"u","timestamp_ns":1,"reason":"asked"}',
    ),
    "Removed": ("REMOVED", REMOVED),
    "Replaced": (
        "REPLACED",
        '{"order_id":"o","asset_id":{"Index":200},"user_id":"u","new_quantity":1,"new_price":"2"}',
    ),
    "Amended": (
        "AMENDED",
        '{"order_id":"o","asset_id":"200","user_id":"u","new_quantity":1,"remaining_quantity":"2"}',
    ),
    "Triggered": (
        "TRIGGERED",
        '{"order_id":"o","asset_id":"200","user_id":"u","timestamp_ns":1,"quantity":5,"trigger_touched":true}',
    ),
    "CreateFailed": ("CREATEFAILED", '{"order_id":"o","user_id":"u","reason":"margin"}'),
    "ReplaceFailed": ("REPLACEFAILED", '{"order_id":"o","user_id":"u","reason":null}'),
    "AmendFailed": ("AMENDFAILED", '{"order_id":"o","user_id":"u"}'),
    "CancelFailed": ("CANCELFAILED", '{"order_id":"o","user_id":"u","operator":5}'),
}


class TestOrderEvents:
    def test_every_variant_has_an_example(self) -> None:
        assert len(ORDER_EVENTS) == len(get_args(OrderEvent)) - 1

    @pytest.mark.parametrize("variant", ORDER_EVENTS)
    def test_both_forms_and_any_spelling_of_the_name(self, variant: str) -> None:
        event_type, fields = ORDER_EVENTS[variant]
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", variant).lower()
        frames = [f'{{"{name}":{fields}}}' for name in (variant, variant.lower(), variant.upper(), snake)]
        frames += [f'{{"type":"{name}",{fields[1:]}' for name in (variant, variant.lower(), snake, snake.upper())]
        (event,) = codec.decode_order_event_frame(frames[0])
        assert not isinstance(event, UnknownOrderEvent)
        assert event.event_type == event_type
        for frame in frames:
            assert codec.decode_order_event_frame(frame) == (event,)
        assert codec.decode_order_event_frame(codec.encode(event, decimals="number")) == (event,)
        assert next(iter(json.loads(codec.encode(event)))) == variant

    def test_a_created_order(self) -> None:
        (event,) = codec.decode_order_event_frame(f'{{"Created":{ORDER_EVENTS["Created"][1]}}}')
        assert event == OrderCreatedEvent(
            order(), (1, 2), 5, amend_overrides={"a": Decimal("1.10")}, is_liquidation=True
        )
        assert event.order_id == "oid-1"

    def test_numbers_default_to_zero(self) -> None:
        (event,) = codec.decode_order_event_frame(f'{{"Removed":{REMOVED}}}')
        assert isinstance(event, models.OrderRemovedEvent)
        assert (event.filled_quantity, event.confirmed_quantity, event.confirmed_amount) == (5, 0, 0)

    @pytest.mark.parametrize(
        "frame",
        [
            '{"Frobnicated":{"a":0.1000000000000000055511151231257827,"b":[1]}}',
            '{"type":"Frobnicated","a":0.1000000000000000055511151231257827,"b":[1]}',
        ],
    )
    def test_an_unknown_variant_arrives_with_its_payload(self, frame: str) -> None:
        (event,) = codec.decode_order_event_frame(frame)
        assert event == UnknownOrderEvent(
            "Frobnicated", {"a": Decimal("0.1000000000000000055511151231257827"), "b": [1]}
        )
        assert codec.decode_order_event_frame(codec.encode(event, decimals="number")) == (event,)

    @pytest.mark.parametrize(
        ("known", "unknown"),
        [
            ("GTC", "GTX"),
            ("Limit", "Stop"),
            ('"trigger":null', '"trigger":{"parent_order_id":null,"condition":{"Up":{}}}'),
        ],
    )
    def test_an_event_with_a_part_of_an_unknown_kind_arrives_with_its_payload(self, known: str, unknown: str) -> None:
        frame = f'{{"Created":{ORDER_EVENTS["Created"][1].replace(known, unknown)}}}'
        (event,) = codec.decode_order_event_frame(frame)
        assert isinstance(event, UnknownOrderEvent)
        assert event.variant == "Created"
        assert event.payload["user_order"]["order_id"] == "oid-1"

    def test_an_unknown_side_is_kept(self) -> None:
        frame = f'{{"Created":{ORDER_EVENTS["Created"][1].replace("Sell", "Up")}}}'
        for text in (frame, frame.replace('"5"', "5").encode()):
            (event,) = codec.decode_order_event_frame(text)
            assert isinstance(event, OrderCreatedEvent)
            assert event.user_order.side == "Up"
            assert not event.user_order.side.is_known

    @pytest.mark.parametrize(
        "frame",
        [
            '{"Removed":5}',
            '{"Removed":null}',
            '{"Removed":[]}',
            '{"Removed":{}}',
            '{"Frobnicated":5}',
            '"Removed"',
            '{"Removed":{},"Created":{}}',
            f'{{"Removed":{REMOVED.replace("5}", "1.5}")}}}',
            f'{{"Removed":{REMOVED.replace("5}", "true}")}}}',
            f'{{"Removed":{REMOVED.replace("5}", "1e30}")}}}'.replace("1e30", '"x"'),
            f'{{"Removed":{REMOVED.replace(":1,", ":null,")}}}',
            '{"Frobnicated":{"a":1e999999999}}',
            f'{{"Created":{ORDER_EVENTS["Created"][1].replace("[1,2]", "[256]")}}}',
            f'{{"Created":{ORDER_EVENTS["Created"][1].replace(KEY, "ab")}}}',
        ],
    )
    def test_what_is_not_an_event_is_refused(self, frame: str) -> None:
        with pytest.raises(DecodeError, match="not an order event"):
            codec.decode_order_event_frame(frame)

    def test_an_integral_number_with_a_point_is_an_integer(self) -> None:
        (event,) = codec.decode_order_event_frame(
            '{"Updated":{"order_id":"o","status":"s","filled_quantity":5.0,"remaining_quantity":"7","update_timestamp_ns":1}}'
        )
        assert event == OrderUpdatedEvent("o", "s", 5, 7, 1)


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
        assert new in TestSigning.LIMIT
        assert codec.decode(TestSigning.LIMIT.replace(new, old), Order) == order()

    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ('{"post_only":false,"timestamp_ns":5}', GTD(post_only=False, timestamp_ns=5)),
            ('{"fill_or_kill":true}', IOC(fill_or_kill=True)),
            ('{"type":"GTD","post_only":false,"timestamp_ns":5}', GTD(post_only=False, timestamp_ns=5)),
        ],
    )
    def test_times_in_force_without_a_name(self, text: str, terms: TimeInForce) -> None:
        body = TestSigning.LIMIT.replace('{"GTC":{"post_only":true}}', text)
        assert codec.decode(body, Order).details == LimitOrderDetails(1000, 5, terms)

    @pytest.mark.parametrize("key", ["BaseAsset", "base_asset"])
    def test_market_sizes(self, key: str) -> None:
        size = f'{{"{key}":{{"quantity":"5","max_sellable_amount":null}}}}'
        text = f'{{"Market":{{"quantity":{size},"fill_or_kill":true}}}}'
        body = re.sub(r'(?<="details":).*(?=,"side")', lambda _: text, TestSigning.LIMIT)
        expected = MarketOrderDetails(MarketQuantity(MarketBaseQuantity(5)), fill_or_kill=True)
        assert codec.decode(body, Order).details == expected

    @pytest.mark.parametrize(
        "text",
        ['{"PriceAbove":{"price":5}}', '{"price_above":{"price":5}}', '{"type":"PriceAbove","price":"5"}'],
    )
    def test_triggers(self, text: str) -> None:
        body = TestSigning.LIMIT.replace('"trigger":null', f'"trigger":{{"parent_order_id":"p","condition":{text}}}')
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
        assert old in TestSigning.LIMIT
        with pytest.raises(DecodeError, match="not the expected Order: "):
            codec.decode(TestSigning.LIMIT.replace(old, new), Order)


USER_EVENTS = {
    "DepositLanded": DEPOSIT,
    "WithdrawalCompleted": DEPOSIT.replace("deposit", "withdrawal"),
    "PositionCleared": '{"user":"u","sub_account_index":1,"asset":"200","timestamp_ns":2}',
    "SubAccountAssetTransferred": (
        '{"user":"u","source_sub_account_index":0,"target_sub_account_index":"1","asset":"200","amount":5,"timestamp_ns":2}'
    ),
    "MarginCallUpdated": (
        '{"user":"u","sub_account_index":1,"called_venues":[{"venue":1,"deadline_ns":2}],"timestamp_ns":2}'
    ),
}


class TestUserEvents:
    @pytest.mark.parametrize("variant", USER_EVENTS)
    def test_both_forms(self, variant: str) -> None:
        fields = USER_EVENTS[variant]
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", variant).lower()
        (event,) = codec.decode_user_event_frame(f'{{"{variant}":{fields}}}')
        assert type(event).__name__ == variant
        assert codec.decode_user_event_frame(f'{{"type":"{snake}",{fields[1:]}') == (event,)
        assert codec.decode_user_event_frame(codec.encode(event)) == (event,)

    def test_every_variant_has_an_example(self) -> None:
        assert len(USER_EVENTS) == len(get_args(UserActivityEvent))

    def test_an_unknown_user_event_is_refused(self) -> None:
        with pytest.raises(DecodeError, match="expected one of DepositLanded"):
            codec.decode_user_event_frame('{"Frobnicated":{}}')

    def test_amounts_of_256_bits(self) -> None:
        frame = f'{{"DepositLanded":{DEPOSIT.replace("1000000000000000000", str(2**256 - 1))}}}'
        (event,) = codec.decode_user_event_frame(frame)
        assert isinstance(event, models.DepositLanded)
        assert event.amount == 2**256 - 1

    def test_a_cleared_margin_call_has_no_venues(self) -> None:
        (event,) = codec.decode_user_event_frame(
            '{"MarginCallUpdated":{"user":"u","sub_account_index":1,"timestamp_ns":2}}'
        )
        assert isinstance(event, models.MarginCallUpdated)
        assert event.called_venues == ()
