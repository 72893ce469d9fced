"""A client whose orders are limited by itself, against an exchange that limits them at the same rate."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import OrderRateLimit, RateLimitError


@asynccontextmanager
async def limited_world(rate: float, burst: int, timeout: float = 30.0) -> AsyncGenerator[World]:
    """Clients whose orders are limited, and an exchange that refuses what exceeds the same rate.

    Its burst is larger by one: it counts in whole nanoseconds, and would refuse what comes at the very moment.
    """
    async with open_world(
        timeout=timeout, orders={"order_rate_limit": OrderRateLimit(rate=rate, burst=burst)}
    ) as world:
        world.exchange.faults.limit_rate(rate, path="/orders/create", burst=burst + 1)
        yield world


async def create(world: World, order_id: str | None = None) -> None:
    await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id=order_id)


async def test_a_client_that_limits_itself_is_not_refused(autojump_clock: MockClock) -> None:
    async with limited_world(10, 10) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(create, world)
        assert world.exchange.faults.refused == 0
        assert trio.current_time() == pytest.approx(9.0)


async def test_a_client_that_does_not_limit_itself_is_refused(autojump_clock: MockClock) -> None:
    async def attempt() -> None:
        with suppress(RateLimitError):
            await create(world)

    async with open_world() as world:
        world.exchange.faults.limit_rate(10, path="/orders/create", burst=11)
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(attempt)
        assert world.exchange.faults.refused > 0


async def test_a_cancel_goes_first_while_creates_wait(autojump_clock: MockClock) -> None:
    async with limited_world(1, 1) as world:
        await create(world, "mine")
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(create, world)
            await trio.sleep(0.5)
            await world.oms.cancel_order("mine", ASSET)
            assert trio.current_time() <= 2.0
            nursery.cancel_scope.cancel()


async def test_what_would_wait_too_long_is_not_sent(autojump_clock: MockClock) -> None:
    async with limited_world(1, 1, timeout=5.0) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(create, world)
            await trio.sleep(0.1)
            with pytest.raises(RateLimitError, match="order_rate_limit") as caught:
                await create(world, "late")
            assert caught.value.retry_after == pytest.approx(5.9)
        assert world.exchange.requests["POST", "/orders/create"] == 6
