"""The estimate of a service's clock: the true difference is always within the bound."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tplus_trio.transport.service_clock import ServiceClock

SECOND = 1_000_000_000


def answer(clock: ServiceClock, now_ns: int, offset_ns: int, there_ns: int, back_ns: int) -> int:
    """Add an answer of a service whose clock is ahead by ``offset_ns``; return the time of its arrival."""
    date_ns = (now_ns + there_ns + offset_ns) // SECOND * SECOND
    clock.answered(date_ns, now_ns, now_ns + there_ns + back_ns)
    return now_ns + there_ns + back_ns


times = st.integers(0, 2 * SECOND)


@given(st.integers(-(10**15), 10**15), st.lists(st.tuples(times, times, st.integers(0, 100 * SECOND)), min_size=1))
def test_the_true_difference_is_within_the_bound(offset_ns: int, answers: list[tuple[int, int, int]]) -> None:
    clock, now_ns = ServiceClock(), 1_750_000_000 * SECOND
    assert clock.offset(now_ns) is None
    for there_ns, back_ns, pause_ns in answers:
        now_ns = answer(clock, now_ns, offset_ns, there_ns, back_ns) + pause_ns
        found = clock.offset(now_ns)
        assert found is not None
        assert abs(found.offset_ns - offset_ns) <= found.bound_ns


def test_many_answers_narrow_the_bound_and_time_widens_it() -> None:
    clock, now_ns, random = ServiceClock(), 1_750_000_000 * SECOND, Random(1)
    for _ in range(200):
        now_ns = answer(clock, now_ns, 12_345_678, 1_000_000, 1_000_000) + random.randrange(SECOND // 10)
    found = clock.offset(now_ns)
    assert found is not None
    assert found.bound_ns < SECOND // 100
    later = clock.offset(now_ns + 3600 * SECOND)
    assert later is not None
    assert later.bound_ns > 20 * found.bound_ns


def test_a_clock_that_was_set_is_believed_after_three_answers_that_agree() -> None:
    clock, now_ns = ServiceClock(), 1_750_000_000 * SECOND
    now_ns = answer(clock, now_ns, 0, 1000, 1000)
    for answers in range(3):
        found = clock.offset(now_ns)
        assert found is not None
        assert abs(found.offset_ns) < SECOND, answers
        now_ns = answer(clock, now_ns + SECOND, 100 * SECOND, 1000, 1000)
    found = clock.offset(now_ns)
    assert found is not None
    assert abs(found.offset_ns - 100 * SECOND) <= found.bound_ns


def test_an_answer_from_a_cache_is_not_believed() -> None:
    clock, now_ns = ServiceClock(), 1_750_000_000 * SECOND
    for cached in (False, True, False, True, True, False):
        if cached:
            clock.answered(now_ns - 500 * SECOND - now_ns % 7 * 10 * SECOND, now_ns, now_ns + 1000)
            now_ns += SECOND
        else:
            now_ns = answer(clock, now_ns, 0, 1000, 1000) + SECOND
        found = clock.offset(now_ns)
        assert found is not None
        assert abs(found.offset_ns) < SECOND


def test_a_local_clock_that_was_set_back_during_a_request_is_no_measurement() -> None:
    clock = ServiceClock()
    clock.answered(5 * SECOND, 10 * SECOND, 9 * SECOND)
    assert clock.offset(11 * SECOND) is None
