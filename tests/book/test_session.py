"""`LiveBook.while_synced`, `wait_lost` and `wait_for`: the loss of a book is an event."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from tests.helpers.world import ASSET, SNAPSHOT, open_world
from tplus_trio import BookChange, BookLost, BookNotSynced, BookSession, HandshakeRejected, LiveBook, StreamLost


async def test_the_body_is_cancelled_when_sync_is_lost_and_the_block_ends_normally(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        cancelled_at = None
        async with book.while_synced() as session:
            assert book.is_synced
            assert session.lost is None
            world.network.reset_connections()
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                cancelled_at = trio.current_time()
                assert not book.is_synced
                raise
        assert isinstance(session, BookSession)
        assert isinstance(session.lost, BookLost)
        assert cancelled_at == 0
        assert session.lost.since_ns == world.exchange.now_ns()
        # The next session waits until the book is in sync again.
        async with book.while_synced() as again:
            assert book.is_synced
        assert again.lost is None


LOSSES: dict[str, Callable[[LiveBook, object], object]] = {
    "ordered reconnection": lambda book, world: book.reconnect(),
    "ordered resync": lambda book, world: book.resync(),
}


@pytest.mark.parametrize("how", LOSSES)
async def test_the_scope_is_cancelled_in_the_step_that_leaves_live(how: str, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        async with book.while_synced() as session:
            LOSSES[how](book, world)
            # Without a checkpoint: the call itself ended the sync.
            assert not book.is_synced
            assert session.lost is not None
            with pytest.raises(trio.Cancelled):
                await trio.lowlevel.checkpoint()
            await trio.sleep_forever()
        assert session.lost is not None


async def test_a_jump_of_the_sequence_number_is_the_reason_of_the_loss(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        async with book.while_synced() as session:
            world.exchange.faults.lose_diffs(ASSET)
            world.change(3)
            await trio.sleep_forever()
        assert session.lost is not None
        assert session.lost.reason == "sequence number 1007 came after 1005"


async def test_a_book_in_sync_again_revives_no_session(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        passed = False
        async with book.while_synced() as session:
            book.resync()
            first = session.lost
            with trio.CancelScope(shield=True):
                await book.wait_synced()
                passed = True
                book.reconnect()
                await book.wait_synced()
                assert session.lost is first
            await trio.lowlevel.checkpoint()
            passed = False
        assert passed
        assert session.lost is not None
        assert book.is_synced


async def test_this_books_error_ends_a_lost_block_and_others_leave_unchanged(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, world.md.open_book(ASSET) as other:
        await other.wait_synced()
        async with book.while_synced() as session:
            book.reconnect()
            _ = book.best_bid  # raises before any checkpoint
        assert session.lost is not None

        async def run(lose: LiveBook, body: Callable[[], object]) -> None:
            async with book.while_synced() as session:
                lose.reconnect()
                body()
            assert session.lost is not None

        with pytest.raises(BookNotSynced):
            await run(other, lambda: other.best_bid)
        for failure in (ValueError("body"), BookNotSynced(ASSET, "backoff", "not of this book")):
            for lose in (book, other):
                await other.wait_synced()
                with pytest.raises(type(failure)) as caught:
                    await run(lose, partial(raise_it, failure))
                assert caught.value is failure


async def test_this_books_error_leaves_a_block_that_lost_nothing(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        with pytest.raises(BookNotSynced) as earlier:
            _ = book.best_bid
        with pytest.raises(BookNotSynced) as caught:
            async with book.while_synced():
                raise earlier.value
        assert caught.value is earlier.value


def raise_it(failure: Exception) -> None:
    raise failure


async def test_a_group_loses_its_cancelled_only(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:

        async def fail_in_cleanup() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError

        with pytest.RaisesGroup(ValueError):
            async with book.while_synced() as session, trio.open_nursery() as nursery:
                nursery.start_soon(fail_in_cleanup)
                nursery.start_soon(trio.sleep_forever)
                await trio.sleep(0.1)
                book.reconnect()
        assert session.lost is not None


async def test_the_sessions_changes_have_no_losses(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        seen: list[int] = []
        for _ in range(2):
            async with book.while_synced() as session:
                async for change in session.changes():
                    seen.append(change.sequence_number)
                    if len(seen) % 2:
                        world.change()
                    else:
                        world.network.reset_connections()
            assert session.lost is not None
        assert seen == [1005, 1006, 1006, 1007]
        async with book.while_synced() as session:
            changes = session.changes()
            await anext(changes)
            book.reconnect()
            with trio.CancelScope(shield=True):
                with pytest.raises(BookNotSynced):
                    await anext(changes)
                await book.wait_synced()
                await anext(changes)  # raises also when the book is in sync again, and ends the block
            raise AssertionError
        assert session.lost is not None


async def test_an_outer_cancellation_passes(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        for lose in (False, True):
            ended = False
            with trio.CancelScope() as scope:
                async with book.while_synced():
                    if lose:
                        book.reconnect()
                    scope.cancel()
                    await trio.sleep_forever()
                ended = True
            assert scope.cancelled_caught
            assert not ended


async def test_a_book_that_failed_for_good_is_raised_on_entering(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        async with book.while_synced() as session:
            world.exchange.faults.reject_handshakes(1, path="/marketdepth", status=400)
            world.network.reset_connections()
            await trio.sleep_forever()
        assert session.lost is not None
        with pytest.raises(HandshakeRejected):
            async with book.while_synced():
                pass
        with pytest.raises(HandshakeRejected):
            await book.wait_for(lambda _: False)


async def test_a_book_that_is_left_ends_the_sessions_of_other_tasks(autojump_clock: MockClock) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        ended = trio.Event()

        async def use(book: LiveBook) -> None:
            async with book.while_synced() as session:
                await trio.sleep_forever()
            assert session.lost is not None
            with pytest.raises(trio.ClosedResourceError):
                await book.while_synced().__aenter__()
            ended.set()

        async with world.md.open_book(ASSET) as book:
            nursery.start_soon(use, book)  # noqa: ASYNC111 - the book is left first, on purpose
            await book.wait_synced()
            await trio.sleep(1)
        await ended.wait()


@pytest.mark.parametrize(("max_silence", "most"), [(1.0, 2.0), (None, 20.0)])
async def test_a_silent_network_ends_the_body_within_twice_max_silence(
    max_silence: float | None, most: float, autojump_clock: MockClock
) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        for quiet_for in (0.3, 1.4, 9.9, 10.5):
            async with book.while_synced(max_silence) as session:
                await trio.sleep(quiet_for)
                world.network.stall()
                began = trio.current_time()
                await trio.sleep_forever()
            assert session.lost is not None
            assert trio.current_time() - began <= most
            world.network.resume()
            await book.wait_synced()


async def test_max_silence_holds_in_an_outage_that_had_begun_and_for_sessions_that_come_and_go(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        for silent_for in (0.0, 5.0, 12.0):
            world.network.stall()
            await trio.sleep(silent_for)
            began = trio.current_time()
            while book.is_synced:
                async with book.while_synced(max_silence=1.0):
                    await trio.sleep(0.4)
            assert trio.current_time() - began <= 2.4
            world.network.resume()
            await book.wait_synced()
        # A limit ends with its session.
        world.network.stall()
        await trio.sleep(9.5)
        assert book.is_synced


async def test_max_silence_costs_no_connection_while_the_service_answers(autojump_clock: MockClock) -> None:
    async with open_world(latency=0.2) as world, world.md.open_book(ASSET) as book:
        async with book.while_synced(max_silence=0.5) as session:
            await trio.sleep(600)
        assert session.lost is None
        assert book.stats.connects == 1


@pytest.mark.parametrize("max_silence", [0, -1.0, float("inf"), float("nan")])
async def test_an_illegal_max_silence_is_refused(max_silence: float, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        with pytest.raises(ValueError, match="max_silence"):
            book.while_synced(max_silence)
        with pytest.raises(TypeError, match="max_silence"):
            book.while_synced("1")  # type: ignore[arg-type]  # on purpose


async def test_wait_lost_returns_the_loss(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        found: list[BookLost] = []

        async def wait() -> None:
            found.append(await book.wait_lost())

        nursery.start_soon(wait)
        await book.wait_synced()
        await trio.sleep(1)
        assert not found
        world.exchange.faults.delay_requests(SNAPSHOT, 5.0)
        world.network.reset_connections()
        await trio.sleep(0.1)
        assert len(found) == 1
        # A book that is out of sync is lost already.
        assert not book.is_synced
        with assert_checkpoints():
            assert await book.wait_lost() is found[0]
        await book.wait_synced()
        with trio.move_on_after(60) as scope:
            await book.wait_lost()
        assert scope.cancelled_caught


async def test_wait_lost_tells_of_a_loss_that_was_recovered_before_the_task_ran(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        await book.wait_synced()
        nursery.start_soon(book.wait_lost)
        await trio.sleep(1)
        book.resync()
        with trio.fail_after(1):
            await book.wait_synced()
            while nursery.child_tasks:
                await trio.lowlevel.checkpoint()


async def test_wait_for_returns_the_first_state_that_meets_the_condition(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:

        async def trade() -> None:
            await trio.sleep(1)
            world.exchange.publish_diff(ASSET, bids=[(Decimal(100), 1)])
            await trio.sleep(1)
            world.network.reset_connections()
            await trio.sleep(1)
            world.exchange.publish_diff(ASSET, bids=[(Decimal("100.5"), 1)])

        nursery.start_soon(trade)
        with assert_checkpoints():
            first = await book.wait_for(lambda change: True)
        assert isinstance(first, BookChange)
        found = await book.wait_for(lambda change: change.best_bid is not None and change.best_bid.price > 100)
        assert found.best_bid is not None
        assert found.best_bid.price == Decimal("100.5")
        with pytest.raises(ZeroDivisionError):
            await book.wait_for(lambda change: bool(1 / 0))


async def test_a_streams_block_runs_while_it_is_live(autojump_clock: MockClock) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        trades = world.md.stream_finalized_trades()
        log: list[StreamLost | None] = []

        async def use() -> None:
            for _ in range(2):
                async with trades.while_live(max_silence=5.0) as block:
                    log.append(block.lost)
                    await trio.sleep_forever()
                log.append(block.lost)

        nursery.start_soon(use)  # a stream that is not entered yet is waited for
        await trio.sleep(1)
        assert log == []
        async with trades:
            await trades.wait_live()
            await trio.sleep(0.1)
            world.network.reset_connections()
            await trio.sleep(1)
            assert log[0] is log[2] is None
            assert isinstance(log[1], StreamLost)
            assert not isinstance(log[1], BookLost)
        await trio.sleep(0.1)
        assert len(log) == 4
