"""Faults of requests about orders reach REST and the control channel alike, and never the record of effects."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE
from tests.helpers.order_ways import Way, Wire, open_wire
from tests.helpers.raw_client import messages, open_http
from tests.helpers.signed_bodies import amendment, cancellation, limit_order, replacement
from tplus_trio.testing import Exchange, Response

both_ways = pytest.mark.parametrize("way", ["rest", "control"])


def order(order_id: str, price: int = 900) -> dict[str, Any]:
    return limit_order(ALICE, order_id, "Buy", price, 5)


def kinds(exchange: Exchange, order_id: str) -> list[str]:
    """What the record of effects says of an order."""
    return [effect.kind for effect in exchange.effects_of(ALICE, order_id)]


@both_ways
async def test_without_a_fault(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        assert await wire.ask("create", order("a")) == "Received"
        assert await wire.ask("replace", replacement(ALICE, "a", 901, 5)) == "Received"
        assert await wire.ask("amend", amendment(ALICE, "a", 4, 7)) == "Received"
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "Received"
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "ORDER_NOT_FOUND"
        assert await wire.ask("create", order("a")) == "DUPLICATE_ORDER"
        assert [(answer.operation, *answer.answers) for answer in wire.exchange.answers] == [
            ("create", "Received"),
            ("replace", "Received"),
            ("amend", "Received"),
            ("cancel", "Received"),
            ("cancel", "ORDER_NOT_FOUND"),
            ("create", "DUPLICATE_ORDER"),
        ]
        assert {(answer.way, answer.user, *answer.order_ids) for answer in wire.exchange.answers} == {
            (way, ALICE.public_key, "a")
        }
        effects = wire.exchange.effects_of(ALICE, "a")
        assert {effect.request_number for effect in effects} <= {
            answer.request_number for answer in wire.exchange.answers
        }


@both_ways
@pytest.mark.parametrize(
    ("answer", "said"),
    [(503, "SERVER_BUSY"), (500, "INTERNAL_ERROR"), ("garbage", "garbage"), ("nothing", None)],
)
async def test_a_request_acts_and_is_answered_otherwise(
    autojump_clock: MockClock, way: Way, answer: Any, said: str | None
) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.act_then_answer(answer)
        assert await wire.ask("create", order("a")) == said
        assert wire.exchange.is_open(ALICE, "a")
        assert kinds(wire.exchange, "a") == ["create"]
        assert wire.exchange.answers[-1].answers == (said,)
    async with open_wire(way, wire.exchange) as wire:
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "Received"


@both_ways
async def test_a_connection_ends_after_its_request(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.drop_after_request(path=wire.path)
        assert await wire.ask("create", order("a")) == "closed"
        assert wire.exchange.is_open(ALICE, "a")
        assert wire.exchange.answers[-1].answers == (None,)
    async with open_wire(way) as wire:
        wire.exchange.faults.act_then_answer(503, drop=True)
        assert await wire.ask("create", order("b")) == "SERVER_BUSY"
        assert await wire.ask("cancel", cancellation(ALICE, "b")) == "closed"
        assert wire.exchange.is_open(ALICE, "b")


@both_ways
async def test_a_held_request_takes_effect_after_its_connection_is_gone(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.hold_requests(30)
        assert await wire.ask("create", order("a"), seconds=1) is None
        wire.network.reset_connections()
        await trio.sleep(28)
        assert kinds(wire.exchange, "a") == []
        await trio.sleep(2)
        assert kinds(wire.exchange, "a") == ["create"]


@both_ways
async def test_a_request_that_is_held_for_long_may_find_another_state(autojump_clock: MockClock, way: Way) -> None:
    exchange = Exchange(token_ttl=30)
    exchange.add_market(200)
    async with open_wire(way, exchange) as wire:
        expiry = {"GTD": {"post_only": False, "timestamp_ns": exchange.now_ns() + 50 * 10**9}}
        assert await wire.ask("create", limit_order(ALICE, "a", "Buy", 900, 5, time_in_force=expiry)) == "Received"
        exchange.faults.hold_requests(60, 2, path=wire.path)
        assert await wire.ask("cancel", cancellation(ALICE, "a"), seconds=1) is None
    async with open_wire(way, exchange) as wire:  # the connection and its session are gone when it is carried out
        assert await wire.ask("create", order("b"), seconds=1) is None
        wire.network.drop_connections()
        await trio.sleep(57)
        assert kinds(exchange, "a") == ["create", "expire"]
        assert exchange.answers[-1].answers == ("Received",)
        await trio.sleep(3)
        assert kinds(exchange, "a") == ["create", "expire", "refuse"]
        assert kinds(exchange, "b") == ["create"]


@both_ways
async def test_what_has_expired_is_refused_alike(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        start_ns = wire.exchange.now_ns()
        expiry = {"GTD": {"post_only": False, "timestamp_ns": start_ns + 10 * 10**9}}
        trigger = {"parent_order_id": None, "condition": {"PriceAbove": {"price": 2000}}}
        for order_id, terms in (("rests", {}), ("waits", {"trigger": trigger})):
            body = limit_order(ALICE, order_id, "Buy", 900, 5, time_in_force=expiry, **terms)
            assert await wire.ask("create", body) == "Received"
        await trio.sleep(10)
        for order_id in ("rests", "waits"):
            assert await wire.ask("cancel", cancellation(ALICE, order_id)) == "ORDER_NOT_FOUND"
            assert await wire.ask("replace", replacement(ALICE, order_id, 901, 5)) == "ORDER_NOT_FOUND"
            assert await wire.ask("amend", amendment(ALICE, order_id, 4, None)) == "ORDER_NOT_FOUND"
            refusals = [effect.operation for effect in wire.exchange.effects_of(ALICE, order_id)[2:]]
            assert kinds(wire.exchange, order_id) == ["create", "expire", *["refuse"] * 3]
            assert refusals == ["cancel", "replace", "amend"]
        late = limit_order(ALICE, "late", "Buy", 900, 5, time_in_force=expiry)
        assert await wire.ask("create", late) == "INVALID_ORDER_EXPIRED"


@both_ways
async def test_a_held_request_is_answered(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.hold_requests(30)
        start = trio.current_time()
        assert await wire.ask("create", order("a"), seconds=60) == "Received"
        assert trio.current_time() - start == pytest.approx(30, abs=0.1)


@both_ways
async def test_requests_that_fail_later(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        feed = wire.exchange.subscribe("/orders", wire.headers)
        assert await wire.ask("create", order("rests")) == "Received"
        feed.take()
        wire.exchange.faults.refuse_later("NO_MARGIN", 4)
        assert await wire.ask("create", order("a")) == "Received"
        assert await wire.ask("replace", replacement(ALICE, "rests", 901, 5)) == "Received"
        assert await wire.ask("amend", amendment(ALICE, "rests", 4, 7)) == "Received"
        assert await wire.ask("cancel", cancellation(ALICE, "rests")) == "Received"
        failures = [
            (kind, fields["order_id"], fields["reason"])
            for event in messages(feed.take())
            for kind, fields in event.items()
        ]
        assert failures == [
            ("CreateFailed", "a", "NO_MARGIN"),
            ("ReplaceFailed", "rests", "NO_MARGIN"),
            ("AmendFailed", "rests", "NO_MARGIN"),
            ("CancelFailed", "rests", "NO_MARGIN"),
        ]
        assert kinds(wire.exchange, "a") == []
        assert kinds(wire.exchange, "rests") == ["create"]
        assert wire.exchange.is_open(ALICE, "rests")
        assert not wire.exchange.is_open(ALICE, "a")


async def results(wire: Wire, ids: list[str]) -> list[str]:
    """The order ids that a batch is answered with, in the order of the answers."""
    body = {"orders": [order(order_id) for order_id in ids]}
    if wire.http is not None:
        answer = await wire.http.request("POST", "/orders/batch-create", body, list(wire.headers.items()))
        return [result["order_id"] for result in answer.json()["results"]]
    await wire.send("batch_create", body)
    assert (await wire.frame())["type"] == "ack"
    found: list[str] = []
    while (frame := await wire.frame(1)) is not None:
        found.append(frame["data"]["CreateOrderResponse"]["response"]["order_id"])
    return found


@both_ways
async def test_results_of_a_batch(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        first, second, third = (list("abcd"), list("efgh"), list("ijkl"))
        wire.exchange.faults.shuffle_batch(seed=3)
        found = await results(wire, first)
        assert found != first
        assert sorted(found) == first
        wire.exchange.faults.omit_from_batch(2)
        found = await results(wire, second)
        assert len(found) == 2
        assert found == sorted(found)
        assert wire.exchange.answers[-1].answers.count(None) == 2
        assert await results(wire, third) == third
        assert all(kinds(wire.exchange, order_id) == ["create"] for order_id in (*first, *second, *third))


async def test_requests_on_one_control_channel_in_another_order(autojump_clock: MockClock) -> None:
    orders: list[list[str]] = []
    for _ in range(2):
        async with open_wire("control") as wire:
            wire.exchange.faults.handle_concurrently(1.0, 20, seed=5)
            for number in range(20):
                await wire.send("create", order(f"o{number}"))
            await trio.sleep(2)
            orders.append([effect.order_id for effect in wire.exchange.effects if effect.kind == "create"])
    assert orders[0] == orders[1]
    assert orders[0] != [f"o{number}" for number in range(20)]
    assert len(orders[0]) == 20


async def test_requests_on_several_connections_in_another_order(autojump_clock: MockClock) -> None:
    async with open_wire("rest") as wire:
        wire.exchange.faults.handle_concurrently(1.0, 20, seed=5)
        headers = list(wire.headers.items())

        async def create(number: int) -> None:
            await trio.sleep(number / 1000)
            http = await open_http(wire.network)
            assert (await http.request("POST", "/orders/create", order(f"o{number}"), headers)).status == 200

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(create, number)
        done = [effect.order_id for effect in wire.exchange.effects if effect.kind == "create"]
        assert len(done) == 20
        assert done != [f"o{number}" for number in range(20)]


async def test_acknowledgements(autojump_clock: MockClock) -> None:
    async with open_wire("control") as wire:
        for style in ("ack", "submitted", "none", "late"):
            wire.exchange.faults.ack_style(style)
        seen: list[list[str]] = []
        for name in "abcd":
            await wire.send("create", order(name))
            frames: list[str] = []
            while (frame := await wire.frame(1)) is not None:
                frames.append("ack" if frame.get("type") == "ack" else next(iter(frame["data"])))
            seen.append(frames)
        answer = "CreateOrderResponse"
        assert seen == [["ack", answer], ["request", answer], [answer], [answer, "ack"]]


async def test_answers_without_a_request_id_and_bare_ones(autojump_clock: MockClock) -> None:
    async with open_wire("control") as wire:
        wire.exchange.faults.ack_style("none", 4)
        wire.exchange.faults.drop_request_ids(2)
        wire.exchange.faults.send_bare_answers()
        await wire.send("create", order("a"))
        frame = await wire.frame()
        assert set(frame) == {"data"}
        await wire.send("create", order("a"))
        assert set(await wire.frame()) == {"error"}
        await wire.send("create", order("b"))
        assert set(await wire.frame()) == {"CreateOrderResponse"}
        await wire.send("create", order("c"))
        assert (await wire.frame())["request_id"] == "r4"


async def test_faults_of_rest_and_feeds_reach_the_control_channel(autojump_clock: MockClock) -> None:
    async with open_wire("control") as wire:
        faults = wire.exchange.faults
        faults.fail_requests("/control/orders/create", 503, retry_after=3)
        await wire.send("create", order("a"))
        error = (await wire.frame())["error"]
        assert (error["code"], error["retry_after"]) == ("SERVER_BUSY", 3.0)
        assert kinds(wire.exchange, "a") == []
        assert wire.exchange.answers[-1].answers == ("SERVER_BUSY",)
        assert wire.exchange.answers[-1].request_number is None
        faults.limit_rate(0.001, path="/control", retry_after=7, burst=1)
        assert await wire.ask("create", order("a")) == "Received"
        await wire.send("create", order("b"))
        error = (await wire.frame())["error"]
        assert (error["code"], error["retry_after"]) == ("RATE_LIMITED", 7.0)
        faults.clear()
        faults.delay_requests("/control", 20)
        start = trio.current_time()
        assert await wire.ask("create", order("c"), seconds=60) == "Received"
        assert trio.current_time() - start == pytest.approx(20, abs=0.1)
        faults.garble("/control", text="no frame")
        await wire.send("create", order("d"))
        assert await wire.frame() == "no frame"
        assert (await wire.frame())["request_id"] == f"r{wire.sent}"
        faults.stall_feed("/control", 10)
        await wire.send("create", order("e"))
        assert await wire.frame(9) is None
        assert (await wire.frame())["type"] == "ack"
        assert (await wire.frame())["request_id"] == f"r{wire.sent}"
        faults.close_streams("/control", 4400)
        assert wire.socket is not None
        with pytest.raises(trio_websocket.ConnectionClosed):
            await wire.socket.get_message()
        assert wire.socket.closed is not None
        assert wire.socket.closed.code == 4400


async def test_an_answer_that_another_one_replaces_is_recorded_as_unreadable(autojump_clock: MockClock) -> None:
    async with open_wire("rest") as wire:
        wire.exchange.faults.replace_answers("/orders/create", Response(502, b"<html>"), 2)
        wire.exchange.faults.answer_requests("/orders/cancel", Response(404, b"<html>"))
        assert await wire.ask("create", order("a")) == "garbage"
        assert await wire.ask("create", order("b")) == "garbage"
        assert await wire.ask("create", order("c")) == "Received"
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "garbage"
        wire.exchange.faults.replace_answers("/orders/cancel", Response(200, b'{"error":{"code":"BUSY"}}'))
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "BUSY"
        assert [answer.answers for answer in wire.exchange.answers] == [
            ("garbage",),
            ("garbage",),
            ("Received",),
            ("garbage",),
            ("BUSY",),
        ]
        assert [answer.request_number for answer in wire.exchange.answers] == [1, 2, 3, None, 4]
        assert kinds(wire.exchange, "a") == ["create", "cancel"]


@both_ways
async def test_an_unreadable_answer_has_no_rows_to_change(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        faults = wire.exchange.faults
        faults.spoil_rows(wire.path, change={"order_id": "b"})
        faults.spoil_messages(wire.path, change={"order_id": "b"})
        faults.reverse_pages(wire.path)
        faults.act_then_answer("garbage")
        faults.ack_style("none")
        assert await wire.ask("create", order("a")) == "garbage"
        assert kinds(wire.exchange, "a") == ["create"]


async def test_a_refusal_on_rest_is_in_the_record_of_answers(autojump_clock: MockClock) -> None:
    async with open_wire("rest") as wire:
        wire.exchange.faults.fail_requests("/orders/create", 429)
        assert await wire.ask("create", order("a")) == "RATE_LIMITED"
        (answer,) = wire.exchange.answers
        assert (answer.request_number, answer.order_ids, answer.answers) == (None, ("a",), ("RATE_LIMITED",))


def test_faults_that_could_never_happen() -> None:
    faults = Exchange().faults
    with pytest.raises(ValueError, match="not 'silence'"):
        faults.act_then_answer("silence")  # type: ignore[arg-type]  # illegal on purpose
    for status in (200, 600):
        with pytest.raises(ValueError, match="status"):
            faults.act_then_answer(status)
    for seconds in (-1, 61):
        with pytest.raises(ValueError, match="seconds is at"):
            faults.hold_requests(seconds)
    for within in (0, 61):
        with pytest.raises(ValueError, match="within is"):
            faults.handle_concurrently(within)
    with pytest.raises(ValueError, match="count is at least 1"):
        faults.omit_from_batch(0)
    with pytest.raises(ValueError, match="not 'loud'"):
        faults.ack_style("loud")  # type: ignore[arg-type]  # illegal on purpose
    with pytest.raises(ValueError, match="path begins with"):
        faults.refuse_later(path="orders")


async def test_a_withdrawn_fault_does_not_happen(autojump_clock: MockClock) -> None:
    async with open_wire("rest") as wire:
        faults = wire.exchange.faults
        faults.act_then_answer(503)
        faults.hold_requests(30)
        faults.refuse_later()
        for method in ("act_then_answer", "hold_requests", "refuse_later"):
            faults.clear(method)
        assert await wire.ask("create", order("a"), seconds=1) == "Received"
        assert kinds(wire.exchange, "a") == ["create"]
