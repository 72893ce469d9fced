"""Events of orders and of users: each variant in both forms, unknown ones kept, bad ones refused."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import get_args

import pytest

from tests.helpers.wire_texts import DEPOSIT, KEY, ORDER_EVENTS, REMOVED, USER_EVENTS, limit_order
from tplus_trio import codec, models
from tplus_trio.errors import DecodeError
from tplus_trio.models import OrderCreatedEvent, OrderEvent, OrderUpdatedEvent, UnknownOrderEvent, UserActivityEvent


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
            limit_order(), (1, 2), 5, amend_overrides={"a": Decimal("1.10")}, is_liquidation=True
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
