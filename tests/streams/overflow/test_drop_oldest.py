"""``"drop_oldest"``: a gap marks dropped or merged items in their place and counts them."""

from __future__ import annotations

from collections import deque

import attrs
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.buffers import buffer_of, put
from tplus_trio import Gap
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.drop_marker import DropMarker


@attrs.frozen
class Event:
    timestamp_ns: int


def dropping(size: int, *, begin: int | None = None) -> tuple[Buffer[Event | Gap], list[str]]:
    resyncs, marker = list[str](), DropMarker(lambda: 999, lambda count: None)
    marker.begin_again = lambda: resyncs.append("the consumer was slow")
    buffer: Buffer[Event | Gap] = buffer_of(
        size,
        "drop_oldest",
        mark_drops=marker.mark,
        # A number that ``begin`` divides is a snapshot: it needs no item before it.
        is_snapshot=None if begin is None else lambda item: isinstance(item, Event) and item.timestamp_ns % begin == 0,
        conflate=first_and_last,
    )
    return buffer, resyncs


def first_and_last(waiting: deque[Event | Gap]) -> int:
    items = list(waiting)
    waiting.clear()
    waiting.extend((items[0], items[-1]))
    return 2


def events(*times: int) -> list[Event]:
    return [Event(time) for time in times]


def lost(buffer: Buffer[Event | Gap]) -> int:
    consumer = buffer.statistics()
    return consumer.dropped + consumer.merged


async def drain(buffer: Buffer[Event | Gap]) -> list[Event | Gap]:
    return [await anext(buffer) for _ in range(len(buffer))]


async def test_drop_oldest_puts_a_gap_in_place_of_dropped_items() -> None:
    buffer, resyncs = dropping(3)
    await put(buffer, events(1, 2, 3))
    assert len(buffer) == 3
    await put(buffer, events(4, 5))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns) == (1, 2)
    assert "2 items" in gap.reason
    assert rest == events(3, 4, 5)
    assert lost(buffer) == 2
    assert resyncs == []


async def test_a_gap_grows_until_it_is_delivered() -> None:
    buffer, _ = dropping(2)
    for time in range(1, 8):
        await put(buffer, events(time))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (1, 5, events(6, 7))
    assert "5 items" in gap.reason
    assert lost(buffer) == 5
    # A gap that was delivered does not grow.
    await put(buffer, events(8, 9, 10))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (8, 8, events(9, 10))
    assert "1 items" in gap.reason
    assert lost(buffer) == 6


async def test_items_without_a_later_beginning_are_all_dropped() -> None:
    buffer, resyncs = dropping(3, begin=100)
    await put(buffer, events(1, 2, 3, 4))
    (gap,) = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns) == (1, 4)
    assert lost(buffer) == 4
    assert resyncs == ["the consumer was slow"]


async def test_a_snapshot_in_the_buffer_is_kept_however_slow_the_consumer_is() -> None:
    buffer, resyncs = dropping(3, begin=100)
    await put(buffer, events(98, 99, 100, 101))
    gap, *rest = [*buffer._items]
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (98, 99, events(100, 101))
    for time in range(102, 190):
        await put(buffer, events(time))
        assert len(buffer) <= 1 + 3
    merged_gap, first, *_ = [*buffer._items]
    assert isinstance(merged_gap, Gap)
    assert (merged_gap.since_ns, first) == (98, Event(100))
    assert merged_gap.until_ns >= 187, "the gap covers merged items too"
    await put(buffer, events(*range(190, 300)))
    kept_gap, *rest = await drain(buffer)
    assert isinstance(kept_gap, Gap)
    assert (kept_gap.since_ns, kept_gap.until_ns) == (98, 298)
    assert rest == events(200, 299)
    assert resyncs == [], "nothing is missing after the new beginning"
    assert lost(buffer) == 2 + 100 + 98


async def test_an_undelivered_snapshot_is_kept_and_the_gap_counts_merged_items() -> None:
    buffer, resyncs = dropping(1, begin=100)
    await put(buffer, events(100))
    await put(buffer, events(101))
    assert [*buffer._items] == events(100, 101)
    assert lost(buffer) == 0
    for time in range(102, 110):
        await put(buffer, events(time))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert (gap.since_ns, gap.until_ns, rest) == (101, 108, events(100, 109))
    assert "8 items" in gap.reason
    assert (lost(buffer), resyncs) == (8, [])


async def test_a_slow_consumer_gets_items_between_gaps() -> None:
    buffer, _ = dropping(2, begin=100)
    await put(buffer, events(100, 101, 102))
    assert isinstance(await anext(buffer), Gap)
    await put(buffer, events(103, 104, 105))
    # Items that are merged between the gap and the snapshot after it make no new gap.
    assert await drain(buffer) == events(100, 105)
    assert lost(buffer) == 4
    await put(buffer, events(200, 201, 202))
    gap, *rest = await drain(buffer)
    assert isinstance(gap, Gap)
    assert rest == events(200, 202)


@given(
    size=st.integers(1, 6),
    steps=st.lists(st.one_of(st.integers(1, 9), st.just("get")), max_size=60),
)
def test_each_item_is_delivered_or_lies_within_a_gap(size: int, steps: list[int | str]) -> None:
    """Each item is delivered, or lies within the gap that stands in its place, and is counted."""

    async def main() -> None:
        buffer, _ = dropping(size)
        made, got = 0, list[Event | Gap]()
        for step in steps:
            if isinstance(step, int):
                await put(buffer, events(*range(made + 1, made + 1 + step)))
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
        assert lost(buffer) == dropped

    trio.run(main)
