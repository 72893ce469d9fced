"""``"conflate"``: merging keeps the newest state, has a constant cost without a consumer, and is counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.buffers import buffer_of, put, take
from tplus_trio import Depth, OrderBook, OrderBookDiff
from tplus_trio.streams.overflow import Conflate, conflate_by
from tplus_trio.streams.recovery import conflate_depth


async def test_conflate_keeps_the_newest_of_each_key() -> None:
    buffer = buffer_of(2, "conflate", conflate=conflate_by(lambda n: n % 10))
    await put(buffer, [11, 12, 21, 13, 22])
    assert await take(buffer, 3) == [21, 13, 22]
    assert len(buffer) == 0
    consumer = buffer.statistics()
    assert (consumer.dropped, consumer.merged, consumer.delivered) == (0, 2, 3)


async def test_conflate_keeps_a_bounded_buffer_without_a_consumer() -> None:
    buffer = buffer_of(2, "conflate", conflate=conflate_by(lambda n: n % 5))
    most = 0
    for n in range(2000):
        await put(buffer, [n])
        most = max(most, len(buffer))
    assert most <= 64 + 5
    assert await take(buffer, 5) == [1995, 1996, 1997, 1998, 1999]


async def test_the_cost_of_conflating_does_not_grow_with_the_buffer() -> None:
    def key(n: int) -> int:
        return n % 5000

    proper, looked_at = conflate_by(key), 0

    def conflate(waiting: deque[int]) -> int:
        nonlocal looked_at
        looked_at += len(waiting)
        return proper(waiting)

    buffer = buffer_of(2, "conflate", conflate=conflate)
    for n in range(20_000):
        await put(buffer, [n])
    assert looked_at < 4 * 20_000
    assert len(buffer) <= 2 * 5000
    assert await take(buffer, 5000) == list(range(15_000, 20_000))
    assert looked_at < 5 * 20_000


@pytest.mark.parametrize("snapshot", [True, False])
def test_the_cost_of_conflating_a_book_does_not_grow_with_its_prices(snapshot: bool) -> None:
    looked_at = 0

    def conflate(waiting: deque[Depth]) -> int:
        nonlocal looked_at
        looked_at += len(waiting) + sum(len(item.bids) for item in waiting if isinstance(item, OrderBookDiff))
        return conflate_depth(waiting)

    buffer = buffer_of(2, "conflate", conflate=conflate)
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
def test_conflating_keeps_every_merged_item(steps: Sequence[int | str]) -> None:
    async def main() -> None:
        buffer = buffer_of(1, "conflate", conflate=merge)
        made, got = 0, list[int]()
        for step in [*steps, 1, "get"]:
            if isinstance(step, int):
                await put(buffer, [[n] for n in range(made, made + step)])
                made += step
            elif len(buffer):
                got += await anext(buffer)
        assert got == list(range(made))

    trio.run(main)


def test_keys_that_are_numbers_are_safe_against_equal_hashes() -> None:
    # Numbers of one hash: a dict would compare each with all before it.
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
