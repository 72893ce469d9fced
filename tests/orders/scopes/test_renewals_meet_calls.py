"""A call about an order that its scope is just renewing: between the old order and the new one, none rests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from tplus_trio import OrderBookClient, OrderScope, ServiceRules, User
from tplus_trio.testing import Exchange, MemoryNetwork

LATENCY: Final = 0.05
LEASE: Final = 2.0
#: Seconds after an order was sent, from before its renewal until after it, a few each way of the network.
MOMENTS: Final = [LEASE / 2 + part * LATENCY / 2 for part in range(-2, 12)]


@attrs.frozen
class _World:
    exchange: Exchange
    user: User
    orders: OrderScope

    def most_resting(self) -> int:
        """Return how many orders of the user ever rested at once, by the exchange's record."""
        resting, most = set[str](), 0
        for effect in self.exchange.effects:
            if effect.kind == "create":
                resting.add(effect.order_id)
            elif effect.kind in {"cancel", "expire", "remove"}:
                resting.discard(effect.order_id)
            most = max(most, len(resting))
        return most


@asynccontextmanager
async def _open(rules: ServiceRules | None = None) -> AsyncGenerator[_World]:
    exchange, user = Exchange(), User()
    exchange.add_market(200)
    async with (
        MemoryNetwork(exchange, latency=LATENCY) as network,
        OrderBookClient(
            "http://oms", connector=network, default_user=user, now_ns=exchange.now_ns, rules=rules
        ) as client,
        client.order_scope(200, lease=LEASE) as orders,
    ):
        yield _World(exchange, user, orders)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_keep_waits_for_the_order_that_is_being_renewed(moment: float, autojump_clock: MockClock) -> None:
    async with _open() as world:
        await world.orders.keep("bid", "Buy", 95, 500)
        await trio.sleep(moment)
        await world.orders.keep("bid", "Buy", 96, 700)
        (resting,) = world.exchange.resting(world.user)
        assert resting.remaining == 700
        assert world.most_resting() == 1


@pytest.mark.parametrize("moment", MOMENTS)
async def test_canceling_all_takes_back_what_is_being_renewed(moment: float, autojump_clock: MockClock) -> None:
    async with _open() as world:
        await world.orders.create_limit_order(500, 95, "Buy")
        await trio.sleep(moment)
        await world.orders.cancel_all()
        assert world.exchange.resting(world.user) == ()
        await trio.sleep(LEASE)
        assert world.exchange.resting(world.user) == ()
        assert world.orders.open == ()


# A request that creates an order is under way for longer than half of the lease. Until it is carried out, the service
# answers a cancel that it has no such order, and with these rules that would prove that there is none.


@asynccontextmanager
async def _open_with_held_create() -> AsyncGenerator[_World]:
    async with _open(ServiceRules(listings_current=True, order_ids_remembered=True)) as world:
        await world.orders.create_limit_order(500, 90, "Buy")
        await world.orders.cancel_all()
        world.exchange.faults.hold_requests(LEASE * 0.8, path="/orders/create")
        yield world


async def test_an_order_is_not_renewed_while_it_is_being_created(autojump_clock: MockClock) -> None:
    async with _open_with_held_create() as world:
        order = await world.orders.keep("bid", "Buy", 95, 500)
        await trio.sleep(LEASE / 8)
        assert order is not None
        assert [one.order_id for one in world.exchange.resting(world.user)] == [order.order_id]
        await trio.sleep(LEASE)
        assert world.most_resting() == 1


@pytest.mark.parametrize("after", [0.1, LEASE / 4, LEASE * 0.7])
async def test_canceling_all_takes_back_what_is_being_created(after: float, autojump_clock: MockClock) -> None:
    async with _open_with_held_create() as world, trio.open_nursery() as nursery:
        nursery.start_soon(world.orders.create_limit_order, 500, 95, "Buy")
        await trio.sleep(after)
        await world.orders.cancel_all()
        assert world.exchange.resting(world.user) == ()
        assert world.orders.open == ()
        await trio.sleep(2 * LEASE)
        assert world.exchange.resting(world.user) == ()
        assert world.orders.open == ()
