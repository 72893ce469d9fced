"""Streams that are busy together bring their items in turns, and none depends on another's consumer."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import Depth, MarketDataClient, Stream
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.turns import _MANY, Turns
from tplus_trio.testing import Exchange


class Line:
    """A stream's task and its consumer, without a network."""

    def __init__(self, turns: Turns, batches: int) -> None:
        self.turns = turns
        self.batches = batches
        self.buffer = Buffer[int](1024, turns=turns)
        self.taken: list[int] = []
        self.waited = 0

    async def bring(self) -> None:
        for n in range(self.batches):
            await trio.lowlevel.checkpoint()
            if self.turns.crowded:
                self.waited += 1
                await self.turns.wait()
            self.buffer.put_nowait([2 * n, 2 * n + 1])

    async def consume(self) -> None:
        async for item in self.buffer:
            self.taken.append(item)
            if len(self.taken) == 2 * self.batches:
                return


async def watch(lines: Sequence[Line], untaken: list[int]) -> None:
    """How many have something that nobody has taken, in each turn of the loop."""
    while True:
        untaken.append(sum(len(line.buffer) > 0 for line in lines))
        await trio.lowlevel.checkpoint()


async def test_few_are_ahead_of_their_consumers() -> None:
    turns, untaken = Turns(), list[int]()
    lines = [Line(turns, 20) for _ in range(200)]
    async with trio.open_nursery() as watching:
        watching.start_soon(watch, lines, untaken)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for line in lines:
                    nursery.start_soon(line.consume)
                await trio.lowlevel.checkpoint()
                for line in lines:
                    nursery.start_soon(line.bring)
        watching.cancel_scope.cancel()
    assert all(line.taken == list(range(40)) for line in lines)
    assert max(untaken) <= 3 * _MANY
    assert sum(line.waited for line in lines) > 1000
    assert not turns.crowded


async def test_few_streams_never_wait() -> None:
    turns = Turns()
    lines = [Line(turns, 50) for _ in range(_MANY - 1)]
    async with trio.open_nursery() as nursery:
        for line in lines:
            nursery.start_soon(line.consume)
            nursery.start_soon(line.bring)
    assert [line.waited for line in lines] == [0] * len(lines)


async def test_a_stream_whose_consumer_is_busy_lets_the_next_one_go_on() -> None:
    turns = Turns()
    lines = [Line(turns, 3) for _ in range(50)]
    turns.woken(_MANY)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for line in lines:
                nursery.start_soon(line.bring)
            await wait_all_tasks_blocked()
            assert [line.waited for line in lines] == [1] * 50
            turns.arrived()
    assert [len(line.buffer) for line in lines] == [6] * 50


@pytest.mark.parametrize("seed", range(20))
async def test_who_is_cancelled_takes_no_turn_along(seed: int) -> None:
    rng, turns = random.Random(seed), Turns()
    spared, victims = ([Line(turns, 10) for _ in range(count)] for count in (20, 40))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for line in spared:
                nursery.start_soon(line.consume)
                nursery.start_soon(line.bring)
            async with trio.open_nursery() as doomed:
                for line in victims:
                    doomed.start_soon(line.consume)
                    doomed.start_soon(line.bring)
                for _ in range(rng.randrange(15)):
                    await trio.lowlevel.checkpoint()
                doomed.cancel_scope.cancel()
    assert all(line.taken == list(range(20)) for line in spared)
    assert turns._coming == 0


@pytest.mark.parametrize("seed", range(2))
async def test_many_streams_of_a_client(
    exchange: Exchange,
    market_data: MarketDataClient,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """Some read, some do not, and some go while everybody is busy: those that read have it all."""
    waited = 0

    async def wait(turns: Turns) -> None:
        nonlocal waited
        waited += 1
        await wait_in_earnest(turns)

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
                    nursery.start_soon(read, market_data.stream_depth(200))
                    nursery.start_soon(leave, market_data.stream_depth(200))
                    ignoring.start_soon(ignore, market_data.stream_depth(200))
                await trio.sleep(0.5)
                for n in range(1, changes + 1):
                    exchange.publish_diff(200, bids=[(n, 1)])
                    if rng.random() < 0.1:
                        await trio.sleep(rng.uniform(0.0, 0.1))
            await trio.sleep(2)
            assert taken.count(last) >= 30
            assert market_data._client_scope.turns._coming == 0
            assert waited > 1000
            ignoring.cancel_scope.cancel()
