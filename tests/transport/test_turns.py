"""Connections that have received something at once hand it out in turn, and the loop passes in between."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import Depth, LiveBook, MarketDataClient, OrderBookClient, Stream
from tplus_trio.testing import Exchange
from tplus_trio.transport.turns import _BATCH, _MOST, Turns


class Line:
    """A connection with batches of some size, without a network."""

    def __init__(self, turns: Turns, batches: int, size: int = _MOST) -> None:
        self.turns = turns
        self.left = batches
        self.size = size
        self.waited = 0
        #: Bytes handed out that no consumer has taken.
        self.untaken = 0

    async def bring(self) -> None:
        while self.left:
            await trio.lowlevel.checkpoint()
            if not self.turns.admits(self, self.size):
                self.waited += 1
                await self.turns.wait(self, self.size)
            self.left -= 1
            self.untaken += self.size

    async def consume(self) -> None:
        """Take everything one pass after it was handed out, as a consumer does that was woken."""
        while True:
            await trio.lowlevel.checkpoint()
            seen = self.untaken
            await trio.lowlevel.checkpoint()
            self.untaken -= seen


async def watch(lines: Sequence[Line], untaken: list[int]) -> None:
    while True:
        untaken.append(sum(line.untaken for line in lines))
        await trio.lowlevel.checkpoint()


async def bring_all(lines: Sequence[Line]) -> list[int]:
    """Let all connections bring what they have; return how many bytes were untaken in each pass of the loop."""
    untaken = list[int]()
    async with trio.open_nursery() as watching:
        watching.start_soon(watch, lines, untaken)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for line in lines:
                    watching.start_soon(line.consume)
                    nursery.start_soon(line.bring)
        watching.cancel_scope.cancel()
    return untaken


@pytest.mark.parametrize(("count", "size", "most"), [(60, _MOST, 2 * _MOST), (200, 100, 2 * _MOST)])
async def test_little_is_handed_out_before_the_loop_is_passed(count: int, size: int, most: int) -> None:
    turns = Turns()
    lines = [Line(turns, 10, size) for _ in range(count)]
    untaken = await bring_all(lines)
    assert not any(line.left for line in lines)
    assert max(untaken) <= most
    assert all(line.waited for line in lines)


async def test_a_connection_alone_never_waits() -> None:
    line = Line(Turns(), 50)
    await line.bring()
    assert line.waited == 0


async def test_a_turn_has_room_for_many_short_messages() -> None:
    turns = Turns()
    room = _MOST // (100 + _BATCH)
    lines = [Line(turns, 1, 100) for _ in range(room)]
    await bring_all(lines)
    assert [line.waited for line in lines] == [0] * room


async def test_connections_that_take_turns_do_not_count_an_earlier_turn() -> None:
    turns = Turns()
    lines = [Line(turns, 1, 100) for _ in range(10)]
    for _ in range(100):
        for line in lines:
            line.left = 1
            await line.bring()
    assert [line.waited for line in lines] == [0] * 10


async def test_those_in_line_go_on_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), list[int]()

    async def bring(name: int) -> None:
        await turns.wait(name, _MOST // 3)
        order.append(name)

    turns._leader = trio.lowlevel.current_task()  # so that all who come wait in line
    async with trio.open_nursery() as nursery:
        for name in range(40):
            nursery.start_soon(bring, name)
            await wait_all_tasks_blocked()
        turns._let_others_go_on()
    assert sorted(order) == list(range(40))
    # Those of one turn run in any order.
    assert all(abs(name - place) <= 2 for place, name in enumerate(order))
    assert turns.admits("last", 0)


@pytest.mark.parametrize("seed", range(50))
async def test_a_cancelled_connection_does_not_hold_up_the_others(seed: int) -> None:
    rng, turns = random.Random(seed), Turns()
    size = rng.choice((50, 3000, _MOST))
    spared, victims = ([Line(turns, 10, size) for _ in range(count)] for count in (20, 40))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, trio.open_nursery() as doomed:
            for line in victims:
                doomed.start_soon(line.bring)
            for line in spared:
                nursery.start_soon(line.bring)
            for _ in range(rng.randrange(15)):
                await trio.lowlevel.checkpoint()
            doomed.cancel_scope.cancel()
    assert not any(line.left for line in spared)
    assert turns._leader is None
    assert not turns._sizes


async def test_if_the_first_in_line_is_cancelled_the_second_takes_its_place() -> None:
    turns, gone_on = Turns(), list[int]()

    async def bring(name: int) -> None:
        await turns.wait(name, _MOST)
        gone_on.append(name)

    turns.admits("first", _MOST)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as doomed:
            doomed.start_soon(bring, 1)
            await trio.lowlevel.checkpoint()
            nursery.start_soon(bring, 2)
            nursery.start_soon(bring, 3)
            await trio.lowlevel.checkpoint()
            doomed.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert sorted(gone_on) == [2, 3]


async def greatest_step(count: Callable[[], int], done: Callable[[], bool]) -> int:
    """Return the most by which a count grew in one pass of the loop, until something is done."""
    greatest, before = 0, count()
    while not done():
        await trio.lowlevel.checkpoint()
        now = count()
        greatest, before = max(greatest, now - before), now
    return greatest


async def test_many_live_books_do_not_decode_in_one_pass_of_the_loop(
    exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock
) -> None:
    """Nobody iterates over these books: what they have received counts all the same."""
    books: list[LiveBook] = []
    assets = range(301, 401)
    for asset in assets:
        exchange.add_market(asset)
    async with trio.open_nursery() as nursery:

        async def follow(asset: int) -> None:
            async with market_data.open_book(asset) as book:
                await book.wait_synced()
                books.append(book)
                await trio.sleep_forever()

        for asset in assets:
            nursery.start_soon(follow, asset)
        await trio.sleep(5)
        for _ in range(300):
            for asset in assets:
                exchange.publish_diff(asset, bids=[(1, 1)])

        def count() -> int:
            return sum(book.sequence_number for book in books)

        last = sum(exchange.book(asset).sequence_number for asset in assets)
        with trio.fail_after(60):
            greatest = await greatest_step(count, lambda: count() == last)
        nursery.cancel_scope.cancel()
    assert len(books) == 100
    assert 1 < greatest <= 256, "two full batches: of one turn's end, and of the next one's begin"


async def test_a_users_own_orders_do_not_wait_for_the_floods_of_markets(
    order_book: OrderBookClient, autojump_clock: MockClock
) -> None:
    async with order_book.stream_orders() as stream:
        await stream.wait_live()
        turns = order_book._client_scope.turns
        turns.admits("a flood", _MOST)
        turns._leader = trio.lowlevel.current_task()  # so that `admits` refuses everybody
        with trio.fail_after(5):
            await order_book.create_limit_order(1, 900, "Buy", asset_id=200)
            await stream.receive()


@pytest.mark.parametrize("seed", range(2))
async def test_readers_get_every_change_beside_idle_and_cancelled_streams(
    exchange: Exchange,
    market_data: MarketDataClient,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """Some consumers read, some do not, and some are cancelled meanwhile. Those that read receive every change."""
    waited = 0

    async def wait(turns: Turns, connection: object, size: int) -> None:
        nonlocal waited
        waited += 1
        await wait_in_earnest(turns, connection, size)

    wait_in_earnest = Turns.wait
    monkeypatch.setattr(Turns, "wait", wait)
    rng, changes = random.Random(seed), 200
    last = exchange.book(200).sequence_number + changes
    taken: list[int] = []

    async def read(stream: Stream[Depth]) -> None:
        async with stream:
            async for item in stream:
                assert not hasattr(item, "reason")
                if item.sequence_number == last:
                    break
        taken.append(last)

    async def leave(stream: Stream[Depth]) -> None:
        with trio.move_on_after(rng.uniform(0.0, 2.0)):
            await read(stream)

    async def ignore(stream: Stream[Depth]) -> None:
        async with stream:
            await trio.sleep_forever()

    with trio.fail_after(60):
        async with trio.open_nursery() as ignoring:
            async with trio.open_nursery() as nursery:
                for _ in range(30):
                    nursery.start_soon(read, market_data.stream_depth(200, share=False))
                    nursery.start_soon(leave, market_data.stream_depth(200, share=False))
                    ignoring.start_soon(ignore, market_data.stream_depth(200, share=False))
                await trio.sleep(0.5)
                for n in range(1, changes + 1):
                    exchange.publish_diff(200, bids=[(n, 1)])
                    if rng.random() < 0.1:
                        await trio.sleep(rng.uniform(0.0, 0.1))
            await trio.sleep(2)
            assert taken.count(last) >= 30
            assert market_data._client_scope.turns._leader is None
            assert waited > 100
            ignoring.cancel_scope.cancel()
