"""When a stream is started again: which failures pass, how long it waits, and when it gives up."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio import (
    ApiError,
    AuthError,
    CertificateRefused,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    MissingUserError,
    NotFoundError,
    OrderRejected,
    RateLimitError,
    RestartLimitExceeded,
    RestartPolicy,
    ServerError,
    SlowConsumer,
)
from tplus_trio.streams.policy import Restarts, is_passing

LOST = ConnectionFailed("lost")


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
def test_passing_failures(failure: Exception) -> None:
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


def test_delays_grow_to_their_bound() -> None:
    machine = restarts(initial_delay=0.25, max_delay=3.0, factor=2.0)
    assert [machine.failed(LOST, float(n)) for n in range(6)] == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_is_full() -> None:
    delays = [restarts(draw, initial_delay=8.0).failed(LOST, 0.0) for draw in (0.0, 0.25, 0.999)]
    assert delays == [0.001, 2.0, pytest.approx(7.992)]


@pytest.mark.parametrize("policy", [{}, {"initial_delay": 0.0, "max_delay": 0.0}, {"max_delay": 0.001}])
def test_there_is_a_least_delay_whatever_is_drawn(policy: dict[str, float]) -> None:
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


def test_retry_after_is_honoured_where_it_is_longer() -> None:
    machine = restarts(0.5, initial_delay=1.0)
    assert machine.failed(HandshakeRejected(429, "", 7.0), 0.0) == 7.0
    assert machine.failed(RateLimitError("RATE_LIMITED", "", 429, retry_after=9.0), 0.0) == 9.0
    assert machine.failed(HandshakeRejected(503, "", 0.1), 0.0) == 2.0  # half of 4
    assert machine.failed(HandshakeRejected(503, "", None), 0.0) == 4.0


def test_the_delay_starts_over_after_health() -> None:
    machine = restarts(within=60.0, initial_delay=1.0, factor=10.0, max_delay=1000.0)
    assert [machine.failed(LOST, 0.0) for _ in range(3)] == [1.0, 10.0, 100.0]
    machine.live(100.0)
    assert machine.failed(LOST, 159.9) == 1000.0  # not healthy for long enough
    machine.live(200.0)
    assert machine.failed(LOST, 260.0) == 1.0
    # Health counts once: the next failure is the second in a row.
    assert machine.failed(LOST, 400.0) == 10.0


def test_recovery_over_a_connection_that_lasts_is_no_failure() -> None:
    machine = restarts(within=60.0, initial_delay=1.0, factor=10.0, max_delay=1000.0)
    assert [machine.failed(LOST, 0.0) for _ in range(3)] == [1.0, 10.0, 100.0]
    for time in range(100, 1000, 50):
        machine.live(time)
    assert machine.failed(LOST, 1000.0) == 1.0


@pytest.mark.parametrize("most", [0, 1, 3])
def test_more_failures_than_allowed(most: int) -> None:
    machine = restarts(max_restarts=most, within=10.0)
    for _ in range(most):
        machine.failed(LOST, 5.0)
    last = ConnectionFailed("the last straw")
    with pytest.raises(RestartLimitExceeded) as caught:
        machine.failed(last, 6.0)
    assert caught.value.__cause__ is last
    assert (caught.value.failures, caught.value.within) == (most + 1, 10.0)


def test_old_failures_do_not_count() -> None:
    machine = restarts(max_restarts=1, within=10.0)
    for now in (0.0, 10.1, 20.2, 30.3):
        machine.failed(LOST, now)
    with pytest.raises(RestartLimitExceeded):
        machine.failed(LOST, 40.3)


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=30), st.integers(0, 4))
def test_the_limit_against_a_count_by_hand(steps: list[tuple[float, bool]], most: int) -> None:
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
def test_impossible_policies(argument: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=argument):
        restarts(**{argument: value})
