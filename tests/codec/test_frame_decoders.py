from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import LocalBook, codec, models
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    AssetIdentifier,
    AuthToken,
    KlinesPage,
    KlineUpdate,
    Market,
    Nonce,
    OrderBook,
    OrderBookDiff,
    OrderEvent,
    PriceLevel,
    Side,
    Timebar,
    Trade,
    UserOrders,
    UserTrade,
)

ASSET = AssetIdentifier(200)
REAL_TRADE = (
    '{"asset_id":"82af49447d8a07e3bd95bd0d56f35241523fbab1000000000000000000000000@00000000000000a4b1",'
    '"trade_id":122519,"price":"3862.36934070","quantity":"0.01000000","timestamp_ns":1761283013888453220,'
    '"buyer_is_maker":false,"status":"Confirmed"}'
)
BAR = '{"open":1,"high":"2.50","low":0.5,"close":1.5,"volume":"10","open_timestamp_ns":1,"close_timestamp_ns":"2"}'
USER_TRADE = (
    '{"asset_id":"200","trade_id":7,"order_id":"oid-1","price":"1.50","quantity":2,"timestamp_ns":3,'
    '"is_maker":true,"is_buyer":false,"status":"Pending"}'
)
POSITION = (
    '{"asset_id":"200","sub_account_index":1,"name":"margin","side":"short","size":"-2.5","base_credits":0,'
    '"base_liabilities":"2.5","quote_credits":"1e3","quote_liabilities":0}'
)
TICKER = '{"asset_id":"200","best_bid":{"price":"1.50","size":2},"volume_24h":"3","timestamp_ns":4}'
INTENT = '{"asset_id":"200","watchers_delta":-1,"quantity_delta":"-0.5","watchers":2,"quantity":3,"window_end_ns":4}'
REMOVED = (
    '{"order_id":"oid-1","asset_id":"200","user_id":"u","timestamp_ns":1,"reason":"Completed","filled_quantity":5}'
)
DEPOSIT = '{"user":"u","asset":"200","amount":"1000000000000000000","chain_id":"1","deposit_nonce":1,"timestamp_ns":2}'

decode_kline_frame = codec.kline_frame_decoder(ASSET)

#: The decoder of every feed and one good frame of it.
FEEDS: dict[str, tuple[codec.FrameDecoder[Any], str]] = {
    "depth": (codec.decode_depth_frame, '{"asks":[[2,"3.0"]],"bids":[],"sequence_number":5}'),
    "trades": (codec.decode_trade_frame, REAL_TRADE),
    "user trades": (codec.decode_user_trade_frame, USER_TRADE),
    "klines": (decode_kline_frame, f"[{BAR}]"),
    "ticker": (codec.decode_ticker_frame, TICKER),
    "tickers": (codec.decode_tickers_frame, f"[{TICKER}]"),
    "positions": (
        codec.decode_positions_frame,
        f'{{"user_id":"u","positions":[{POSITION}],"timestamp_ns":1}}',
    ),
    "intent": (codec.decode_intent_frame, INTENT),
    "orders": (codec.decode_order_event_frame, f'{{"Removed":{REMOVED}}}'),
    "user events": (codec.decode_user_event_frame, f'{{"DepositLanded":{DEPOSIT}}}'),
}
each_feed = pytest.mark.parametrize(("decode", "frame"), FEEDS.values(), ids=FEEDS)


class TestEveryFeed:
    @each_feed
    def test_text_and_bytes_give_the_same(self, decode: codec.FrameDecoder[Any], frame: str) -> None:
        assert len(decode(frame)) == 1
        assert decode(frame) == decode(frame.encode())

    @each_feed
    @pytest.mark.parametrize("kind", ["subscriptions", "ping", "pong"])
    def test_control_messages_have_no_items(self, decode: codec.FrameDecoder[Any], frame: str, kind: str) -> None:
        assert decode(f'{{"type":"{kind}"}}') == ()
        assert decode(f' {{"channels": [], "type" : "{kind}", "time": 5}}'.encode()) == ()

    @each_feed
    def test_a_control_message_stays_one_with_data_in_it(self, decode: codec.FrameDecoder[Any], frame: str) -> None:
        if frame.startswith("{"):
            assert decode(f'{{"type":"subscriptions",{frame[1:]}') == ()

    @each_feed
    def test_unknown_keys_are_ignored(self, decode: codec.FrameDecoder[Any], frame: str) -> None:
        at = max(frame.rfind(key) for key in ('"asks"', '"asset', '"user', '"volume', '"order_id'))
        assert decode(f'{frame[:at]}"new_key":{{"a":[1,null,"x"]}},{frame[at:]}') == decode(frame)

    @each_feed
    @pytest.mark.parametrize(
        "garbage",
        [
            "",
            " ",
            "null",
            "true",
            "5",
            '"text"',
            "{}",
            "[5]",
            "[[]]",
            '{"type":5}',
            '{"type":["ping"]}',
            '{"error":"no such market"}',
            "not json",
            "[" * 100_000,
            '{"a":' * 100_000,
            '{"type":"ping"',
            "\ud800",
            b"\xff\xfe",
            b'{"type":"ping","a":"\xff"}',
        ],
    )
    def test_garbage_is_refused(self, decode: codec.FrameDecoder[Any], frame: str, garbage: bytes | str) -> None:
        with pytest.raises(DecodeError) as caught:
            decode(garbage)
        assert len(str(caught.value)) < 400

    @each_feed
    def test_bad_utf_8_is_refused_wherever_it_stands(self, decode: codec.FrameDecoder[Any], frame: str) -> None:
        head, brace, tail = frame.encode().partition(b"{")
        with pytest.raises(DecodeError, match="not UTF-8"):
            decode(head + brace + b'"new_key":"\xff",' + tail)

    @each_feed
    def test_a_cut_frame_is_refused(self, decode: codec.FrameDecoder[Any], frame: str) -> None:
        for end in range(len(frame)):
            with pytest.raises(DecodeError):
                decode(frame[:end])

    @each_feed
    def test_trailing_text_is_refused(self, decode: codec.FrameDecoder[Any], frame: str) -> None:
        with pytest.raises(DecodeError):
            decode(frame + "}")
        with pytest.raises(DecodeError):
            decode(frame + frame)

    @pytest.mark.parametrize("feed", FEEDS)
    def test_a_frame_of_another_feed_is_refused(self, feed: str) -> None:
        decode = FEEDS[feed][0]
        for other, (_, frame) in FEEDS.items():
            if other != feed and not (feed == "orders" and other == "user events"):
                with pytest.raises(DecodeError):
                    decode(frame)

    @each_feed
    @pytest.mark.parametrize(
        "number", ['"NaN"', '"inf"', '"-Infinity"', '"sNaN"', "1e999", '"1E-999999999"', "1" * 101]
    )
    def test_what_is_not_a_number_is_refused_in_any_field(
        self, decode: codec.FrameDecoder[Any], frame: str, number: str
    ) -> None:
        """The test replaces each number of the frame in turn."""
        for match in re.finditer(r'(?<=[:\[,])(?:"[-0-9.e]+"|[-0-9.e]+)(?=[,\]}])', frame):
            if number == '"1E-999999999"' and not re.search(
                r"price|asks|amount|size|open\W", frame[: match.start()][-10:]
            ):
                continue  # as an int it is 0
            if '"asset' in frame[: match.start()][-11:] or '"chain_id":' in frame[: match.start()][-11:]:
                continue
            if number == "1" * 101 and "price" not in frame[: match.start()][-10:]:
                continue  # an int may be long
            with pytest.raises(DecodeError):
                decode(frame[: match.start()] + number + frame[match.end() :])


class TestDepth:
    def test_numbers_are_exact_in_any_spelling(self) -> None:
        thirty = "123456789012345.123456789012345"
        frame = (
            f'{{"bids":[["0.1000000000000000055511151231257827",1.30e-5],[{thirty},"{thirty}"]],'
            '"asks":[[0.1000000000000000055511151231257827,0],["1E2",0.00]],"sequence_number":"18446744073709551615"}'
        )
        (diff,) = codec.decode_depth_frame(frame)
        assert [tuple(map(str, level)) for level in diff.bids] == [
            ("0.1000000000000000055511151231257827", "0.0000130"),
            (thirty, thirty),
        ]
        assert [tuple(map(str, level)) for level in diff.asks] == [
            ("0.1000000000000000055511151231257827", "0"),
            ("1E+2", "0.00"),
        ]
        assert diff.sequence_number == 2**64 - 1
        assert type(diff.bids[0]) is PriceLevel

    def test_a_diff_may_have_empty_sides(self) -> None:
        assert codec.decode_depth_frame('{"sequence_number":0,"asks":[],"bids":[]}') == (OrderBookDiff((), (), 0),)

    @pytest.mark.parametrize(
        "frame",
        [
            '{"asks":[],"bids":[]}',
            '{"asks":[],"sequence_number":1}',
            '{"asks":null,"bids":[],"sequence_number":1}',
            '{"asks":[[1]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,null]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,true]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,""]],"bids":[],"sequence_number":1}',
            '{"asks":[[1,"abc"]],"bids":[],"sequence_number":1}',
            '{"asks":[["1.2.3",1]],"bids":[],"sequence_number":1}',
            '{"asks":[{"price":1,"quantity":2}],"bids":[],"sequence_number":1}',
            '{"asks":[],"bids":[],"sequence_number":-1}',
            '{"asks":[],"bids":[],"sequence_number":1.5}',
            '{"asks":[],"bids":[],"sequence_number":true}',
            '{"asks":[],"bids":[],"sequence_number":null}',
            '{"asks":[],"bids":[],"sequence_number":"x"}',
            f'{{"asks":[],"bids":[],"sequence_number":{"9" * 101}}}',
            f'{{"asks":[],"bids":[],"sequence_number":{"9" * 5000}}}',
        ],
    )
    def test_what_is_not_a_diff_is_refused(self, frame: str) -> None:
        with pytest.raises(DecodeError, match="not an order book diff"):
            codec.decode_depth_frame(frame)
        with pytest.raises(DecodeError):
            codec.decode(frame, OrderBookDiff)

    spelled = st.one_of(
        st.decimals(allow_nan=True, allow_infinity=True).map(str),
        st.integers(-(10**120), 10**120).map(str),
        st.floats().map(repr),
        st.sampled_from(["-0", "-0.0", "1e99", "1e100", "1e-99", "1e-100", "0e500", "nan", "NAN", "Inf", "9" * 100]),
        st.integers(90, 110).map(lambda n: "1" * n),
        st.integers(90, 110).map(lambda n: "0." + "1" * n),
    )

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(spelled, st.booleans()), min_size=2, max_size=40),
        st.booleans(),
        st.sampled_from(["", " "]),
    )
    def test_a_frame_is_refused_exactly_if_one_of_its_numbers_is(
        self, numbers: list[tuple[str, bool]], plain: bool, space: str
    ) -> None:
        """Other numbers, spaces and spellings around it make no difference."""
        spelled = [str(n % 7 + 1) if plain else text for n, (text, _) in enumerate(numbers)]
        levels = [
            [json.dumps(text) if quoted or not _is_json_number(text) else text for text in pair]
            for pair, (_, quoted) in zip(zip(spelled[::2], spelled[1::2], strict=False), numbers, strict=False)
        ]
        half = len(levels) // 2
        sides = [
            f",{space}".join(f"[{price},{quantity}]" for price, quantity in part)
            for part in (levels[:half], levels[half:])
        ]
        frame = f'{{"asks":{space}[{sides[0]}],{space}"bids":[{sides[1]}],"sequence_number":7}}'
        used = spelled[: len(levels) * 2]
        if all(_is_quantity(text) for text in used):
            (diff,) = codec.decode_depth_frame(frame)
            assert [str(n).removeprefix("-") for level in (*diff.asks, *diff.bids) for n in level] == [
                str(Decimal(text)).removeprefix("-")
                for text in used  # a JSON -0 is an integer, and so 0
            ]
        else:
            with pytest.raises(DecodeError):
                codec.decode_depth_frame(frame)

    def test_a_long_number_among_many_short_ones_is_refused(self) -> None:
        for place in range(30):
            levels = [["1.5", "2.5"] for _ in range(30)]
            levels[place][1] = "1" * 101
            frame = json.dumps({"asks": levels, "bids": [], "sequence_number": 1})
            with pytest.raises(DecodeError, match="100 digits"):
                codec.decode_depth_frame(frame)
            levels[place][1] = "1" * 100
            codec.decode_depth_frame(json.dumps({"asks": levels, "bids": [], "sequence_number": 1}))

    def test_a_book_has_exact_levels_and_its_number(self) -> None:
        body = '{"asks":[["2","1e-5"]],"bids":[[1,"3.0"]],"sequence_number":5}'
        assert codec.decode(body, OrderBook) == OrderBook([(2, "0.00001")], [(1, 3)], 5)
        assert codec.decode('{"bids":[]}', OrderBook) == OrderBook()

    @pytest.mark.parametrize("more", ["", ",4", ',"a count"'], ids=["pairs", "counts", "texts"])
    def test_a_book_is_sorted_best_first(self, more: str) -> None:
        levels = ",".join(f"[{price},{quantity}{more}]" for price, quantity in ((2, 5), (1, 6), (3, 7), (2, 8)))
        book = codec.decode(f'{{"asks":[{levels}],"bids":[{levels}],"sequence_number":5}}', OrderBook)
        # If a price is repeated, its last level wins. So these levels must keep their order.
        assert plain(book.asks) == [(1, 6), (2, 5), (2, 8), (3, 7)]
        assert plain(book.bids) == [(3, 7), (2, 5), (2, 8), (1, 6)]
        by_hand = [(2, 5), (1, 6), (3, 7), (2, 8)]
        assert book == OrderBook(asks=by_hand, bids=by_hand, sequence_number=5)
        local = LocalBook(book)
        assert plain(local.asks()) == [(1, 6), (2, 8), (3, 7)]
        assert plain(local.bids()) == [(3, 7), (2, 8), (1, 6)]

    def test_a_price_that_cannot_be_sorted_is_refused(self) -> None:
        levels = [PriceLevel(Decimal(price), Decimal(1)) for price in ("1", "nan")]
        with pytest.raises(ValueError, match="price"):
            OrderBook(asks=levels)
        with pytest.raises(ValueError, match="price"):
            OrderBook(bids=levels)

    @pytest.mark.parametrize(
        "body",
        [
            "{}",
            '{"error":"no such market"}',
            "[]",
            '{"asks":[[1,-1]]}',
            '{"asks":[["NaN",1]]}',
            f'{{"asks":[[1,2]],"bids":[[1,{"1" * 101}]],"sequence_number":1}}',
            '{"sequence_number":-5}',
            b'{"asks":[],"x":"\xff"}',
        ],
    )
    def test_what_is_not_a_book_is_refused(self, body: bytes | str) -> None:
        with pytest.raises(DecodeError, match="not the expected OrderBook: "):
            codec.decode(body, OrderBook)


def plain(levels: Iterable[PriceLevel]) -> list[tuple[int, int]]:
    return [(int(price), int(quantity)) for price, quantity in levels]


def _is_json_number(text: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", text) is not None


def _is_quantity(text: str) -> bool:
    number = Decimal(text)
    if not number.is_finite() or number < 0:
        return False
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number == 0:
        return -198 <= exponent <= 99
    return len(digits) <= 100 and -99 <= number.adjusted() <= 99


class TestTrades:
    def test_a_recorded_trade_is_decoded(self) -> None:
        (trade,) = codec.decode_trade_frame(REAL_TRADE)
        assert trade == Trade(
            asset_id=AssetIdentifier("0x82aF49447D8a07e3bd95BD0d56f35241523fBab1@00000000000000a4b1"),
            trade_id=122519,
            price=Decimal("3862.36934070"),
            quantity=Decimal("0.01"),
            timestamp_ns=1761283013888453220,
            buyer_is_maker=False,
            order_id="",
            status="Confirmed",
        )
        assert (str(trade.price), str(trade.quantity)) == ("3862.36934070", "0.01000000")
        assert type(trade.asset_id) is AssetIdentifier

    def test_numbers_as_text_and_old_asset_forms_are_decoded(self) -> None:
        (trade,) = codec.decode_trade_frame(
            '{"asset_id":{"Index":200},"trade_id":"5","price":1.30e-5,"quantity":7,"timestamp_ns":"6",'
            '"buyer_is_maker":true,"order_id":"x","status":"Rollbacked"}'
        )
        assert trade == Trade(ASSET, 5, Decimal("0.000013"), Decimal(7), 6, True, "x", "Rollbacked")
        old = json.dumps({"Address": {"address": [1] * 20, "chain": [0] * 9}})
        (trade,) = codec.decode_trade_frame(REAL_TRADE.replace(f'"{trade_asset()}"', old))
        assert trade.asset_id == f"{'01' * 20}{'00' * 12}@{'00' * 9}"

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"price":"3862.36934070"', '"price":-1'),
            ('"quantity":"0.01000000"', '"quantity":"-0.5"'),
            ('"quantity":"0.01000000"', '"quantity":"NaN"'),
            ('"quantity":"0.01000000"', '"quantity":null'),
            ('"quantity":"0.01000000",', ""),
            ('"trade_id":122519', '"trade_id":1.5'),
            ('"trade_id":122519', '"trade_id":true'),
            ('"trade_id":122519', '"trade_id":' + "9" * 5000),
            ('"Confirmed"', "null"),
            ('"buyer_is_maker":false', '"buyer_is_maker":"maybe"'),
            ('"82af', '"ETH82af'),
        ],
    )
    def test_what_is_not_a_trade_is_refused(self, old: str, new: str) -> None:
        assert old in REAL_TRADE
        with pytest.raises(DecodeError, match="not a trade"):
            codec.decode_trade_frame(REAL_TRADE.replace(old, new))

    def test_user_trades_are_decoded_with_their_defaults(self) -> None:
        (trade,) = codec.decode_user_trade_frame(USER_TRADE)
        assert trade == UserTrade(ASSET, 7, "oid-1", Decimal("1.5"), Decimal(2), 3, True, False, "Pending")
        (trade,) = codec.decode_user_trade_frame(
            USER_TRADE[:-1]
            + ',"rollback_reason":"x","is_liquidation":true,"is_auto_deleverage":true,"sub_account":"1",'
            '"trading_fee":-0.10}'
        )
        assert (trade.rollback_reason, trade.is_liquidation, trade.is_auto_deleverage) == ("x", True, True)
        assert (trade.sub_account, str(trade.trading_fee)) == (1, "-0.10")

    def test_a_list_of_trades_is_decoded(self) -> None:
        assert (
            codec.decode(f"[{REAL_TRADE},{REAL_TRADE}]", list[Trade]) == [codec.decode_trade_frame(REAL_TRADE)[0]] * 2
        )
        assert codec.decode("[]", list[Trade]) == []
        with pytest.raises(DecodeError):
            codec.decode(REAL_TRADE, list[Trade])


def trade_asset() -> str:
    asset: str = json.loads(REAL_TRADE)["asset_id"]
    return asset


class TestKlines:
    def test_a_frame_is_a_list_of_candles_or_one_candle(self) -> None:
        (update,) = decode_kline_frame(BAR)
        assert update == KlineUpdate(
            Decimal(1), Decimal("1.5"), Decimal("0.5"), Decimal("2.5"), Decimal(10), 1, 2, asset_id=ASSET
        )
        assert str(update.high) == "2.50"
        assert decode_kline_frame(f"[{BAR},{BAR}]") == (update, update)
        assert decode_kline_frame("[]") == ()

    def test_pages_come_in_an_envelope_or_bare(self) -> None:
        bar = codec.decode(BAR, Timebar)
        assert codec.decode(f"[{BAR}]", KlinesPage) == KlinesPage([bar])
        assert codec.decode(
            f'{{"items":[{BAR}],"has_next_page":true,"next_page":2,"truncated_before_ns":"77"}}', KlinesPage
        ) == KlinesPage([bar], True, 2, 77)
        assert codec.decode('{"items":[],"has_next_page":false,"next_page":null}', KlinesPage) == KlinesPage([])
        with pytest.raises(DecodeError):
            codec.decode('{"error":"x"}', KlinesPage)


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

    ORDER = (
        '{"order_id":"o","base_asset":"200","side":"Buy","limit_price":"10.50","quantity":2,"amount":null,'
        '"confirmed_filled_quantity":0,"pending_filled_quantity":"0.5","confirmed_filled_amount":0,'
        '"pending_filled_amount":0,"confirmed_trading_fees_amount":0,"pending_trading_fees_amount":-0.1,'
        '"good_until_timestamp_ns":null,"timestamp_ns":5,"status":"Open","is_reduce_only":true}'
    )

    def test_orders_come_in_an_envelope_or_bare(self) -> None:
        orders = codec.decode(f"[{self.ORDER}]", UserOrders)
        assert (str(orders.orders[0].limit_price), orders.orders[0].side) == ("10.50", Side.BUY)
        assert orders.page == {}
        page = codec.decode(f'{{"orders":[{self.ORDER}],"has_next_page":false,"x":1.10}}', UserOrders)
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


class TestErrors:
    @pytest.mark.parametrize(
        "secret_frame",
        [
            '{"token":"hunter2","expiry_ns":[]}',
            '{"expiry_ns":"x", "token" : "hunter2',
            '{"a":"b","token":"hun\\"ter2"}',
            '{"access_token":"hunter2"}',
            '{"password":"hunter2"}',
            '{"private_key":"hunter2"}',
            '{"Created":{"signature":[199,211]}}',
            '{"Created":{"limit_overrides_signature":[199,211',
            '[{"signature":"hunter2"}]',
        ],
    )
    def test_no_secret_is_shown(self, secret_frame: str) -> None:
        for decode in (
            codec.decode_order_event_frame,
            codec.decode_trade_frame,
            codec.decode_depth_frame,
            partial(codec.decode, kind=AuthToken),
            partial(codec.decode, kind=list[int]),
        ):
            with pytest.raises(DecodeError) as caught:
                decode(secret_frame)
            assert not re.search(r"hunter2|ter2|199|211", str(caught.value))
            assert caught.value.__cause__ is None

    def test_an_auth_answer_is_not_shown_at_all(self) -> None:
        with pytest.raises(DecodeError) as caught:
            codec.decode('"hunter2"', AuthToken)
        assert "hunter2" not in str(caught.value)

    def test_the_excerpt_in_an_error_is_short(self) -> None:
        with pytest.raises(DecodeError) as caught:
            codec.decode_trade_frame('{"order_id":"' + "x" * 100_000 + '"}')
        assert re.search(r'\{"order_id":"x{50,110}…$', str(caught.value))

    def test_an_error_says_what_was_wrong(self) -> None:
        with pytest.raises(DecodeError, match=r"not a trade: .*missing required field `asset_id`.*: \{\"a\":1\}$"):
            codec.decode_trade_frame('{"a":1}')
        with pytest.raises(DecodeError, match="nested too deeply"):
            codec.decode('{"a":' * 10_000 + "1" + "}" * 10_000, dict[str, Any])
        with pytest.raises(DecodeError, match="'reason' is missing"):
            codec.decode_order_event_frame(f'{{"Removed":{REMOVED.replace("reason", "cause")}}}')


def test_every_decoder_has_a_feed_here() -> None:
    decoders: list[Callable[..., Any]] = [decode for decode, _ in FEEDS.values()]
    named = [getattr(codec, name) for name in codec.__all__ if name.startswith("decode_") and name.endswith("_frame")]
    assert all(decode in decoders for decode in named)
