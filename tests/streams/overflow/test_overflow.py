"""The choice of an overflow rule, and the interface that a new rule has to meet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, get_args

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.buffers import put, take
from tplus_trio import Overflow, SlowConsumer
from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.overflow import OverflowRule, check_overflow, conflate_by, make_rule
from tplus_trio.streams.overflow.base import OverflowOptions


@pytest.mark.parametrize("overflow", get_args(Overflow))
def test_each_overflow_name_makes_the_rule_of_that_name(overflow: Overflow) -> None:
    rule: OverflowRule[int] = make_rule(overflow, 3, conflate=lambda _: 0, mark_drops=lambda lost, _: lost[0])
    assert (rule.name, rule.size, rule.tasks_waiting, rule.dropped, rule.merged) == (overflow, 3, 0, 0, 0)


class DropNewest(OverflowRule[int]):
    """A rule that is not among those of the package."""

    name = "error"

    def add(self, waiting: deque[int], items: Sequence[int]) -> None:
        room = max(0, self.size - len(waiting))
        waiting.extend(items[:room])
        self.dropped += max(0, len(items) - room)


async def test_a_rule_needs_one_method() -> None:
    buffer = Buffer(DropNewest(OverflowOptions(3)))
    await put(buffer, [1, 2])
    await put(buffer, [3, 4, 5])
    assert await take(buffer, 3) == [1, 2, 3]
    await put(buffer, [6])
    buffer.clear()
    consumer = buffer.statistics()
    assert (consumer.delivered, consumer.dropped, consumer.peak_buffer_used, len(buffer)) == (3, 2, 3, 0)


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
def test_check_overflow_refuses_impossible_buffers(
    overflow: str, size: int, can_conflate: bool, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        check_overflow(overflow, size, can_conflate=can_conflate)


@given(
    overflow=st.sampled_from(get_args(Overflow)),
    size=st.integers(1, 80),
    steps=st.lists(st.one_of(st.integers(1, 90), st.sampled_from(["take", "take", "clear"])), max_size=40),
)
def test_every_item_is_delivered_waits_or_is_counted(overflow: Overflow, size: int, steps: list[int | str]) -> None:
    async def main() -> None:
        marker = object()
        rule: OverflowRule[Any] = make_rule(
            overflow, size, conflate=conflate_by(lambda n: n % 7), mark_drops=lambda _lost, _broken: marker
        )
        buffer = Buffer(rule)
        added = peak = cleared = 0
        taken = list[Any]()
        for step in steps:
            if isinstance(step, int):
                before = len(buffer)
                try:
                    buffer.put_nowait(range(added, added + step))
                    added += step
                except SlowConsumer:
                    added += len(buffer) - before
                peak = max(peak, len(buffer))
            elif step == "take" and len(buffer):
                taken.append(await anext(buffer))
            elif step == "clear":
                cleared += sum(item is not marker for item in buffer._items)
                buffer.clear()
        shown = buffer.statistics()
        items = [item for item in taken if item is not marker]
        waiting = sum(item is not marker for item in buffer._items)
        assert items == sorted(set(items)), "out of order, or twice"
        assert len(items) + shown.dropped + shown.merged + waiting + cleared == added
        assert (shown.delivered, shown.current_buffer_used) == (len(taken), len(buffer))
        assert shown.peak_buffer_used == peak

    trio.run(main)
