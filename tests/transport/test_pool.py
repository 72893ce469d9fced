"""REST connections: a cancellation loses none, and none is used that may be dead or lead to a former address."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import answer, read_head
from tests.helpers.world import ASSET, SNAPSHOT, URL, open_world
from tests.helpers.wrapped_streams import WrappedStream
from tplus_trio import ConnectionFailed, LiveBook, MarketDataClient, OrderBookClient, User
from tplus_trio.testing import Exchange, MemoryNetwork

BOOK = b'{"asks":[["2","1"]],"bids":[["1","1"]],"sequence_number":7}'


@pytest.mark.parametrize("kind", ["orders", "market data"])
async def test_no_cancellation_costs_a_slot(kind: str, autojump_clock: MockClock) -> None:
    # More calls than the pacer allows at once end together while connections are made, again and again.
    async with open_world(latency=0.01, timeout=5.0) as world:
        call: Callable[[], Awaitable[Any]] = (
            world.oms.get_user_orders if kind == "orders" else lambda: world.md.get_orderbook_snapshot(ASSET)
        )
        await call()
        for round_ in range(32):
            world.network.partition(0.5)
            with trio.move_on_after(0.001 * round_):
                async with trio.open_nursery() as nursery:
                    for _ in range(33):
                        nursery.start_soon(call)
            await trio.sleep(1)
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(33):
                nursery.start_soon(call)
        assert trio.current_time() - before < 1.0


async def test_all_books_come_back(autojump_clock: MockClock) -> None:
    async with open_world(latency=0.002) as world, trio.open_nursery() as nursery:
        books: list[LiveBook] = []

        async def one(market: int) -> None:
            async with world.md.open_book(market) as book:
                books.append(book)
                await trio.sleep_forever()

        for market in range(1, 151):
            world.exchange.add_market(market)
            nursery.start_soon(one, market)
        await trio.sleep(5)
        assert sum(book.is_synced for book in books) == 150
        world.network.reset_connections()
        world.network.partition(5, refuse=True)
        await trio.sleep(1)
        assert sum(book.is_synced for book in books) == 0
        await trio.sleep(10)
        assert sum(book.is_synced for book in books) == 150
        await world.md.get_orderbook_snapshot(ASSET)
        nursery.cancel_scope.cancel()


class Wrapped(WrappedStream):
    """A stream that wraps another one, as is usual with trio. It counts, and hides the stream inside."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await trio.lowlevel.checkpoint()
        return await self._stream.receive_some(max_bytes)


class Wrapping:
    """A connector whose streams cannot tell whether bytes are waiting."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.connects = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.connects += 1
        return Wrapped(await self._network.connect(host, port))


async def serve_once(stream: trio.abc.Stream) -> None:
    """A service that closes each connection when it becomes idle."""
    await read_head(stream)
    await stream.send_all(answer(200, BOOK))


async def test_a_wrapped_stream_that_was_closed_is_not_used(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=serve_once) as network:
        connector = Wrapping(network)
        async with MarketDataClient(URL, connector=connector) as md:
            for _ in range(5):
                await md.get_orderbook_snapshot(ASSET)
                await trio.sleep(1)
        assert connector.connects == 5


async def test_a_call_is_repeated_where_a_kept_connection_brings_nothing(autojump_clock: MockClock) -> None:
    asked: list[float] = []

    async def serve(stream: trio.abc.Stream) -> None:
        # The first connection ends when its second request arrives, so the pool could not know before.
        is_first = not asked
        while head := await read_head(stream):
            asked.append(trio.current_time())
            if is_first and len(asked) > 1:
                return
            await stream.send_all(answer(200, BOOK))
            del head

    async with MemoryNetwork(handler=serve, latency=0.1) as network:
        async with MarketDataClient(URL, connector=network) as md:
            await md.get_orderbook_snapshot(ASSET)
            await md.get_orderbook_snapshot(ASSET)
        assert network.connects == 2
        assert len(asked) == 3


async def test_a_call_over_a_new_connection_is_not_repeated(autojump_clock: MockClock) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_head(stream)

    async with MemoryNetwork(handler=serve) as network, MarketDataClient(URL, connector=network) as md:
        with pytest.raises(ConnectionFailed):
            await md.get_orderbook_snapshot(ASSET)
        assert network.connects == 1


async def orders_over(connector: Any, network: MemoryNetwork, pause: float) -> int:
    """Place two orders, a number of seconds apart; return the number of connections."""
    exchange = network.exchange
    async with OrderBookClient(URL, connector=connector, default_user=User(), now_ns=exchange.now_ns) as oms:
        await oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        before = network.connects
        await trio.sleep(pause)
        await oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        return network.connects - before


async def test_an_order_uses_a_connection_that_is_fresh_or_lately_used(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(ASSET)
    async with MemoryNetwork(exchange) as network:
        assert await orders_over(network, network, 1.0) == 0
        assert await orders_over(network, network, 5.0) == 1


async def test_an_order_never_goes_over_a_connection_of_unknown_state(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(ASSET)
    async with MemoryNetwork(exchange) as network:
        assert await orders_over(Wrapping(network), network, 0.0) == 1


async def test_connections_from_before_a_reconnection_are_not_used(autojump_clock: MockClock) -> None:
    # The name moves to another site. The old site still answers REST over kept connections.
    async with open_world() as old, open_world(changes=500) as new:
        site = old.network

        class Moving:
            async def connect(self, host: str, port: int) -> trio.abc.Stream:
                return await site.connect(host, port)

        async with MarketDataClient(URL, connector=Moving()) as md, md.open_book(ASSET) as book:
            await book.wait_synced()
            await md.get_orderbook_snapshot(ASSET)
            site = new.network
            old.exchange.faults.close_streams()
            await trio.sleep(1)
            assert book.sequence_number == new.exchange.book(ASSET).sequence_number


class Divided:
    """A connector that leads WebSockets to one place and REST to another. The first bytes sent decide."""

    def __init__(self, feeds: MemoryNetwork, rest: MemoryNetwork) -> None:
        self.feeds = feeds
        self.rest = rest

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return DividedStream(self)


class DividedStream(trio.abc.Stream):
    def __init__(self, divided: Divided) -> None:
        self._divided = divided
        self._stream: trio.abc.Stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if not hasattr(self, "_stream"):
            is_feed = b"upgrade: websocket" in bytes(data).lower()
            network = self._divided.feeds if is_feed else self._divided.rest
            self._stream = await network.connect("exchange", 80)
        await self._stream.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        if hasattr(self, "_stream"):
            await self._stream.aclose()


async def test_answers_that_do_not_fit_are_asked_for_over_another_connection(autojump_clock: MockClock) -> None:
    # The first REST connection leads to a replica that has stopped: its answers are older than the feed.
    connections = 0

    async with open_world() as world:
        before = world.exchange.book(ASSET).sequence_number

        async def serve(stream: trio.abc.Stream) -> None:
            nonlocal connections
            connections += 1
            stopped = connections == 1
            while b"GET" in (await read_head(stream)):
                number = before if stopped else world.exchange.book(ASSET).sequence_number
                body = {"asks": [], "bids": [["1", "1"]], "sequence_number": number}
                await stream.send_all(answer(200, json.dumps(body).encode()))

        async with (
            MemoryNetwork(handler=serve) as rest,
            MarketDataClient(URL, connector=Divided(world.network, rest)) as md,
        ):
            await md.get_orderbook_snapshot(ASSET)
            world.change(50)
            async with md.open_book(ASSET) as book, trio.open_nursery() as nursery:

                async def trade() -> None:
                    while True:
                        world.change()
                        await trio.sleep(0.1)

                nursery.start_soon(trade)
                await trio.sleep(1)
                assert book.sequence_number == world.exchange.book(ASSET).sequence_number
                nursery.cancel_scope.cancel()
            assert connections == 2


def test_a_client_that_is_not_entered_serves_several_runs() -> None:
    exchange = Exchange()
    exchange.add_market(ASSET)
    network: MemoryNetwork

    class Current:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            return await network.connect(host, port)

    md = MarketDataClient(URL, connector=Current())

    async def run() -> None:
        nonlocal network
        async with MemoryNetwork(exchange) as network:
            for _ in range(3):
                await md.get_orderbook_snapshot(ASSET)
            assert network.connects == 1
            exchange.faults.fail_requests(SNAPSHOT, 429, retry_after=3600.0)
            with pytest.raises(Exception, match="429"):
                await md.get_orderbook_snapshot(ASSET)

    for _ in range(3):  # the pause of one run does not hold in the next one, whose clock begins anew
        trio.run(run, clock=MockClock(autojump_threshold=0))
