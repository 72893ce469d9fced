"""Where items wait: order, waiting, the four ways to be full, and cancellation."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tplus_trio import Depth, Gap, OrderBook, OrderBookDiff, SlowConsumer, StreamStats
from tplus_trio.streams.buffer import Buffer, Conflate, check_overflow, conflate_by
from tplus_trio.streams.recovery import conflate_depth
from tplus_trio.streams.stream import _Drops

END = trio.ClosedResourceError("the end")


async def take(buffer: Buffer[int], n: int) -> list[int]:
    with trio.fail_after(5):
        return [await anext(buffer) for _ in range(n)]


async def test_items_come_in_order() -> None:
    buffer = Buffer[int](10)
    await buffer.put([1, 2])
    await buffer.put(())
    await buffer.put([3])
    assert len(buffer) == 3
    assert await take(buffer, 3) == [1, 2, 3]


async def test_a_consumer_waits_for_items() -> None:
    buffer, got = Buffer[int](10), list[int]()

    async def consume() -> None:
        got.extend(await take(buffer, 3))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        buffer.put_nowait([1])
        await wait_all_tasks_blocked()
        assert got == []
        buffer.put_nowait([2, 3])
    assert got == [1, 2, 3]


async def test_every_consumer_that_waits_gets_its_item() -> None:
    buffer, got = Buffer[int](10), list[int]()

    async def consume() -> None:
        got.append(await anext(buffer))

    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(consume)
            await wait_all_tasks_blocked()
            buffer.put_nowait([1, 2, 3])
            await wait_all_tasks_blocked()
            assert sorted(got) == [1, 2, 3], "a consumer sleeps though there is an item"


async def test_a_cancelled_get_takes_nothing() -> None:
    buffer = Buffer[int](10)
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(buffer)
    assert scope.cancelled_caught
    got = list[int]()

    async def consume() -> None:
        got.append(await anext(buffer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        # The item is there before the consumer runs again: it takes it, or leaves it.
        buffer.put_nowait([1])
        nursery.cancel_scope.cancel()
    buffer.put_nowait([2])
    assert got + await take(buffer, len(buffer)) == [1, 2]


async def test_an_item_for_a_consumer_that_is_cancelled_goes_to_the_next() -> None:
    buffer, got = Buffer[int](10), list[int]()

    async def consume(scope: trio.CancelScope) -> None:
        with scope:
            got.append(await anext(buffer))

    first, second = trio.CancelScope(), trio.CancelScope()
    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            for scope in (first, second):
                nursery.start_soon(consume, scope)
                await wait_all_tasks_blocked()
            first.cancel()
            buffer.put_nowait([1])
            await wait_all_tasks_blocked()
            assert got == [1]
            second.cancel()


async def test_a_get_that_is_cancelled_before_it_begins_leaves_the_item() -> None:
    buffer = Buffer[int](10)
    buffer.put_nowait([1, 2])
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(buffer)
    assert scope.cancelled_caught
    assert await take(buffer, 2) == [1, 2]


async def test_neighbours_run_while_much_waits() -> None:
    buffer, turns = Buffer[int](10_000), 0
    buffer.put_nowait(range(4000))

    async def neighbour() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour)
        await take(buffer, 4000)
        nursery.cancel_scope.cancel()
    assert turns >= 10


# "block"


async def test_block_waits_for_room_and_loses_nothing() -> None:
    buffer, sent = Buffer[int](4), 0

    async def produce() -> None:
        nonlocal sent
        for n in range(0, 30, 3):
            await buffer.put([n, n + 1, n + 2])
            sent += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        assert (sent, len(buffer)) == (1, 6)  # the second batch is in whole, and its producer waits
        got = await take(buffer, 2)
        await wait_all_tasks_blocked()
        got += await take(buffer, 28)
    assert got == list(range(30))
    assert sent == 10


async def test_a_cancelled_put_has_lost_nothing() -> None:
    buffer = Buffer[int](2)
    with trio.move_on_after(0):
        await buffer.put([1, 2, 3])
    with trio.move_on_after(0):
        await buffer.put([4, 5])
    assert await take(buffer, 5) == [1, 2, 3, 4, 5]


async def test_closing_wakes_everyone() -> None:
    buffer, woken = Buffer[int](1), list[str]()

    async def produce() -> None:
        await buffer.put([1, 2])
        woken.append("producer")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        buffer.close(END)
        buffer.close(ValueError("the second word does not count"))
        await buffer.put([3])
    assert woken == ["producer"]
    assert await take(buffer, 2) == [1, 2]
    for _ in range(2):
        with pytest.raises(trio.ClosedResourceError, match="the end"):
            await anext(buffer)


async def test_a_waiting_consumer_is_told_of_the_end() -> None:
    buffer = Buffer[int](1)

    async def consume() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await anext(buffer)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        buffer.close(END)


async def test_what_is_cleared_makes_room() -> None:
    buffer = Buffer[int](2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(buffer.put, [1, 2, 3])
        await wait_all_tasks_blocked()
        buffer.clear()
    assert len(buffer) == 0


# "error"


async def test_error_raises_when_it_is_full() -> None:
    buffer = Buffer[int](3, "error")
    await buffer.put([1, 2])
    await buffer.put([3])
    with pytest.raises(SlowConsumer) as caught:
        await buffer.put([4])
    assert caught.value.buffer == 3
    assert await take(buffer, 3) == [1, 2, 3]  # and what waited is still there
    await buffer.put([4])
    assert await take(buffer, 1) == [4]


async def test_error_keeps_what_there_is_room_for() -> None:
    buffer = Buffer[int](3, "error")
    await buffer.put([1])
    with pytest.raises(SlowConsumer):
        await buffer.put([2, 3, 4, 5])
    assert await take(buffer, 3) == [1, 2, 3]


async def test_error_takes_whole_what_comes_at_once_to_a_consumer_that_waits() -> None:
    buffer = Buffer[int](3, "error")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, buffer, 2)
        await wait_all_tasks_blocked()
        buffer.put_nowait([1, 2, 3, 4, 5, 6])
        buffer.put_nowait([7, 8, 9])  # there is room for three more, before it has taken any
        with pytest.raises(SlowConsumer):
            buffer.put_nowait([10])
    assert await take(buffer, 4) == [3, 4, 5, 6]  # what came at once is taken
    with pytest.raises(SlowConsumer):
        buffer.put_nowait([10])
    assert await take(buffer, 3) == [7, 8, 9]
    with pytest.raises(SlowConsumer):
        buffer.put_nowait([1, 2, 3, 4])  # nobody waits


def test_keys_that_are_numbers_are_safe_against_equal_hashes() -> None:
    # Numbers of one hash: each would be compared with all before it.
    class Counted(int):
        compared = 0
        __hash__ = int.__hash__

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return int.__eq__(self, other)

    waiting = deque(Counted(5 + n * (2**61 - 1)) for n in range(300))
    conflate: Conflate[Counted] = conflate_by(lambda number: number)
    conflate(waiting)
    assert (len(waiting), Counted.compared) == (300, 0)


# "drop_oldest"


@attrs.frozen
class Event:
    timestamp_ns: int


def dropping(size: int, *, begin: int | None = None) -> tuple[Buffer[Event | Gap], StreamStats, list[str]]:
    stats, resyncs = StreamStats(), list[str]()
    drops = _Drops(lambda: 999)
    drops.resync = resyncs.append
    buffer = Buffer[Event | Gap](
        size,
        "drop_oldest",
        dropped=drops.mark,
        # What a time that can be divided by ``begin`` says needs nothing before it.
        begins=None if begin is None else lambda item: isinstance(item, Event) and item.timestamp_ns % begin == 0,
        conflate=first_and_last,
        stats=stats,
    )
    return buffer, stats, resyncs


def first_and_last(waiting: deque[Event | Gap]) -> int:
    items = list(waiting)
    waiting.clear()
    waiting.extend((items[0], items[-1]))
    return 2


def events(*times: int) -> list[Event]:
    return [Event(time) for time in times]


async def drain(buffer: Buffer[Event | Gap]) -> list[Event | Gap]:
    return [await anext(buffer) for _ in range(len(buffer))]


async def test_drop_oldest_marks_the_place() -> None:
    buffer, stats, resyncs = dropping(3)
    await buffer.put(events(1, 2, 3))
    assert len(buffer) == 3
    await buffer.put(events(4, 5))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns) == (1, 2)
    assert "2 items" in gap.reason
    assert rest == events(3, 4, 5)
    assert stats.dropped == 2
    assert resyncs == []


async def test_a_gap_that_nobody_has_seen_grows() -> None:
    buffer, stats, _ = dropping(2)
    for time in range(1, 8):
        await buffer.put(events(time))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (1, 5, events(6, 7))
    assert "5 items" in gap.reason
    assert stats.dropped == 5
    # One that was seen does not.
    await buffer.put(events(8, 9, 10))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (8, 8, events(9, 10))
    assert "1 items" in gap.reason
    assert stats.dropped == 6


async def test_what_is_chained_is_dropped_together() -> None:
    buffer, stats, resyncs = dropping(3, begin=100)
    await buffer.put(events(1, 2, 3, 4))
    (gap,) = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns) == (1, 4)
    assert stats.dropped == 4
    assert resyncs == ["the consumer was slow"]


async def test_a_new_beginning_is_kept_for_a_consumer_of_any_speed() -> None:
    buffer, stats, resyncs = dropping(3, begin=100)
    await buffer.put(events(98, 99, 100, 101))
    gap, *rest = [*buffer._items]
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (98, 99, events(100, 101))
    for time in range(102, 190):
        await buffer.put(events(time))
        assert len(buffer) <= 1 + 3
    merged_gap, first, *_ = [*buffer._items]
    assert isinstance(merged_gap, Gap)
    assert (merged_gap.since_ns, first) == (98, Event(100))
    assert merged_gap.until_ns >= 187, "what was merged is told of too"
    await buffer.put(events(*range(190, 300)))
    kept_gap, *rest = await drain(buffer)
    assert isinstance(kept_gap, Gap)
    assert (kept_gap.since_ns, kept_gap.until_ns) == (98, 298)
    assert rest == events(200, 299)
    assert resyncs == [], "nothing is missing after the new beginning"
    assert stats.dropped == 2 + 100 + 98


async def test_a_beginning_that_nobody_has_seen_is_kept_and_what_was_merged_is_told() -> None:
    buffer, stats, resyncs = dropping(1, begin=100)
    await buffer.put(events(100))
    await buffer.put(events(101))
    assert [*buffer._items] == events(100, 101)
    assert stats.dropped == 0
    for time in range(102, 110):
        await buffer.put(events(time))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (101, 108, events(100, 109))
    assert "8 items" in gap.reason
    assert (stats.dropped, resyncs) == (8, [])


async def test_a_consumer_that_is_slow_enough_is_not_told_of_gaps_alone() -> None:
    buffer, stats, _ = dropping(2, begin=100)
    await buffer.put(events(100, 101, 102))
    assert isinstance(await anext(buffer), Gap)
    await buffer.put(events(103, 104, 105))
    # What is merged between the gap and the beginning after it makes no new gap.
    assert await drain(buffer) == events(100, 105)
    assert stats.dropped == 4
    await buffer.put(events(200, 201, 202))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert rest == events(200, 202)


@given(
    size=st.integers(1, 6),
    steps=st.lists(st.one_of(st.integers(1, 9), st.just("get")), max_size=60),
)
def test_what_is_dropped_is_accounted_for(size: int, steps: list[int | str]) -> None:
    """Each item is delivered, or lies within the gap that stands in its place, and is counted."""

    async def main() -> None:
        buffer, stats, _ = dropping(size)
        made, got = 0, list[Event | Gap]()
        for step in steps:
            if isinstance(step, int):
                await buffer.put(events(*range(made + 1, made + 1 + step)))
                made += step
                assert len(buffer) <= size + 1
            elif len(buffer):
                got.append(await anext(buffer))
        got += await drain(buffer)
        last = dropped = 0
        for item in got:
            if isinstance(item, Gap):
                assert item.since_ns == last + 1
                dropped += item.until_ns - last
                last = item.until_ns
            else:
                assert item.timestamp_ns == last + 1
                last = item.timestamp_ns
        assert last == made
        assert stats.dropped == dropped

    trio.run(main)


# "conflate"


async def test_conflate_keeps_the_newest_of_each_key() -> None:
    stats = StreamStats()
    buffer = Buffer[int](2, "conflate", conflate=conflate_by(lambda n: n % 10), stats=stats)
    await buffer.put([11, 12, 21, 13, 22])
    assert await take(buffer, 3) == [21, 13, 22]
    assert len(buffer) == 0
    assert stats.dropped == 2


async def test_conflate_stays_small_with_nobody_reading() -> None:
    buffer = Buffer[int](2, "conflate", conflate=conflate_by(lambda n: n % 5))
    most = 0
    for n in range(2000):
        await buffer.put([n])
        most = max(most, len(buffer))
    assert most <= 64 + 5
    assert await take(buffer, 5) == [1995, 1996, 1997, 1998, 1999]


async def test_conflating_costs_the_same_however_much_waits() -> None:
    def key(n: int) -> int:
        return n % 5000

    proper, looked_at = conflate_by(key), 0

    def conflate(waiting: deque[int]) -> int:
        nonlocal looked_at
        looked_at += len(waiting)
        return proper(waiting)

    buffer = Buffer[int](2, "conflate", conflate=conflate)
    for n in range(20_000):
        await buffer.put([n])
    assert looked_at < 4 * 20_000
    assert len(buffer) <= 2 * 5000
    assert await take(buffer, 5000) == list(range(15_000, 20_000))
    assert looked_at < 5 * 20_000


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_change_of_a_book_costs_the_same_however_far_it_wanders(snapshot: bool) -> None:
    looked_at = 0

    def conflate(waiting: deque[Depth]) -> int:
        nonlocal looked_at
        looked_at += len(waiting) + sum(len(item.bids) for item in waiting if isinstance(item, OrderBookDiff))
        return conflate_depth(waiting)

    buffer = Buffer[Depth](2, "conflate", conflate=conflate)
    buffer.put_nowait([OrderBook(sequence_number=0)] if snapshot else [])
    for n in range(1, 10_001):
        buffer.put_nowait([OrderBookDiff(((n, 1),), (), n)])
    assert looked_at < 8 * 10_000


def merge(waiting: deque[list[int]]) -> int:
    whole = [n for each in waiting for n in each]
    waiting.clear()
    waiting.append(whole)
    return 0


@given(st.lists(st.one_of(st.integers(1, 90), st.just("get")), max_size=30))
def test_conflating_loses_nothing_of_what_is_merged(steps: Sequence[int | str]) -> None:
    async def main() -> None:
        buffer = Buffer[list[int]](1, "conflate", conflate=merge)
        made, got = 0, list[int]()
        for step in [*steps, 1, "get"]:
            if isinstance(step, int):
                await buffer.put([[n] for n in range(made, made + step)])
                made += step
            elif len(buffer):
                got += await anext(buffer)
        assert got == list(range(made))

    trio.run(main)


# Arguments


@pytest.mark.parametrize(
    ("overflow", "size", "can_conflate", "error", "text"),
    [
        ("wait", 1, True, ValueError, "block, drop_oldest, error, conflate"),
        ("conflate", 1, False, ValueError, "block, drop_oldest, error for this feed"),
        ("block", 0, True, ValueError, "at least 1"),
        ("block", 1.5, True, TypeError, "whole number"),
        ("block", True, True, TypeError, "whole number"),
    ],
)
def test_impossible_buffers(overflow: str, size: int, can_conflate: bool, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        check_overflow(overflow, size, can_conflate=can_conflate)
