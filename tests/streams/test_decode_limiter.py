"""Busy streams decode in turn, and none waits for another's consumer."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import Depth, MarketDataClient, Stream
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.decode_limiter import _MAX_RESUMING, DecodeLimiter
from tplus_trio.streams.overflow import make_rule
from tplus_trio.testing import Exchange


class Line:
    """A stream's task and its consumer, without a network."""

    def __init__(self, limiter: DecodeLimiter, batches: int) -> None:
        self.limiter = limiter
        self.batches = batches
        self.buffer = Buffer[int](make_rule("block", 1024), limiter)
        self.taken: list[int] = []
        self.waited = 0

    async def bring(self) -> None:
        for n in range(self.batches):
            await trio.lowlevel.checkpoint()
            if self.limiter.is_saturated:
                self.waited += 1
                await self.limiter.wait()
            self.buffer.put_nowait([2 * n, 2 * n + 1])

    async def consume(self) -> None:
        async for item in self.buffer:
            self.taken.append(item)
            if len(self.taken) == 2 * self.batches:
                return


async def watch(lines: Sequence[Line], untaken: list[int]) -> None:
    """Record in each scheduler step how many streams have items that no consumer has taken."""
    while True:
        untaken.append(sum(len(line.buffer) > 0 for line in lines))
        await trio.lowlevel.checkpoint()


async def test_few_streams_decode_ahead_of_their_consumers() -> None:
    limiter, untaken = DecodeLimiter(), list[int]()
    lines = [Line(limiter, 20) for _ in range(200)]
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
    assert max(untaken) <= 3 * _MAX_RESUMING
    assert sum(line.waited for line in lines) > 1000
    assert not limiter.is_saturated


async def test_few_streams_never_wait() -> None:
    limiter = DecodeLimiter()
    lines = [Line(limiter, 50) for _ in range(_MAX_RESUMING - 1)]
    async with trio.open_nursery() as nursery:
        for line in lines:
            nursery.start_soon(line.consume)
            nursery.start_soon(line.bring)
    assert [line.waited for line in lines] == [0] * len(lines)


async def test_a_stream_with_a_busy_consumer_does_not_hold_up_the_next() -> None:
    limiter = DecodeLimiter()
    lines = [Line(limiter, 3) for _ in range(50)]
    limiter.consumers_woken(_MAX_RESUMING)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for line in lines:
                nursery.start_soon(line.bring)
            await wait_all_tasks_blocked()
            assert [line.waited for line in lines] == [1] * 50
            limiter.consumer_resumed()
    assert [len(line.buffer) for line in lines] == [6] * 50


@pytest.mark.parametrize("seed", range(20))
async def test_a_cancelled_stream_does_not_use_up_the_turn_of_another(seed: int) -> None:
    rng, limiter = random.Random(seed), DecodeLimiter()
    spared, victims = ([Line(limiter, 10) for _ in range(count)] for count in (20, 40))
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
    assert limiter._resuming == 0


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

    async def wait(limiter: DecodeLimiter) -> None:
        nonlocal waited
        waited += 1
        await wait_in_earnest(limiter)

    wait_in_earnest = DecodeLimiter.wait
    monkeypatch.setattr(DecodeLimiter, "wait", wait)
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
            assert market_data._client_scope.decode_limiter._resuming == 0
            assert waited > 1000
            ignoring.cancel_scope.cancel()
