"""A stream as its consumer sees it: entering and closing, waiting, receiving, `reconnect` and `repr`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from tests.helpers.world import ASSET, URL, open_world, served_streams, trading_market
from tplus_trio import (
    HandshakeRejected,
    MarketDataClient,
    OrderBook,
    OrderBookDiff,
    StreamState,
)
from tplus_trio.testing import MemoryNetwork

# Entering and closing.


async def test_streams_and_books_connect_only_when_used(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md):
        stream, book = md.stream_depth(200), md.open_book(200)
        iterator = aiter(md.stream_finalized_trades())
        await trio.sleep(10)
        assert network.connects == 0
        assert stream.state is book.state is StreamState.CONNECTING
        await anext(iterator)
        assert served_streams(network) == 1


async def test_clients_streams_and_books_refuse_a_second_entry(autojump_clock: MockClock) -> None:
    async with trading_market() as (_, md):
        with pytest.raises(RuntimeError, match="entered already"):
            await md.__aenter__()
        async with md.stream_finalized_trades() as stream:
            with pytest.raises(RuntimeError, match="entered already"):
                await stream.__aenter__()
            await stream.receive()
        with pytest.raises(RuntimeError, match="entered already"):
            await stream.__aenter__()
        bare = md.stream_finalized_trades()
        await bare.receive()
        with pytest.raises(RuntimeError, match="once"):
            await bare.__aenter__()
        async with md.open_book(200) as book:
            with pytest.raises(RuntimeError, match="entered already"):
                await book.__aenter__()


async def test_aclose_ends_a_bare_stream(autojump_clock: MockClock) -> None:
    async with trading_market() as (network, md):
        stream = md.stream_finalized_trades()
        await stream.receive()
        await stream.aclose()
        assert network.open_connections == 0
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive()
        await stream.aclose()
        unused = md.stream_finalized_trades()
        await unused.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await unused.receive()


# Waiting until it is live.


async def test_wait_live_waits_for_a_stream_that_is_entered_later(autojump_clock: MockClock) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        stream = world.md.stream_depth(ASSET)
        nursery.start_soon(stream.wait_live)
        await trio.sleep(1)
        async with stream:
            await trio.sleep(1)
            assert not nursery.child_tasks


async def test_wait_live_raises_when_the_stream_has_ended(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        stream = world.md.stream_depth(ASSET)
        async with stream:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await stream.wait_live()
        world.exchange.faults.reject_handshakes(1, 404)
        async with world.md.stream_depth(ASSET) as stream:
            with pytest.raises(HandshakeRejected) as caught:
                await stream.wait_live()
            assert caught.value.status == 404


@pytest.mark.parametrize("end", ["closed", "left"])
async def test_wait_live_raises_if_the_stream_is_closed_before_it_starts(end: str, autojump_clock: MockClock) -> None:
    ended = 0

    async def expect_end(wait: Callable[[], Awaitable[object]]) -> None:
        nonlocal ended
        with pytest.raises(trio.ClosedResourceError), trio.fail_after(60):
            await wait()
        ended += 1

    async with trio.open_nursery() as nursery, open_world() as world:
        stream = world.md.stream_depth(ASSET)
        nursery.start_soon(expect_end, stream.wait_live)
        await trio.sleep(1)
        assert ended == 0
        if end == "closed":
            await stream.aclose()
    await trio.sleep(1)
    assert ended == 1
    assert stream.state is StreamState.CLOSED
    with pytest.raises(trio.ClosedResourceError):
        await world.md.stream_depth(ASSET).wait_live()


# Receiving.


async def test_receive_is_a_checkpoint_even_if_items_wait(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        await stream.wait_live()
        for item in (OrderBook, OrderBookDiff):
            with assert_checkpoints():
                assert isinstance(await stream.receive(), item)
            world.change(2)
            await trio.sleep(0.1)


# Reconnecting.


async def test_reconnect_of_a_stream_takes_effect_at_once(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream:
        stream.reconnect()  # there is no connection to drop yet
        await stream.wait_live()
        stream.reconnect()
        await stream.wait_live()
        assert trio.current_time() == 0
        assert StreamState.BACKOFF not in [state for state, _ in states]
        assert stream.stats.connects == 2
        # During a delay, the next attempt starts at once.
        world.network.refuse(8)
        world.network.reset_connections()
        await trio.sleep(1)
        world.network.refuse(0)
        assert stream.state is StreamState.BACKOFF
        stream.reconnect()
        await stream.wait_live()
        assert trio.current_time() == 1.0
        assert world.exchange.connections == 1


@attrs.define
class Unanswered:
    """A connector whose every other attempt gets no answer."""

    network: MemoryNetwork
    calls: int = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.calls += 1
        if self.calls % 2:
            await trio.sleep_forever()
        return await self.network.connect(host, port)


async def test_reconnect_of_a_stream_cancels_an_unanswered_attempt(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        connector = Unanswered(world.network)
        # Without the early request, which would make a connection of its own.
        async with (
            MarketDataClient(URL, connector=connector) as md,
            md.stream_depth(ASSET, sequence="increasing") as stream,
        ):
            await trio.sleep(1)
            assert (stream.state, connector.calls) == (StreamState.CONNECTING, 1)
            stream.reconnect()
            await trio.sleep(0.1)
            assert (stream.state, stream.stats.connects, connector.calls) == (StreamState.SYNCING, 1, 3)


# What it shows of itself.


async def test_the_repr_has_the_feed_the_state_and_the_last_error(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        await stream.wait_live()
        assert repr(stream) == "<Stream /marketdepth/diff/200 live>"
        assert repr(book) == "<LiveBook /marketdepth/diff/200 live>"
        world.network.reset_connections()
        world.network.partition(60, refuse=True)
        await trio.sleep(30)
        assert repr(stream).startswith("<Stream /marketdepth/diff/200 backoff: ConnectionFailed(")
