"""Every public coroutine, cancelled at each of its checkpoints, leaves nothing, and everything works afterwards."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

import tplus_trio
from tests.helpers.sweep import MakeWorld, Operation, Tally, idle_connections, sweep
from tests.helpers.world import ASSET, URL, World, open_world
from tests.properties.cancellation.order_calls import ORDER_CALLS, PREPARATIONS, open_order_world, use
from tplus_trio import Client, LiveBook, MarketDataClient, OrderBookClient, Stream, StreamState
from tplus_trio.scopes import Scoped
from tplus_trio.streams.while_live import WhileLive
from tplus_trio.testing import Response

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def tally() -> Generator[Tally]:
    counted = Tally()
    yield counted
    print(counted)


async def enter_and_leave(world: World) -> None:
    async with MarketDataClient(URL, connector=world.network) as md, md.stream_tickers() as tickers:
        await tickers.wait_live()
        await md.get_tickers()


async def use_and_close(world: World) -> None:
    md = MarketDataClient(URL, connector=world.network)
    try:
        await md.get_tickers()
    finally:
        await md.aclose()
        assert idle_connections(md) == 0


async def iterate(world: World) -> None:
    world.exchange.publish_trade(ASSET, 100, 1)
    # One candle, or two if a minute has ended meanwhile: the exchange's clock begins at the real time.
    assert 1 <= len([candle async for candle in world.md.iter_klines(ASSET, limit=1)]) <= 2


def answered(path: str, body: object, call: Operation[World]) -> Operation[World]:
    """A call that the exchange answers with a given body; ``{}`` in its path is the user's key."""

    async def operation(world: World) -> object:
        answer = Response(200, json.dumps(body).encode())
        world.exchange.faults.answer_requests(path.format(world.user.public_key), answer)
        return await call(world)

    return operation


CALLS: dict[str, Operation[World]] = {
    "MarketDataClient.get_orderbook_snapshot": lambda world: world.md.get_orderbook_snapshot(ASSET),
    "MarketDataClient.get_trades": lambda world: world.md.get_trades(page=0, limit=5),
    "MarketDataClient.get_trades_for_asset": lambda world: world.md.get_trades_for_asset(ASSET),
    "MarketDataClient.get_klines": lambda world: world.md.get_klines(ASSET),
    "MarketDataClient.get_ticker": lambda world: world.md.get_ticker(ASSET),
    "MarketDataClient.get_tickers": lambda world: world.md.get_tickers(),
    "MarketDataClient.get_open_interest": lambda world: world.md.get_open_interest(ASSET),
    "MarketDataClient.get_all_open_interest": lambda world: world.md.get_all_open_interest(),
    "MarketDataClient.get_user_trades": lambda world: world.md.get_user_trades(world.user),
    "MarketDataClient.get_user_trades_for_asset": lambda world: world.md.get_user_trades_for_asset(ASSET, world.user),
    "MarketDataClient.get_user_orders": lambda world: world.md.get_user_orders(world.user),
    "MarketDataClient.get_user_orders_for_asset": lambda world: world.md.get_user_orders_for_asset(ASSET, world.user),
    "MarketDataClient.get_user_position_basis": lambda world: world.md.get_user_position_basis(world.user),
    "MarketDataClient.get_user_position_basis_for_asset": (
        lambda world: world.md.get_user_position_basis_for_asset(ASSET, world.user)
    ),
    "MarketDataClient.get_sub_account_names": answered(
        "/sub-accounts/user/{}", {"names": []}, lambda world: world.md.get_sub_account_names(world.user)
    ),
    "PageIterator.__anext__": iterate,
    "OrderBookClient.get_user_orders_for_book": lambda world: world.oms.get_user_orders_for_book(ASSET),
    "OrderBookClient.get_open_orders_for_book": lambda world: world.oms.get_open_orders_for_book(ASSET),
    "OrderBookClient.get_user_positions": lambda world: world.oms.get_user_positions(),
    "OrderBookClient.get_user_positions_page": lambda world: world.oms.get_user_positions_page(),
    "OrderBookClient.get_user_position_for_asset": lambda world: world.oms.get_user_position_for_asset(ASSET),
    "OrderBookClient.get_user_inventory": answered(
        "/inventory/user/{}", {"accounts": {}, "is_mm": False}, lambda world: world.oms.get_user_inventory()
    ),
    "OrderBookClient.get_user_solvency": answered(
        "/solvency/user/{}", {"accounts": {}}, lambda world: world.oms.get_user_solvency()
    ),
    "OrderBookClient.get_user_margin_info": answered(
        "/margin/user/{}", {"accounts": {}}, lambda world: world.oms.get_user_margin_info()
    ),
    "OrderBookClient.get_multisig_config": answered(
        "/multisig/config/{}", {}, lambda world: world.oms.get_multisig_config()
    ),
    "OrderBookClient.get_close_all_positions_preview": answered(
        "/positions/close-all/{}/1", {}, lambda world: world.oms.get_close_all_positions_preview(1)
    ),
    "OrderBookClient.init_margin_simulate": answered(
        "/account/simulate/{}",
        {
            **dict.fromkeys(("account_equity", "available_margin", "mm_surplus", "utilized_margin"), 1),
            **dict.fromkeys(("margin_required", "margin_impact"), 1),
            "is_solvent": True,
            "trade_accepted": True,
        },
        lambda world: world.oms.init_margin_simulate(1, ASSET, True, 1, 1),
    ),
    "OrderBookClient.request_close_position": answered(
        "/account/transfer/close-position", {}, lambda world: world.oms.request_close_position(1, ASSET)
    ),
    "OrderBookClient.request_transfer_to_subaccount": answered(
        "/account/transfer/sub-account", {}, lambda world: world.oms.request_transfer_to_subaccount(0, 1, ASSET, 1)
    ),
    "OrderBookClient.get_market": lambda world: world.oms.get_market(ASSET),
    "OrderBookClient.get_user_orders": lambda world: world.oms.get_user_orders(),
    "OrderBookClient.get_markets": lambda world: world.oms.get_markets(),
    "OrderBookClient.create_market": lambda world: world.oms.create_market(900),
    "OrderBookClient.exposure": lambda world: world.oms.exposure(ASSET),
    **PREPARATIONS,
    "Client.aclose": use_and_close,
    "Scoped.__aenter__": enter_and_leave,
    "Scoped.__aexit__": enter_and_leave,
}


@pytest.mark.parametrize("name", CALLS)
async def test_call(name: str, tally: Tally, autojump_clock: MockClock) -> None:
    await sweep(tally, name, CALLS[name], open_world)


async def test_call_over_a_slow_network_with_a_token_that_expires(tally: Tally, autojump_clock: MockClock) -> None:
    async def prepare(world: World) -> None:
        await world.oms.get_user_orders()
        world.exchange.faults.expire_tokens()
        world.exchange.publish_trade(ASSET, 100, 1)

    await sweep(
        tally,
        "get_user_orders, with a fresh sign-in",
        CALLS["OrderBookClient.get_user_orders"],
        lambda: open_world(latency=(0.01, 0.2)),
        prepare=prepare,
    )


async def test_a_sign_in_that_others_wait_for(tally: Tally, autojump_clock: MockClock) -> None:
    """The task that signs in is cancelled; those that wait for the same sign-in are not."""
    answers: list[object] = []

    async def neighbour(world: World) -> None:
        answers.append(await world.oms.get_user_orders())

    async def operation(world: World) -> None:
        assert world.oms._client_scope.tasks is not None
        orders = world.oms.get_user_orders()
        for _ in range(2):
            world.oms._client_scope.tasks.start_soon(neighbour, world)
        await orders

    async def prepare(world: World) -> None:
        answers.clear()
        world.exchange.faults.delay_requests("/auth", 0.2, 3)

    async def after(world: World) -> None:
        await trio.sleep(5)
        assert len(answers) == 2
        assert world.exchange.sign_ins <= 2

    async def look(world: World) -> None:
        await trio.sleep(5)

    await sweep(tally, "a shared sign-in", operation, open_world, prepare=prepare, after=after, look=look, again=False)


# A stream or a book that another task has entered.


@attrs.frozen
class Holding(World):
    """A world with a stream or a book that lives as long as the world."""

    held: Any
    got: list[int] = attrs.field(factory=list[int])


def holding(what: Callable[[World], Any], **options: Any) -> MakeWorld[Holding]:
    @asynccontextmanager
    async def make() -> AsyncGenerator[Holding]:
        async with open_world(**options) as world, what(world) as held:
            yield Holding(world.exchange, world.network, world.md, world.oms, world.user, held)

    return make


async def nothing(_: World) -> None:
    """Check nothing: the entered stream still runs."""


def trades(world: World) -> Any:
    return world.md.stream_finalized_trades()


def depth(world: World) -> Any:
    return world.md.stream_depth(ASSET)


def book(world: World) -> Any:
    return world.md.open_book(ASSET)


def in_background(world: World, act: Callable[[], Awaitable[object]]) -> None:
    """Run a task beside the operation, in the exchange's nursery."""
    assert world.network._nursery is not None
    world.network._nursery.start_soon(act)


@pytest.mark.parametrize("way", ["receive", "__anext__"])
async def test_no_item_is_lost_by_cancelling_a_waiting_consumer(
    way: str, tally: Tally, autojump_clock: MockClock
) -> None:
    async def operation(world: Holding) -> None:
        while len(world.got) < 30:
            item = await getattr(world.held, way)()
            world.got.append(item.trade_id)

    async def prepare(world: Holding) -> None:
        await world.held.wait_live()

        async def trade() -> None:
            for _ in range(10):
                for _ in range(3):
                    world.exchange.publish_trade(ASSET, 100, 1)
                await trio.sleep(0.001)

        in_background(world, trade)

    async def after(world: Holding) -> None:
        with trio.fail_after(5):
            await operation(world)
        assert world.got == list(range(1, 31))

    make = holding(trades)
    await sweep(tally, f"Stream.{way}", operation, make, prepare=prepare, after=after, look=nothing, again=False)


async def test_no_change_is_lost_by_cancelling_a_waiting_reader(tally: Tally, autojump_clock: MockClock) -> None:
    changes: Any = None

    async def prepare(world: Holding) -> None:
        nonlocal changes
        await world.held.wait_synced()
        changes = world.held.changes()

        async def trade() -> None:
            for _ in range(5):
                await trio.sleep(0.001)
                world.change()

        in_background(world, trade)

    async def operation(world: Holding) -> None:
        while world.got[-1:] != [1010]:
            change = await changes.__anext__()
            world.got.append(change.sequence_number)

    async def after(world: Holding) -> None:
        with trio.fail_after(5):
            await operation(world)
        assert world.got == list(range(1005, 1011))

    name = "LiveBook.changes().__anext__"
    await sweep(tally, name, operation, holding(book), prepare=prepare, after=after, look=nothing, again=False)


async def lose_and_wait(world: Holding) -> None:
    await world.held.wait_synced()
    world.network.reset_connections()
    await world.held.wait_lost()


async def use_block(block: WhileLive[Any], world: Holding) -> None:
    """Run a block whose body ends with the loss of its stream or book."""
    try:
        async with block:
            assert world.held.state is StreamState.LIVE
            await trio.sleep(0.01)
            world.network.reset_connections()
            await trio.sleep_forever()
        assert block.lost is not None
    finally:
        assert not len(block._losses), "a block that was left is still told of losses"
        assert block._silence is None or not block._silence._limits, "a block that was left still limits the silence"


@pytest.mark.parametrize(
    ("name", "what", "wait"),
    [
        ("Stream.wait_live", depth, lambda world: world.held.wait_live()),
        ("LiveBook.wait_synced", book, lambda world: world.held.wait_synced()),
        ("LiveBook.wait_for", book, lambda world: world.held.wait_for(lambda change: change.best_bid is not None)),
        ("LiveBook.wait_lost", book, lose_and_wait),
        ("LiveBook.while_synced", book, lambda world: use_block(world.held.while_synced(max_silence=1.0), world)),
        ("Stream.while_live", depth, lambda world: use_block(world.held.while_live(max_silence=1.0), world)),
        ("LiveBook.changes().__anext__, the first", book, lambda world: world.held.changes().__anext__()),
    ],
)
async def test_waiting(
    name: str, what: Callable[[World], Any], wait: Operation[Holding], tally: Tally, autojump_clock: MockClock
) -> None:
    async def prepare(world: Holding) -> None:
        world.exchange.faults.delay_requests("/marketdepth", 0.5, 2)

    await sweep(tally, name, wait, holding(what), prepare=prepare, look=nothing)


@pytest.mark.parametrize("latency", [0.0, 0.05])
async def test_closing(latency: float, tally: Tally, autojump_clock: MockClock) -> None:
    async def prepare(world: Holding) -> None:
        await world.held.wait_live()
        world.exchange.publish_trade(ASSET, 100, 1)
        await trio.sleep(0.1)

    async def after(world: Holding) -> None:
        with trio.fail_after(5):
            await world.held.aclose()
        assert world.held.state is StreamState.CLOSED
        with pytest.raises(trio.ClosedResourceError):
            await world.held.receive()
        await world.md.get_tickers()

    make = holding(trades, latency=latency)
    name = f"Stream.aclose, {latency} s away"
    await sweep(tally, name, lambda world: world.held.aclose(), make, prepare=prepare, after=after)


# Completeness.


def public_coroutines() -> set[str]:
    found = {"Stream.__anext__", "LiveBook.changes().__anext__", "PageIterator.__anext__"}
    for cls in (MarketDataClient, OrderBookClient, Stream, LiveBook):
        for base in cls.__mro__:
            if base.__module__.startswith("tplus_trio"):
                names = [name for name, value in vars(base).items() if inspect.iscoroutinefunction(value)]
                # The parts that a client is put together from are not public: their calls are the client's.
                owner = base if base.__name__ in tplus_trio.__all__ or base is Scoped else cls
                found |= {f"{owner.__name__}.{name}" for name in names if name.endswith("__") or name[0] != "_"}
    return found


def test_nothing_was_forgotten(tally: Tally) -> None:
    streams = {"Stream.__anext__", "Stream.receive", "Stream.wait_live", "Stream.aclose"}
    books = {"LiveBook.wait_synced", "LiveBook.changes().__anext__", "LiveBook.wait_lost", "LiveBook.wait_for"}
    assert public_coroutines() == {*CALLS, *ORDER_CALLS, *streams, *books}
    if len(tally.counts) >= len(CALLS) + 10:
        assert tally.total > 700, "the sweep was not thorough"


async def test_every_one_of_them_is_a_checkpoint(autojump_clock: MockClock) -> None:
    async with open_order_world("rest") as world, trades(world) as stream, book(world) as live_book:
        await use(world)  # these are answered from memory from now on
        for call in CALLS.values():
            with assert_checkpoints():
                await call(world)
        for prepare, call_orders in ORDER_CALLS.values():
            await prepare(world)
            with assert_checkpoints():
                await call_orders(world)
        world.exchange.publish_trade(ASSET, 100, 1)
        for wait in (stream.receive, stream.wait_live, live_book.wait_synced, live_book.changes().__anext__):
            with assert_checkpoints():
                await wait()
        with assert_checkpoints():
            await stream.aclose()
        other, client = world.md.stream_depth(ASSET), MarketDataClient(URL)
        for scope in (live_book.while_synced(), other, client, world.md.open_book(ASSET)):
            with assert_checkpoints():
                await scope.__aenter__()
            if isinstance(scope, WhileLive):  # its exit only leaves a cancel scope
                await scope.__aexit__(None, None, None)
                continue
            with assert_checkpoints():
                await scope.__aexit__(None, None, None)
        for closed in (other, world.md.stream_depth(ASSET), client, Client(URL)):
            with assert_checkpoints():
                await closed.aclose()
