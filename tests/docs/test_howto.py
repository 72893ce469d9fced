"""What the pages on feeds, outages and Ctrl-C show runs as it stands."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.pages import define
from tests.helpers.world import ASSET, URL, open_world, served_streams
from tplus_trio import Gap, OrderBook, OrderBookDiff, RestartLimitExceeded, StreamStats, Trade

SHARE = define("howto/share_feeds.md")["share"]
OUTAGES = define("howto/survive_outages.md")
SLOW = define("howto/slow_consumers.md")
QUOTE = define("howto/ctrl_c.md")["quote"]


async def test_tasks_share_a_feed(capsys: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    recorded: list[object] = []
    traded: list[object] = []
    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(SHARE, world.md, ASSET, recorded.append, traded.append)
        await trio.sleep(1)
        world.change(3)
        await trio.sleep(1)
        assert recorded == traded
        assert len(recorded) == 4
        assert served_streams(world.network) == 1
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().out.endswith(" 3\n")


async def test_a_gap_is_counted_again(autojump_clock: MockClock) -> None:
    seen: list[object] = []
    async with open_world() as world, trio.open_nursery() as nursery:

        async def count_again(since_ns: int, until_ns: int) -> None:
            assert since_ns < until_ns
            seen.append("again")

        nursery.start_soon(OUTAGES["follow_trades"], world.md, seen.append, count_again)
        await trio.sleep(1)
        world.exchange.publish_trade(ASSET, 9, 1)
        await trio.sleep(1)
        world.network.drop_connections()
        for _ in range(1200):  # more than ten pages of REST
            world.exchange.publish_trade(ASSET, 9, 1)
        await trio.sleep(60)
        world.exchange.publish_trade(ASSET, 9, 2)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert [item if item == "again" else type(item) for item in seen] == [Trade, "again", Trade]


async def test_a_client_gives_up(autojump_clock: MockClock) -> None:
    async with (
        open_world() as world,
        OUTAGES["open_client"](URL, connector=world.network, jitter=lambda: 0.0) as client,
        client.stream_depth(ASSET) as depth,
    ):
        await depth.receive()
        world.network.stall()
        start = trio.current_time()
        assert isinstance(await depth.receive(), OrderBook)
        assert trio.current_time() - start <= 10.1
        world.network.refuse(1000)
        world.network.reset_connections()
        with pytest.raises(RestartLimitExceeded, match="21 failures within 60 s"):
            await depth.receive()


async def test_a_market_is_waited_for(autojump_clock: MockClock) -> None:
    seen: list[object] = []
    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(partial(OUTAGES["follow"], world.md, ASSET, seen.append))
        await trio.sleep(1)
        assert [type(item) for item in seen] == [OrderBook]
        world.exchange.faults.reject_handshakes(5, 404)
        world.network.reset_connections()
        await trio.sleep(200)
        assert len(seen) == 1
        await trio.sleep(200)
        assert [type(item) for item in seen] == [OrderBook] * 2
        nursery.cancel_scope.cancel()


async def test_an_outage_is_described(autojump_clock: MockClock) -> None:
    describe = OUTAGES["describe"]
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        assert describe(book).startswith("best bid ")
        world.network.reset_connections()
        world.network.partition(10, refuse=True)
        await trio.sleep(1)
        assert describe(book).startswith("no price: the connection was lost")


async def test_diffs_that_wait_are_merged(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def act(item: object) -> None:
        seen.append(item)
        await trio.sleep(10)

    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(SLOW["follow_depth"], world.md, ASSET, act)
        await trio.sleep(1)
        for _ in range(3000):
            world.change()
            await trio.sleep(0.001)
        await trio.sleep(30)
        nursery.cancel_scope.cancel()
        last = seen[-1]
        assert isinstance(last, OrderBookDiff)
        assert last.sequence_number == world.exchange.book(ASSET).sequence_number
    assert len(seen) < 10


async def test_one_task_records_and_another_acts(autojump_clock: MockClock) -> None:
    recorded: list[object] = []
    acted: list[object] = []

    async def act(change: object) -> None:
        acted.append(change)
        await trio.sleep(5)

    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(SLOW["record_and_act"], world.md, ASSET, recorded.append, act)
        await trio.sleep(1)
        for _ in range(20):
            world.change()
            await trio.sleep(0.1)
        assert served_streams(world.network) == 1
        nursery.cancel_scope.cancel()
    assert len(recorded) == 21
    assert len(acted) == 1


async def test_a_slow_consumer_is_seen(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET, buffer=10, overflow="drop_oldest") as depth:
        await depth.receive()
        assert not SLOW["is_late"](depth)
        world.change(9)
        await trio.sleep(1)
        assert SLOW["is_late"](depth)
        assert isinstance(depth.stats, StreamStats)
        assert not isinstance(await depth.receive(), Gap)


async def test_orders_are_taken_back(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with trio.move_on_after(5):
            await QUOTE(world.oms, ASSET, "mine")
        assert not world.exchange.is_open(world.user, "mine")
        assert [order.order_id for order in world.exchange.orders(world.user)] == ["mine"]
