"""When a session connects again: passing failures, delays and the limit; the policy alone, and streams under it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.helpers.world import ASSET, SNAPSHOT, URL, failure_of, open_world
from tplus_trio import (
    ApiError,
    AuthError,
    CertificateRefused,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    MarketDataClient,
    MissingUserError,
    NotFoundError,
    OrderBook,
    OrderBookDiff,
    OrderRejected,
    RateLimitError,
    RestartLimitExceeded,
    RestartPolicy,
    ServerError,
    SlowConsumer,
    StreamState,
)
from tplus_trio.streams.policy import Restarts, is_passing

LOST = ConnectionFailed("lost")


# The policy alone.


def restarts(draw: float = 1.0, **policy: Any) -> Restarts:
    return Restarts(RestartPolicy(**policy), lambda: draw)


@pytest.mark.parametrize(
    "failure",
    [
        LOST,
        *(HandshakeRejected(status) for status in (200, 204, 408, 425, 429)),
        ApiError("UNKNOWN", "", 408),
        ApiError("UNKNOWN", "", 425),
        HandshakeRejected(500),
        HandshakeRejected(503),
        RateLimitError("RATE_LIMITED", "", 429),
        ServerError("INTERNAL_ERROR", "", 500),
        DecodeError("no JSON"),
    ],
)
def test_a_passing_failure_gives_a_delay(failure: Exception) -> None:
    assert is_passing(failure)
    assert restarts(initial_delay=2.0).failed(failure, 0.0) == 2.0


@pytest.mark.parametrize(
    "failure",
    [
        *(HandshakeRejected(status) for status in (301, 302, 307, 308, 400, 401, 403, 404, 418, 421, 426, 451)),
        CertificateRefused("self-signed"),
        AuthError("UNAUTHORIZED", "", 401),
        NotFoundError("MARKET_NOT_FOUND", "", 404),
        OrderRejected("INVALID_ORDER", "", 400),
        ApiError("UNKNOWN", "", 400),
        MissingUserError(),
        SlowConsumer(10),
        ValueError("the key cannot be decrypted"),
    ],
)
def test_fatal_failures_are_raised_as_they_are(failure: Exception) -> None:
    assert not is_passing(failure)
    with pytest.raises(type(failure)) as caught:
        restarts().failed(failure, 0.0)
    assert caught.value is failure


def test_without_a_policy_the_first_failure_is_raised() -> None:
    with pytest.raises(ConnectionFailed) as caught:
        Restarts(None).failed(LOST, 0.0)
    assert caught.value is LOST


def test_delays_grow_up_to_max_delay() -> None:
    machine = restarts(initial_delay=0.25, max_delay=3.0, factor=2.0)
    assert [machine.failed(LOST, float(n)) for n in range(6)] == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_delay_is_drawn_between_zero_and_its_ceiling() -> None:
    delays = [restarts(draw, initial_delay=8.0).failed(LOST, 0.0) for draw in (0.0, 0.25, 0.999)]
    assert delays == [0.001, 2.0, pytest.approx(7.992)]


@pytest.mark.parametrize("policy", [{}, {"initial_delay": 0.0, "max_delay": 0.0}, {"max_delay": 0.001}])
def test_no_delay_is_shorter_than_its_minimum(policy: dict[str, float]) -> None:
    machine = restarts(0.0, **policy)
    assert [machine.failed(LOST, 0.0) for _ in range(7)] == [0.001, 0.004, 0.016, 0.064, 0.25, 0.25, 0.25]
    assert machine.jitter(1) == machine.jitter(0) == 0.001
    assert machine.jitter(100_000) == 0.25


@given(initial=st.floats(0, 1e6), most=st.floats(0, 1e6), factor=st.floats(1, 1e6), failures=st.integers(1, 100_000))
def test_the_ceiling_is_bounded_and_does_not_overflow(
    initial: float, most: float, factor: float, failures: int
) -> None:
    policy = RestartPolicy(initial_delay=initial, max_delay=most, factor=factor)
    assert 0 <= policy.ceiling(failures) <= most
    assert policy.ceiling(failures) <= policy.ceiling(failures + 1) or policy.ceiling(failures) == most


def test_retry_after_applies_where_it_is_longer_than_the_delay() -> None:
    machine = restarts(0.5, initial_delay=1.0)
    assert machine.failed(HandshakeRejected(429, "", 7.0), 0.0) == 7.0
    assert machine.failed(RateLimitError("RATE_LIMITED", "", 429, retry_after=9.0), 0.0) == 9.0
    assert machine.failed(HandshakeRejected(503, "", 0.1), 0.0) == 2.0  # half of 4
    assert machine.failed(HandshakeRejected(503, "", None), 0.0) == 4.0


def test_delays_start_over_after_a_healthy_time() -> None:
    machine = restarts(within=60.0, initial_delay=1.0, factor=10.0, max_delay=1000.0)
    assert [machine.failed(LOST, 0.0) for _ in range(3)] == [1.0, 10.0, 100.0]
    machine.live(100.0)
    assert machine.failed(LOST, 159.9) == 1000.0  # not healthy for long enough
    machine.live(200.0)
    assert machine.failed(LOST, 260.0) == 1.0
    # Health counts once: the next failure is the second in a row.
    assert machine.failed(LOST, 400.0) == 10.0


def test_resynchronising_an_open_connection_is_no_failure() -> None:
    machine = restarts(within=60.0, initial_delay=1.0, factor=10.0, max_delay=1000.0)
    assert [machine.failed(LOST, 0.0) for _ in range(3)] == [1.0, 10.0, 100.0]
    for time in range(100, 1000, 50):
        machine.live(time)
    assert machine.failed(LOST, 1000.0) == 1.0


@pytest.mark.parametrize("most", [0, 1, 3])
def test_more_failures_than_max_restarts_raise_the_limit_error(most: int) -> None:
    machine = restarts(max_restarts=most, within=10.0)
    for _ in range(most):
        machine.failed(LOST, 5.0)
    last = ConnectionFailed("the last failure")
    with pytest.raises(RestartLimitExceeded) as caught:
        machine.failed(last, 6.0)
    assert caught.value.__cause__ is last
    assert (caught.value.failures, caught.value.within) == (most + 1, 10.0)


def test_failures_older_than_within_do_not_count() -> None:
    machine = restarts(max_restarts=1, within=10.0)
    for now in (0.0, 10.1, 20.2, 30.3):
        machine.failed(LOST, now)
    with pytest.raises(RestartLimitExceeded):
        machine.failed(LOST, 40.3)


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=30), st.integers(0, 4))
def test_the_limit_agrees_with_a_naive_count(steps: list[tuple[float, bool]], most: int) -> None:
    machine, times, now = restarts(max_restarts=most, within=30.0), list[float](), 0.0
    for wait, live in steps:
        now += wait
        if live:
            machine.live(now)
            continue
        times.append(now)
        recent = sum(time >= now - 30.0 for time in times)
        if recent > most:
            with pytest.raises(RestartLimitExceeded):
                machine.failed(LOST, now)
            return
        machine.failed(LOST, now)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("initial_delay", -1, ValueError),
        ("initial_delay", math.nan, ValueError),
        ("max_delay", math.inf, ValueError),
        ("factor", 0.5, ValueError),
        ("within", -0.1, ValueError),
        ("within", "60", TypeError),
        ("factor", True, TypeError),
        ("max_restarts", -1, ValueError),
        ("max_restarts", 1.5, TypeError),
        ("max_restarts", True, TypeError),
    ],
)
def test_a_policy_refuses_values_out_of_range(argument: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=argument):
        restarts(**{argument: value})


# Streams under a policy.


@pytest.mark.parametrize("of_client", [True, False])
async def test_a_stream_without_restarts_raises_its_first_failure(of_client: bool, autojump_clock: MockClock) -> None:
    async with open_world(restart=None if of_client else RestartPolicy()) as world:
        options: Any = {} if of_client else {"restart": None}
        world.network.refuse(1)
        failure = await failure_of(world.md.stream_depth(ASSET, **options))
        assert isinstance(failure, ConnectionFailed)
        async with world.md.stream_depth(ASSET, **options) as stream:
            await stream.wait_live()
            assert isinstance(await stream.receive(), OrderBook)
            world.change()
            await trio.sleep(0.1)
            world.network.reset_connections()
            # Items that arrived before the failure are delivered before it.
            assert isinstance(await stream.receive(), OrderBookDiff)
            with pytest.raises(ConnectionFailed) as caught:
                await stream.receive()
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
        # A stream's own policy overrides its client's.
        world.network.refuse(1)
        async with world.md.stream_depth(ASSET, restart=RestartPolicy()) as stream:
            await stream.wait_live()


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404])
async def test_a_stream_ends_at_a_fatal_refusal(status: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(9, status)
        failure = await failure_of(world.md.stream_depth(ASSET))
        assert isinstance(failure, HandshakeRejected)
        assert failure.status == status
        assert trio.current_time() == 0


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_stream_survives_a_passing_refusal(status: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(2, status)
        async with world.md.stream_depth(ASSET) as stream:
            await stream.wait_live()
        assert trio.current_time() == pytest.approx(0.25 + 0.5)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_stream_signs_in_again_once_and_ends_at_the_second_refusal(
    status: int, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(1, status, path="/orders")
        async with world.oms.stream_orders() as orders:
            await orders.wait_live()
        assert world.exchange.sign_ins == 2
        world.exchange.faults.reject_handshakes(2, status, path="/orders")
        failure = await failure_of(world.oms.stream_orders())
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


async def test_a_stream_ends_at_a_refused_certificate(autojump_clock: MockClock) -> None:
    connector = Untrusted()
    async with MarketDataClient(URL, connector=connector) as md:
        assert isinstance(await failure_of(md.stream_depth(ASSET)), CertificateRefused)
    assert connector.connects <= 2  # the stream's, and REST's


async def test_a_stream_waits_at_least_as_long_as_retry_after_says(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(1, 429, retry_after=7.0)
        async with world.md.stream_depth(ASSET) as stream:
            await stream.wait_live()
            # A stream waits slightly longer: other clients wait for the same moment.
            assert 7.0 <= trio.current_time() <= 7.4
            # So does its request for a snapshot.
            world.exchange.faults.fail_requests(SNAPSHOT, 429, retry_after=11.0)
            asked = trio.current_time()
            stream.resync()
            await stream.wait_live()
            assert asked + 11.0 <= trio.current_time() <= asked + 11.4 + 1e-6


async def test_a_stream_draws_each_delay_from_a_growing_range(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    draws = iter([0.5, 0.0, 1.0, 0.25, 0.125])
    async with open_world(jitter=lambda: next(draws)) as world:
        world.network.refuse(100)
        policy = RestartPolicy(initial_delay=1.0, factor=4.0, max_delay=32.0)
        async with world.md.stream_depth(ASSET, restart=policy):
            await trio.sleep(29)
    starts = [time for state, time in states if state is StreamState.CONNECTING]
    # 0.5 of 1, 0 of 4 (the least delay stands for it), 1 of 16, 0.25 of 32
    assert starts[:4] == [0.5, 0.504, 16.504, 24.504]


async def test_the_delay_of_a_stream_starts_over_after_a_healthy_time(
    states: list[tuple[StreamState, float]], autojump_clock: MockClock
) -> None:
    policy = RestartPolicy(initial_delay=1.0, factor=10.0, max_delay=100.0, within=30.0)
    async with open_world() as world:
        world.network.refuse(2)
        async with world.md.stream_ticker(ASSET, restart=policy) as stream:  # a feed that makes no REST request
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


async def test_each_attempt_at_an_unreachable_service_counts_once_towards_the_limit(autojump_clock: MockClock) -> None:
    policy = RestartPolicy(initial_delay=1.0, factor=1.0, max_restarts=3, within=10.0)
    async with open_world() as world:
        world.network.refuse(100)
        failure = await failure_of(world.md.stream_depth(ASSET, restart=policy))
        assert isinstance(failure, RestartLimitExceeded)
        assert (failure.failures, failure.within) == (4, 10.0)
        assert isinstance(failure.__cause__, ConnectionFailed)
        assert isinstance(failure.__cause__.__cause__, OSError)
        assert trio.current_time() == pytest.approx(3.0)


async def test_a_stream_survives_any_number_of_restarts_that_are_far_apart(autojump_clock: MockClock) -> None:
    policy = RestartPolicy(initial_delay=1.0, max_restarts=1, within=10.0)
    async with open_world() as world, world.md.stream_depth(ASSET, restart=policy) as stream:
        for _ in range(10):
            await stream.wait_live()
            await trio.sleep(10)
            world.network.reset_connections()
            await trio.sleep(0.1)
        await stream.wait_live()


async def test_retry_after_keeps_fractions_of_a_second(autojump_clock: MockClock) -> None:
    async with open_world(jitter=lambda: 0.0) as world:
        world.exchange.faults.reject_handshakes(1, 429, retry_after=2.5)
        async with world.md.stream_depth(ASSET) as stream:
            await stream.wait_live()
            assert trio.current_time() == pytest.approx(2.5)
