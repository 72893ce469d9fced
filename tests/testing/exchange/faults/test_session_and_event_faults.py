"""Events of a user that are lost, repeated or out of order; sessions that end, on feeds and on the control channel."""

from __future__ import annotations

import json

import pytest
import trio
import trio_websocket
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.order_ways import open_wire
from tests.helpers.raw_client import SECOND, Clock, call, messages, refused, sign_in
from tests.helpers.signed_bodies import limit_order
from tplus_trio.testing import Exchange, MemoryNetwork, Subscription


def told(feed: Subscription) -> list[str]:
    """The order events that wait in a feed: variant and order id."""
    found = [next(iter(event.items())) for event in messages(feed.take())]
    return [f"{variant} {(fields.get('user_order') or fields)['order_id']}" for variant, fields in found]


def place_two(exchange: Exchange, first: str, second: str) -> None:
    for order_id in (first, second):
        exchange.place(ALICE, 200, "Buy", 900, 5, order_id=order_id)


def test_order_events_are_lost_repeated_and_reordered(exchange: Exchange) -> None:
    feed = exchange.subscribe("/orders", sign_in(exchange, ALICE))
    others = exchange.subscribe("/orders", sign_in(exchange, BOB))
    exchange.faults.lose_events(ALICE)
    place_two(exchange, "a", "b")
    assert told(feed) == ["Created b"]
    exchange.faults.repeat_events(ALICE.public_key)
    place_two(exchange, "c", "d")
    assert told(feed) == ["Created c", "Created c", "Created d"]
    exchange.faults.reorder_events(ALICE)
    place_two(exchange, "e", "f")
    assert told(feed) == ["Created f", "Created e"]
    place_two(exchange, "g", "h")
    assert told(feed) == ["Created g", "Created h"]
    exchange.faults.reorder_events(ALICE)
    exchange.place(ALICE, 200, "Buy", 900, 5, order_id="i")
    assert told(feed) == []
    exchange.faults.clear("reorder_events")
    assert told(feed) == ["Created i"]
    exchange.faults.lose_events(ALICE)
    exchange.place(BOB, 200, "Buy", 900, 5, order_id="j")
    assert told(others) == ["Created j"]
    effects = [effect.order_id for effect in exchange.effects if effect.kind == "create"]
    assert effects == list("abcdefghij")


def test_trade_events_are_lost(exchange: Exchange) -> None:
    feed = exchange.subscribe(f"/trades/user/{ALICE.public_key}", sign_in(exchange, ALICE))
    exchange.place(ALICE, 200, "Buy", 900, 10)
    exchange.faults.lose_events(ALICE)
    exchange.place(BOB, 200, "Sell", 900, 4)
    exchange.place(BOB, 200, "Sell", 900, 6)
    assert [trade["quantity"] for trade in messages(feed.take())] == ["0.006"]
    assert len(exchange.user_trades(ALICE)) == 2


@pytest.mark.parametrize("path", ["/trades/user/", "/trades/user/events/"])
def test_trade_events_are_repeated_and_reordered(exchange: Exchange, path: str) -> None:
    feed = exchange.subscribe(f"{path}{ALICE.public_key}", sign_in(exchange, ALICE))
    exchange.place(ALICE, 200, "Buy", 900, 20)
    per_trade = 2 if "events" in path else 1  # pending, then confirmed

    def sold(*quantities: int) -> list[str]:
        for quantity in quantities:
            exchange.place(BOB, 200, "Sell", 900, quantity)
        return [f"{trade['quantity']} {trade['status']}" for trade in messages(feed.take())]

    def usual(*quantities: int) -> list[str]:
        statuses = ("Pending", "Confirmed")[-per_trade:]
        return [f"0.00{quantity} {status}" for quantity in quantities for status in statuses]

    exchange.faults.repeat_events(ALICE, per_trade)
    assert sold(1, 2) == [row for row in usual(1) for _ in range(2)] + usual(2)
    exchange.faults.reorder_events(ALICE)
    first, second, *rest = usual(3, 4)
    assert sold(3, 4) == [second, first, *rest]
    exchange.faults.lose_events(BOB)
    assert sold(5, 1) == usual(5, 1)
    assert len(exchange.user_trades(ALICE)) == 6
    assert {trade.status for trade in exchange.user_trades(ALICE)} == {"Confirmed"}


def test_sessions_end(exchange: Exchange) -> None:
    alice, bob = sign_in(exchange, ALICE), sign_in(exchange, BOB)
    feeds = [exchange.subscribe(path, alice) for path in ("/orders", "/control")]
    other, public = exchange.subscribe("/orders", bob), exchange.subscribe("/trades")
    exchange.faults.end_sessions(ALICE, 4401)
    assert [(feed.closed, feed.close_code) for feed in feeds] == [(True, 4401)] * 2
    assert not other.closed
    assert refused(exchange, "/orders", alice).status == 401
    assert call(exchange, "GET", f"/positions/{ALICE.public_key}", headers=alice)[0] == 401
    exchange.faults.end_sessions()
    assert other.closed
    assert not public.closed
    exchange.subscribe("/orders", sign_in(exchange, ALICE))
    with pytest.raises(ValueError, match="4999"):
        exchange.faults.end_sessions(code=5000)


def test_an_expired_token_ends_what_was_opened_with_it(clock: Clock) -> None:
    exchange = Exchange(now_ns=clock, token_ttl=100)
    exchange.add_market(200)
    early = exchange.subscribe("/control", sign_in(exchange, ALICE))
    clock.now_ns += 60 * SECOND
    late, public = exchange.subscribe("/orders", sign_in(exchange, ALICE)), exchange.subscribe("/trades")
    clock.now_ns += 39 * SECOND
    exchange.expire_orders()
    assert not early.closed
    clock.now_ns += 1 * SECOND
    exchange.expire_orders()
    assert (early.closed, early.close_code, late.closed) == (True, 1008, False)
    clock.now_ns += 60 * SECOND
    exchange.expire_orders()
    assert (late.closed, public.closed) == (True, False)


async def test_a_control_channel_ends_with_its_token(autojump_clock: MockClock) -> None:
    exchange = Exchange(token_ttl=100)
    exchange.add_market(200)
    async with open_wire("control", exchange) as wire:
        assert wire.socket is not None
        start = trio.current_time()
        assert await wire.ask("create", limit_order(ALICE, "a", "Buy", 900, 5)) == "Received"
        with trio.fail_after(200), pytest.raises(trio_websocket.ConnectionClosed):
            await wire.socket.get_message()
        assert wire.socket.closed is not None
        assert wire.socket.closed.code == 1008
        assert trio.current_time() - start == pytest.approx(100, abs=1)
        assert exchange.is_open(ALICE, "a")


def test_a_control_channel_whose_session_has_ended_carries_out_nothing(clock: Clock) -> None:
    exchange = Exchange(now_ns=clock, token_ttl=100)
    exchange.add_market(200)

    def send(channel: Subscription, order_id: str) -> None:
        body = limit_order(ALICE, order_id, "Buy", 900, 5)
        assert channel.on_message is not None
        channel.on_message(json.dumps({"request_id": order_id, "data": {"CreateOrderRequest": body}}))

    ended = exchange.subscribe("/control", sign_in(exchange, ALICE))
    send(ended, "before")
    exchange.faults.end_sessions(ALICE)
    send(ended, "after")  # it was under way when the session ended
    expired = exchange.subscribe("/control", sign_in(exchange, ALICE))
    clock.pass_(99)
    send(expired, "valid")
    clock.pass_(1)
    send(expired, "expired")
    assert expired.closed
    assert [effect.order_id for effect in exchange.effects] == ["before", "valid"]
    assert [answer.order_ids for answer in exchange.answers] == [("before",), ("valid",)]


async def test_a_request_that_comes_before_the_close_frame_of_its_session_leaves(autojump_clock: MockClock) -> None:
    async with open_wire("control") as wire:
        wire.exchange.faults.stall_feed("/control", 10)
        assert await wire.ask("create", limit_order(ALICE, "a", "Buy", 900, 5), seconds=1) is None
        wire.exchange.faults.end_sessions(ALICE, 4401)
        await wire.send("create", limit_order(ALICE, "b", "Buy", 900, 5))
        await trio.sleep(5)
        assert [effect.order_id for effect in wire.exchange.effects] == ["a"]
        assert (await wire.frame(10))["type"] == "ack"
        assert (await wire.frame())["request_id"] == "r1"
        assert wire.socket is not None
        with pytest.raises(trio_websocket.ConnectionClosed):
            await wire.socket.get_message()


async def test_a_closed_feed_leaves_no_task_that_waits_for_its_end(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    async with MemoryNetwork(exchange):
        before = trio.lowlevel.current_statistics().tasks_living
        feed = exchange.subscribe("/orders", sign_in(exchange, ALICE))
        await trio.sleep(1)
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
        feed.close()
        assert exchange.next_due_ns is None
        await trio.sleep(0.1)
        assert trio.lowlevel.current_statistics().tasks_living == before
