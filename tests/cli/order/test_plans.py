"""What a command about an order shows before it sends, and that it sends exactly that."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.order_commands import buy, open_orders
from tests.helpers.world import ASSET
from tplus_trio import GTC, GTD, IOC, AssetIdentifier, ConnectionFailed, NotFoundError, TradeTarget, TriggerAbove, User
from tplus_trio.cli.failure import REFUSED, Failure
from tplus_trio.cli.order.plans import CancelAllPlan, CancelPlan, CreatePlan, Plan, ReplacePlan, time_in_force
from tplus_trio.models import OrderTrigger
from tplus_trio.testing.exchange.http_messages import Request, Response


async def never(question: str) -> bool:
    raise AssertionError(question)


async def no(question: str) -> bool:
    assert question in {"Create this order?", "Cancel these 2 orders?"}
    return False


async def yes(question: str) -> bool:
    assert question
    return True


def shown(capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The terms that were shown, by their names."""
    out, err = capfd.readouterr()
    assert out == ""
    return {line[2:12].strip(): line[12:] for line in err.splitlines() if line.startswith("  ")}


@pytest.mark.parametrize(
    ("plan", "terms"),
    [
        (
            buy(),
            {
                "order": "mine",
                "market": "200",
                "side": "Buy",
                "price": "9.00 (900 units of 0.01)",
                "quantity": "0.005 (5 units of 0.001)",
                "amount": "0.04500 (4500 units of 0.00001)",
                "in force": "GTC, until cancelled",
                "for": "the spot balance of sub-account 1",
            },
        ),
        (buy(time_in_force=GTC(post_only=True)), {"in force": "GTC, until cancelled, post-only"}),
        (
            buy(time_in_force=GTD(True, 4_102_444_800_000_000_000)),
            {"in force": "GTD, until 2100-01-01 00:00:00 UTC, post-only"},
        ),
        (buy(time_in_force=IOC()), {"in force": "IOC, what does not trade at once is cancelled"}),
        (buy(time_in_force=IOC(fill_or_kill=True)), {"in force": "FOK, all of it at once or nothing"}),
        (buy(reduce_only=True), {"reduces": "only a position"}),
        (buy(target=TradeTarget.margin_account_margin_trade()), {"for": "the margin of sub-account 1"}),
        (
            buy(price=None, time_in_force=IOC(fill_or_kill=True), max_amount=Decimal("0.06")),
            {
                "price": "at market, without a limit",
                "quantity": "0.005 (5 units of 0.001)",
                "spends": "at most 0.06000 (6000 units of 0.00001)",
                "in force": "FOK, all of it at once or nothing",
            },
        ),
    ],
)
async def test_what_is_shown_of_a_new_order(
    capfd: pytest.CaptureFixture[str], autojump_clock: MockClock, plan: CreatePlan, terms: dict[str, str]
) -> None:
    async with open_orders() as orders:
        with pytest.raises(Failure, match="nothing was sent"):
            await orders.carry_out(plan, no)
        assert orders.exchange.answers == ()
    assert shown(capfd).items() >= terms.items()


async def test_it_says_to_whom_and_by_whom(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        await orders.carry_out(buy(), yes)
    first, *_ = capfd.readouterr().err.splitlines()
    assert first == f"create, to be sent to http://exchange by alice ({orders.user.public_key}):"


async def test_what_is_shown_is_sent(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    sent: list[dict[str, Any]] = []
    async with open_orders() as orders:
        handle = orders.exchange.handle

        def record(request: Request) -> Response:
            if request.target == "/orders/create":
                sent.append(json.loads(request.body)["order"])
            return handle(request)

        monkeypatch.setattr(orders.exchange, "handle", record)
        plan = buy(target=TradeTarget.margin_account_margin_trade(), time_in_force=GTC(post_only=True))
        plan.reduce_only = True
        ended = await orders.carry_out(plan, yes)
    (order,) = sent
    assert order["details"] == {
        "Limit": {"limit_price": 900, "quantity": 5, "time_in_force": {"GTC": {"post_only": True}}}
    }
    assert (order["order_id"], order["side"], order["base_asset"]) == ("mine", "Buy", "200")
    assert (order["target"], order["reduce_only"]) == ({"account": 1, "is_spot": False}, True)
    assert (ended.status, ended.fate, ended.fates[0]["code"]) == (REFUSED, "refused", "REDUCE_ONLY_WOULD_INCREASE")


async def test_a_market_order_that_is_sent(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(User(), ASSET, "Sell", 1000, 5)
        plan = buy(price=None, time_in_force=IOC(), max_amount=Decimal("0.04"))
        ended = await orders.carry_out(plan, yes)
        (position,) = orders.exchange.positions(orders.user, ASSET)
    assert (ended.status, ended.fate) == (0, "done")
    assert position.size == Decimal("0.004")  # 0.005 would have cost 0.05


async def test_units_that_change_while_it_asks(autojump_clock: MockClock) -> None:
    """The order was shown in the old units, so the exchange may refuse it, but must not get another price."""

    async def change(question: str) -> bool:
        orders.exchange.change_decimals(ASSET, 4, 4)
        return await yes(question)

    async with open_orders() as orders:
        ended = await orders.carry_out(buy(), change)
        assert (ended.status, ended.fate, ended.fates[0]["code"]) == (REFUSED, "refused", "INVALID_ORDER_DECIMALS")
        assert orders.exchange.resting(orders.user) == ()


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (buy(price="9.001"), "price 9.001 is no multiple of 0.01"),
        (buy(quantity="0.0005"), "quantity 0.0005 is no multiple of 0.001"),
        (ReplacePlan("none", ASSET, None, Decimal(9)), "there is no open order 'none' in market 200"),
    ],
)
async def test_what_cannot_be_sent(autojump_clock: MockClock, plan: Plan, problem: str) -> None:
    async with open_orders() as orders:
        with pytest.raises(Failure, match=problem):
            await orders.carry_out(plan, never)
        assert orders.exchange.answers == ()


async def test_a_market_that_does_not_exist(autojump_clock: MockClock) -> None:
    elsewhere = buy()
    elsewhere.asset_id = AssetIdentifier(7)
    async with open_orders() as orders:
        with pytest.raises(NotFoundError):
            await orders.carry_out(elsewhere, never)


async def test_an_exchange_that_cannot_be_reached(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.services.options["connector"].refuse(10)
        with pytest.raises(ConnectionFailed):
            await orders.carry_out(buy(), never)


# Replacing


async def test_a_replacement(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id="mine")
        ended = await orders.carry_out(ReplacePlan("mine", ASSET, None, Decimal("9.10")), yes)
        (order,) = orders.exchange.resting(orders.user)
    assert (order.details.limit_price, order.details.quantity) == (910, 5)  # type: ignore[union-attr]  # a limit order
    assert (ended.status, ended.fate, ended.fates[0]["order"]["price"]) == (0, "done", "9.10")
    terms = shown(capfd)
    assert terms["price"] == "9.00 → 9.10 (910 units of 0.01)"
    assert terms["quantity"] == "0.005 → 0.005 (5 units of 0.001), filled part included"


async def test_a_replacement_keeps_the_trigger(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.publish_trade(ASSET, 9, 1)
        trigger = OrderTrigger(None, TriggerAbove(2000))
        async with orders.services.orders(orders.user) as client:
            await client.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id="mine", trigger=trigger)
        ended = await orders.carry_out(ReplacePlan("mine", ASSET, Decimal("0.006"), None), yes)
        row = ended.fates[0]["order"]
    assert (row["status"], row["trigger_above"], row["quantity"]) == ("Pending", "20.00", "0.006")
    assert shown(capfd)["trigger"] == "above 20.00 (2000 units of 0.01), as before"


# Cancelling


async def test_a_cancellation(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id="mine")
        ended = await orders.carry_out(CancelPlan("mine", ASSET), yes)
        assert orders.exchange.resting(orders.user) == ()
    assert (ended.status, ended.fate) == (0, "done")
    assert shown(capfd).items() >= {"price": "9.00", "quantity": "0.005, of which 0.000 is filled"}.items()


async def test_an_order_that_is_not_open(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        ended = await orders.carry_out(CancelPlan("mine", ASSET), None)
    assert (ended.status, ended.fate, ended.fates[0]["code"]) == (REFUSED, "refused", "ORDER_NOT_FOUND")
    assert shown(capfd)["terms"] == "not known: no open order of this id is listed"


async def test_orders_that_cannot_be_listed_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id="mine")
        orders.exchange.faults.fail_requests("/orders/user", 500, 3)
        ended = await orders.carry_out(CancelPlan("mine", ASSET), None)
        assert orders.exchange.resting(orders.user) == ()
    assert (ended.status, ended.fate) == (0, "done")


@pytest.mark.parametrize(("asset", "left"), [(ASSET, ["other"]), (None, [])])
async def test_all_orders(
    capfd: pytest.CaptureFixture[str], autojump_clock: MockClock, asset: Any, left: list[str]
) -> None:
    async with open_orders() as orders:
        orders.exchange.add_market(201, 4)
        orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id="mine")
        orders.exchange.place(orders.user, 201, "Sell", 123456, 5, order_id="other")
        ended = await orders.carry_out(CancelAllPlan(asset), None)
        assert [order.order_id for order in orders.exchange.resting(orders.user)] == left
        again = await orders.carry_out(CancelAllPlan(ASSET), None)
    assert ended.status == 0
    assert sorted(fate["order_id"] for fate in ended.fates) == sorted({"mine", "other"} - set(left))
    assert (again.status, again.fates) == (0, [])
    err = capfd.readouterr().err
    assert ("12.3456" in err) is (not left)
    assert "no open orders are listed" in err


async def test_all_orders_but_the_answer_is_no(autojump_clock: MockClock) -> None:
    async with open_orders() as orders:
        for name in ("one", "two"):
            orders.exchange.place(orders.user, ASSET, "Buy", 900, 5, order_id=name)
        with pytest.raises(Failure, match="nothing was sent"):
            await orders.carry_out(CancelAllPlan(None), no)
        assert len(orders.exchange.resting(orders.user)) == 2


def test_times_in_force() -> None:
    assert time_in_force("gtc", None, post_only=True) == GTC(post_only=True)
    assert time_in_force("ioc", None, post_only=False) == IOC()
    assert time_in_force("fok", None, post_only=False) == IOC(fill_or_kill=True)
    until = time_in_force("gtd", 60.0, post_only=False)
    assert isinstance(until, GTD)
    assert abs(until.timestamp_ns - time.time_ns() - 60 * 10**9) < 10**9
