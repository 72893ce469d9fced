"""Tapes: read, served, and played in time."""

from __future__ import annotations

import json
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.raw_client import SECOND, call, messages, open_feed
from tplus_trio.models import OrderBook
from tplus_trio.testing import Exchange, MemoryNetwork, Tape, TapeAnswer, TapeEntry, TapeFrame, play

START = 1_618_677_817 * SECOND


def trade(trade_id: int, price: str, second: float = 0) -> str:
    return json.dumps(
        {
            "asset_id": "200",
            "trade_id": trade_id,
            "price": price,
            "quantity": "0.5",
            "timestamp_ns": START + int(second * SECOND),
            "buyer_is_maker": False,
            "status": "Confirmed",
        }
    )


def diff(number: int, bids: str = "", asks: str = "") -> str:
    # The odd spaces are a recording's own.
    return f'{{"bids":[{bids}], "asks":[{asks}],"sequence_number":{number}}}'


def at(second: float, path: str, frame: str) -> TapeFrame:
    return TapeFrame(START + int(second * SECOND), path, frame)


def frames(tape: Tape, *paths: str) -> list[str]:
    return [entry.frame for entry in tape if isinstance(entry, TapeFrame) and entry.path in paths]


SNAPSHOT = '{"asks":[[15,6.92],[14.8024,12.77]],"bids":[[14.1,1.30e-5]],"sequence_number":1000}'
DEPTH, TRADES = "/marketdepth/diff/200", "/trades"


@pytest.fixture
def tape() -> Tape:
    return Tape(
        [
            TapeAnswer(START, "/marketdepth/200", SNAPSHOT),
            at(1, DEPTH, diff(1001, asks="[14.8024,0]")),
            at(2, TRADES, trade(881, "14.7775", 2)),
            at(2.5, DEPTH, '{"type":"ping"}'),
            at(3, DEPTH, diff(1002, bids="[14.2,0.1000000000000000055511151231257827]")),
            at(10, TRADES, trade(882, "14.8", 10)),
        ]
    )


def test_a_tape_is_written_and_read(tape: Tape, tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    tape.save(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"t_ns": START, "get": "/marketdepth/200", "body": SNAPSHOT}
    assert json.loads(lines[3]) == {"t_ns": START + 5 * SECOND // 2, "ws": DEPTH, "frame": '{"type":"ping"}'}
    read = Tape.load(file)
    assert list(read) == list(tape)
    assert (len(read), read.duration) == (6, 10.0)
    assert read.feeds == {DEPTH, TRADES}
    assert isinstance(read[0], TapeAnswer)
    assert Tape([]).duration == 0.0
    assert len(Tape.parse(["", " \n"])) == 0


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"t_ns": 1.5, "ws": "/trades", "frame": "x"}',
        '{"t_ns": 1, "ws": "/trades", "frame": {}}',
        '{"t_ns": 1, "get": "/trades"}',
    ],
)
def test_what_is_no_tape(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        Tape.parse(["", line])


def test_a_tape_gives_the_market_its_beginning(tape: Tape) -> None:
    exchange = Exchange()
    assert not exchange.has_tape(tape)
    exchange.load_tape(tape)
    assert exchange.has_tape(tape)
    assert exchange.book(200) == OrderBook(
        asks=[("14.8024", "12.77"), (15, "6.92")], bids=[("14.1", "0.0000130")], sequence_number=1000
    )
    (market,) = exchange.markets
    assert (market.book_price_decimals, market.book_quantity_decimals) == (4, 6)


def test_the_snapshot_follows_the_tape(tape: Tape) -> None:
    exchange = Exchange()
    exchange.load_tape(tape)
    depth, trades, klines = (exchange.subscribe(p) for p in (DEPTH, TRADES, "/klines/diff/200"))
    for entry in tape:
        exchange.play_entry(entry)
    # Byte for byte.
    assert [m.decode() for m in depth.take()] == frames(tape, DEPTH)
    assert [m.decode() for m in trades.take()] == frames(tape, TRADES)
    assert exchange.book(200) == OrderBook(
        asks=[(15, "6.92")],
        bids=[("14.2", "0.1000000000000000055511151231257827"), ("14.1", "0.0000130")],
        sequence_number=1002,
    )
    exchange.faults.stale_snapshots(behind=2)
    assert call(exchange, "GET", "/marketdepth/200")[1]["sequence_number"] == 1000
    assert [t["trade_id"] for t in call(exchange, "GET", "/trades")[1]] == [882, 881]
    assert [frame[0]["close"] for frame in messages(klines.take())] == ["14.7775", "14.8"]
    bars = call(exchange, "GET", "/klines/200?interval=5S")[1]["items"]
    assert [(bar["open"], bar["volume"]) for bar in bars] == [("14.8", "0.5"), ("14.7775", "0.5")]


def test_the_tape_alone_speaks_on_its_feeds(tape: Tape) -> None:
    exchange = Exchange()
    exchange.load_tape(tape)
    exchange.add_market(201)
    depth, other = exchange.subscribe(DEPTH), exchange.subscribe("/marketdepth/diff/201")
    trades = exchange.subscribe(TRADES)
    for asset in (200, 201):
        exchange.publish_diff(asset, bids=[(1, 1)])
        exchange.publish_trade(asset, 1, 1)
    assert depth.take() == trades.take() == []
    assert len(other.take()) == 1
    # A trade of the exchange's own never takes the number of one that was played.
    for entry in tape:
        exchange.play_entry(entry)
    assert exchange.publish_trade(201, 1, 1).trade_id == 883


def test_other_answers_are_served_as_they_were(tape: Tape) -> None:
    exchange = Exchange()
    entries: list[TapeEntry] = [
        TapeAnswer(START, "/markets", '{"markets": [ ]}'),
        TapeAnswer(START, "/trades", f"[{trade(2, '11')},{trade(1, '10')}]"),
        TapeAnswer(START + SECOND, "/markets", '{"markets": [1]}'),
        at(2, TRADES, trade(2, "11")),
        at(3, "/custom/feed", "anything at all"),
    ]
    recording = Tape(entries)
    exchange.load_tape(recording)
    assert call(exchange, "GET", "/markets")[1] == {"markets": []}
    assert [t["trade_id"] for t in call(exchange, "GET", "/trades")[1]] == [2, 1]
    feed = exchange.subscribe("/custom/feed")
    for entry in recording:
        exchange.play_entry(entry)
    assert call(exchange, "GET", "/markets")[1] == {"markets": [1]}
    assert [t.trade_id for t in exchange.trades()] == [1, 2]  # each once
    assert feed.take() == [b"anything at all"]


def test_a_later_snapshot_repairs_a_hole_in_the_tape() -> None:
    exchange = Exchange()
    tape = Tape(
        [
            TapeAnswer(START, "/marketdepth/200", SNAPSHOT),
            at(1, DEPTH, diff(1001, bids="[1,1]")),
            at(2, DEPTH, diff(1009, bids="[2,2]")),
            TapeAnswer(START + 3 * SECOND, "/marketdepth/200", '{"asks":[],"bids":[[7,7]],"sequence_number":1012}'),
            TapeAnswer(START + 4 * SECOND, "/marketdepth/200", SNAPSHOT),  # late, and older
        ]
    )
    exchange.load_tape(tape)
    for entry in tape:
        exchange.play_entry(entry)
    assert exchange.book(200) == OrderBook(bids=[(7, 7)], sequence_number=1012)


def test_faults_work_on_tapes(tape: Tape) -> None:
    exchange = Exchange()
    exchange.load_tape(tape)
    depth = exchange.subscribe(DEPTH)
    exchange.faults.lose_diffs(200, 1)
    for entry in tape:
        exchange.play_entry(entry)
    assert b"1001" not in b"".join(depth.take())
    assert exchange.book(200).sequence_number == 1002


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_a_tape_plays_at_its_pace(tape: Tape, speed: float, autojump_clock: MockClock) -> None:
    exchange = Exchange()
    heard: list[tuple[float, Any]] = []

    async def listen(path: str) -> None:
        async with open_feed(network, path) as feed:
            ready.release()
            while True:
                message = await feed.get_message()
                heard.append((trio.current_time() - start, message))

    ready = trio.Semaphore(0)
    async with MemoryNetwork(exchange) as network, trio.open_nursery() as nursery:
        exchange.load_tape(tape)
        nursery.start_soon(listen, DEPTH)
        nursery.start_soon(listen, TRADES)
        for _ in range(2):
            await ready.acquire()
        start = trio.current_time()
        await play(exchange, tape, speed)
        assert trio.current_time() - start == pytest.approx(tape.duration / speed)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [moment for moment, _ in heard] == pytest.approx([s / speed for s in (1, 2, 2.5, 3, 10)])
    assert [frame for _, frame in heard] == frames(tape, DEPTH, TRADES)


async def test_as_fast_as_the_listeners_can(autojump_clock: MockClock) -> None:
    count = 20_000
    tape = Tape(at(i, DEPTH, diff(1001 + i, bids=f"[{i % 50 + 1},{i % 7}]")) for i in range(count))
    exchange = Exchange()
    exchange.load_tape(tape)
    most, expected = 0, frames(tape, DEPTH)
    async with (
        MemoryNetwork(exchange) as network,
        trio.open_nursery() as nursery,
        open_feed(network, DEPTH) as feed,
    ):
        nursery.start_soon(play, exchange, tape, inf)
        for i in range(count):
            most = max(most, exchange.backlog)
            assert await feed.get_message() == expected[i]
    assert 0 < most < 6000
    assert exchange.book(200).sequence_number == 1000 + count
    assert exchange.book(200).bids[0].price <= Decimal(50)


async def test_playing_can_be_cancelled(tape: Tape, autojump_clock: MockClock) -> None:
    exchange = Exchange()
    with trio.move_on_after(2.2):
        await play(exchange, tape)
    assert exchange.book(200).sequence_number == 1001
    assert len(exchange.trades()) == 1
    with pytest.raises(ValueError, match="speed"):
        await play(exchange, tape, 0)
    await play(exchange, Tape([]))
