"""The shields of cancelled calls: those of one client end together."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tplus_trio.orders.cancelled_calls import CancelledCalls


async def test_the_shields_of_cancelled_calls_end_together(autojump_clock: MockClock) -> None:
    calls, start = CancelledCalls(5.0), trio.current_time()
    ends: set[float] = set()
    for number in range(10):
        ends.add(calls.begin(number))
        await trio.sleep(0.4)
    assert ends == {start + 5.0}


async def test_a_call_that_is_cancelled_again_keeps_its_end(autojump_clock: MockClock) -> None:
    calls = CancelledCalls(5.0)
    end = calls.begin("a")
    await trio.sleep(3)
    assert calls.begin("a") == end


async def test_a_call_has_a_shield_of_its_own_after_the_others_have_ended(autojump_clock: MockClock) -> None:
    calls = CancelledCalls(5.0)
    end = calls.begin("a")
    calls.begin("b")
    await trio.sleep(1)
    calls.end("a")
    assert calls.begin("c") == end, "b has not ended"
    calls.end("b")
    calls.end("c")
    assert calls.begin("d") == trio.current_time() + 5.0


async def test_a_call_that_was_not_cancelled_ends_without_an_effect(autojump_clock: MockClock) -> None:
    calls = CancelledCalls(5.0)
    end = calls.begin("a")
    await trio.sleep(1)
    calls.end("another")
    assert calls.begin("b") == end


async def test_a_cancelled_call_waits_a_quarter_of_the_time_for_its_answer(autojump_clock: MockClock) -> None:
    calls, start = CancelledCalls(8.0), trio.current_time()
    assert calls.patience("a") == start + 2.0
    await trio.sleep(4)
    assert calls.patience("b") == start + 6.0
    await trio.sleep(3)
    assert calls.patience("c") == start + 8.0, "not longer than the shield"


def test_each_run_has_its_own_calls() -> None:
    calls = CancelledCalls(5.0)

    async def left() -> float:
        await trio.lowlevel.checkpoint()
        return calls.begin("never ended") - trio.current_time()

    for _ in range(2):
        assert trio.run(left, clock=MockClock(autojump_threshold=0)) == 5.0
