"""`LiveBook`: it is right, or reports that it is not in sync; `changes` yields the newest state and never a backlog."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, open_world
from tplus_trio import BookChange, BookLost, BookNotSynced, ConnectionFailed, HandshakeRejected, LiveBook, StreamState

READS: dict[str, Callable[[LiveBook], Any]] = {
    "best_bid": lambda book: book.best_bid,
    "best_ask": lambda book: book.best_ask,
    "spread": lambda book: book.spread,
    "mid": lambda book: book.mid,
    "sequence_number": lambda book: book.sequence_number,
    "bids": lambda book: book.bids(1),
    "asks": lambda book: book.asks(),
    "quantity_at": lambda book: book.quantity_at("Buy", 99),
    "vwap": lambda book: book.vwap("Buy", 1),
    "snapshot": lambda book: book.snapshot(),
}


async def number(changes: AsyncIterator[BookChange | BookLost]) -> int:
    """Return the sequence number of the next item, which has to be a state."""
    change = await anext(changes)
    assert isinstance(change, BookChange)
    return change.sequence_number


def assert_unreadable(book: LiveBook, state: StreamState) -> None:
    assert not book.is_synced
    assert book.state is state
    for read in READS.values():
        with pytest.raises(BookNotSynced) as caught:
            read(book)
        assert (caught.value.asset_id, caught.value.state) == (ASSET, state.value)


def assert_readable(book: LiveBook) -> None:
    assert book.is_synced
    for name, read in READS.items():
        assert read(book) is not None, name


async def test_a_book_can_be_read_while_it_is_in_sync_and_not_else(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        book = world.md.open_book(ASSET)
        assert_unreadable(book, StreamState.CONNECTING)
        world.exchange.faults.delay_requests(SNAPSHOT, 1.0, 2)
        async with book:
            assert_unreadable(book, StreamState.CONNECTING)
            await trio.sleep(0.1)
            assert_unreadable(book, StreamState.SYNCING)
            with assert_checkpoints():
                await book.wait_synced()
            assert_readable(book)
            assert book.snapshot() == world.exchange.book(ASSET)
            # A jump of the numbers; a frame that cannot be decoded.
            for trouble in (world.exchange.faults.skip_sequence, lambda _: world.exchange.faults.send_garbage(DEPTH)):
                world.exchange.faults.delay_requests(SNAPSHOT, 1.0)
                trouble(ASSET)
                world.change()
                await trio.sleep(0.1)
                assert_unreadable(book, StreamState.SYNCING)
                await book.wait_synced()
                assert_readable(book)
            # A lost connection; a connection that cannot be made.
            world.exchange.faults.reject_handshakes(1, 503)
            world.network.reset_connections()
            await trio.sleep(0.1)
            assert_unreadable(book, StreamState.BACKOFF)
            await book.wait_synced()
            assert_readable(book)
            for order in (book.resync, book.reconnect):
                order()
                assert not book.is_synced
                await book.wait_synced()
            assert_readable(book)
            assert book.stats.connects == 3
        assert_unreadable(book, StreamState.CLOSED)
        with pytest.raises(trio.ClosedResourceError):
            await book.wait_synced()


async def test_waiting_for_a_book_that_fails(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(1, 404)
        async with world.md.open_book(ASSET) as book:
            with pytest.raises(HandshakeRejected):
                await book.wait_synced()
            with pytest.raises(HandshakeRejected):
                await book.changes().__anext__()
            assert_unreadable(book, StreamState.CLOSED)
        async with world.md.open_book(ASSET, restart=None) as book:
            await book.wait_synced()
            changes = book.changes()
            await changes.__anext__()
            world.network.reset_connections()
            assert isinstance(await anext(changes), BookLost)
            with pytest.raises(ConnectionFailed):
                await anext(changes)


async def test_changes_are_the_newest(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        changes = book.changes()
        first = await changes.__anext__()
        assert first == BookChange(1005, book.best_bid, book.best_ask)
        world.change(3)
        await trio.sleep(0.01)
        assert await number(changes) == 1008
        with trio.move_on_after(10) as scope:
            await changes.__anext__()
        assert scope.cancelled_caught, "there is nothing newer"
        # The iteration continues after a cancellation and after losses.
        world.network.reset_connections()
        world.change(2)
        assert isinstance(await anext(changes), BookLost)
        assert await number(changes) == 1010
        # A new iteration begins with the present state.
        assert await number(book.changes()) == 1010


async def test_a_slow_reader_of_changes_has_no_backlog(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        await book.wait_synced()

        async def trade() -> None:
            for _ in range(2000):
                world.change()
                await trio.sleep(0.001)

        nursery.start_soon(trade)
        shown = 0
        async for change in book.changes():
            shown += 1
            assert isinstance(change, BookChange)
            assert change.sequence_number == book.sequence_number
            assert change == BookChange(book.sequence_number, book.best_bid, book.best_ask)
            if change.sequence_number == 3005:
                break
            await trio.sleep(0.1)
        assert 15 <= shown <= 25


async def test_many_readers_of_changes(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        seen: dict[int, list[int]] = {}

        async def read(reader: int) -> None:
            async for change in book.changes():
                assert isinstance(change, BookChange)
                seen.setdefault(reader, []).append(change.sequence_number)

        for reader in range(3):
            nursery.start_soon(read, reader)
        for _ in range(5):
            await trio.sleep(0.1)
            world.change()
        await trio.sleep(0.1)
        assert list(seen.values()) == [list(range(1005, 1011))] * 3
        nursery.cancel_scope.cancel()


async def test_changes_tell_of_a_loss_and_show_nothing_until_the_book_is_in_sync(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        changes = book.changes()
        await changes.__anext__()
        world.exchange.faults.delay_requests(SNAPSHOT, 5.0)
        world.exchange.faults.lose_diffs(ASSET)
        world.change(3)
        began = trio.current_time()
        assert await anext(changes) == BookLost("sequence number 1007 came after 1005", world.exchange.now_ns())
        assert trio.current_time() < began + 0.1
        # Neither a running iteration nor a new one shows a state that may be wrong.
        for iteration in (book.changes(), changes):
            assert await number(iteration) == 1008
            assert trio.current_time() == pytest.approx(5.0)


async def test_a_book_is_entered_once(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        with pytest.raises(RuntimeError, match="entered"):
            await book.__aenter__()
        assert str(ASSET) in repr(book)


async def test_a_book_ends_with_its_client(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with open_world() as world:
            book = world.md.open_book(ASSET)

            async def hold() -> None:
                async with book:
                    with pytest.raises(trio.ClosedResourceError):
                        async for _ in book.changes():
                            pass

            nursery.start_soon(hold)
            await trio.sleep(1)
            assert book.is_synced
        assert not book.is_synced


async def test_a_book_that_failed_for_good_gives_the_reason(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.exchange.faults.reject_handshakes(1, 404)
        world.network.reset_connections()
        await trio.sleep(60)
        with pytest.raises(BookNotSynced, match=r"closed: .* failed for good") as caught:
            _ = book.best_bid
        assert isinstance(caught.value.__cause__, HandshakeRejected)
        # Without a reader, the failure is in the log.
        assert [record.levelname for record in caplog.records if "failed for good" in record.message] == ["WARNING"]


async def test_a_book_that_was_not_entered_refuses_every_use(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        book = world.md.open_book(ASSET)
        assert not book.is_synced
        for use in (
            lambda: book.best_bid,
            lambda: book.spread,
            lambda: book.bids(1),
            lambda: book.sequence_number,
            book.snapshot,
            book.changes,
            book.while_synced,
        ):
            with pytest.raises(RuntimeError, match=r"was not entered: `async with"):
                use()
        for wait in (book.wait_synced, book.wait_lost, lambda: book.wait_for(lambda _: True)):
            with pytest.raises(RuntimeError, match="was not entered"):
                await wait()
        async with book:
            await book.wait_synced()
            assert (await book.wait_for(lambda change: change.best_bid is not None)).best_bid == book.best_bid
        with pytest.raises(BookNotSynced, match="its context was left"):
            book.snapshot()
