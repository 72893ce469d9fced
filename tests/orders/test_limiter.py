"""The client's own limit on order requests: they wait for their turn, cancels first, and no more go than it allows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import ConnectionFailed, OrderRateLimit, RateLimitError, User
from tplus_trio.models import AssetIdentifier
from tplus_trio.orders.limiter import LimitedSender, OrderLimiter, TokenBucket
from tplus_trio.orders.sending import Delivery, Operation, OrderAnswers, OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes

MARKET = AssetIdentifier(200)
USER = User()


def request(operation: Operation = "create", *order_ids: str) -> OrderRequest:
    targets = tuple(OrderTarget(MARKET, order_id) for order_id in order_ids or ("other",))
    return OrderRequest(operation, targets, SecretBytes(b"{}"), USER)


def batch(count: int) -> OrderRequest:
    return request("batch-create", *(f"batch {number}" for number in range(count)))


def limiter(rate: float, burst: int = 1, timeout: float = 10.0) -> OrderLimiter:
    return OrderLimiter(OrderRateLimit(rate=rate, burst=burst), timeout)


async def timed(limit: OrderLimiter, *requests: OrderRequest) -> list[tuple[int, float]]:
    """Let requests wait all at once. The result says which went when, the first to go first."""
    went: list[tuple[int, float]] = []

    async def one(place: int, request: OrderRequest) -> None:
        await limit.acquire(request)
        went.append((place, round(trio.current_time(), 6)))

    async with trio.open_nursery() as nursery:
        for place, each in enumerate(requests):
            nursery.start_soon(one, place, each)
            await wait_all_tasks_blocked()
    return went


# The setting.


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"rate": 0}, ValueError, "rate is more than 0"),
        ({"rate": -1.0}, ValueError, "rate is more than 0"),
        ({"rate": float("nan")}, ValueError, "rate is"),
        ({"rate": float("inf")}, ValueError, "rate is more than 0 and finite"),
        ({"rate": "10"}, TypeError, "rate is a number"),
        ({"rate": True}, TypeError, "rate is a number"),
        ({"rate": 10, "burst": 0}, ValueError, "burst is at least 1"),
        ({"rate": 10, "burst": 1.5}, TypeError, "burst is a whole number"),
    ],
)
def test_a_limit_has_a_rate_and_a_burst(arguments: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        OrderRateLimit(**arguments)


# The bucket.


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = TokenBucket(OrderRateLimit(rate=2, burst=3), 100.0)
    for _ in range(3):
        assert bucket.ready_at(1, 100.0) == 100.0
        bucket.take(1, 100.0)
    assert bucket.ready_at(1, 100.0) == pytest.approx(100.5)
    assert bucket.ready_at(1, 100.0, ahead=3) == pytest.approx(102.0)
    assert bucket.ready_at(3, 1000.0) == 1000.0
    bucket.take(3, 1000.0)
    assert bucket.ready_at(1, 1000.0) == pytest.approx(1000.5), "a long pause gives one burst and no more"


def test_what_is_larger_than_the_burst_goes_when_the_bucket_is_full() -> None:
    bucket = TokenBucket(OrderRateLimit(rate=2, burst=3), 0.0)
    bucket.take(1, 0.0)
    assert bucket.ready_at(10, 0.0) == pytest.approx(0.5)
    bucket.take(10, 0.5)
    assert bucket.ready_at(1, 0.5) == pytest.approx(0.5 + (7 + 1) / 2), "what comes next waits for the rest"


def test_what_was_given_back_can_be_used() -> None:
    bucket = TokenBucket(OrderRateLimit(rate=2, burst=3), 0.0)
    bucket.take(3, 0.0)
    bucket.give_back(2, 0.0)
    assert bucket.ready_at(2, 0.0) == 0.0
    bucket.give_back(3, 10.0)
    assert bucket.ready_at(4, 10.0) == 10.0
    bucket.take(3, 10.0)
    assert bucket.ready_at(1, 10.0) == pytest.approx(10.5), "no more than a burst is there"


@given(
    st.floats(0.1, 1000.0),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 20)), min_size=1, max_size=40),
)
def test_no_span_has_more_than_the_burst_and_the_rate(rate: float, burst: int, asked: list[tuple[float, int]]) -> None:
    bucket, now = TokenBucket(OrderRateLimit(rate=rate, burst=burst), 5.0), 5.0
    sent: list[tuple[float, int]] = []
    for pause, count in asked:
        least = min(count, burst)
        now = max(bucket.ready_at(least, now + pause), now + pause)
        bucket.take(least, now)
        sent.append((now, least))
        for begin in range(len(sent)):
            total = sum(units for _, units in sent[begin:])
            assert total <= burst + rate * (now - sent[begin][0]) + 1e-6


# The line.


async def test_requests_go_at_the_rate_in_their_order(autojump_clock: MockClock) -> None:
    went = await timed(limiter(2, 2), *[request()] * 5)
    assert went == [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0), (4, 1.5)]


async def test_cancels_go_before_whatever_waits(autojump_clock: MockClock) -> None:
    requests = [
        request("create"),
        request("create"),
        request("replace"),
        request("amend"),
        batch(2),
        request("cancel", "a"),
        request("cancel", "b"),
    ]
    went = await timed(limiter(1), *requests)
    assert went == [(0, 0.0), (5, 1.0), (6, 2.0), (1, 3.0), (2, 4.0), (3, 5.0), (4, 6.0)]


async def test_a_cancel_does_not_pass_the_create_of_its_order(autojump_clock: MockClock) -> None:
    requests = [request("create"), request("create", "a"), request("cancel", "a"), request("cancel", "b")]
    assert await timed(limiter(1), *requests) == [(0, 0.0), (3, 1.0), (1, 2.0), (2, 3.0)]
    went = await timed(limiter(1), request("create"), request("create"), request("cancel", "a"))
    assert [place for place, _ in went] == [0, 2, 1], "the create of that order has gone long ago"


async def test_a_batch_counts_as_its_orders(autojump_clock: MockClock) -> None:
    went = await timed(limiter(10, 20), batch(15), batch(10), request(), batch(50), request())
    assert went == [(0, 0.0), (1, 0.5), (2, 0.6), (3, 2.6), (4, 5.7)]


async def test_a_wait_beyond_the_timeout_is_refused_at_once(autojump_clock: MockClock) -> None:
    limit = limiter(1, timeout=2.5)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(limit.acquire, request())
        await wait_all_tasks_blocked()
        with pytest.raises(RateLimitError, match="nothing was sent") as caught:
            await limit.acquire(request())
        assert trio.current_time() == 0.0
        assert caught.value.retry_after == pytest.approx(3.0)
        assert caught.value.retryable
        await limit.acquire(request("cancel", "a"))
        assert trio.current_time() == pytest.approx(1.0), "a cancel goes before them"
        nursery.cancel_scope.cancel()


async def test_who_is_passed_by_too_many_cancels_is_refused_in_time(autojump_clock: MockClock) -> None:
    limit = limiter(1, timeout=4.0)
    await limit.acquire(request())
    async with trio.open_nursery() as nursery:

        async def create() -> None:
            with pytest.raises(RateLimitError) as caught:
                await limit.acquire(request())
            assert trio.current_time() == pytest.approx(4.0)
            assert caught.value.retry_after == pytest.approx(2.0)

        nursery.start_soon(create)
        for number in range(5):
            await wait_all_tasks_blocked()
            nursery.start_soon(limit.acquire, request("cancel", str(number)))
            await trio.sleep(0.5)
    assert trio.current_time() == pytest.approx(5.0)


@pytest.mark.parametrize("operation", ["create", "cancel"])
async def test_who_was_cancelled_leaves_no_unit_used(operation: Operation, autojump_clock: MockClock) -> None:
    limit = limiter(1, 2, timeout=100.0)
    for _ in range(3):
        await limit.acquire(batch(2))
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(limit.acquire, request(operation, str(number)))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await limit.acquire(request("cancel", "1"))
        assert trio.current_time() == pytest.approx(before + 1.0)
        run = limit._run.get()
        assert (run.line.waiting, len(run.unsent)) == (0, 0)
        await trio.sleep(10)


def test_each_run_has_a_line_of_its_own() -> None:
    limit = limiter(0.001)
    for _ in range(3):
        trio.run(limit.acquire, request(), clock=MockClock())


# The sender.


class Sender:
    """A way to send. A script says what becomes of each request; the times at which its bytes left are kept."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.is_stuck = False
        self.script: Callable[[Callable[[], object]], object] = lambda on_sent: on_sent()

    async def prepare(self, owner: User) -> None:
        await trio.lowlevel.checkpoint()

    async def send(self, delivery: Delivery) -> OrderAnswers:
        def sent() -> None:
            self.sent.append(round(trio.current_time(), 6))
            delivery.sent()

        await trio.lowlevel.checkpoint()
        if self.is_stuck:
            await trio.sleep_forever()
        self.script(sent)
        return OrderAnswers({})


@asynccontextmanager
async def sending(rate: float, burst: int = 1) -> AsyncGenerator[tuple[Sender, LimitedSender]]:
    sender = Sender()
    yield sender, LimitedSender(sender, limiter(rate, burst))


async def test_a_sender_sends_at_the_rate(autojump_clock: MockClock) -> None:
    async with sending(2, 2) as (sender, limited):
        for _ in range(4):
            await limited.send(Delivery(request()))
    assert sender.sent == [0.0, 0.0, 0.5, 1.0]


async def test_what_was_not_sent_does_not_count(autojump_clock: MockClock) -> None:
    def fail(_on_sent: Callable[[], object]) -> None:
        raise ConnectionFailed("refused")

    async with sending(0.1) as (sender, limited):
        sender.script = fail
        for _ in range(5):
            with pytest.raises(ConnectionFailed):
                await limited.send(Delivery(request()))
        with trio.CancelScope() as scope:
            scope.cancel()
            await limited.send(Delivery(request()))
        assert scope.cancelled_caught
        sender.script = lambda on_sent: on_sent()
        await limited.send(Delivery(request()))
        assert sender.sent == [0.0]


async def test_what_was_sent_counts_whatever_became_of_it(autojump_clock: MockClock) -> None:
    def fail(on_sent: Callable[[], object]) -> None:
        on_sent()
        raise ConnectionFailed("lost")

    async with sending(1) as (sender, limited):
        sender.script = fail
        for _ in range(3):
            with pytest.raises(ConnectionFailed):
                await limited.send(Delivery(request()))
        assert sender.sent == [0.0, 1.0, 2.0]


async def test_what_was_sent_twice_counts_twice(autojump_clock: MockClock) -> None:
    def twice(on_sent: Callable[[], object]) -> None:
        on_sent()
        on_sent()

    told: list[float] = []
    async with sending(1) as (sender, limited):
        sender.script = twice
        for _ in range(2):
            await limited.send(Delivery(request(), lambda: told.append(trio.current_time())))
    assert sender.sent == [0.0, 0.0, 2.0, 2.0]
    assert len(told) == 4


async def test_a_unit_that_was_given_back_goes_to_who_waits(autojump_clock: MockClock) -> None:
    async with sending(0.2) as (sender, limited), trio.open_nursery() as nursery:
        sender.is_stuck = True
        connecting = trio.CancelScope()

        async def connect() -> None:
            with connecting:
                await limited.send(Delivery(request()))

        nursery.start_soon(connect)
        await wait_all_tasks_blocked()
        sender.is_stuck = False
        nursery.start_soon(limited.send, Delivery(request()))
        await trio.sleep(1)
        assert sender.sent == []
        connecting.cancel()
        await wait_all_tasks_blocked()
        assert sender.sent == [1.0]
