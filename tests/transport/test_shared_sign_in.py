"""Concurrent requests share one sign-in. A cancelled request does not harm the others."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.sessions import URL, in_parallel, nonces
from tplus_trio import (
    OrderBookClient,
    RateLimitError,
    User,
)
from tplus_trio.testing import MemoryNetwork


async def test_a_hundred_requests_share_one_sign_in(autojump_clock: MockClock) -> None:
    user = User()
    async with MemoryNetwork(latency=0.01) as network:
        async with OrderBookClient(URL, default_user=user, connector=network) as oms:
            assert await in_parallel(100, oms.get_user_orders) == []
        assert (nonces(network.exchange, user), network.exchange.sign_ins) == (1, 1)


async def test_requests_that_are_refused_together_share_one(autojump_clock: MockClock) -> None:
    user = User()
    async with MemoryNetwork(latency=(0.01, 0.1)) as network:
        async with OrderBookClient(URL, default_user=user, connector=network) as oms:
            await oms.get_user_orders()
            network.exchange.faults.expire_tokens()
            assert await in_parallel(100, oms.get_user_orders) == []
        assert (nonces(network.exchange, user), network.exchange.sign_ins) == (2, 2)


async def test_a_failed_sign_in_is_shared_too(autojump_clock: MockClock) -> None:
    user = User()
    async with (
        MemoryNetwork(latency=0.01) as network,
        OrderBookClient(URL, default_user=user, connector=network) as oms,
    ):
        network.exchange.faults.fail_requests("/auth", 429, retry_after=3.0)
        errors = await in_parallel(20, oms.get_user_orders)
        assert len(errors) == 20
        assert len({id(error) for error in errors}) == 20
        for error in errors:
            assert isinstance(error, RateLimitError)
            assert (error.status, error.retry_after) == (429, 3.0)
        assert nonces(network.exchange, user) == 1
        await oms.get_user_orders()  # afterwards the failure affects no request
        assert nonces(network.exchange, user) == 2


async def test_the_next_in_line_signs_in_if_the_first_is_cancelled(autojump_clock: MockClock) -> None:
    user = User()
    async with MemoryNetwork(latency=1.0) as network, OrderBookClient(URL, default_user=user, connector=network) as oms:
        first = trio.CancelScope()

        async def doomed() -> None:
            with first:
                await oms.get_user_orders()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(doomed)
            await wait_all_tasks_blocked()
            for _ in range(10):
                nursery.start_soon(oms.get_user_orders)
            await trio.sleep(3.5)  # connected, and the nonce is on its way back
            assert nonces(network.exchange, user) == 1
            first.cancel()
        assert first.cancelled_caught
        assert (nonces(network.exchange, user), network.exchange.sign_ins) == (2, 1)


async def test_a_cancelled_waiter_does_not_affect_the_others(autojump_clock: MockClock) -> None:
    user = User()
    async with MemoryNetwork(latency=1.0) as network, OrderBookClient(URL, default_user=user, connector=network) as oms:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(oms.get_user_orders)
            await wait_all_tasks_blocked()
            with trio.move_on_after(2.5) as scope:
                await oms.get_user_orders()
            assert scope.cancelled_caught
        assert (nonces(network.exchange, user), network.exchange.sign_ins) == (1, 1)
