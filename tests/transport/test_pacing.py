"""The pacer: the most urgent request goes first, at the rate that the service accepts, and none blocks another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.world import ASSET, SNAPSHOT, open_world
from tplus_trio import ConnectionFailed, LiveBook, RateLimitError, StreamState
from tplus_trio.transport.pacing import Pacer, Priority, RateLimit, RequestQueue


def no_draw() -> float:
    return 0.0


# What a 429 teaches.


def accept(limit: RateLimit, count: int, now: float) -> None:
    for _ in range(count):
        limit.accepted(now)


def ready(limit: RateLimit, now: float) -> float:
    return limit.ready_at(now, by_stream=True)


def test_nothing_is_held_before_the_first_429() -> None:
    limit = RateLimit(no_draw)
    for _ in range(1000):
        limit.sent(0.0)
        limit.accepted(0.0)
    assert ready(limit, 0.0) <= 0.0


def test_the_rate_is_what_the_service_accepted() -> None:
    limit = RateLimit(no_draw)
    accept(limit, 10, 0.5)
    limit.refused(0.4, 0.6, 2.0)
    assert limit.rate == pytest.approx(9.0)
    assert ready(limit, 0.6) == pytest.approx(2.6)
    limit.sent(2.6)
    assert ready(limit, 2.6) == pytest.approx(2.6 + 1 / 9)


def test_refusals_of_requests_sent_before_a_refusal_change_nothing() -> None:
    limit = RateLimit(no_draw)
    accept(limit, 10, 0.5)
    for _ in range(30):
        limit.refused(0.4, 0.6, 2.0)
    assert limit.rate == pytest.approx(9.0)
    limit.refused(0.5, 0.7, 3.0)
    assert ready(limit, 0.7) == pytest.approx(3.7), "but the longer pause counts"
    limit.refused(0.5, 0.8, 1.0)
    assert ready(limit, 0.8) == pytest.approx(3.7), "and a shorter one does not end it"


def test_a_rate_grows_while_nothing_is_refused_and_is_forgotten() -> None:
    limit = RateLimit(no_draw)
    accept(limit, 10, 0.5)
    limit.refused(0.4, 0.6, 1.0)
    ready(limit, 11.7)
    assert limit.rate == pytest.approx(9.9)
    ready(limit, 320.0)
    assert limit.rate is None


def test_without_an_answer_the_rate_is_a_guess_that_doubles() -> None:
    limit = RateLimit(no_draw)
    limit.refused(0.0, 0.1, 1.0)
    first = limit.rate
    assert first is not None
    ready(limit, 3.2)
    assert limit.rate == pytest.approx(4 * first)


def test_few_accepted_of_one_kind_in_a_first_burst_are_a_guess() -> None:
    """Requests and handshakes share the service's limit: after many handshakes, it may accept a single request."""
    limit = RateLimit(no_draw)
    accept(limit, 1, 0.5)
    limit.refused(0.4, 0.6, 1.0)
    assert limit.rate == pytest.approx(0.9)
    ready(limit, 5.7)
    assert limit.rate == pytest.approx(0.9 * 2**4)
    accept(limit, 2, 5.8)
    limit.refused(5.8, 5.9, 1.0)
    ready(limit, 10.0)
    assert limit.rate == pytest.approx(0.9 * 2), "a second refusal tells of this kind alone"


def test_a_limit_of_less_than_one_a_second_is_learned() -> None:
    limit = RateLimit(no_draw)
    now = sent = refused = 0.0
    window = -100.0
    for _ in range(30):  # one request in ten seconds
        now = max(ready(limit, now), now)
        limit.sent(now)
        sent += 1
        if now - window >= 10.0:
            window = now
            limit.accepted(now)
        else:
            refused += 1
            limit.refused(now, now, 10.0)
    assert refused <= 4
    assert now < 500


def test_rare_requests_say_little_about_a_limit() -> None:
    limit = RateLimit(no_draw)
    accept(limit, 10, 0.5)
    limit.refused(0.4, 0.6, 1.0)
    assert limit.rate == pytest.approx(9.0)
    for now in (20.0, 40.0, 60.0):  # one in twenty seconds, and none had to wait
        assert ready(limit, now) <= now
        limit.sent(now)
        limit.accepted(now)
    before = limit.rate
    assert before is not None
    limit.refused(70.0, 70.1, 1.0)
    assert limit.rate == pytest.approx(before / 2)


@pytest.mark.parametrize(("is_rare", "rate"), [(True, 7.2), (False, 0.9)])
def test_a_rate_that_rare_requests_taught_is_a_guess_each_time(is_rare: bool, rate: float) -> None:
    limit = RateLimit(no_draw, is_rare=is_rare)
    for now in (0.0, 5.0):
        limit.accepted(now)
        limit.refused(now + 0.1, now + 0.1, 0.0)
    assert ready(limit, 8.3) > 0.0
    assert limit.rate == pytest.approx(rate), "3 s after the pause"


def test_a_request_after_a_guess_waits_by_the_rate_of_now() -> None:
    limit = RateLimit(no_draw)
    accept(limit, 1, 0.5)
    limit.refused(0.4, 0.6, 1.0)  # a guess of 0.9 a second, doubled each second
    limit.sent(1.6)
    assert ready(limit, 1.6) == pytest.approx(1.6 + 1 / 0.9)
    assert ready(limit, 2.7) == pytest.approx(1.6 + 1 / 1.8)


async def test_a_sign_in_that_met_two_refusals_long_apart_is_not_put_off(autojump_clock: MockClock) -> None:
    """Each sign-in takes two requests. At a rate learned from few of them, the second would wait for too long."""
    async with open_world(timeout=6.0) as world:
        for _ in range(3):
            await trio.sleep(20)
            world.exchange.faults.expire_tokens()
            world.exchange.faults.fail_requests("/nonce", 429, retry_after=1.0)
            with pytest.raises(RateLimitError):
                await world.oms.get_user_orders()
            await trio.sleep(2)
            with trio.fail_after(1):
                await world.oms.get_user_orders()


def test_pauses_that_are_not_given_double() -> None:
    limit = RateLimit(lambda: 1.0)
    now, waits = 0.0, []
    for _ in range(9):
        limit.refused(now, now, None)
        waits.append(ready(limit, now) - now)
        now = ready(limit, now)
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    limit.accepted(now)
    limit.refused(now, now, None)
    assert ready(limit, now) == pytest.approx(now + 0.25)


def test_streams_wait_longer_than_calls_by_what_is_drawn() -> None:
    limit = RateLimit(lambda: 0.5)
    limit.refused(0.0, 0.0, 4.0)
    assert limit.ready_at(0.0, by_stream=False) == pytest.approx(4.0)
    assert limit.ready_at(0.0, by_stream=True) == pytest.approx(4.1)


def test_a_pause_of_days_is_a_mistake() -> None:
    limit = RateLimit(no_draw)
    limit.refused(0.0, 0.0, 1e9)
    assert ready(limit, 0.0) == 3600.0


# The order of waiting requests.


def queue_of(*, recoveries: int = 2, calls: int = 3) -> RequestQueue:
    slots = {Priority.CALL: calls, Priority.CONFIRMATION: calls, Priority.RECOVERY: recoveries}
    return RequestQueue(slots, no_draw)


@asynccontextmanager
async def waiting(queue: RequestQueue, *priorities: Priority) -> AsyncIterator[list[int]]:
    """Start requests that wait; the list gets their indexes in the order in which they proceed."""
    let_through: list[int] = []

    async def wait(place: int, priority: Priority) -> None:
        await queue.acquire(priority)
        let_through.append(place)

    async with trio.open_nursery() as nursery:
        for place, priority in enumerate(priorities):
            nursery.start_soon(wait, place, priority)
            await wait_all_tasks_blocked()
        yield let_through
        nursery.cancel_scope.cancel()
    assert queue.waiting == 0


async def test_the_most_urgent_goes_first_and_equals_in_order(autojump_clock: MockClock) -> None:
    queue = queue_of(recoveries=1, calls=1)
    ticket = await queue.acquire(Priority.RECOVERY)
    order = (Priority.RECOVERY, Priority.RECOVERY, Priority.CALL, Priority.CONFIRMATION, Priority.CALL)
    async with waiting(queue, *order) as let_through:
        assert let_through == []
        queue.release(ticket)
        await trio.sleep(10)
        assert let_through == [2, 4, 3, 0, 1]


async def test_recoveries_leave_slots_to_calls(autojump_clock: MockClock) -> None:
    queue = queue_of(recoveries=2, calls=3)
    async with waiting(queue, *[Priority.RECOVERY] * 5) as let_through:
        assert let_through == [0, 1]
        await queue.acquire(Priority.CALL)
        assert trio.current_time() == 0.0


async def test_a_request_that_hangs_gives_up_its_slot(autojump_clock: MockClock) -> None:
    queue = queue_of(recoveries=2)
    async with waiting(queue, *[Priority.RECOVERY] * 7) as let_through:
        await trio.sleep(2.5)
        assert let_through == [0, 1, 2, 3, 4, 5]
        assert queue.under_way == 2


async def test_cancelled_waiters_take_no_slot_and_block_no_other(autojump_clock: MockClock) -> None:
    queue = queue_of(recoveries=1)
    for _ in range(50):
        ticket = await queue.acquire(Priority.RECOVERY)
        async with trio.open_nursery() as nursery:
            for _ in range(33):
                nursery.start_soon(queue.acquire, Priority.RECOVERY)
            await wait_all_tasks_blocked()
            queue.release(ticket)  # the first in line proceeds in the step in which it is cancelled
            nursery.cancel_scope.cancel()
        assert queue.waiting == 0
        for held in list(queue._under_way):
            queue.release(held)
    started = trio.current_time()
    await queue.acquire(Priority.RECOVERY)
    assert trio.current_time() == started


async def test_a_deadline_ends_the_wait_with_the_reason(autojump_clock: MockClock) -> None:
    queue = queue_of(recoveries=1, calls=1)
    for _ in range(6):
        await queue.acquire(Priority.CALL)  # one a second
    with pytest.raises(ConnectionFailed, match="nothing was sent"):
        await queue.acquire(Priority.CALL, deadline=trio.current_time() + 0.5)
    queue.limit.refused(trio.current_time(), trio.current_time(), 30.0)
    before = trio.current_time()
    with pytest.raises(RateLimitError) as caught:
        await queue.acquire(Priority.CALL, deadline=before + 10.0)
    assert trio.current_time() == before, "it is known at once that the pause is longer"
    assert caught.value.retry_after == pytest.approx(30.0)


async def test_a_429_holds_streams_and_calls_but_no_orders(autojump_clock: MockClock) -> None:
    pacer = Pacer(no_draw)
    pacer.answered(pacer.queue(Priority.RECOVERY), 429, 0.0, 5.0)
    for priority in (Priority.ORDER, Priority.SIGN_IN):
        await pacer.queue(priority).acquire(priority)
        assert trio.current_time() == 0.0
    await pacer.queue(Priority.CALL).acquire(Priority.CALL)
    assert trio.current_time() == pytest.approx(5.0)
    pacer.answered(pacer.queue(Priority.ORDER), 429, 5.0, 5.0)
    await pacer.handshakes.acquire(Priority.RECOVERY)
    assert trio.current_time() == pytest.approx(10.0)
    await pacer.queue(Priority.ORDER).acquire(Priority.ORDER)
    assert trio.current_time() == pytest.approx(10.0)


async def test_cancels_go_before_other_order_requests(autojump_clock: MockClock) -> None:
    pacer = Pacer(no_draw)
    queue = pacer.queue(Priority.CANCEL)
    assert queue is pacer.queue(Priority.ORDER)
    queue.limit.refused(0.0, 0.0, 5.0)
    order = (Priority.ORDER, Priority.ORDER, Priority.CANCEL, Priority.CANCEL)
    async with waiting(queue, *order) as let_through:
        await trio.sleep(20)
        assert let_through == [2, 3, 0, 1]


async def test_creates_that_hang_leave_slots_to_cancels(autojump_clock: MockClock) -> None:
    queue = Pacer(no_draw).queue(Priority.ORDER)
    async with waiting(queue, *[Priority.ORDER] * 40) as let_through:
        assert len(let_through) == 32
        await queue.acquire(Priority.CANCEL)
        assert trio.current_time() == 0.0


async def test_a_429_for_a_read_that_orders_wait_for_holds_no_order(autojump_clock: MockClock) -> None:
    pacer = Pacer(no_draw)
    pacer.answered(pacer.queue(Priority.ORDER_READ), 429, 0.0, 5.0)
    for priority in (Priority.CANCEL, Priority.ORDER):
        await pacer.queue(priority).acquire(priority)
        assert trio.current_time() == 0.0
    pacer.answered(pacer.queue(Priority.CALL), 429, 0.0, 50.0)
    await pacer.queue(Priority.ORDER_READ).acquire(Priority.ORDER_READ)
    assert trio.current_time() == pytest.approx(5.0)


# Through a client.


async def test_retry_after_is_kept_by_the_whole_client(autojump_clock: MockClock) -> None:
    async with open_world(timeout=10.0) as world:
        world.exchange.faults.reject_handshakes(1, 429, retry_after=7.0)
        async with world.md.stream_ticker(ASSET) as stream:
            await trio.sleep(1.0)
            assert stream.state is StreamState.BACKOFF
            await world.md.get_ticker(ASSET)
            assert trio.current_time() == pytest.approx(7.0)
            await stream.wait_live()
        world.exchange.faults.fail_requests("/ticker", 429, retry_after=30.0)
        with pytest.raises(RateLimitError):
            await world.md.get_ticker(ASSET)
        before, asked = trio.current_time(), sum(world.exchange.requests.values())
        with pytest.raises(RateLimitError) as caught:
            await world.md.get_ticker(ASSET)
        assert trio.current_time() == before
        assert caught.value.retry_after == pytest.approx(30.0)
        assert sum(world.exchange.requests.values()) == asked, "it was not sent"


async def test_a_herd_is_spread(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(40, 429, retry_after=2.0)
        live: list[float] = []

        async def one() -> None:
            async with world.md.stream_ticker(ASSET, share=False) as stream:
                await stream.wait_live()
                live.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(one)
        assert min(live) >= 2.0
        assert max(live) - min(live) > 0.3
        assert max(live) < 10.0


async def test_no_early_snapshot_while_handshakes_are_refused(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.reject_handshakes(10**3, 503)
        async with world.md.open_book(ASSET) as book:
            await trio.sleep(60)
            assert world.exchange.requests["GET", SNAPSHOT] == 1
            assert not book.is_synced


async def test_streams_come_back_together_once_one_connection_stands(autojump_clock: MockClock) -> None:
    async with open_world(jitter=Random(1).random) as world, trio.open_nursery() as nursery:
        books: list[LiveBook] = []

        async def one() -> None:
            async with world.md.open_book(ASSET) as book:
                books.append(book)
                await trio.sleep_forever()

        for _ in range(20):
            nursery.start_soon(one)
        await trio.sleep(1)
        assert sum(book.is_synced for book in books) == 20
        world.network.reset_connections()
        world.network.partition(60, refuse=True)
        await trio.sleep(59)
        assert sum(book.is_synced for book in books) == 0
        await trio.sleep(1 + 5)
        assert sum(book.is_synced for book in books) == 20
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("retry_after", [0.0, 1e-9])
def test_a_retry_after_of_nothing_still_holds(retry_after: float) -> None:
    """A service that refuses without a pause would refuse the next request too, so it is not sent at once."""
    limit = RateLimit(no_draw)
    accept(limit, 1000, 0.0)
    limit.refused(0.0, 0.5, retry_after)
    assert ready(limit, 0.5) >= 0.6
    assert limit.ready_at(0.5, by_stream=True) >= 0.6
