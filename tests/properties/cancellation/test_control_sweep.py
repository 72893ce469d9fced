"""A send over the control channel of the embedded exchange, cancelled at each of its checkpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.control_server import sender_of
from tests.helpers.sweep import Tally, sweep
from tests.helpers.world import ASSET, World, open_world
from tplus_trio import NotFoundError, codec
from tplus_trio.models import CancelOrder, CancelOrderRequest
from tplus_trio.orders.control_sender import ControlSender
from tplus_trio.orders.sending import Delivery, OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes

pytestmark = pytest.mark.long


@attrs.frozen
class ControlWorld(World):
    sender: ControlSender


@asynccontextmanager
async def control_world(max_in_flight: int = 512) -> AsyncIterator[ControlWorld]:
    async with open_world(latency=0.01) as world:
        sender = sender_of(world.oms, max_in_flight=max_in_flight)
        yield ControlWorld(world.exchange, world.network, world.md, world.oms, world.user, sender)


async def send(world: ControlWorld, name: str = "a") -> None:
    """Cancel an order that does not exist: each answer says so."""
    cancel = CancelOrder(name, ASSET, world.user.public_key)
    signature = await world.oms._service.sign(world.user, codec.signable(cancel))
    body = SecretBytes(codec.encode(CancelOrderRequest(cancel, signature, 1)))
    request = OrderRequest("cancel", (OrderTarget(ASSET, name),), body, world.user)
    with suppress(NotFoundError):
        await world.sender.send(Delivery(request))


async def look(world: ControlWorld) -> None:
    """The channel is there, and nothing waits on it."""
    await trio.sleep(1)
    for statistics in world.sender.statistics():
        assert (statistics.waiting, statistics.in_flight, statistics.strays) == (0, 0, 0)
        assert statistics.connects == 1
    tasks = world.oms._client_scope.tasks
    assert tasks is not None
    assert len(tasks.nursery.child_tasks) == len(world.sender.statistics())
    for session in world.oms._service._sessions.values():
        assert not session.is_signing_in


async def send_three(world: ControlWorld) -> None:
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(send, world, name)


async def test_a_send_that_opens_the_channel(autojump_clock: MockClock) -> None:
    tally = Tally()
    await sweep(tally, "send", send, control_world, look=look)
    assert tally.total > 20


async def test_sends_that_wait_for_their_turn(autojump_clock: MockClock) -> None:
    tally = Tally()
    await sweep(tally, "send three", send_three, partial(control_world, 1), prepare=send, look=look)
    assert tally.total > 20
