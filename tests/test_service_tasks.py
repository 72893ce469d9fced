"""What serves a block goes on until the block was left: its shielded cleanup can use the client, however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from world import ASSET, URL, World, open_world

from tplus_trio import (
    ConnectionFailed,
    HandshakeRejected,
    LiveBook,
    MarketDataClient,
    OrderBookDiff,
    Stream,
    StreamState,
    TplusError,
)
from tplus_trio.scopes import open_service_tasks


async def use_everything(world: World, md: MarketDataClient, book: LiveBook, depth: Stream[Any]) -> None:
    """A cleanup that takes its time, and needs the book kept, the stream delivering, and REST."""
    for _ in range(3):
        world.change()
        await trio.sleep(0.1)
        number = world.exchange.book(ASSET).sequence_number
        assert book.is_synced
        assert book.sequence_number == number
        while (item := await depth.receive()).sequence_number < number:
            pass
        assert isinstance(item, OrderBookDiff)
        assert (await md.get_orderbook_snapshot(ASSET)).sequence_number == number
    book.resync()
    world.network.reset_connections()
    await trio.sleep(1)
    assert book.is_synced
    assert depth.state is StreamState.LIVE


@pytest.mark.parametrize("where", ["around the client", "around a nursery", "deadline", "an exception"])
async def test_a_shielded_cleanup_can_use_the_client(where: str, autojump_clock: MockClock) -> None:
    cleaned = False

    async def body(world: World) -> None:
        nonlocal cleaned
        async with (
            MarketDataClient(URL, connector=world.network, jitter=lambda: 0.5) as md,
            md.open_book(ASSET) as book,
            md.stream_depth(ASSET) as depth,
        ):
            await book.wait_synced()
            try:
                await trio.sleep(1)
                if where == "an exception":
                    raise KeyError
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await use_everything(world, md, book, depth)
                cleaned = True

    async with open_world() as world:
        if where == "around the client":
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(body, world)
                    await trio.sleep(2)
                    scope.cancel()
        elif where == "around a nursery":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(body, world)
                await trio.sleep(2)
                nursery.cancel_scope.cancel()
        elif where == "deadline":
            with trio.move_on_after(2):
                await body(world)
        else:
            with pytest.raises(KeyError):
                await body(world)
        assert cleaned
        assert world.network.open_connections == 0
        assert world.exchange.connections == 0


async def test_a_bare_stream_and_a_book_serve_a_cleanup_too(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with trio.move_on_after(2):
            async with MarketDataClient(URL, connector=world.network) as md:
                depth = aiter(md.stream_depth(ASSET))
                await anext(depth)
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        world.change()
                        assert isinstance(await anext(depth), OrderBookDiff)
                        # What is opened now is served, too.
                        async with md.open_book(ASSET) as book:
                            await book.wait_synced()
        assert world.network.open_connections == 0


async def test_a_client_that_is_left_in_cleanup_is_still_bounded(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with trio.move_on_after(2):
            async with MarketDataClient(URL, connector=world.network) as md, trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(follow, md)
        assert trio.current_time() == pytest.approx(2.0)
        assert world.network.open_connections == 0


async def follow(md: MarketDataClient) -> None:
    async with md.stream_depth(ASSET) as depth:
        async for _ in depth:
            pass


@pytest.mark.parametrize("seed", range(5))
async def test_cancelled_at_any_moment_nothing_is_left(seed: int, autojump_clock: MockClock) -> None:
    rng = Random(seed)
    async with open_world(latency=(0.001, 0.05)) as world:
        for _ in range(40):
            with trio.move_on_after(rng.uniform(0, 0.6)):
                async with MarketDataClient(URL, connector=world.network) as md, trio.open_nursery() as nursery:
                    for use in rng.sample((follow, read, keep, ask), 3):
                        nursery.start_soon(use, md)
            assert world.network.open_connections == 0
        await trio.sleep(1)
        assert world.exchange.connections == 0


async def read(md: MarketDataClient) -> None:
    async for _ in md.stream_depth(ASSET):
        pass


async def keep(md: MarketDataClient) -> None:
    async with md.open_book(ASSET) as book:
        try:
            async for _ in book.changes():
                pass
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)


async def ask(md: MarketDataClient) -> None:
    while True:
        await md.get_orderbook_snapshot(ASSET)


async def test_a_generator_around_a_stream(autojump_clock: MockClock) -> None:
    async def prices(md: MarketDataClient) -> AsyncGenerator[int]:
        async with md.stream_depth(ASSET) as depth:
            async for item in depth:
                yield item.sequence_number  # type: ignore[union-attr]  # no gap comes

    async with open_world() as world:
        async with aclosing(prices(world.md)) as numbers:
            async for _ in numbers:
                break
        await trio.sleep(1)
        assert world.exchange.connections == 0


async def test_a_task_that_fails_cancels_the_block_and_is_raised(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        await trio.sleep(1)
        raise KeyError

    with pytest.RaisesGroup(KeyError):
        async with open_service_tasks() as tasks:
            tasks.start_soon(fail)
            tasks.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert trio.current_time() == 1.0


async def test_a_task_that_is_started_when_the_service_is_over_ends_at_once(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with open_service_tasks() as tasks:
            tasks.cancel()
            tasks.start_soon(trio.sleep_forever)
        del nursery


# Nurseries of ours do not depend on how the caller groups exceptions.


@pytest.mark.filterwarnings("ignore:.*strict_exception_groups:trio.TrioDeprecationWarning")
@pytest.mark.parametrize("refusal", ["handshake", "connection", "fatal"])
def test_without_strict_groups_a_stream_is_as_it_is_with_them(refusal: str) -> None:
    async def run() -> None:
        async with open_world(restart=None) as world:
            if refusal == "connection":
                world.network.refuse(1)
            else:
                world.exchange.faults.reject_handshakes(1, 503 if refusal == "handshake" else 404)
            with pytest.raises(TplusError) as caught:
                async with world.md.stream_ticker(ASSET) as stream:
                    await stream.receive()
            assert type(caught.value) is (ConnectionFailed if refusal == "connection" else HandshakeRejected)
        async with open_world() as world:
            world.exchange.faults.reject_handshakes(2, 503)
            async with world.md.open_book(ASSET) as book:
                await book.wait_synced()
                world.network.reset_connections()
                await trio.sleep(5)
                assert book.is_synced
            with pytest.raises(ValueError, match="mine"):
                async with world.md.stream_ticker(ASSET):
                    raise ValueError("mine")
            with trio.move_on_after(1):
                async with world.md.stream_depth(ASSET) as depth:
                    async for _ in depth:
                        pass

    trio.run(run, strict_exception_groups=False, clock=MockClock(autojump_threshold=0))
