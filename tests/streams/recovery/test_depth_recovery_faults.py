"""Depth streams and live books under each fault: a book in sync is always one that the exchange had."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.depth_model import Checker, books_of
from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, URL, World, open_world
from tplus_trio import BookChange, BookLost, LiveBook, MarketDataClient
from tplus_trio.testing.exchange.depth_book import encode_diff
from tplus_trio.testing.wire_frames import BINARY, PING, TEXT, frame, text_frame


class Watch:
    """Reads a depth stream and a live book, and compares them with every state that the exchange had."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = world.exchange.faults
        self.depth = Checker()
        self.shown: list[BookChange] = []
        self._known: set[BookChange] = set()
        self._record()

    def _record(self) -> None:
        book = self.world.exchange.book(ASSET)
        best_bid, best_ask = (side[0] if side else None for side in (book.bids, book.asks))
        self._known.add(BookChange(book.sequence_number, best_bid, best_ask))

    def change(self, n: int = 1) -> None:
        for _ in range(n):
            self.world.change()
            self._record()

    async def trade(self, n: int, pause: float = 0.01) -> None:
        for _ in range(n):
            self.change()
            await trio.sleep(pause)

    async def watch_depth(self, md: MarketDataClient) -> None:
        async for item in md.stream_depth(ASSET):
            self.depth.take([item])

    async def watch_changes(self, book: LiveBook) -> None:
        async for change in book.changes():
            if isinstance(change, BookLost):
                continue
            assert change in self._known, "a state that the exchange never had"
            self.shown.append(change)

    async def recover(self, book: LiveBook) -> None:
        """Let exchange and network work, and check that the book becomes right."""
        await self.trade(60, 0.2)  # time to notice the fault
        await trio.sleep(60)
        expected = self.world.exchange.book(ASSET)
        assert self.depth.state == books_of(expected)
        assert book.snapshot() == expected
        assert self.shown[-1].sequence_number == expected.sequence_number


async def late_snapshot(watch: Watch) -> None:
    watch.faults.delay_requests(SNAPSHOT, 1.0, 4)
    watch.faults.lose_diffs(ASSET)
    watch.change(2)
    for _ in range(10):
        await watch.trade(50, 0.0001)


async def stale_snapshots(watch: Watch) -> None:
    watch.faults.delay_requests(SNAPSHOT, 0.5, 4)
    watch.faults.stale_snapshots(4, behind=40)
    watch.faults.lose_diffs(ASSET)
    await watch.trade(60)


async def failing_snapshots(watch: Watch) -> None:
    watch.faults.fail_requests(SNAPSHOT, 503, 4)
    watch.faults.lose_diffs(ASSET)
    await watch.trade(60)


async def skipped_numbers(watch: Watch) -> None:
    for n in range(4):
        watch.faults.skip_sequence(ASSET, 1 + n)
        await watch.trade(9)


async def lost_changes(watch: Watch) -> None:
    for n in range(4):
        watch.faults.lose_diffs(ASSET, 1 + n)
        await watch.trade(9)


async def repeated_changes(watch: Watch) -> None:
    for n in range(4):
        watch.faults.repeat_diffs(ASSET, 1 + n)
        await watch.trade(9)


async def swapped_changes(watch: Watch) -> None:
    for _ in range(4):
        watch.faults.swap_diffs(ASSET)
        await watch.trade(9)


async def reset_in_a_frame(watch: Watch) -> None:
    for size in (1, 2, 3, 20):
        await watch.trade(5)
        half = text_frame(encode_diff([], [], watch.world.exchange.book(ASSET).sequence_number + 1))[:size]
        watch.faults.send_wire(DEPTH, half)
        await trio.sleep(0.1)
        watch.world.network.reset_connections()
        await trio.sleep(3)


async def dropped_connections(watch: Watch) -> None:
    for _ in range(4):
        watch.world.network.drop_connections()
        await watch.trade(9, 0.3)


async def refused_connections(watch: Watch) -> None:
    watch.world.network.refuse(6)
    watch.world.network.reset_connections()
    await watch.trade(20, 0.3)


async def silence(watch: Watch) -> None:
    await watch.trade(5)
    watch.world.network.stall()
    await watch.trade(50, 1.0)


async def partition(watch: Watch) -> None:
    await watch.trade(5)
    watch.world.network.partition(40.0)
    await watch.trade(50, 1.0)


async def restarted_numbers(watch: Watch) -> None:
    await watch.trade(10)
    watch.faults.restart_sequence(ASSET)
    await watch.trade(10)


async def restarted_numbers_in_a_quiet_market(watch: Watch) -> None:
    await trio.sleep(5)
    watch.faults.restart_sequence(ASSET)
    await watch.trade(10)


async def restarted_numbers_and_old_snapshots(watch: Watch) -> None:
    watch.faults.stale_snapshots(4, behind=30)
    watch.faults.restart_sequence(ASSET)
    await watch.trade(10)


async def restarted_numbers_behind_a_new_connection(watch: Watch) -> None:
    watch.faults.stale_snapshots(4, behind=30)
    watch.faults.restart_sequence(ASSET)
    watch.world.network.reset_connections()
    await watch.trade(10)


async def numbers_by_tens(watch: Watch) -> None:
    watch.faults.number_by(ASSET, 10)
    await watch.trade(100, 0.1)


async def fragments(watch: Watch) -> None:
    for pieces in (2, 3, 30, 100):
        watch.faults.fragment(DEPTH, 10, pieces)
        await watch.trade(15)
        watch.faults.send_wire(DEPTH, frame(PING, b"still there?"))


async def garbage(watch: Watch) -> None:
    await watch.trade(5)
    watch.faults.send_garbage(DEPTH)
    await watch.trade(5)
    for text in ("", "null", "[]", '{"type":"ping"}', '{"sequence_number":-1,"asks":[],"bids":[]}'):
        watch.faults.send_text(DEPTH, text)
        await watch.trade(5)
    watch.faults.send_wire(DEPTH, frame(BINARY, b"\x00\xff"))
    await watch.trade(5)
    watch.faults.send_text(DEPTH, '{"asks":[[1,NaN]],"bids":[],"sequence_number":2000}')
    watch.faults.send_text(DEPTH, '{"asks":' + "[" * 10_000)
    await watch.trade(5)


async def garbage_that_is_no_websocket(watch: Watch) -> None:
    await watch.trade(5)
    watch.faults.send_wire(DEPTH, frame(TEXT, b"\xff\xfe"))
    await watch.trade(5, 0.5)
    watch.faults.send_wire(DEPTH, b"\xff" * 40)
    await watch.trade(5, 0.5)


#: Each fault, and the most snapshot requests that two consumers may send for it.
FAULTS: dict[Callable[[Watch], Awaitable[None]], int] = {
    late_snapshot: 8,
    stale_snapshots: 12,
    failing_snapshots: 12,
    skipped_numbers: 12,
    lost_changes: 12,
    repeated_changes: 4,
    swapped_changes: 12,
    reset_in_a_frame: 20,
    dropped_connections: 20,
    refused_connections: 10,
    silence: 10,
    partition: 10,
    restarted_numbers: 8,
    restarted_numbers_in_a_quiet_market: 8,
    restarted_numbers_and_old_snapshots: 16,
    restarted_numbers_behind_a_new_connection: 16,
    numbers_by_tens: 30,
    fragments: 4,
    garbage: 24,
    garbage_that_is_no_websocket: 12,
}


@pytest.mark.parametrize("first", [True, False], ids=["from the beginning", "in sync"])
@pytest.mark.parametrize("latency", [0.0, (0.005, 0.08)], ids=["at once", "slow"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_book_is_right_after_each_fault(
    fault: Callable[[Watch], Awaitable[None]],
    latency: float | tuple[float, float],
    first: bool,
    autojump_clock: MockClock,
) -> None:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(latency=latency, changes=0))
        nursery = await stack.enter_async_context(trio.open_nursery())
        watch, over = Watch(world), trio.Event()
        watch.change(50)

        async def cause_fault() -> None:
            await fault(watch)
            over.set()

        if first:
            nursery.start_soon(cause_fault)
            await wait_all_tasks_blocked()
        book = await stack.enter_async_context(world.md.open_book(ASSET))
        nursery.start_soon(watch.watch_depth, world.md)
        nursery.start_soon(watch.watch_changes, book)
        before = 0
        if not first:
            await watch.recover(book)
            before = world.exchange.snapshot_requests
            nursery.start_soon(cause_fault)
        await over.wait()
        await watch.recover(book)
        asked = world.exchange.snapshot_requests - before
        print(f"{fault.__name__}: {asked} snapshots")
        assert asked <= FAULTS[fault], "an endless resynchronisation"
        nursery.cancel_scope.cancel()


class ByteByByte:
    """A connector whose streams bring one byte at a time."""

    def __init__(self, world: World) -> None:
        self._network = world.network

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        stream = await self._network.connect(host, port)
        receive = stream.receive_some

        async def receive_one(max_bytes: int | None = None) -> bytes | bytearray:
            return await receive(1)

        stream.receive_some = receive_one  # type: ignore[method-assign]  # replaced for the test
        return stream


async def test_a_book_is_right_if_bytes_arrive_one_by_one(autojump_clock: MockClock) -> None:
    async with (
        open_world(changes=0) as world,
        MarketDataClient(URL, connector=ByteByByte(world)) as md,
        md.open_book(ASSET) as book,
        trio.open_nursery() as nursery,
    ):
        watch = Watch(world)
        nursery.start_soon(watch.watch_depth, md)
        nursery.start_soon(watch.watch_changes, book)
        await book.wait_synced()
        await fragments(watch)
        await watch.recover(book)
        assert world.exchange.snapshot_requests <= 4
        nursery.cancel_scope.cancel()


async def test_a_book_never_shows_a_snapshot_older_than_the_loss(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.change(20)
        await trio.sleep(1)
        expected = world.exchange.book(ASSET)
        # The book changes no more, so no later number shows that a snapshot is old.
        world.exchange.faults.stale_snapshots(4, behind=10)
        world.network.reset_connections()
        await trio.sleep(0.01)
        assert not book.is_synced
        await book.wait_synced()
        assert book.snapshot() == expected


async def test_a_book_syncs_again_after_changes_that_fit_no_snapshot(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        faults = world.exchange.faults
        faults.delay_requests(SNAPSHOT, 1.0)
        faults.stale_snapshots(1)
        faults.lose_diffs(ASSET)
        world.change(2)
        await trio.sleep(0.5)
        assert not book.is_synced
        # A change from before the restart waits for a snapshot that cannot come, and the market sends no more changes.
        faults.restart_sequence(ASSET)
        await book.wait_synced()
        assert book.snapshot() == world.exchange.book(ASSET)
        assert book.stats.connects == 2
        assert world.exchange.snapshot_requests < 20
