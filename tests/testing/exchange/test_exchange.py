"""The embedded exchange without a network: market data, faults, the clock, the traders."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.helpers.raw_client import SECOND, Clock, call, messages, refused
from tplus_trio import codec
from tplus_trio.models import KlinesPage, OrderBook
from tplus_trio.testing import Exchange, Request, Response, Subscription
from tplus_trio.testing.clock import WallClock
from tplus_trio.users import User

ALICE = User()


def test_a_market_begins_empty_at_1000(exchange: Exchange) -> None:
    assert call(exchange, "GET", "/marketdepth/200") == (200, {"asks": [], "bids": [], "sequence_number": 1000})
    assert call(exchange, "GET", "/market/200") == (
        200,
        {"asset_id": "200", "book_price_decimals": 2, "book_quantity_decimals": 3},
    )


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/marketdepth/201", 404, "MARKET_NOT_FOUND"),
        ("/marketdepth/BTC", 400, "INVALID_ASSET"),
        ("/klines/200?interval=7", 400, "INVALID_INTERVAL"),
        ("/trades?limit=0", 400, "INVALID_PARAMETER"),
        ("/trades?page=-1", 400, "INVALID_PARAMETER"),
        ("/trades?page=" + "9" * 400, 400, "INVALID_PARAMETER"),
        ("/nothing", 404, "PATH_NOT_FOUND"),
        ("/orders/user/" + "0" * 64, 401, "UNAUTHORIZED"),
        ("/nonce/abc", 400, "INVALID_PUBLIC_KEY"),
    ],
)
def test_refusals_come_in_the_envelope(exchange: Exchange, target: str, status: int, code: str) -> None:
    answer, body = call(exchange, "GET", target)
    assert (answer, body["error"]["code"]) == (status, code)


def test_markets_are_created_once(exchange: Exchange) -> None:
    assert call(exchange, "POST", "/market/create", {"asset_id": "201"})[1]["asset_id"] == "201"
    exchange.place(ALICE.public_key, 201, "Buy", 100, 1)
    assert call(exchange, "POST", "/market/create", {"asset_id": {"Index": 201}})[0] == 200
    assert len(exchange.book(201).bids) == 1
    assert call(exchange, "POST", "/market/create", {"asset_id": None})[0] == 400
    status, page = call(exchange, "GET", "/markets?limit=1&page=1&include_symbol_map=true")
    assert status == 200
    assert [market["asset_id"] for market in page["markets"]] == ["201"]
    assert (page["total_markets"], page["has_next_page"], page["symbol_map"]) == (2, False, {})


def test_numbers_are_exact(exchange: Exchange) -> None:
    depth = exchange.subscribe("/marketdepth/diff/200")
    tiny = "0.1000000000000000055511151231257827"
    assert exchange.publish_diff(200, bids=[(tiny, "1E-7")], asks=[(11, "0.30")]) == 1001
    expected = f'{{"bids":[[{tiny},0.0000001]],"asks":[[11,0.30]],"sequence_number":1001}}'
    assert depth.take() == [expected.encode()]
    assert exchange.book(200) == OrderBook(asks=[("11", "0.30")], bids=[(tiny, "1E-7")], sequence_number=1001)
    with pytest.raises(TypeError):
        exchange.publish_diff(200, bids=[(0.1, 1)])  # type: ignore[list-item]  # floats are refused


levels = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), max_size=3)


@given(st.lists(st.tuples(levels, levels), max_size=30), st.integers(0, 40))
def test_an_old_snapshot_is_the_book_of_then(changes: list[tuple[Any, Any]], behind: int) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    books = [exchange.book(200)]
    for bids, asks in changes:
        exchange.publish_diff(200, bids=bids, asks=asks)
        books.append(exchange.book(200))
    exchange.faults.stale_snapshots(1, behind)
    first = exchange.handle(Request("GET", "/marketdepth/200"))
    assert codec.decode(first.body, OrderBook) == books[max(0, len(changes) - behind)]
    assert codec.decode(exchange.handle(Request("GET", "/marketdepth/200")).body, OrderBook) == books[-1]


def test_trades_are_told_and_kept(exchange: Exchange) -> None:
    feed = exchange.subscribe("/trades")
    exchange.add_market(201)
    for i in range(5):
        exchange.publish_trade(200 + i % 2, 10 + i, "0.5", buyer_is_maker=i == 0)
    told = messages(feed.take())
    assert [trade["trade_id"] for trade in told] == [1, 2, 3, 4, 5]
    assert told[0] == {
        "asset_id": "200",
        "trade_id": 1,
        "price": "10",
        "quantity": "0.5",
        "timestamp_ns": exchange.now_ns(),
        "buyer_is_maker": True,
        "status": "Confirmed",
    }
    _, newest_first = call(exchange, "GET", "/trades?limit=2&page=1")
    assert [trade["trade_id"] for trade in newest_first] == [3, 2]
    _, of_one = call(exchange, "GET", "/trades/201")
    assert [trade["trade_id"] for trade in of_one] == [4, 2]
    assert [trade.trade_id for trade in exchange.trades(201)] == [2, 4]
    assert call(exchange, "GET", "/trades?page=7") == (200, [])


def test_candles(exchange: Exchange, clock: Clock) -> None:
    clock.now_ns = 1_700_000_040 * SECOND  # a whole minute
    feed = exchange.subscribe("/klines/diff/200")
    for price, pause in (("10", 20), ("12", 20), ("9.5", 20), ("11", 130), ("13", 0)):
        exchange.publish_trade(200, price, "0.5")
        clock.pass_(pause)
    told = messages(feed.take())
    assert [len(frame) for frame in told] == [1] * 5
    minute = {
        "open": "10",
        "high": "12",
        "low": "9.5",
        "close": "9.5",
        "volume": "1.5",
        "open_timestamp_ns": 1_700_000_040 * SECOND,
        "close_timestamp_ns": 1_700_000_100 * SECOND,
    }
    assert told[2] == [minute]
    _, page = call(exchange, "GET", "/klines/200?limit=2")
    assert [bar["open"] for bar in page["items"]] == ["13", "11"]
    assert (page["has_next_page"], page["next_page"]) == (True, 1)
    _, page = call(exchange, "GET", "/klines/200?limit=2&page=1")
    assert page == {"items": [minute], "has_next_page": False, "next_page": None}
    _, page = call(exchange, "GET", f"/klines/200?end_timestamp_ns={1_700_000_099 * SECOND}")
    assert page["items"] == [minute]
    _, page = call(exchange, "GET", "/klines/200?interval=5")
    assert [bar["volume"] for bar in page["items"]] == ["1.0", "1.5"]
    exchange.publish_trade(200, "14", "1")  # into a series that exists already
    _, page = call(exchange, "GET", "/klines/200?interval=5")
    assert [(bar["volume"], bar["high"]) for bar in page["items"]] == [("2.0", "14"), ("1.5", "12")]


@pytest.mark.parametrize(
    ("interval", "opens", "closes"),
    [
        ("1S", "2023-11-14T22:13:20", "2023-11-14T22:13:21"),
        ("30S", "2023-11-14T22:13:00", "2023-11-14T22:13:30"),
        ("240", "2023-11-14T20:00:00", "2023-11-15T00:00:00"),
        ("1D", "2023-11-14T00:00:00", "2023-11-15T00:00:00"),
        ("1W", "2023-11-13T00:00:00", "2023-11-20T00:00:00"),
        ("1M", "2023-11-01T00:00:00", "2023-12-01T00:00:00"),
    ],
)
def test_candles_of_every_width(exchange: Exchange, interval: str, opens: str, closes: str) -> None:
    exchange.publish_trade(200, 1, 1, timestamp_ns=1_700_000_000 * SECOND + 123)
    _, page = call(exchange, "GET", f"/klines/200?interval={interval}")
    bar = codec.decode(json.dumps(page), KlinesPage).items[0]
    assert bar.open_datetime.isoformat() == f"{opens}+00:00"
    assert bar.close_datetime.isoformat() == f"{closes}+00:00"


def test_tickers(exchange: Exchange, clock: Clock) -> None:
    one, every = exchange.subscribe("/ticker/ws/200"), exchange.subscribe("/tickers/ws")
    exchange.publish_trade(200, 100, 1)
    clock.pass_(90_000)  # more than a day
    exchange.publish_trade(200, 50, 2)
    exchange.publish_trade(200, 60, 3)
    exchange.publish_diff(200, bids=[(59, 1)])
    told = messages(one.take())
    assert [ticker["last_price"] for ticker in told] == ["100", "50", "60"]
    assert [len(tick) for tick in messages(every.take())] == [1, 1, 1]
    _, ticker = call(exchange, "GET", "/ticker/200")
    assert ticker == {
        "asset_id": "200",
        "best_bid": {"price": "59", "size": "1"},
        "best_ask": None,
        "last_price": "60",
        "volume_24h": "5",
        "high_24h": "60",
        "low_24h": "50",
        "price_change_24h": "10",
        "price_change_pct_24h": "20.0",
        "timestamp_ns": clock.now_ns,
    }
    assert call(exchange, "GET", "/tickers")[1] == [ticker]
    exchange.add_market(201)
    assert call(exchange, "GET", "/ticker/201")[1]["volume_24h"] == "0"
    assert call(exchange, "GET", "/openinterest") == (200, [{"asset_id": "200"}, {"asset_id": "201"}])


def test_failures_to_order(exchange: Exchange) -> None:
    exchange.faults.fail_requests("/marketdepth/", 503, 2, retry_after=1.5)
    assert call(exchange, "GET", "/trades")[0] == 200
    response = exchange.handle(Request("GET", "/marketdepth/200"))
    assert (response.status, dict(response.headers)["retry-after"]) == (503, "1.5")
    assert call(exchange, "GET", "/marketdepth/200")[1]["error"]["retryable"] is True
    assert call(exchange, "GET", "/marketdepth/200")[0] == 200
    exchange.faults.answer_requests("/trades", Response(200, b"[]garbage"))
    assert exchange.handle(Request("GET", "/trades")).body == b"[]garbage"
    exchange.faults.delay_requests("/trades", 2.5)
    assert [exchange.handle(Request("GET", "/trades")).delay for _ in range(2)] == [2.5, 0.0]
    exchange.faults.reject_handshakes(1, 403, path="/marketdepth")
    exchange.subscribe("/trades")
    assert refused(exchange, "/marketdepth/diff/200").status == 403
    exchange.subscribe("/marketdepth/diff/200")
    assert exchange.requests["GET", "/marketdepth/200"] == 3
    assert exchange.snapshot_requests == 3
    with pytest.raises(ValueError, match="n is at least 0, not -"):
        exchange.faults.fail_requests("/", n=-1)


def numbers(feed: Subscription) -> list[int]:
    return [diff["sequence_number"] for diff in messages(feed.take())]


def publish(exchange: Exchange, n: int) -> None:
    for i in range(n):
        exchange.publish_diff(200, bids=[(i + 1, 1)])


def test_sequence_faults(exchange: Exchange) -> None:
    feed, faults = exchange.subscribe("/marketdepth/diff/200"), exchange.faults
    faults.skip_sequence(200, 3)
    publish(exchange, 2)
    assert numbers(feed) == [1004, 1005]
    faults.lose_diffs("200", 2)
    publish(exchange, 3)
    assert numbers(feed) == [1008]
    assert len(exchange.book(200).bids) == 3
    faults.repeat_diffs(200)
    publish(exchange, 2)
    assert numbers(feed) == [1009, 1009, 1010]
    faults.swap_diffs(200)
    publish(exchange, 3)
    assert numbers(feed) == [1012, 1011, 1013]
    faults.number_by(200, 10)
    publish(exchange, 2)
    assert numbers(feed) == [1023, 1033]
    faults.number_by(200, 1)
    faults.restart_sequence(200)
    assert exchange.book(200).sequence_number == 0
    publish(exchange, 2)
    assert numbers(feed) == [1, 2]
    with pytest.raises(ValueError, match="step"):
        faults.number_by(200, 0)


def test_frames_to_order(exchange: Exchange) -> None:
    feed = exchange.subscribe("/trades")
    exchange.faults.send_text("/trades", "hello")
    exchange.publish("/trades", {"type": "ping"})
    assert feed.take() == [b"hello", b'{"type":"ping"}']
    exchange.faults.close_streams()
    assert (feed.closed, feed.close_code) == (True, 1012)


async def test_time_follows_trios_clock(autojump_clock: MockClock) -> None:
    clock = WallClock()
    start = clock()
    await trio.sleep(3600)
    assert clock() - start == pytest.approx(3600 * SECOND, abs=SECOND)


def test_time_never_runs_backwards() -> None:
    clock = WallClock()
    readings = [clock()]

    async def read(seconds: float) -> None:
        readings.append(clock())
        await trio.sleep(seconds)
        readings.append(clock())

    trio.run(read, 1000.0, clock=MockClock(autojump_threshold=0))
    readings.append(clock())
    trio.run(read, 0.0)
    assert readings == sorted(readings)
    assert readings[2] - readings[1] >= 999 * SECOND
