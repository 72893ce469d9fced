"""Lists with bad rows, enumerations with unknown members, and control messages of unknown types."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.wire_texts import BAR, REAL_TRADE, TICKER
from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    AssetIdentifier,
    KlinesPage,
    OperationStatus,
    OrderBook,
    OrderBookDiff,
    OrderResponse,
    PriceLevel,
    Rows,
    Side,
    Ticker,
    Timebar,
    Trade,
    UserOrders,
)

ORDER = {
    "order_id": "o",
    "base_asset": "200",
    "side": "Buy",
    "confirmed_filled_quantity": "0",
    "pending_filled_quantity": "0",
    "confirmed_filled_amount": "0",
    "pending_filled_amount": "0",
    "confirmed_trading_fees_amount": "0",
    "pending_trading_fees_amount": "0",
    "timestamp_ns": 1,
    "status": "Open",
}
BAD: list[Any] = [None, 5, [], {}, {"price": None}, {"price": "NaN"}, {"price": -1}, {"timestamp_ns": None}]


def spoil(row: dict[str, Any], change: Any) -> Any:
    if not isinstance(change, dict) or not change:
        return change
    name, value = next(iter(change.items()))
    name = name if name in row else next(key for key in row if key.endswith(("open", "volume_24h", "quantity")))
    return {**row, name: value}


@pytest.mark.parametrize("change", BAD, ids=repr)
@pytest.mark.parametrize(
    ("row", "kind"), [(json.loads(REAL_TRADE), Trade), (json.loads(TICKER), Ticker), (json.loads(BAR), Timebar)]
)
def test_a_bad_row_leaves_the_others(row: dict[str, Any], kind: type[Any], change: Any) -> None:
    rows = codec.decode_rows(json.dumps([row, spoil(row, change), row]), kind)
    assert len(rows) == 2
    assert rows[0] == rows[1] == codec.decode(json.dumps(row), kind)
    (bad,) = rows.bad
    assert bad.position == 1
    assert json.loads(bad.raw) == json.loads(json.dumps(spoil(row, change)))
    assert f"not a {kind.__name__}" in bad.reason


def test_good_rows_have_no_bad_ones() -> None:
    rows = codec.decode_rows(f"[{REAL_TRADE}]", Trade)
    assert rows == [codec.decode(REAL_TRADE, Trade)]
    assert rows.bad == ()
    with pytest.raises(DecodeError, match="list of Trade"):
        codec.decode_rows('{"error":"x"}', Trade)


def test_rows_survive_copies() -> None:
    rows = codec.decode_rows(f"[{REAL_TRADE},5]", Trade)
    for again in (copy.copy(rows), copy.deepcopy(rows), pickle.loads(pickle.dumps(rows))):
        assert isinstance(again, Rows)
        assert (list(again), again.bad) == (list(rows), rows.bad)


@pytest.mark.parametrize("envelope", ["%s", '{"items":%s,"has_next_page":true,"next_page":1}'])
def test_a_page_of_candles_with_a_bad_row(envelope: str) -> None:
    body = envelope % f"[{BAR},{BAR.replace('1.5', 'null')}]"
    page = codec.decode_page(body, KlinesPage)
    assert (len(page.items), [bad.position for bad in page.bad]) == (1, [1])
    assert page.has_next_page is (envelope != "%s")
    with pytest.raises(DecodeError, match="row 1 is not a Timebar"):
        codec.decode(body, KlinesPage)


def test_a_page_of_orders_with_a_bad_row() -> None:
    body = json.dumps({"orders": [{**ORDER, "quantity": "NaN"}, ORDER], "has_next_page": False})
    page = codec.decode_page(body, UserOrders)
    orders, rest = page
    assert [order.order_id for order in orders] == ["o"]
    assert rest == {"has_next_page": False}
    assert [bad.position for bad in page.bad] == [0]
    assert pickle.loads(pickle.dumps(page)).bad == copy.copy(page).bad == page.bad
    with pytest.raises(DecodeError, match="row 0"):
        codec.decode(body, UserOrders)


@pytest.mark.parametrize(
    ("decode", "good"), [(codec.decode_tickers_frame, TICKER), (codec.kline_frame_decoder(AssetIdentifier(200)), BAR)]
)
def test_a_frame_of_several_items_gives_the_good_ones(decode: codec.FrameDecoder[Any], good: str) -> None:
    items = decode(f"[{good},5,{good}]")
    assert isinstance(items, Rows)
    assert list(items) == list(decode(f"[{good},{good}]"))
    assert [bad.position for bad in items.bad] == [1]
    with pytest.raises(DecodeError):
        decode("[5]")


# Enumerations.


def test_an_unknown_member_is_text() -> None:
    order = codec.decode(json.dumps({**ORDER, "side": "Hold"}), OrderResponse)
    side = order.side
    assert side == "Hold"
    assert str(side) == f"{side}" == side.value == side.name == "Hold"
    assert {"Hold", "Buy"} == {side, Side.BUY}
    assert side != Side.BUY
    assert not side.is_known
    assert Side.SELL.is_known
    assert Side(side) is side
    assert list(Side) == [Side.BUY, Side.SELL]
    for again in (copy.copy(side), copy.deepcopy(side), pickle.loads(pickle.dumps(side))):
        assert type(again) is Side
        assert again == side
    assert pickle.loads(pickle.dumps(Side.BUY)) is Side.BUY
    assert json.loads(codec.encode(order))["side"] == "Hold"
    with pytest.raises(ValueError, match="'Hold' is not a valid Side"):
        Side("Hold")
    with pytest.raises(TypeError, match="must be a str"):
        OperationStatus.read(None)  # type: ignore[arg-type]  # on purpose


def test_an_unknown_status_of_a_trade_is_text() -> None:
    text = REAL_TRADE.replace("Confirmed", "Settled")
    (trade,) = codec.decode_trade_frame(text)
    assert trade.status == "Settled"
    assert list(codec.decode_trade_batch([text.encode()] * 2) or ()) == [trade, trade]


# Control messages.

DEPTH = '{"asks":[],"bids":[["1","2"]],"sequence_number":7}'


@pytest.mark.parametrize("more", ["", ',"timestamp_ns":5', ',"id":"x","seq":7'])
@pytest.mark.parametrize(
    "decode",
    [
        codec.decode_depth_frame,
        codec.decode_trade_frame,
        codec.decode_tickers_frame,
        codec.decode_order_event_frame,
        codec.decode_user_event_frame,
    ],
)
def test_an_object_with_a_type_and_no_data_is_a_control_message(decode: codec.FrameDecoder[Any], more: str) -> None:
    frame = f'{{"type":"heartbeat"{more}}}'
    assert decode(frame) == decode(frame.encode()) == ()


@pytest.mark.parametrize("frame", ["", " ", "{}", '{"typ":"heartbeat"}', '{"type":5}', '{"type":"x","asks":[]}'])
def test_what_may_have_been_data_is_a_bad_frame(frame: str) -> None:
    with pytest.raises(DecodeError):
        codec.decode_depth_frame(frame)


def test_an_order_event_of_an_unknown_type_is_data() -> None:
    (event,) = codec.decode_order_event_frame('{"type":"frozen","order_id":"o"}')
    assert event.event_type == "UNKNOWN"


# Levels and whole numbers.


@pytest.mark.parametrize("more", ["", ",3", ',"x"', ',{"n":[1]},null', ",1.5"])
def test_what_a_level_has_besides_is_skipped(more: str) -> None:
    text = f'{{"asks":[["2","3"{more}]],"bids":[["1","0.50"{more}],["0.5",1]],"sequence_number":7}}'
    levels = (PriceLevel(Decimal(1), Decimal("0.50")), PriceLevel(Decimal("0.5"), Decimal(1)))
    (diff,) = codec.decode_depth_frame(text)
    assert diff == OrderBookDiff(levels, (PriceLevel(Decimal(2), Decimal(3)),), 7)
    assert type(diff.bids[0]) is PriceLevel
    batch = codec.decode_depth_batch([text.encode()] * 2)
    assert batch is None or list(batch) == [diff, diff]
    assert codec.decode(text, OrderBook) == OrderBook(diff.asks, diff.bids, 7)
    assert codec.decode(text, OrderBookDiff) == diff


@pytest.mark.parametrize("level", ['["2"]', "[]", '["2",null,3]', '["2","-1",3]', '["2","NaN",3]', '["2","1e999",3]'])
def test_a_level_is_at_least_a_price_and_a_quantity(level: str) -> None:
    with pytest.raises(DecodeError):
        codec.decode_depth_frame(f'{{"asks":[{level}],"bids":[],"sequence_number":7}}')


@pytest.mark.parametrize(
    ("side", "said"), [('"asks":null', "Expected `array`, got `null`"), ('"asks":[["-1","2"]]', "must not be negative")]
)
def test_a_snapshot_says_why_it_is_refused(side: str, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        codec.decode(f'{{{side},"bids":[],"sequence_number":1}}', OrderBook)


EXACT = ["9007199254740993.0", '"9007199254740993.0"', "9007199254740993e0", "9007199254740993", '"9007199254740993"']


@pytest.mark.parametrize("number", EXACT)
def test_whole_numbers_pass_through_no_float(number: str) -> None:
    frames = {
        codec.decode_depth_frame: (DEPTH.replace("7", number), "sequence_number"),
        codec.decode_trade_frame: (REAL_TRADE.replace("1761283013888453220", number), "timestamp_ns"),
        codec.kline_frame_decoder(AssetIdentifier(200)): (BAR.replace(":1,", f":{number},", 2)[:-1] + "}", "open"),
        codec.decode_order_event_frame: (
            f'{{"Updated":{{"order_id":"o","status":"s","filled_quantity":{number},"remaining_quantity":1,"update_timestamp_ns":2}}}}',
            "filled_quantity",
        ),
    }
    for decode, (text, name) in frames.items():
        (item,) = decode(text)
        assert getattr(item, name) == 9007199254740993
        assert decode(text.encode()) == (item,)
    trade = frames[codec.decode_trade_frame][0].encode()
    batch = codec.decode_trade_batch([trade, trade])
    assert batch is None or [item.timestamp_ns for item in batch] == [9007199254740993] * 2
    diff = frames[codec.decode_depth_frame][0].encode()
    diffs = codec.decode_depth_batch([diff, diff])
    assert diffs is None or [item.sequence_number for item in diffs] == [9007199254740993] * 2
    assert codec.decode(b"[%b]" % trade, list[Trade])[0].timestamp_ns == 9007199254740993
    assert codec.decode(diff, OrderBook).sequence_number == 9007199254740993


@pytest.mark.parametrize("number", ["1.00000000000000000001", "9007199254740992.5", "1e-1", '"1.5"', "1e400"])
def test_what_is_not_whole_is_refused(number: str) -> None:
    for decode, text in (
        (codec.decode_depth_frame, DEPTH.replace("7", number)),
        (codec.decode_trade_frame, REAL_TRADE.replace("1761283013888453220", number)),
    ):
        with pytest.raises(DecodeError):
            decode(text)
