"""Listings that are old or end early, ids that are forgotten, and expiries by another clock."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.order_ways import Way, open_wire
from tests.helpers.raw_client import SECOND, Clock, call, sign_in
from tests.helpers.signed_bodies import cancellation, limit_order
from tplus_trio.models import GTD
from tplus_trio.testing import Exchange

ORDERS = f"/orders/user/{ALICE.public_key}"
TRADES = f"/trades/user/{ALICE.public_key}"
POSITIONS = f"/positions/{ALICE.public_key}"


def rows(exchange: Exchange, headers: dict[str, str], target: str) -> tuple[list[Any], bool | None]:
    """The rows of a listing, and whether it says that there are more."""
    status, body = call(exchange, "GET", target, headers=headers)
    assert status == 200
    if isinstance(body, list):
        return body, None  # pyright: ignore[reportUnknownVariableType]  # rows of anything
    return body["orders"], body["has_next_page"]


def test_listings_of_the_past(exchange: Exchange, clock: Clock) -> None:
    headers = sign_in(exchange, ALICE)
    exchange.place(ALICE, 200, "Buy", 900, 10, order_id="a")
    clock.pass_(1)
    exchange.place(BOB, 200, "Sell", 900, 4)
    clock.pass_(1)
    exchange.place(ALICE, 200, "Buy", 800, 10, order_id="b")
    exchange.cancel(ALICE, "a")

    def listed(behind: float, target: str = ORDERS) -> list[tuple[str, str, str]]:
        exchange.faults.lag_listings(behind)
        found, _ = rows(exchange, headers, target)
        return [(row["order_id"], row["status"], row["confirmed_filled_quantity"]) for row in found]

    assert listed(0) == [("b", "Open", "0"), ("a", "Cancelled", "4")]
    assert listed(0.5) == [("a", "Partial", "4")]
    assert listed(1.5, f"{ORDERS}/200") == [("a", "Open", "0")]
    assert listed(1.5, f"{ORDERS}?status=open") == [("a", "Open", "0")]
    assert listed(3) == []
    assert len(rows(exchange, headers, ORDERS)[0]) == 2
    exchange.faults.lag_listings(1.5)
    assert rows(exchange, headers, TRADES)[0] == []
    assert len(rows(exchange, headers, TRADES)[0]) == 1
    exchange.faults.lag_listings(1.5, path="/trades/user")
    assert len(rows(exchange, headers, ORDERS)[0]) == 2
    assert [effect.kind for effect in exchange.effects_of(ALICE, "a")] == ["create", "fill", "cancel"]


def test_trades_and_positions_of_the_past(exchange: Exchange, clock: Clock) -> None:
    headers = sign_in(exchange, ALICE)
    exchange.faults.confirm_after(2)
    exchange.faults.roll_back()
    exchange.place(ALICE, 200, "Buy", 900, 10)
    exchange.place(BOB, 200, "Sell", 900, 4)  # at 0 s; rolled back at 2 s
    clock.pass_(1)
    exchange.place(ALICE, 200, "Buy", 1000, 5)
    exchange.place(BOB, 200, "Sell", 1000, 5)  # at 1 s; confirmed at 3 s
    for _ in range(3):
        clock.pass_(1)
        exchange.expire_orders()
    seen: list[tuple[list[str], list[tuple[str, str]]]] = []
    for behind in (0, 1.5, 2.5, 3.5, 5):
        exchange.faults.lag_listings(behind, 3)
        trades = rows(exchange, headers, TRADES)[0]
        _, body = call(exchange, "GET", POSITIONS, headers=headers)
        _, one = call(exchange, "GET", f"/positions/{ALICE.public_key}/200", headers=headers)
        assert one["positions"] == body["positions"]
        positions = [(position["size"], position["mark_price"]) for position in body["positions"]]
        seen.append(([f"{trade['quantity']} {trade['status']}" for trade in trades], positions))
    assert seen == [
        (["0.005 Confirmed", "0.004 Rollbacked"], [("0.005", "10.00")]),
        (["0.005 Pending", "0.004 Rollbacked"], [("0.005", "10.00")]),
        (["0.005 Pending", "0.004 Pending"], [("0.009", "10.00")]),
        (["0.004 Pending"], [("0.004", "9.00")]),
        ([], []),
    ]
    assert [trade.status for trade in exchange.user_trades(ALICE)] == ["Rollbacked", "Confirmed"]


def test_listings_of_trades_and_positions_that_end_early(exchange: Exchange) -> None:
    headers = sign_in(exchange, ALICE)
    exchange.add_market(7, 2, 3)
    for asset in (200, 7):
        for _ in range(2):
            exchange.place(ALICE, asset, "Buy", 900, 4)
            exchange.place(BOB, asset, "Sell", 900, 4)

    def count(target: str) -> tuple[int, object]:
        _, body = call(exchange, "GET", target, headers=headers)
        return (len(body), None) if isinstance(body, list) else (len(body["positions"]), body["has_next_page"])

    basis = f"/positions/user/{ALICE.public_key}/basis"
    whole = {TRADES: 4, f"{TRADES}/200": 2, POSITIONS: 2, f"{POSITIONS}/200": 1, basis: 2}
    for target, rows_ in whole.items():
        exchange.faults.cut_listing(rows_ - 1)
        assert count(target) in ((rows_ - 1, None), (rows_ - 1, False))
        assert count(target)[0] == rows_


def test_a_state_older_than_the_history_is_kept(exchange: Exchange, clock: Clock) -> None:
    headers = sign_in(exchange, ALICE)
    exchange.place(ALICE, 200, "Buy", 900, 10, order_id="a")
    clock.pass_(1000)
    exchange.place(BOB, 200, "Sell", 900, 4)
    clock.pass_(1)
    exchange.faults.lag_listings(2)
    (order,), _ = rows(exchange, headers, ORDERS)
    assert (order["status"], order["confirmed_filled_quantity"]) == ("Open", "0")


def test_listings_that_end_early(exchange: Exchange) -> None:
    headers = sign_in(exchange, ALICE)
    for number in range(7):
        exchange.place(ALICE, 200, "Buy", 900, 10, order_id=f"o{number}")

    def page(number: int, target: str = ORDERS) -> tuple[list[str], bool | None]:
        found, more = rows(exchange, headers, f"{target}?limit=2&page={number}")
        return [row["order_id"] for row in found], more

    exchange.faults.cut_listing(3)
    assert page(0) == (["o6", "o5"], True)
    assert page(1) == (["o4"], False)
    assert page(2) == ([], False)
    assert page(0) == (["o6", "o5"], True)
    assert page(1) == (["o4", "o3"], True)
    exchange.faults.cut_listing(2, path="/orders/user")
    assert page(0) == (["o6", "o5"], False)
    exchange.faults.clear("cut_listing")
    assert page(1) == (["o4", "o3"], True)
    exchange.faults.cut_listing(1)
    assert page(0, f"{ORDERS}/200") == (["o6"], None)


@pytest.mark.parametrize("way", ["rest", "control"])
async def test_ids_of_ended_orders_are_forgotten(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        body = limit_order(ALICE, "a", "Buy", 900, 5)
        wire.exchange.faults.forget_ids()
        assert await wire.ask("create", body) == "Received"
        assert await wire.ask("create", body) == "DUPLICATE_ORDER"
        assert await wire.ask("cancel", cancellation(ALICE, "a")) == "Received"
        assert await wire.ask("create", body) == "Received"
        assert wire.exchange.is_open(ALICE, "a")
        assert len(wire.exchange.orders(ALICE)) == 1
        await wire.ask("cancel", cancellation(ALICE, "a"))
        wire.exchange.faults.clear("forget_ids")
        assert await wire.ask("create", body) == "DUPLICATE_ORDER"


def test_ids_are_forgotten_after_a_time(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.forget_ids(after=10)
    exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a")
    exchange.cancel(ALICE, "a")
    clock.pass_(9)
    with pytest.raises(ValueError, match="used before"):
        exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a")
    clock.pass_(1)
    exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a")


@pytest.mark.parametrize(("skew", "expires_after"), [(5, 5), (-5, 15), (0, 10)])
def test_orders_expire_by_another_clock(exchange: Exchange, clock: Clock, skew: float, expires_after: int) -> None:
    start = clock.now_ns
    exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a", time_in_force=GTD(False, start + 10 * SECOND))
    exchange.faults.skew_expiry(skew)
    assert exchange.next_expiry_ns == start + expires_after * SECOND
    clock.pass_(expires_after - 1)
    assert exchange.is_open(ALICE, "a")
    assert exchange.now_ns() == clock.now_ns
    clock.pass_(1)
    assert not exchange.is_open(ALICE, "a")
    exchange.faults.clear("skew_expiry")


@pytest.mark.parametrize("way", ["rest", "control"])
async def test_a_market_gets_other_decimals(autojump_clock: MockClock, way: Way) -> None:
    async with open_wire(way) as wire:
        wire.exchange.faults.change_decimals(200, 4, 3)
        assert await wire.ask("create", limit_order(ALICE, "a", "Buy", 900, 5)) == "INVALID_ORDER_DECIMALS"
        body = limit_order(ALICE, "a", "Buy", 90000, 5, book_price_decimals=4)
        assert await wire.ask("create", body) == "Received"


def test_faults_that_could_never_happen(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="behind is at most 120"):
        exchange.faults.lag_listings(121)
    with pytest.raises(ValueError, match="asset 999"):
        exchange.faults.change_decimals(999, 2, 3)
    with pytest.raises(ValueError, match="rows is at least 0"):
        exchange.faults.cut_listing(-1)
    with pytest.raises(ValueError, match="after is at least 0"):
        exchange.faults.forget_ids(-1)
    with pytest.raises(ValueError, match="finite"):
        exchange.faults.skew_expiry(float("nan"))
    with pytest.raises(TypeError, match="not str"):
        exchange.faults.skew_expiry("1")  # type: ignore[arg-type]  # illegal on purpose
