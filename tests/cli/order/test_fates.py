"""What a command about an order prints when it ends: done, refused, taken back or in doubt, Ctrl-C included."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_commands import Ended, Orders, buy, interrupt_after, open_orders
from tests.helpers.world import ASSET
from tplus_trio import GTC, IOC, User
from tplus_trio.cli.failure import FAILED, IN_DOUBT, INTERRUPTED, REFUSED
from tplus_trio.cli.order.fates import OrderFate, Report
from tplus_trio.cli.order.plans import CancelAllPlan, CancelPlan, Plan

CREATE = "/orders/create"


async def interrupted(orders: Orders, plan: Plan, seconds: float, *more: float) -> Ended:
    """Carry out a plan, and send Ctrl-C after so many seconds, and again after some more."""
    async with trio.open_nursery() as nursery:
        for moment in (seconds, *more):
            nursery.start_soon(interrupt_after, moment)
        return await orders.carry_out(plan)


async def test_done(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        ended = await orders.carry_out(buy())
        assert orders.kinds("mine") == ["create"]
    assert ended.status == 0
    assert ended.fates[0].items() >= {"kind": "OrderFate", "operation": "create", "order_id": "mine"}.items()
    assert ended.fates[0]["order"].items() >= {"status": "Open", "price": "9.00", "price_units": "900"}.items()


async def test_refused(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(User(), ASSET, "Sell", 900, 5)
        ended = await orders.carry_out(buy(time_in_force=GTC(post_only=True)))
    assert (ended.status, ended.fate) == (REFUSED, "refused")
    assert ended.fates[0]["code"]
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("tplus-trio: create of order 'mine' in market 200: refused [")


async def test_not_carried_out(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.faults.fail_requests(CREATE, 429, 20)
        ended = await orders.carry_out(buy())
        assert orders.kinds("mine") == []
    assert (ended.status, ended.fate) == (FAILED, "not_carried_out")
    assert "in market 200: not carried out [" in capfd.readouterr().err


async def test_in_doubt(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    """The request is held so long that nothing shows the order until the command has to end."""
    async with open_orders() as orders:
        orders.exchange.faults.hold_requests(60, path=CREATE)
        ended = await orders.carry_out(buy())
    assert (ended.status, ended.fate, ended.fates[0]["order"]) == (IN_DOUBT, "in_doubt", None)
    *_, last = capfd.readouterr().err.splitlines()
    assert last.startswith("tplus-trio: create of order 'mine' in market 200: in doubt: ")
    assert "it may rest and may trade" in last
    assert "`tplus-trio order cancel mine 200`" in last
    assert "do not send it again" in last


async def test_a_lost_answer_is_found_out(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.faults.act_then_answer("nothing", path=CREATE, drop=True)
        ended = await orders.carry_out(buy())
        assert orders.kinds("mine") == ["create"]
    assert (ended.status, ended.fate) == (0, "done")


async def test_a_late_order_is_taken_back(autojump_clock: MockClock) -> None:
    """It shows up after the call has given up, and before the client has."""
    async with open_orders() as orders:
        orders.exchange.faults.hold_requests(17, path=CREATE)  # 10 s for the answer, 5 s for finding out
        ended = await orders.carry_out(buy())
        assert orders.kinds("mine") == ["create", "cancel"]
    assert (ended.status, ended.fate) == (FAILED, "taken_back")


# Ctrl-C


async def test_interrupted_while_it_is_sent(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.faults.hold_requests(2, path=CREATE)
        ended = await interrupted(orders, buy(), 1.0)
        assert orders.kinds("mine") == ["create", "cancel"]
        assert orders.exchange.resting(orders.user) == ()
    assert (ended.status, ended.fate, ended.fates[0]["order"]["status"]) == (INTERRUPTED, "taken_back", "Cancelled")
    assert "interrupted: finding out what became of the request" in capfd.readouterr().err


async def test_interrupted_again(autojump_clock: MockClock) -> None:
    """Further signals change nothing: the fate is printed."""
    async with open_orders() as orders:
        orders.exchange.faults.hold_requests(2, path=CREATE)
        ended = await interrupted(orders, buy(), 1.0, 1.1, 1.5, 2.0)
        assert orders.exchange.resting(orders.user) == ()
    assert (ended.status, ended.fate) == (INTERRUPTED, "taken_back")


async def test_interrupted_and_in_doubt(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.faults.hold_requests(60, path=CREATE)
        began = trio.current_time()
        ended = await interrupted(orders, buy(), 1.0)
        assert trio.current_time() - began < 20
    assert (ended.status, ended.fate) == (IN_DOUBT, "in_doubt")


async def test_interrupted_before_it_is_sent(autojump_clock: MockClock) -> None:
    async def ask(_: str) -> bool:
        await trio.sleep(3700)  # the token expires
        orders.exchange.faults.delay_requests("/auth", 5.0)
        return True

    async with open_orders() as orders, trio.open_nursery() as nursery:
        nursery.start_soon(interrupt_after, 3701)
        ended = await orders.carry_out(buy(), ask)
        assert orders.kinds("mine") == []
        assert orders.requests("create") == 0
    assert (ended.status, ended.fate) == (INTERRUPTED, "not_carried_out")


async def test_interrupted_while_it_reads_or_asks(autojump_clock: MockClock) -> None:
    async def ask(_: str) -> bool:
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    async with open_orders() as orders:
        orders.exchange.faults.delay_requests("/market/", 5.0)
        assert (await interrupted(orders, buy(), 1.0)).status == INTERRUPTED
        assert (await orders.carry_out(buy(), ask)).status == INTERRUPTED
        assert orders.exchange.answers == ()


async def test_an_order_that_cannot_rest_is_not_taken_back(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(User(), ASSET, "Sell", 900, 5)
        orders.exchange.faults.hold_requests(2, path=CREATE)
        ended = await interrupted(orders, buy(time_in_force=IOC()), 1.0)
    assert (ended.status, ended.fate, ended.fates[0]["order"]["status"]) == (INTERRUPTED, "done", "Completed")


async def test_an_interrupted_cancellation(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id="mine")
        orders.exchange.faults.hold_requests(2, path="/orders/cancel")
        ended = await interrupted(orders, CancelPlan("mine", ASSET), 1.0)
        assert orders.exchange.resting(orders.user) == ()
    assert (ended.status, ended.fate) == (INTERRUPTED, "done")


async def test_all_orders_interrupted(autojump_clock: MockClock) -> None:
    """What was sent is known, and what was not sent is said to be open."""
    async with open_orders() as orders:
        for number in range(25):  # 20 at a time
            orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id=f"order-{number}")
        orders.exchange.faults.hold_requests(2, 100, path="/orders/cancel")
        ended = await interrupted(orders, CancelAllPlan(None), 1.0)
        resting = {order.order_id for order in orders.exchange.resting(orders.user)}
    assert ended.status == INTERRUPTED
    assert len(ended.fates) == 25
    assert {fate["order_id"] for fate in ended.fates if fate["fate"] == "not_carried_out"} == resting
    assert {fate["order_id"] for fate in ended.fates if fate["fate"] == "done"} == {
        f"order-{number}" for number in range(25)
    } - resting


async def test_all_orders_of_which_one_is_in_doubt(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        for name in ("one", "two"):
            orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id=name)
        orders.exchange.faults.hold_requests(60, 30, path="/orders/cancel")
        ended = await orders.carry_out(CancelAllPlan(ASSET))
    assert ended.status == IN_DOUBT
    assert {fate["fate"] for fate in ended.fates} == {"in_doubt"}


# The report


def fate(kind: Any, **changes: Any) -> OrderFate:
    return OrderFate("create", "a b", "200", kind, **changes)


@pytest.mark.parametrize(
    ("kinds", "was_interrupted", "status"),
    [
        (["done"], False, 0),
        (["done", "refused"], False, REFUSED),
        (["refused", "not_carried_out"], False, REFUSED),
        (["not_carried_out"], False, FAILED),
        (["taken_back"], False, FAILED),
        (["ended"], False, FAILED),
        (["done"], True, INTERRUPTED),
        (["refused", "in_doubt", "done"], False, IN_DOUBT),
        (["in_doubt"], True, IN_DOUBT),
    ],
)
def test_the_exit_status(
    capfd: pytest.CaptureFixture[str], kinds: list[str], was_interrupted: bool, status: int
) -> None:
    report = Report(json=False)
    report.fates, report.was_interrupted = [fate(kind) for kind in kinds], was_interrupted
    assert report.conclude(0) == status
    assert capfd.readouterr().err.count("\n") == len(kinds)


def test_the_status_of_the_program_counts_if_nothing_was_sent() -> None:
    assert Report(json=True).conclude(INTERRUPTED) == INTERRUPTED


def test_a_fate_as_text() -> None:
    text = fate("in_doubt", reason="the connection was lost").as_text()
    assert "in doubt: the connection was lost; it may rest and may trade." in text
    assert "`tplus-trio order cancel 'a b' 200`" in text
    row = {"status": "Partial", "filled_quantity": "0.001", "quantity": "0.005"}
    assert fate("done", row=row).as_text().endswith("the exchange took the request; Partial, 0.001 of 0.005 filled")
    assert fate("refused", code="X", reason="why").as_text().endswith("in market 200: refused [X]: why")


def test_a_fate_as_json() -> None:
    assert json.loads(fate("refused", code="X", reason="\x1b").as_json()) == {
        "kind": "OrderFate",
        "operation": "create",
        "order_id": "a b",
        "asset_id": "200",
        "fate": "refused",
        "code": "X",
        "reason": "\x1b",
        "order": None,
    }
    assert fate("refused", reason="\x1b").as_json().isprintable()
