"""Iteration over all pages of a listing: each row once, to the end, and nothing held between two rows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, feeds_are_live, open_world
from tplus_trio import DecodeError, User
from tplus_trio.clients.paging import ListedPage, PageIterator
from tplus_trio.testing import Response


def pages(
    listing: Sequence[Sequence[int]], *, says: bool | None = None, **options: Any
) -> tuple[PageIterator[int], list[int]]:
    """Return an iterator over the given pages, followed by empty ones, and the list of page numbers it requests."""
    read: list[int] = []

    async def read_page(page: int) -> ListedPage[int]:
        read.append(page)
        await trio.lowlevel.checkpoint()
        rows = listing[page] if page < len(listing) else ()
        return ListedPage(rows, not rows, says)

    return PageIterator(read_page, lambda row: row, **options), read


async def test_each_row_comes_once_although_pages_move() -> None:
    rows, read = pages([[5, 4], [4, 3], [3, 2], [1]])
    assert [row async for row in rows] == [5, 4, 3, 2, 1]
    assert read == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("says", "read"), [(None, 3), (True, 3), (False, 1)])
async def test_the_end_is_an_empty_page_or_where_the_service_says_so(says: bool | None, read: int) -> None:
    rows, numbers = pages([[2, 1], [0]], says=says)
    assert [row async for row in rows] == [2, 1, 0][: 2 if says is False else 3]
    assert len(numbers) == read


async def test_a_service_that_ignores_the_page_is_read_three_times() -> None:
    rows, read = pages([[2, 1]] * 50)
    assert [row async for row in rows] == [2, 1]
    assert len(read) == 3


async def test_a_service_that_repeats_itself_and_promises_more_is_an_error() -> None:
    rows, _ = pages([[2, 1]] * 50, says=True)
    with pytest.raises(DecodeError, match="repeat"):
        [row async for row in rows]


async def test_no_more_pages_are_read_than_asked_for() -> None:
    rows, read = pages([[3], [2], [1]], max_pages=2)
    assert [row async for row in rows] == [3, 2]
    assert read == [0, 1]
    with pytest.raises(StopAsyncIteration):
        await anext(rows)


async def test_a_cancelled_step_loses_no_row() -> None:
    rows, _ = pages([[3, 2], [1]])
    found: list[int] = []
    while True:
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(rows)
        assert scope.cancelled_caught
        try:
            found.append(await anext(rows))
        except StopAsyncIteration:
            break
    assert found == [3, 2, 1]


# Over the clients.


async def fill(world: World, count: int) -> None:
    for number in range(count):
        await world.oms.create_limit_order(1, 900 + number, "Buy", asset_id=ASSET, order_id=f"o{number}")


async def test_orders_of_all_pages_while_orders_are_made(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await fill(world, 7)
        found: list[str] = []
        async for order in world.oms.iter_user_orders(limit=2):
            found.append(order.order_id)
            world.exchange.place(world.user, ASSET, "Buy", 500, 1)
        assert found == [f"o{number}" for number in reversed(range(7))]


async def test_a_dropped_iteration_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await fill(world, 3)
        await feeds_are_live(world)
        async for _ in world.oms.iter_user_orders(limit=1):
            break
        own = world.oms.statistics().streams  # those of the client's orders and trades
        assert len(own) == 2
        assert world.network.open_connections == world.oms.statistics().requests.idle_connections + len(own)


async def test_open_orders_of_a_market_of_all_pages(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await fill(world, 5)
        await world.oms.cancel_order("o2", ASSET)
        found = await world.oms.get_open_orders_for_book(ASSET, limit=2)
        assert [order.order_id for order in found] == ["o4", "o3", "o1", "o0"]
        assert all(order.is_open and not order.is_done for order in found)
        everything = await world.oms.get_user_orders_for_book(ASSET)
        assert [order.order_id for order in everything if order.is_done] == ["o2"]
        assert not everything[2].is_open
        # A service that does not know the filter sends the others too.
        path = f"/orders/user/{world.user.public_key}/{ASSET}"
        listed = [
            world_row for world_row in json.loads(await raw_orders(world)) if world_row["order_id"] in {"o2", "o1"}
        ]
        world.exchange.faults.answer_requests(path, Response(200, json.dumps(listed).encode()), 5)
        assert [order.order_id for order in await world.oms.get_open_orders_for_book(ASSET)] == ["o1"]


async def raw_orders(world: World) -> bytes:
    return await world.oms._get(f"/orders/user/{world.user.public_key}/{ASSET}", user=world.user, required=True)


async def trade(world: World, count: int) -> None:
    other = User()
    for number in range(count):
        world.exchange.place(other, ASSET, "Sell", 950 + number, 1)
        world.exchange.place(world.user, ASSET, "Buy", 950 + number, 1)


Iteration = Callable[[World], AsyncIterator[Any]]


@pytest.mark.parametrize(
    ("iterate", "count"),
    [
        (lambda world: world.md.iter_user_trades(world.user, limit=2), 5),
        (lambda world: world.md.iter_user_trades(world.user, asset_id=ASSET, side="BUY"), 5),
        (lambda world: world.md.iter_user_trades(world.user, side="sell"), 0),
        (lambda world: world.oms.iter_user_positions(limit=1), 1),
        (lambda world: world.oms.iter_user_positions(sub_account=7), 0),
    ],
)
async def test_other_listings(iterate: Iteration, count: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await trade(world, 5)
        assert len([row async for row in iterate(world)]) == count


async def test_candles_of_all_pages(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for _ in range(5):
            world.exchange.publish_trade(ASSET, 100, 1)
            await trio.sleep(60)
        (page, times) = await world.md.get_klines(ASSET), []
        async for candle in world.md.iter_klines(ASSET, limit=2):
            times.append(candle.open_timestamp_ns)
            world.exchange.publish_trade(ASSET, 100, 1)
            await trio.sleep(60)
        assert times == [candle.open_timestamp_ns for candle in page.items]
        assert [candle async for candle in world.md.iter_klines(ASSET, limit=2, max_pages=1)]


async def test_candles_go_on_before_the_time_at_which_the_service_cuts_off(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(times: list[int], **fields: object) -> Response:
        numbers = dict.fromkeys(("open", "close", "low", "high", "volume"), "1")
        items = [{**numbers, "open_timestamp_ns": t, "close_timestamp_ns": t + 1} for t in times]
        return Response(200, json.dumps({"items": items, **fields}).encode())

    async with open_world() as world:
        for answer in (
            body([90, 80], has_next_page=True),
            body([70], has_next_page=False, truncated_before_ns=70),
            body([60], has_next_page=False, truncated_before_ns=0),
        ):
            world.exchange.faults.answer_requests(f"/klines/{ASSET}", answer)
        candles = world.md.iter_klines(ASSET, end_timestamp_ns=100)
        queries = record_queries(world, monkeypatch)
        assert [candle.open_timestamp_ns async for candle in candles] == [90, 80, 70, 60]
        assert [(query.get("page"), query["end_timestamp_ns"]) for query in queries] == [(0, 100), (1, 100), (0, 69)]


def record_queries(world: World, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The queries of the requests of the market data client from now on."""
    queries: list[dict[str, Any]] = []
    request = world.md._service.request

    async def recorded(*where: Any, **options: Any) -> bytes:
        queries.append(options["params"])
        return await request(*where, **options)

    monkeypatch.setattr(world.md._service, "request", recorded)
    return queries


async def test_all_pages_of_candles_end_at_the_time_of_the_call(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        world.exchange.publish_trade(ASSET, 100, 1)
        now_ns = world.exchange.now_ns()
        candles = world.md.iter_klines(ASSET, limit=1)
        queries = record_queries(world, monkeypatch)
        await trio.sleep(90)
        world.exchange.publish_trade(ASSET, 100, 1)
        assert len([candle async for candle in candles]) == 1
        assert {query["end_timestamp_ns"] for query in queries} == {now_ns}


async def test_history_of_a_user_that_the_service_keeps_nothing_of(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        key = world.user.public_key
        for path in ("trades", "orders", "positions"):
            unseen = b'{"error":{"code":"USER_NOT_FOUND","message":"no"}}'
            tail = "/basis" if path == "positions" else ""
            world.exchange.faults.answer_requests(f"/{path}/user/{key}{tail}", Response(404, unseen), 2)
        assert len(await world.md.get_user_trades(world.user)) == 0
        assert not await world.md.get_user_orders(world.user)
        assert await world.md.get_user_position_basis(world.user) == []
        assert [trade async for trade in world.md.iter_user_trades(world.user)] == []


async def test_history(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await trade(world, 3)
        trades = await world.md.get_user_trades_for_asset(ASSET, world.user, limit=2)
        assert [(one.is_buyer, str(one.asset_id)) for one in trades] == [(True, str(ASSET))] * 2
        orders = await world.md.get_user_orders(world.user, status="completed")
        assert len(orders) == len(await world.md.get_user_orders_for_asset(ASSET, world.user)) == 3
        assert orders[0].status.is_done
        (basis,) = await world.md.get_user_position_basis_for_asset(ASSET, world.user)
        assert basis.quantity > 0
        assert (await world.md.get_open_interest(ASSET)).total_open_interest is None
        assert [one.asset_id for one in await world.md.get_all_open_interest()] == [ASSET]
        names = json.dumps({"names": [{"account_index": 2, "name": "two"}]}).encode()
        world.exchange.faults.answer_requests(f"/sub-accounts/user/{world.user.public_key}", Response(200, names))
        (named,) = (await world.md.get_sub_account_names(world.user)).names
        assert (named.account_index, named.name) == (2, "two")
