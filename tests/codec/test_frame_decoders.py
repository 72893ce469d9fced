"""The frame decoder of each feed: what every one keeps to, then trades and candles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.wire_texts import ASSET, BAR, DEPOSIT, REAL_TRADE, REMOVED, TICKER, USER_TRADE
from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import AssetIdentifier, KlinesPage, KlineUpdate, Timebar, Trade, UserTrade

POSITION = (
    '{"asset_id":"200","sub_account_index":1,"name":"margin","side":"short","size":"-2.5","base_credits":0,'
    '"base_liabilities":"2.5","quote_credits":"1e3","quote_liabilities":0}'
)


INTENT = '{"asset_id":"200","watchers_delta":-1,"quantity_delta":"-0.5","watchers":2,"quantity":3,"window_end_ns":4}'


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


def test_every_decoder_has_a_feed_here() -> None:
    decoders: list[Callable[..., Any]] = [decode for decode, _ in FEEDS.values()]
    named = [getattr(codec, name) for name in codec.__all__ if name.startswith("decode_") and name.endswith("_frame")]
    assert all(decode in decoders for decode in named)
