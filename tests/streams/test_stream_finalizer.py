"""A stream that is iterated without `async with` ends with its loop, its iterator or its last reference."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import served_streams, trading_market
from tplus_trio import Gap, Stream, StreamState, Trade

Trades = Stream[Trade | Gap]


async def leave_by_break(stream: Trades) -> None:
    async for _ in stream:
        break


async def leave_by_exception(stream: Trades) -> None:
    with suppress(KeyError):
        async for _ in stream:
            raise KeyError


async def leave_by_return(stream: Trades) -> None:
    async for _ in stream:
        return


async def leave_by_cancellation(stream: Trades) -> None:
    with trio.move_on_after(2.5):
        async for _ in stream:
            pass


async def leave_by_dropping_the_iterator(stream: Trades) -> None:
    iterator = aiter(stream)
    await anext(iterator)
    del iterator


async def leave_by_taking_one(stream: Trades) -> None:
    assert isinstance(await anext(aiter(stream)), Trade)


async def leave_a_generator(stream: Trades) -> None:
    async def prices() -> AsyncIterator[object]:
        async for trade in stream:
            yield trade.timestamp_ns if isinstance(trade, Trade) else None

    async with aclosing(prices()) as generator:  # type: ignore[type-var]  # it is an async generator
        await anext(generator)


LEAVING = [
    leave_by_break,
    leave_by_exception,
    leave_by_return,
    leave_by_cancellation,
    leave_by_dropping_the_iterator,
    leave_by_taking_one,
    leave_a_generator,
]


@pytest.mark.parametrize("held", [True, False], ids=["held", "dropped"])
@pytest.mark.parametrize("leave", LEAVING, ids=lambda leave: leave.__name__)
async def test_leaving_a_bare_loop_ends_its_stream(
    leave: Callable[[Trades], Awaitable[None]], held: bool, autojump_clock: MockClock
) -> None:
    gc.disable()  # the stream has to end without a collection
    try:
        async with trading_market() as (network, md):
            streams = [md.stream_finalized_trades()]
            await leave(streams[0] if held else streams.pop())
            await trio.sleep(0.01)
            assert network.open_connections == served_streams(network) == 0
            for stream in streams:
                assert stream.state is StreamState.CLOSED
                with pytest.raises(trio.ClosedResourceError):
                    await stream.receive()
    finally:
        gc.enable()


async def test_a_garbage_collected_stream_ends(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md):
        stream = md.stream_finalized_trades()
        await stream.receive()
        assert network.open_connections == 1
        del stream
        await trio.sleep(0.01)
        assert network.open_connections == 0


async def test_a_stream_without_a_reference_delivers_its_first_item_and_ends(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md):
        assert isinstance(await anext(md.stream_finalized_trades()), Trade)
        assert isinstance(await md.stream_finalized_trades().receive(), Trade)
        await trio.sleep(0.01)
        assert network.open_connections == served_streams(network) == 0


async def test_an_iterator_may_be_collected_in_another_thread(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md):
        holder = [aiter(md.stream_finalized_trades())]
        await anext(holder[0])
        await trio.to_thread.run_sync(holder.clear)
        await trio.sleep(0.01)
        assert network.open_connections == 0


def test_an_iterator_may_be_collected_after_the_run() -> None:
    holder: list[object] = []

    async def main() -> None:
        async with trading_market() as (_, md):
            iterator = aiter(md.stream_finalized_trades())
            holder.append(iterator)
            await anext(iterator)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    holder.clear()
    gc.collect()
