"""A request that a proxy sends twice is carried out twice, and answered once."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE
from tests.helpers.order_ways import Way, open_wire
from tests.helpers.signed_bodies import cancellation, limit_order, replacement
from tplus_trio.testing import Exchange

both_ways = pytest.mark.parametrize("way", ["rest", "control"])


def order(order_id: str) -> dict[str, Any]:
    return limit_order(ALICE, order_id, "Buy", 900, 5)


def kinds(exchange: Exchange, order_id: str) -> list[str]:
    """What the record of effects says of an order."""
    return [effect.kind for effect in exchange.effects_of(ALICE, order_id)]


@both_ways
@pytest.mark.parametrize(
    ("sent", "first", "second"), [("first", "Received", None), ("second", None, "DUPLICATE_ORDER")]
)
async def test_one_of_the_two_answers_is_sent(
    autojump_clock: MockClock, way: Way, sent: Any, first: str | None, second: str | None
) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.repeat_requests(3, path=wire.path, answer=sent)
        start = trio.current_time()
        assert await wire.ask("create", order("a")) == (first or second)
        assert trio.current_time() - start == pytest.approx(0 if first else 3, abs=0.1)
        await trio.sleep(4)
        assert kinds(wire.exchange, "a") == ["create", "refuse"]
        assert [answer.answers for answer in wire.exchange.answers] == [(first,), (second,)]
        numbers = [answer.request_number for answer in wire.exchange.answers]
        assert [effect.request_number for effect in wire.exchange.effects] == numbers == [1, 2]
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "Received"
        assert kinds(wire.exchange, "a") == ["create", "refuse", "cancel"]


@both_ways
async def test_the_second_time_takes_effect_where_ids_are_forgotten(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.forget_ids()
        wire.exchange.faults.repeat_requests(3)
        assert await wire.ask("create", order("a")) == "Received"
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "Received"
        await trio.sleep(2.9)
        assert kinds(wire.exchange, "a") == ["create", "cancel"]
        await trio.sleep(0.2)
        assert kinds(wire.exchange, "a") == ["create", "cancel", "create"]
        assert wire.exchange.is_open(ALICE, "a")


@both_ways
async def test_a_repeated_request_that_is_held_comes_twice_after_it(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.hold_requests(10)
        wire.exchange.faults.repeat_requests(10)
        assert await wire.ask("create", order("a"), seconds=1) is None
        wire.network.reset_connections()
        await trio.sleep(18.9)
        assert kinds(wire.exchange, "a") == ["create"]
        await trio.sleep(0.2)
        assert kinds(wire.exchange, "a") == ["create", "refuse"]


@both_ways
async def test_other_faults_act_on_the_answer_that_is_sent(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.repeat_requests(0, answer="second")
        wire.exchange.faults.act_then_answer(503)
        assert await wire.ask("create", order("a")) == "SERVER_BUSY"
        assert [answer.answers for answer in wire.exchange.answers] == [(None,), ("SERVER_BUSY",)]
        wire.exchange.faults.repeat_requests(0)
        assert await wire.ask("replace", replacement(ALICE, "a", 901, 5)) == "Received"
        assert kinds(wire.exchange, "a") == ["create", "refuse", "replace", "refuse"]
        assert await wire.ask("replace", replacement(ALICE, "a", 902, 5, 9)) == "Received"
        assert kinds(wire.exchange, "a")[4:] == ["replace"]


async def test_a_repeated_request_is_acknowledged_once(autojump_clock: MockClock) -> None:
    async with open_wire("control") as wire:
        wire.exchange.faults.repeat_requests(2)
        await wire.send("create", order("a"))
        assert (await wire.frame())["type"] == "ack"
        assert "CreateOrderResponse" in (await wire.frame())["data"]
        assert await wire.frame(5) is None


async def test_a_repetition_that_is_withdrawn_does_not_happen(autojump_clock: MockClock) -> None:
    async with open_wire("rest") as wire:
        wire.exchange.faults.repeat_requests()
        wire.exchange.faults.clear("repeat_requests")
        assert await wire.ask("create", order("a")) == "Received"
        assert kinds(wire.exchange, "a") == ["create"]


def test_repetitions_that_could_never_happen() -> None:
    faults = Exchange().faults
    for after in (-1, 61):
        with pytest.raises(ValueError, match="after is at"):
            faults.repeat_requests(after)
    with pytest.raises(ValueError, match="not 'both'"):
        faults.repeat_requests(answer="both")  # type: ignore[arg-type]  # illegal on purpose
