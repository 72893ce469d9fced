"""Each call about orders over the control channel, cancelled at each of its checkpoints."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.sweep import Tally, idle_connections, sweep
from tests.helpers.world import World, open_world
from tests.properties.cancellation.order_calls import ORDER_CALLS


@asynccontextmanager
async def control_world() -> AsyncGenerator[World]:
    async with open_world(latency=0.01, orders={"use_ws_control": True}) as world:
        yield world


async def look(world: World) -> None:
    """Nothing is left but the channel, and nothing waits on it."""
    await trio.sleep(1)
    channels = world.oms.statistics().control
    for channel in channels:
        assert (channel.waiting, channel.in_flight, channel.strays) == (0, 0, 0)
        assert channel.connects == 1
    assert len(channels) <= 1
    tasks = world.oms._client_scope.tasks
    assert tasks is not None
    assert len(tasks.nursery.child_tasks) == len(channels), "a task is still running"
    for session in world.oms._service._sessions.values():
        assert not session.is_signing_in, "a sign-in holds its lock"
    kept = sum(map(idle_connections, (world.md, world.oms)))
    assert world.network.open_connections == kept + len(channels), "a connection is open, and nobody has it"


@pytest.mark.parametrize("name", ORDER_CALLS)
async def test_call(name: str, autojump_clock: MockClock) -> None:
    tally = Tally()
    await sweep(tally, name, ORDER_CALLS[name], control_world, look=look)
    assert tally.total > 8
