"""Hostile numbers, keys and nesting: each is a counted bad frame, or the same value in every decoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.codec.test_batch_decoders import BATCHES, CREATED
from tests.helpers.hostile import URL, accepted
from tests.helpers.peers import answer, read_head
from tests.helpers.wire_texts import BAR, REAL_TRADE, USER_TRADE
from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, open_world
from tplus_trio import (
    AssetIdentifier,
    DecodeError,
    MarketDataClient,
    OrderBook,
    OrderBookClient,
    OrderBookDiff,
    Stream,
    codec,
)
from tplus_trio.testing import MemoryNetwork, Response
from tplus_trio.testing.wire_frames import text_frame

LONG = 1_000_000

#: Values that no price and no quantity may have. Limits: 100 digits, and an exponent within ±99.
NO_DECIMALS = [
    "1e999999999",
    '"1e999999999"',
    "-1e999999999",
    "1e-999999999",
    "0e999999999",
    "1e" + "9" * 5000,
    "1E+100",
    "9" * LONG,
    '"' + "9" * LONG + '"',
    "0." + "0" * LONG + "1",
    "1" + "0" * LONG + "e-999999",
    "NaN",
    '"NaN"',
    '"sNaN123"',
    "Infinity",
    '"-Infinity"',
    "-0.1",
    "true",
    "null",
    "[]",
    "{}",
    '""',
    '"0x10"',
]
#: Values that no count and no time may have. Limit: what the interpreter reads, 4,300 digits; 100 in a sequence number.
NO_INTEGERS = [
    "1e999999999",
    "1.5",
    '"1e400"',
    "9" * LONG,
    '"' + "9" * LONG + '"',
    "1e" + "9" * 5000,
    "null",
    "[]",
    "NaN",
]

DIFF = '{"asks":[["2","1"]],"bids":[["1","1"]],"sequence_number":7}'
TICKER = '{"asset_id":"200","last_price":"1","best_bid":{"price":"1","size":"1"},"volume_24h":"0","timestamp_ns":5}'
#: A feed: its path, a good frame, the places of its numbers, and the numbers there.
FEEDS: dict[str, tuple[str, str, dict[str, list[str]]]] = {
    "depth": (
        DEPTH,
        DIFF,
        {
            '["@","1"]],"bids"': NO_DECIMALS,
            '"asks":[["2",@]]': NO_DECIMALS,
            '"sequence_number":@': [*NO_INTEGERS, "-1", "9" * 101],
        },
    ),
    "trades": (
        "/trades",
        REAL_TRADE,
        {'"price":@': NO_DECIMALS, '"quantity":@': NO_DECIMALS, '"timestamp_ns":@': NO_INTEGERS},
    ),
    "ticker": (
        f"/ticker/ws/{ASSET}",
        TICKER,
        {'"last_price":@': [each for each in NO_DECIMALS if each != "null"], '"timestamp_ns":@': NO_INTEGERS},
    ),
    "klines": (f"/klines/diff/{ASSET}", f"[{BAR}]", {'"open":@': NO_DECIMALS, '"open_timestamp_ns":@': NO_INTEGERS}),
}


def spoiled(good: str, place: str, value: str) -> str:
    """Return the frame with another value in one place."""
    if place.startswith('["@"'):
        return good.replace('"2"', value, 1)
    if place.startswith('"asks"'):
        return good.replace('["2","1"]', f'["2",{value}]', 1)
    key = place.removesuffix("@")
    data = json.loads(good)
    record = data[0] if isinstance(data, list) else data
    record[key.strip('":')] = "@@"
    return json.dumps(data, separators=(",", ":")).replace('"@@"', value)


def stream_of(md: MarketDataClient, feed: str) -> Stream[Any]:
    match feed:
        case "depth":
            return md.stream_depth(ASSET)
        case "trades":
            return md.stream_finalized_trades()
        case "ticker":
            return md.stream_ticker(ASSET)
        case _:
            return md.stream_klines(ASSET)


@pytest.mark.parametrize("feed", FEEDS)
async def test_numbers_beyond_every_limit_are_bad_frames(feed: str, autojump_clock: MockClock) -> None:
    """Each is counted, and none ends the stream or is delivered, in usual frames and in unusual ones."""
    path, good, places = FEEDS[feed]
    async with open_world() as world, stream_of(world.md, feed) as stream:
        await stream.wait_live()
        bad = 0
        for place, values in places.items():
            for value in values:
                frame = spoiled(good, place, value)
                assert frame != good
                for text in (frame, frame.replace("{", '{"more":{},', 1)):
                    world.exchange.faults.send_text(path, text)
                    bad += 1
            await trio.sleep(100)
        assert stream.stats.malformed == bad
        assert stream.stats.connects == 1


@pytest.mark.parametrize("value", ["1e999999999", "9" * LONG, "1e" + "9" * 5000, "-1", '"NaN"'])
async def test_such_numbers_in_answers_are_typed_failures(value: str, autojump_clock: MockClock) -> None:
    asks = [
        (SNAPSHOT, DIFF.replace('"2"', value), "get_orderbook_snapshot"),
        (SNAPSHOT, DIFF.replace("7", value), "get_orderbook_snapshot"),
        (f"/trades/{ASSET}", "[" + spoiled(REAL_TRADE, '"price":@', value) + "]", "get_trades_for_asset"),
        (f"/ticker/{ASSET}", spoiled(TICKER, '"last_price":@', value), "get_ticker"),
        (f"/klines/{ASSET}", "[" + spoiled(BAR, '"open":@', value) + "]", "get_klines"),
    ]
    async with open_world() as world:
        for path, body, method in asks:
            if value == '"NaN"' and method == "get_orderbook_snapshot" and '"sequence_number":"NaN"' in body:
                continue
            world.exchange.faults.answer_requests(path, Response(200, body.encode()))
            with pytest.raises(DecodeError) as caught:
                await getattr(world.md, method)(ASSET)
            assert len(str(caught.value)) < 500


@pytest.mark.parametrize("zero", ["0", "-0", "0.0", "-0.00", '"-0"', "0e99", "-0E-99"])
def test_zeros_are_zero(zero: str) -> None:
    """A level of such a quantity is removed, whichever decoder reads it."""
    frame = DIFF.replace('["2","1"]', f'["2",{zero}]').encode()
    for diff in (*codec.decode_depth_frame(frame), *(codec.decode_depth_batch([frame]) or ())):
        assert diff.asks[0].quantity == 0
        assert not diff.asks[0].quantity


# Sequence numbers.


async def book_over(numbers: Sequence[str], first: str) -> list[tuple[str, int]]:
    """Return the items of a depth stream whose snapshot has the number ``first``, and whose changes have these."""
    seen: list[tuple[str, int]] = []

    async def handler(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            while head := await read_head(stream):
                if b"/diff/" in head:
                    await stream.send_all(accepted(head))
                    await trio.sleep(1)
                    for number in numbers:
                        text = b'{"asks":[],"bids":[["1","1"]],"sequence_number":%s}' % number.encode()
                        await stream.send_all(text_frame(text))
                    await trio.sleep_forever()
                await stream.send_all(answer(200, b'{"asks":[],"bids":[],"sequence_number":%s}' % first.encode()))

    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient(URL, connector=network, restart=None) as md,
        md.stream_depth(ASSET, sequence="contiguous") as stream,
    ):
        with trio.move_on_after(5):
            async for item in stream:
                assert isinstance(item, OrderBook | OrderBookDiff)
                seen.append((type(item).__name__[9:], item.sequence_number))
    return seen


async def test_numbers_beyond_64_bits_are_numbers(autojump_clock: MockClock) -> None:
    """Limit: 100 digits."""
    for base in (2**63 - 2, 2**64 - 2, 2**80, 10**99):
        seen = await book_over([str(base + 1), str(base + 2), f'"{base + 3}"'], str(base))
        assert seen == [("", base), *[("Diff", base + n) for n in (1, 2, 3)]]


async def test_whole_numbers_may_be_written_as_fractions(autojump_clock: MockClock) -> None:
    assert await book_over(["8.0", "9e0", "10"], "7.0") == [("", 7), ("Diff", 8), ("Diff", 9), ("Diff", 10)]


@pytest.mark.parametrize("number", ["8.5", "-8", "9" * 101, "true", "null", '"eight"', "1e999999999", "1e400"])
async def test_an_illegal_sequence_number_leads_to_a_snapshot(number: str, autojump_clock: MockClock) -> None:
    """A bad frame is a hole: a snapshot follows, and the unreadable change is not guessed."""
    assert await book_over([number], "7") == [("", 7), ("", 7)]


# Repeated keys: the last value wins in every decoder.


def twice(text: str, *, first: bool) -> list[tuple[str, str]]:
    """Return the frame with one key repeated, another value before or after its own, and the result, for each key."""
    data = json.loads(text)
    record = data
    if isinstance(record, list):
        record = record[0]
    if list(record) == ["Created"]:
        record = record["Created"]
    spelled = json.dumps(data, separators=(",", ":"))
    inner = json.dumps(record, separators=(",", ":"))
    found = []
    for key, value in record.items():
        other = {"asset_id": "7", "status": "Pending", "order_id": "other"}.get(key, value)
        match value:
            case bool():
                other = not value
            case int():
                other = value + 1
            case [_, *_]:
                other = value[:-1]
            case str() if value.replace(".", "").isdecimal():
                other = "77"
            case _:
                pass
        member = f"{json.dumps(key)}:{json.dumps(other, separators=(',', ':'))}"
        changed = inner.replace("{", "{" + member + ",", 1) if first else inner[:-1] + "," + member + "}"
        plain = inner if first else json.dumps({**record, key: other}, separators=(",", ":"))
        found.append((spelled.replace(inner, changed), spelled.replace(inner, plain)))
    return found


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("feed", BATCHES)
def test_of_a_key_that_comes_twice_the_last_counts(feed: str, first: bool) -> None:
    """In a single frame or in a batch, as bytes or text, in usual frames and in unusual ones."""
    decode_batch, decode, frames = BATCHES[feed]
    good = CREATED if feed == "orders" else frames[0]
    pairs = twice(good, first=first)
    assert pairs
    for text, plain in pairs:
        (expected,) = decode(plain)
        assert list(decode(text)) == [expected]
        assert list(decode(text.encode())) == [expected]
        for batch in ([text], [plain, text, plain], [text] * 3):
            items = decode_batch([each.encode() for each in batch])
            assert items is None or list(items) == [expected if each == text else decode(each)[0] for each in batch]


def test_of_a_type_that_comes_twice_the_last_counts() -> None:
    """So a control message is one in every decoder, and data is data."""
    for control in ('"type":"x","type":"ping"', '"type":"ping","type":"pong"'):
        for frame in (f"{{{control}}}", DIFF.replace("{", "{" + control + ",")):
            assert codec.decode_depth_frame(frame) == ()
            assert codec.decode_trade_frame(frame) == ()
    (diff,) = codec.decode_depth_frame(DIFF.replace("{", '{"type":"ping","type":"x",'))
    assert diff.sequence_number == 7


def test_of_a_key_that_comes_twice_in_an_answer_the_last_counts() -> None:
    book = codec.decode(DIFF[:-1] + ',"sequence_number":9}', OrderBook)
    assert book.sequence_number == 9
    assert codec.decode('{"a":1,"a":2}', dict[str, Any]) == {"a": 2}


async def test_a_price_that_comes_twice_in_a_change_has_the_last_quantity(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        number = book.sequence_number + 1
        levels = '["50","1"],["50.0","2"],["5e1","3"]'
        text = f'{{"asks":[],"bids":[{levels}],"sequence_number":{number}}}'
        world.exchange.faults.send_text(DEPTH, text)
        await trio.sleep(0.1)
        assert book.sequence_number == number
        assert book.quantity_at("bid", Decimal(50)) == 3


# Nesting. Limit: 100 levels.

DEEP = {
    "lists": "[" * LONG,
    "closed lists": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "in a key that nobody reads": '{"x":' + "[" * 100_000 + "]" * 100_000 + "," + DIFF[1:],
    "in a level": DIFF.replace('"2"', "[" * 100_000 + "]" * 100_000),
    "in a control message": '{"type":"ping","x":' + "[" * 100_000 + "]" * 100_000 + "}",
}

SKIPPED = {"in a key that nobody reads", "in a control message"}


@pytest.mark.parametrize("how", DEEP)
async def test_deep_nesting_is_a_bad_frame(how: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        user = world.user.public_key
        streams: list[tuple[str, Stream[Any]]] = [
            (DEPTH, world.md.stream_depth(ASSET)),
            ("/trades", world.md.stream_finalized_trades()),
            ("/tickers/ws", world.md.stream_tickers()),
            ("/orders", world.oms.stream_orders()),
            (f"/account/events/{user}", world.oms.stream_user_events()),
        ]
        for path, stream in streams:
            async with stream:
                await stream.wait_live()
                world.exchange.faults.send_text(path, DEEP[how])
                await trio.sleep(1)
                # Ignored values may be nested as deeply as the JSON engine can skip, which depends on the interpreter.
                assert stream.stats.malformed <= 1 if how in SKIPPED else stream.stats.malformed == 1
                assert stream.stats.connects == 1


async def test_an_unreadable_market_leads_to_no_order(autojump_clock: MockClock) -> None:
    """The service's answers about its markets are held to the same limits."""
    async with open_world() as world:
        oms: OrderBookClient = world.oms
        for decimals in ("1e999999999", "9" * LONG, "1.5", "null"):
            market = b'{"asset_id":"200","book_price_decimals":%s,"book_quantity_decimals":0}' % decimals.encode()
            world.exchange.faults.answer_requests(f"/market/{ASSET}", Response(200, market))
            with pytest.raises((DecodeError, ValueError)):
                await oms.create_limit_order(1, 1, "Buy", asset_id=AssetIdentifier(ASSET))
        assert world.exchange.requests["POST", "/orders/create"] == 0


def test_the_frames_of_these_tests_are_good_but_for_what_is_spoiled() -> None:
    assert codec.decode_depth_frame(DIFF)
    assert codec.decode_trade_frame(REAL_TRADE)
    assert codec.decode_ticker_frame(TICKER)
    assert codec.decode_user_trade_frame(USER_TRADE)
