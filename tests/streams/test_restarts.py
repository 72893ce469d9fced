"""Which failures a stream survives, and how long it waits after each, on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, SNAPSHOT, URL, open_world
from tplus_trio import (
    ApiError,
    CertificateRefused,
    ConnectionFailed,
    HandshakeRejected,
    MarketDataClient,
    NotFoundError,
    OrderBook,
    OrderBookDiff,
    RestartLimitExceeded,
    RestartPolicy,
    ServerError,
    Stream,
    StreamState,
    TplusError,
)


async def fail(stream: Stream[Any]) -> TplusError:
    """What the stream's iteration raises, within an hour."""
    with trio.fail_after(3600):
        async with stream:
            while True:
                try:
                    await stream.receive()
                except TplusError as exc:
                    return exc


@pytest.mark.parametrize("of_client", [True, False])
async def test_without_restarts_the_first_failure_raises(of_client: bool, autojump_clock: MockClock) -> None:
    async with open_world(restart=None if of_client else RestartPolicy()) as world:
        options: Any = {} if of_client else {"restart": None}
        world.network.refuse(1)
        failure = await fail(world.md.stream_depth(ASSET, **options))
        assert isinstance(failure, ConnectionFailed)
        async with world.md.stream_depth(ASSET, **options) as stream:
            await stream.wait_live()
            assert isinstance(await stream.receive(), OrderBook)
            world.change()
            await trio.sleep(0.1)
            world.network.reset_connections()
            # What came before the failure is delivered before it.
            assert isinstance(await stream.receive(), OrderBookDiff)
            with pytest.raises(ConnectionFailed) as caught:
                await stream.receive()
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
        # And a stream may be told otherwise than its client.
        world.network.refuse(1)
        async with world.md.stream_depth(ASSET, restart=RestartPolicy()) as stream:
            await stream.wait_live()


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404])
async def test_fatal_refusals(status: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(9, status)
        failure = await fail(world.md.stream_depth(ASSET))
        assert isinstance(failure, HandshakeRejected)
        assert failure.status == status
        assert trio.current_time() == 0


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_refusals(status: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(2, status)
        async with world.md.stream_depth(ASSET) as stream:
            await stream.wait_live()
        assert trio.current_time() == pytest.approx(0.25 + 0.5)


@pytest.mark.parametrize("status", [401, 403])
async def test_the_second_401_is_fatal(status: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(1, status, path="/orders")
        async with world.oms.stream_orders() as orders:
            await orders.wait_live()
        assert world.exchange.sign_ins == 2
        world.exchange.faults.reject_handshakes(2, status, path="/orders")
        failure = await fail(world.oms.stream_orders())
        assert isinstance(failure, HandshakeRejected)
        assert failure.status == status
        assert world.exchange.sign_ins == 3


class Untrusted:
    """A connector to a server whose certificate does not verify."""

    connects = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self.connects += 1
        await trio.sleep(0.1)
        raise CertificateRefused("self-signed")


async def test_a_refused_certificate_is_fatal(autojump_clock: MockClock) -> None:
    connector = Untrusted()
    async with MarketDataClient(URL, connector=connector) as md:
        assert isinstance(await fail(md.stream_depth(ASSET)), CertificateRefused)
    assert connector.connects <= 2  # the stream's, and REST's


async def test_a_snapshot_that_does_not_exist_is_fatal(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.fail_requests(SNAPSHOT, 404, 9)
        failure = await fail(world.md.stream_depth(ASSET))
        assert isinstance(failure, NotFoundError)


async def test_retry_after_is_honoured(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(1, 429, retry_after=7.0)
        async with world.md.stream_depth(ASSET) as stream:
            await stream.wait_live()
            # A stream waits slightly longer: other clients wait for the same moment.
            assert 7.0 <= trio.current_time() <= 7.4
            # Of REST, too.
            world.exchange.faults.fail_requests(SNAPSHOT, 429, retry_after=11.0)
            asked = trio.current_time()
            stream.resync()
            await stream.wait_live()
            assert asked + 11.0 <= trio.current_time() <= asked + 11.4 + 1e-6


async def test_jitter_is_full_and_grows(states: list[tuple[StreamState, float]], autojump_clock: MockClock) -> None:
    draws = iter([0.5, 0.0, 1.0, 0.25, 0.125])
    async with open_world(jitter=lambda: next(draws)) as world:
        world.network.refuse(100)
        policy = RestartPolicy(initial_delay=1.0, factor=4.0, max_delay=32.0)
        async with world.md.stream_depth(ASSET, restart=policy):
            await trio.sleep(29)
    starts = [time for state, time in states if state is StreamState.CONNECTING]
    # 0.5 of 1, 0 of 4 (the least delay stands for it), 1 of 16, 0.25 of 32
    assert starts[:4] == [0.5, 0.504, 16.504, 24.504]


async def test_the_delay_starts_over_after_health(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    policy = RestartPolicy(initial_delay=1.0, factor=10.0, max_delay=100.0, within=30.0)
    async with open_world() as world:
        world.network.refuse(2)
        async with world.md.stream_ticker(ASSET, restart=policy) as stream:  # which asks REST for nothing
            await stream.wait_live()
            waits = [trio.current_time()]
            for healthy in (29.0, 31.0, 5.0):
                await trio.sleep(healthy)
                before = trio.current_time()
                world.network.reset_connections()
                await trio.sleep(0.1)
                await stream.wait_live()
                waits.append(trio.current_time() - before)
    assert waits == pytest.approx([1.0 + 10.0, 100.0, 1.0, 10.0])


async def test_too_many_restarts(autojump_clock: MockClock) -> None:
    policy = RestartPolicy(initial_delay=1.0, factor=1.0, max_restarts=3, within=10.0)
    async with open_world() as world:
        world.network.refuse(100)
        failure = await fail(world.md.stream_depth(ASSET, restart=policy))
        assert isinstance(failure, RestartLimitExceeded)
        assert (failure.failures, failure.within) == (4, 10.0)
        assert isinstance(failure.__cause__, ConnectionFailed)
        assert isinstance(failure.__cause__.__cause__, OSError)
        assert trio.current_time() == pytest.approx(3.0)


async def test_restarts_that_are_far_apart_do_not_add_up(autojump_clock: MockClock) -> None:
    policy = RestartPolicy(initial_delay=1.0, max_restarts=1, within=10.0)
    async with open_world() as world, world.md.stream_depth(ASSET, restart=policy) as stream:
        for _ in range(10):
            await stream.wait_live()
            await trio.sleep(10)
            world.network.reset_connections()
            await trio.sleep(0.1)
        await stream.wait_live()


async def test_what_the_early_request_is_told_counts(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for status, kind in ((404, NotFoundError), (400, ApiError)):
            world.exchange.faults.fail_requests(SNAPSHOT, status)
            assert isinstance(await fail(world.md.stream_depth(ASSET)), kind)
        world.exchange.faults.fail_requests(SNAPSHOT, 503)
        assert isinstance(await fail(world.md.stream_depth(ASSET, restart=None)), ServerError)
        started = trio.current_time()
        world.exchange.faults.fail_requests(SNAPSHOT, 429, retry_after=30.0)
        async with world.md.stream_depth(ASSET) as stream:
            assert isinstance(await stream.receive(), OrderBook)
            assert started + 30.0 <= trio.current_time() <= started + 30.4 + 1e-6


async def test_a_service_that_is_gone_counts_once_for_each_attempt(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.network.refuse(100)
        policy = RestartPolicy(initial_delay=1.0, factor=1.0, max_restarts=5)
        assert isinstance(await fail(world.md.stream_depth(ASSET, restart=policy)), RestartLimitExceeded)
        assert trio.current_time() == pytest.approx(5.0)


async def test_a_fraction_of_a_second_is_kept(autojump_clock: MockClock) -> None:
    async with open_world(jitter=lambda: 0.0) as world:
        world.exchange.faults.reject_handshakes(1, 429, retry_after=2.5)
        async with world.md.stream_depth(ASSET) as stream:
            await stream.wait_live()
            assert trio.current_time() == pytest.approx(2.5)
