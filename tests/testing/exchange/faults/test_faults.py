"""Faults of what the exchange says: counted, timed and withdrawn; old answers, bad rows, trades late and again."""

from __future__ import annotations

import inspect
import json
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.raw_client import SECOND, Clock, call, messages, refused, sign_in
from tplus_trio import OrderBookClient, OrderFateUnknown, User
from tplus_trio.models import Interval, PositionUpdate
from tplus_trio.testing import Exchange, Faults, MemoryNetwork, Response

ALICE = User()


def listed(exchange: Exchange, target: str = "/trades") -> list[int]:
    """The ids of the trades that REST lists."""
    return [trade["trade_id"] for trade in call(exchange, "GET", target)[1]]


def told(exchange: Exchange, publish: Callable[[], object], path: str = "/trades") -> list[Any]:
    """What a feed says while something happens."""
    feed = exchange.subscribe(path)
    publish()
    found = [json.loads(message) for message in feed.take()]
    feed.close()
    return found


ENDLESS: dict[str, Callable[[Faults, int], object]] = {
    "fail_requests": lambda faults, n: faults.fail_requests("", 503, n),
    "reject_handshakes": lambda faults, n: faults.reject_handshakes(n),
    "garble": lambda faults, n: faults.garble("/trades", n),
    "delay_requests": lambda faults, n: faults.delay_requests("", 1, n),
    "stale_snapshots": lambda faults, n: faults.stale_snapshots(n),
    "spoil_rows": lambda faults, n: faults.spoil_rows("", n, change={"price": None}),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_large_number_costs_nothing(exchange: Exchange, name: str) -> None:
    tracemalloc.start()
    ENDLESS[name](exchange.faults, 10**9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_fault_for_a_while(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.fail_requests("/trades", 503, seconds=1800)
    exchange.faults.reject_handshakes(status=503, seconds=60)
    for _ in range(100):
        assert call(exchange, "GET", "/trades")[0] == 503
        assert refused(exchange, "/trades").status == 503
    clock.now_ns += 60 * SECOND
    exchange.subscribe("/trades")
    clock.now_ns += 1739 * SECOND
    assert call(exchange, "GET", "/trades")[0] == 503
    clock.now_ns += 1 * SECOND
    assert call(exchange, "GET", "/trades")[0] == 200


def test_faults_are_withdrawn(exchange: Exchange) -> None:
    faults = exchange.faults
    faults.fail_requests("/trades", 503, 10**9)
    faults.answer_requests("/markets", Response(404, b"{}"), 10**9)
    faults.lose_diffs(200, 10**9)
    faults.clear("fail_requests")
    assert call(exchange, "GET", "/trades")[0] == 200
    assert call(exchange, "GET", "/markets")[0] == 404
    assert told(exchange, lambda: exchange.publish_diff(200, bids=[(1, 1)]), "/marketdepth/diff/200") == []
    faults.clear()
    assert call(exchange, "GET", "/markets")[0] == 200
    assert len(told(exchange, lambda: exchange.publish_diff(200, bids=[(1, 1)]), "/marketdepth/diff/200")) == 1
    with pytest.raises(ValueError, match="not 'expire_tokens'"):
        faults.clear("expire_tokens")


def test_every_method_that_takes_effect_later_can_be_withdrawn(exchange: Exchange) -> None:
    methods = {name: getattr(Faults, name) for name in dir(Faults) if not name.startswith("_") and name != "refused"}
    later = {name for name, method in methods.items() if {"n", "seconds"} & set(inspect.signature(method).parameters)}
    assert set(exchange.faults._withdrawals) == later | {"limit_rate", "swap_diffs", "forget_ids"}
    for name in exchange.faults._withdrawals:
        exchange.faults.clear(name)


def test_a_withdrawn_fault_of_pages_does_not_reach_later_pages(exchange: Exchange, clock: Clock) -> None:
    for price in (1, 2, 3):
        exchange.publish_trade(200, price, 1)
        clock.now_ns += SECOND
    exchange.faults.lag_requests("/trades", 1.5)
    assert listed(exchange, "/trades?page=0&limit=1") == [2]
    exchange.faults.clear("lag_requests")
    assert listed(exchange, "/trades?page=1&limit=1") == [2]
    assert listed(exchange, "/trades?page=0&limit=1") == [3]
    exchange.faults.shift_pages("/trades")
    assert listed(exchange, "/trades?page=1&limit=1") == [3]
    exchange.faults.clear("shift_pages")
    assert listed(exchange, "/trades?page=2&limit=1") == [1]


async def test_a_stall_is_withdrawn(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    feed = exchange.subscribe("/trades")
    exchange.faults.stall_feed("/trades", 1000)
    exchange.publish_trade(200, 1, 1)
    assert feed.take() == []
    exchange.faults.clear("stall_feed")
    assert len(feed.take()) == 1


def test_a_replica_that_is_behind(exchange: Exchange, clock: Clock) -> None:
    for price in (1, 2, 3):
        exchange.publish_trade(200, price, 1)
        exchange.publish_diff(200, bids=[(price, 1)])
        clock.now_ns += SECOND
    exchange.change_trade(exchange.trades()[0], "Rollbacked")
    exchange.faults.lag_requests("/trades", [1.5, 0, 2.5], 3)
    assert [listed(exchange) for _ in range(4)] == [[2, 1], [3, 2, 1], [1], [3, 2, 1]]
    exchange.faults.lag_requests("", 1.5, 3)
    assert [trade["status"] for trade in call(exchange, "GET", "/trades/200")[1]] == ["Confirmed"] * 2
    assert call(exchange, "GET", "/klines/200")[1]["items"][0]["volume"] == "2"
    assert call(exchange, "GET", "/marketdepth/200")[1]["sequence_number"] == 1002
    assert call(exchange, "GET", "/marketdepth/200")[1]["sequence_number"] == 1003


def test_later_pages_come_from_the_replica_of_the_first(exchange: Exchange, clock: Clock) -> None:
    for _ in range(4):
        exchange.publish_trade(200, 1, 1)
        clock.now_ns += SECOND
    exchange.faults.lag_requests("/trades", 1.5)
    assert listed(exchange, "/trades?page=0&limit=2") == [3, 2]
    assert listed(exchange, "/trades?page=1&limit=2") == [1]
    assert listed(exchange, "/trades?page=0&limit=2") == [4, 3]
    assert listed(exchange, "/trades?page=1&limit=2") == [2, 1]


def test_pages_that_shift_and_turn(exchange: Exchange) -> None:
    for _ in range(4):
        exchange.publish_trade(200, 1, 1)
    exchange.faults.shift_pages("/trades", 1)
    assert listed(exchange, "/trades?page=0&limit=2") == [4, 3]
    assert listed(exchange, "/trades?page=1&limit=2") == [3, 2]
    assert listed(exchange, "/trades?page=2&limit=2") == [1]
    assert listed(exchange, "/trades?page=0&limit=2") == [4, 3]
    assert listed(exchange, "/trades?page=1&limit=2") == [2, 1]
    exchange.faults.reverse_pages("/trades")
    assert listed(exchange) == [1, 2, 3, 4]
    assert listed(exchange) == [4, 3, 2, 1]


def test_bad_rows(exchange: Exchange) -> None:
    for _ in range(3):
        exchange.publish_trade(200, 1, 1)
    exchange.faults.spoil_rows("/trades", change={"status": "Settled"}, missing=["price"], row=1)
    rows = call(exchange, "GET", "/trades")[1]
    assert [row["status"] for row in rows] == ["Confirmed", "Settled", "Confirmed"]
    assert "price" not in rows[1]
    exchange.faults.spoil_rows("/market/", change={"book_price_decimals": None})
    assert call(exchange, "GET", "/market/200")[1]["book_price_decimals"] is None
    exchange.faults.spoil_messages("/trades", change={"status": "Settled"})
    assert told(exchange, lambda: exchange.publish_trade(200, 1, 1))[0]["status"] == "Settled"
    exchange.faults.spoil_messages("/klines", change={"open": None})
    assert told(exchange, lambda: exchange.publish_trade(200, 1, 1), "/klines/diff/200")[0][0]["open"] is None


def test_bad_rows_of_order_events(exchange: Exchange) -> None:
    headers = sign_in(exchange, ALICE)
    feed = exchange.subscribe("/orders", headers)
    exchange.faults.spoil_messages("/orders", missing=["signature"])
    exchange.place(ALICE, 200, "Buy", 900, 5)
    assert "signature" not in messages(feed.take())[0]["Created"]


async def test_an_answer_that_is_not_that_of_what_was_done(autojump_clock: MockClock) -> None:
    exchange, page = Exchange(), Response(200, b"<html>ok</html>", (("content-type", "text/html"),))
    exchange.add_market(200)
    exchange.faults.replace_answers("/orders/create")
    exchange.faults.replace_answers("/orders/create", page)
    exchange.faults.spoil_rows("/orders/create", change={"status": "Queued"})
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(network.url, connector=network, default_user=ALICE) as client,
    ):
        # So the client cannot find out otherwise what it has done.
        exchange.faults.lose_events(ALICE, seconds=1000)
        exchange.faults.lag_listings(120, seconds=1000)
        for order_id in ("no content", "a page", "no such status"):
            with pytest.raises(OrderFateUnknown):
                await client.create_limit_order(5, 900, "Buy", asset_id=200, order_id=order_id)
            assert exchange.is_open(ALICE, order_id)


def test_trade_ids_that_restart(exchange: Exchange) -> None:
    exchange.publish_trade(200, 1, 1)
    exchange.publish_trade(200, 1, 1)
    exchange.faults.restart_trade_ids()
    exchange.publish_trade(200, 1, 1)
    exchange.place("a", 200, "Buy", 900, 5)
    exchange.place("b", 200, "Sell", 900, 5)
    assert [trade.trade_id for trade in exchange.trades()] == [1, 2, 1, 2]


def test_statuses_are_retold(exchange: Exchange, clock: Clock) -> None:
    trade = exchange.publish_trade(200, 5, 2, status="Pending")
    clock.now_ns += SECOND
    said = told(exchange, lambda: exchange.change_trade(trade, "Confirmed"))
    assert [(one["trade_id"], one["status"]) for one in said] == [(1, "Confirmed")]
    assert [(at, state.status) for at, state in exchange.trade_history()] == [
        (clock.now_ns - SECOND, "Pending"),
        (clock.now_ns, "Confirmed"),
    ]
    assert [state.status for _, state in exchange.trade_history(1)] == ["Confirmed"]
    with pytest.raises(ValueError, match="as it is now"):
        exchange.change_trade(trade, "Confirmed")
    exchange.change_trade(exchange.trades()[0], "Settled")
    assert call(exchange, "GET", "/trades")[1][0]["status"] == "Settled"


def test_a_rollback_takes_volume_from_its_candle(exchange: Exchange, clock: Clock) -> None:
    clock.now_ns -= clock.now_ns % (60 * SECOND)
    first, second = exchange.publish_trade(200, 5, 2), exchange.publish_trade(200, 9, 3)
    clock.now_ns += 61 * SECOND
    exchange.publish_trade(200, 7, 1)
    ((bar,),) = told(exchange, lambda: exchange.change_trade(second, "Rollbacked"), "/klines/diff/200")
    assert (bar["high"], bar["close"], bar["volume"]) == ("5", "5", "2")
    ((bar,),) = told(exchange, lambda: exchange.change_trade(first, "Rollbacked"), "/klines/diff/200")
    assert (bar["open"], bar["volume"]) == ("5", "0")
    for interval in Interval:
        items = call(exchange, "GET", f"/klines/200?interval={interval.value}")[1]["items"]
        assert sum(Decimal(item["volume"]) for item in items) == 1


def test_trades_that_are_told_late_or_never(exchange: Exchange) -> None:
    exchange.faults.withhold_trades(2)

    def three() -> None:
        for _ in range(3):
            exchange.publish_trade(200, 1, 1)

    assert [one["trade_id"] for one in told(exchange, three)] == [3]
    assert listed(exchange) == [3, 2, 1]
    assert [one["trade_id"] for one in told(exchange, exchange.faults.release_trades)] == [1, 2]
    assert told(exchange, exchange.faults.release_trades) == []
    exchange.faults.withhold_trades()
    assert told(exchange, lambda: exchange.publish_trade(200, 1, 1)) == []
    exchange.faults.clear("withhold_trades")
    assert told(exchange, exchange.faults.release_trades) == []


def test_old_trades_are_replayed(exchange: Exchange) -> None:
    for _ in range(5):
        exchange.publish_trade(200, 1, 1)
    exchange.faults.replay_trades(1, 2)
    assert [json.loads(message)["trade_id"] for message in exchange.subscribe("/trades").take()] == [4, 5]
    assert exchange.subscribe("/trades").take() == []


def fills(exchange: Exchange, *sides: tuple[str, int, int]) -> None:
    for side, price, quantity in sides:
        exchange.place("maker", 200, "Sell" if side == "Buy" else "Buy", price, quantity)
        exchange.place(ALICE, 200, side, price, quantity)


def test_positions_follow_from_trades(exchange: Exchange) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    feed = exchange.subscribe(f"/positions/ws/{key}", headers)
    assert messages(feed.take())[0]["positions"] == []
    fills(exchange, ("Buy", 900, 1000), ("Buy", 1100, 1000), ("Sell", 1200, 500))
    updates = messages(feed.take())
    assert len(updates) == 3
    (position,) = updates[-1]["positions"]
    assert (position["side"], position["size"], position["entry_price"]) == ("long", "1.500", "10.00")
    assert Decimal(position["unrealized_pnl"]) == 3
    for target in (f"/positions/{key}", f"/positions/{key}/200"):
        assert call(exchange, "GET", target, headers=headers)[1]["positions"] == [position]
    (basis,) = call(exchange, "GET", f"/positions/user/{key}/basis", headers=headers)[1]
    assert (basis["side"], Decimal(basis["cost"])) == ("long", Decimal(15))
    fills(exchange, ("Sell", 1000, 2500))
    (position,) = messages(feed.take())[-1]["positions"]
    assert (position["side"], position["size"], position["entry_price"]) == ("short", "1.000", "10.00")
    fills(exchange, ("Buy", 1000, 1000))
    assert messages(feed.take())[-1]["positions"] == []
    assert call(exchange, "GET", f"/positions/{key}", headers=headers)[1]["total_positions"] == 0


def test_a_rollback_takes_a_position_back(exchange: Exchange) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    fills(exchange, ("Buy", 900, 1000))
    events = exchange.subscribe(f"/trades/user/events/{key}", headers)
    feed = exchange.subscribe(f"/positions/ws/{key}", headers)
    exchange.change_trade(exchange.trades()[-1], "Rollbacked")
    assert [(one["status"], bool(one["rollback_reason"])) for one in messages(events.take())] == [("Rollbacked", True)]
    assert [bool(one["positions"]) for one in messages(feed.take())] == [True, False]
    assert [trade.status for trade in exchange.user_trades(ALICE)] == ["Rollbacked"]


async def test_the_client_reads_positions(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(network.url, connector=network, default_user=ALICE) as client,
        client.stream_user_positions() as positions,
    ):
        assert (await positions.receive()).positions == ()
        fills(exchange, ("Buy", 900, 1000))
        update = await positions.receive()
        assert isinstance(update, PositionUpdate)
        assert [f"{one.side} {one.size}" for one in update.positions] == ["long 1.000"]
