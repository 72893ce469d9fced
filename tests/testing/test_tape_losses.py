"""Losses on a tape: what the subscribers of a replay lose, and what REST has from there on."""

from __future__ import annotations

import json
from math import inf

import pytest
import trio
import trio_websocket
from trio.testing import MockClock

from tests.helpers.raw_client import SECOND, call, open_feed
from tplus_trio.testing import Exchange, MemoryNetwork, Tape, TapeAnswer, TapeEntry, TapeFrame, TapeLoss, play
from tplus_trio.testing.exchange.feeds import ABNORMAL

DEPTH, TRADES, KLINES = "/marketdepth/diff/200", "/trades", "/klines/diff/200"


def snapshot(number: int, bid: int, at: float = 0) -> TapeAnswer:
    body = f'{{"asks":[],"bids":[[{bid},1]],"sequence_number":{number}}}'
    return TapeAnswer(int(at * SECOND), "/marketdepth/200", body)


def diff(number: int, bid: int = 1) -> TapeFrame:
    return TapeFrame(number, DEPTH, f'{{"bids":[[{bid},2]],"asks":[],"sequence_number":{number}}}')


def trade(trade_id: int) -> str:
    fields = {"asset_id": "200", "trade_id": trade_id, "price": "1", "quantity": "2", "timestamp_ns": trade_id}
    return json.dumps({**fields, "buyer_is_maker": False})


def lost(path: str = DEPTH) -> TapeLoss:
    return TapeLoss(0, path, "the connection was lost")


def gap(path: str = DEPTH) -> TapeLoss:
    return TapeLoss(0, path, "a number was skipped", connection=False)


def loaded(*entries: TapeEntry) -> tuple[Exchange, Tape]:
    exchange, tape = Exchange(), Tape(entries)
    exchange.load_tape(tape)
    return exchange, tape


def bids(exchange: Exchange) -> tuple[int, list[int]]:
    """The sequence number of the book that REST serves, and the prices of its bids."""
    status, body = call(exchange, "GET", "/marketdepth/200")
    assert status == 200
    return body["sequence_number"], [price for price, _ in body["bids"]]


def listed(exchange: Exchange, path: str = TRADES) -> list[int]:
    return [fields["trade_id"] for fields in call(exchange, "GET", path)[1]]


def test_the_first_book_is_the_one_that_the_first_change_follows() -> None:
    # The recorder subscribed, was told an old book, and asked again.
    exchange, tape = loaded(diff(1006), snapshot(1003, 3), diff(1007), snapshot(1006, 6), diff(1008))
    assert bids(exchange) == (1006, [6])
    for entry in tape[:3]:
        exchange.play_entry(entry)
    assert bids(exchange) == (1007, [6, 1])
    for entry in tape[3:]:
        exchange.play_entry(entry)
    assert bids(exchange) == (1008, [6, 1])


def test_a_change_that_the_book_has_already_changes_nothing() -> None:
    exchange, _ = loaded(snapshot(1005, 5), diff(1006))
    exchange.play_entry(diff(1005, bid=9))
    assert bids(exchange) == (1005, [5])


def test_where_changes_are_missing_the_next_snapshot_is_served() -> None:
    entries = (snapshot(1001, 1), diff(1002), diff(1004), gap(), diff(1005), snapshot(1003, 3), snapshot(1005, 5))
    exchange, tape = loaded(*entries)
    for entry, expected in zip(tape[1:], (1002, 1004, 1004, 1005, 1005, 1005), strict=True):
        exchange.play_entry(entry)
        assert bids(exchange)[0] == expected
    assert bids(exchange) == (1005, [3, 1])


def test_a_book_that_the_tape_does_not_have_is_not_served() -> None:
    exchange, tape = loaded(snapshot(1001, 1), diff(1002), lost(), diff(1005), diff(1006))
    for entry in tape[:3]:
        exchange.play_entry(entry)
    assert bids(exchange) == (1002, [1])
    for entry in tape[3:]:
        exchange.play_entry(entry)
        status, body = call(exchange, "GET", "/marketdepth/200")
        assert (status, body["error"]["code"]) == (503, "NOT_ON_TAPE")
    exchange.play_entry(snapshot(1006, 6))
    assert bids(exchange) == (1006, [6])


def test_numbers_that_never_rise_by_one_show_no_loss() -> None:
    exchange, tape = loaded(snapshot(1001, 1), *(diff(1001 + 5 * n, bid=n + 1) for n in range(1, 5)))
    for entry in tape:
        exchange.play_entry(entry)
    assert bids(exchange) == (1021, [5, 4, 3, 2, 1])


def test_a_service_that_started_over() -> None:
    exchange, tape = loaded(snapshot(5000, 1), diff(5001), lost(), snapshot(7, 7), diff(8), diff(9))
    for entry in tape:
        exchange.play_entry(entry)
    assert bids(exchange) == (9, [7, 1])
    exchange, tape = loaded(snapshot(5000, 1), diff(5001), diff(8), gap(), diff(9), snapshot(9, 7))
    for entry in tape[:3]:
        exchange.play_entry(entry)
    assert bids(exchange) == (9, [7])


def test_subscribers_lose_their_connections_unless_the_numbers_show_it() -> None:
    exchange, _ = loaded(snapshot(1001, 1), diff(1002), TapeFrame(0, TRADES, trade(1)))
    depth, trades, other = (exchange.subscribe(path) for path in (DEPTH, TRADES, "/marketdepth/diff/200/"))
    assert other.path == DEPTH
    exchange.play_entry(gap())
    exchange.play_entry(diff(1002))
    assert not depth.closed
    exchange.play_entry(lost())
    assert (depth.closed, depth.close_code) == (True, ABNORMAL)
    assert len(depth.take()) == 1  # what came before the loss is still sent
    assert other.closed
    assert not trades.closed
    exchange.play_entry(gap(TRADES))
    assert trades.closed
    assert exchange.subscribers(TRADES) == 0


def test_rest_lists_the_trades_that_the_recorder_was_told_of() -> None:
    page = TapeAnswer(0, "/trades?page=0&limit=100", f"[{trade(6)},{trade(4)},{trade(2)}]")
    later = TapeAnswer(0, "/trades?page=0&limit=100", f"[{trade(9)}]")
    frames = [TapeFrame(0, TRADES, trade(n)) for n in (1, 2, 6)]
    exchange, tape = loaded(*frames[:2], lost(TRADES), frames[2], page, lost(TRADES), later)
    for entry in tape[:2]:
        exchange.play_entry(entry)
    assert listed(exchange) == [2, 1]
    exchange.play_entry(tape[2])
    assert listed(exchange) == [6, 4, 2]
    exchange.play_entry(tape[3])
    exchange.play_entry(tape[4])
    assert listed(exchange) == listed(exchange, "/trades/200") == [6, 4, 2]
    exchange.play_entry(tape[5])
    assert listed(exchange) == [9]
    exchange.play_entry(TapeFrame(0, TRADES, trade(10)))
    assert listed(exchange) == [10, 9]


def test_rest_has_no_candles_that_the_recorder_was_not_told_of() -> None:
    target = "/klines/200?page=0&limit=100"
    old, new = (TapeAnswer(0, target, f'{{"items":[{n}]}}') for n in (1, 2))
    exchange, tape = loaded(TapeFrame(0, KLINES, "[]"), old, lost(KLINES), lost(KLINES), new)
    for entry, expected in zip(tape, ([1], [1], [], [2], [2]), strict=True):  # no answer between the two losses
        exchange.play_entry(entry)
        assert call(exchange, "GET", target)[1]["items"] == expected
    assert call(exchange, "GET", "/klines/200?page=1&limit=100")[1]["items"] == []


async def test_the_tape_waits_until_the_subscribers_are_back(autojump_clock: MockClock) -> None:
    later = TapeFrame(2 * SECOND, "/custom", "x")
    entries: list[TapeEntry] = [TapeFrame(0, "/custom", "a"), TapeLoss(SECOND, "/custom", "lost"), later]
    exchange, tape = loaded(*entries, TapeFrame(3 * SECOND, "/custom", "y"))
    played = trio.Event()

    async def run(speed: float) -> None:
        await play(exchange, tape, speed)
        played.set()

    async with MemoryNetwork(exchange) as network, trio.open_nursery() as nursery:
        async with open_feed(network, "/custom") as feed:
            nursery.start_soon(run, 1.0)
            assert await feed.get_message() == "a"
            with pytest.raises(trio_websocket.ConnectionClosed):
                await feed.get_message()
        await trio.sleep(5)
        began = trio.current_time()
        async with open_feed(network, "/custom") as feed:
            with trio.fail_after(10):
                assert await feed.get_message() == "x"
                assert await feed.get_message() == "y"
            assert 1 <= trio.current_time() - began < 1.1
        with trio.fail_after(1):
            await played.wait()


async def test_the_tape_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    exchange, tape = loaded(TapeLoss(0, "/custom", "lost"), TapeFrame(1, "/custom", "x"))
    exchange.subscribe("/custom")
    began = trio.current_time()
    await play(exchange, tape, inf)
    assert 29 < trio.current_time() - began < 31
