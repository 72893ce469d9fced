"""The client's promises do not depend on the run's ``strict_exception_groups``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, URL, World, open_world
from tplus_trio import ConnectionFailed, HandshakeRejected, MarketDataClient, StreamState
from tplus_trio.scopes import open_plain_nursery, open_service_tasks

pytestmark = pytest.mark.filterwarnings("ignore:.*strict_exception_groups=False.*:trio.TrioDeprecationWarning")


def run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0), strict_exception_groups=False)


async def a_refused_handshake_passes(world: World) -> None:
    world.exchange.faults.reject_handshakes(2, 503)
    async with world.md.stream_depth(ASSET) as stream, world.md.open_book(ASSET) as book:
        await stream.wait_live()
        await book.wait_synced()
        assert stream.stats.connects + book.stats.connects == 2


async def a_fatal_refusal_is_typed(world: World) -> None:
    world.exchange.faults.reject_handshakes(1, 404)
    async with world.md.stream_depth(ASSET) as stream:
        with pytest.raises(HandshakeRejected):
            await stream.receive()


async def a_lost_connection_passes(world: World) -> None:
    async with world.md.stream_depth(ASSET) as stream:
        for _ in range(3):
            await stream.wait_live()
            world.network.reset_connections()
            await trio.sleep(1)
        await stream.wait_live()


async def a_refused_connection_is_typed(world: World) -> None:
    world.network.refuse(1)
    async with world.md.stream_tickers(restart=None) as stream:
        with pytest.raises(ConnectionFailed):
            await stream.receive()


async def what_the_body_raises_comes_out_plain(world: World) -> None:
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012 - where it comes out is what is tested
        async with MarketDataClient(URL, connector=world.network) as md, md.open_book(ASSET) as book:
            await book.wait_synced()
            raise KeyError("mine")
    group = ExceptionGroup("mine", [ValueError()])
    with pytest.RaisesGroup(ValueError) as caught:
        async with world.md.stream_depth(ASSET):
            raise group
    assert caught.value is group


async def shielded_cleanup_finds_all_at_work(world: World) -> None:
    with trio.move_on_after(1):
        async with MarketDataClient(URL, connector=world.network) as md, md.open_book(ASSET) as book:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    book.reconnect()
                    await book.wait_synced()
    assert book.state is StreamState.CLOSED


@pytest.mark.parametrize(
    "program",
    [
        a_refused_handshake_passes,
        a_fatal_refusal_is_typed,
        a_lost_connection_passes,
        a_refused_connection_is_typed,
        what_the_body_raises_comes_out_plain,
        shielded_cleanup_finds_all_at_work,
    ],
    ids=lambda program: program.__name__,
)
def test_a_client(program: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_world() as world:
            await program(world)

    run(main)


@pytest.mark.parametrize("opened", [open_plain_nursery, open_service_tasks])
def test_what_a_task_raises_comes_out_in_a_group(opened: Callable[[], object]) -> None:
    async def crash() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("mine")

    async def main() -> None:
        with pytest.RaisesGroup(KeyError):
            async with opened() as nursery:  # type: ignore[attr-defined]  # one of two kinds
                nursery.start_soon(crash)
                await trio.sleep_forever()

    run(main)
