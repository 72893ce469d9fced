"""Repeats of changes, and changes with the number of a repeat and other content."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tplus_trio import OrderBookDiff, PriceLevel
from tplus_trio.streams.recovery.repeats import RepeatDetector


def diff(number: int, quantity: int = 1) -> OrderBookDiff:
    return OrderBookDiff([PriceLevel(Decimal(100), Decimal(quantity))], (), number)


def remembering(*numbers: int) -> RepeatDetector:
    detector = RepeatDetector()
    for number in numbers:
        detector.add(diff(number))
    return detector


def test_a_repeat_has_the_same_content() -> None:
    detector = remembering(1, 2, 5)
    assert detector.examine(diff(2)) is None
    other = detector.examine(diff(2, quantity=3))
    assert other is not None
    assert (other.has_restarted, "2 came after 5" in other.reason) == (False, True)
    never_came = detector.examine(diff(4))
    assert never_came is not None
    assert not never_came.has_restarted


@pytest.mark.parametrize(("number", "has_restarted"), [(1000, False), (999, True)])
def test_a_number_far_back_is_a_restart(number: int, has_restarted: bool) -> None:
    found = remembering(2000).examine(diff(number))
    assert found is not None
    assert found.has_restarted is has_restarted


def run_of(detector: RepeatDetector) -> int:
    """Return how many repeats in a row count as a restart."""
    for count in range(1, 1000):
        if (found := detector.examine(diff(1))) is not None:
            assert found.has_restarted
            return count
    raise AssertionError


def test_too_many_repeats_in_a_row_are_a_restart_and_the_limit_doubles() -> None:
    detector = remembering(1)
    limits = [run_of(detector)]
    detector.end_run()
    limits.append(run_of(detector))
    detector.settle()
    limits.append(run_of(detector))
    assert limits == [50, 100, 50]


def test_a_new_change_ends_a_run_of_repeats() -> None:
    detector = remembering(1)
    for number in range(2, 65):  # the first change is remembered
        assert all(detector.examine(diff(1)) is None for _ in range(49))
        detector.add(diff(number))


def test_the_memory_of_changes_is_bounded() -> None:
    detector = remembering(*range(1000))
    assert len(detector.recent) == 64
    assert detector.examine(diff(936)) is None
    assert detector.examine(diff(935)) is not None


@pytest.mark.parametrize(("numbers", "taken_back", "highest"), [((1, 2, 3), 2, 1), ((1, 2), 2, -1), ((1, 2), 0, 2)])
def test_changes_that_are_taken_back_are_forgotten(numbers: Sequence[int], taken_back: int, highest: int) -> None:
    detector = remembering(*numbers)
    detector.take_back([diff(number) for number in numbers[len(numbers) - taken_back :]])
    assert (detector.highest, len(detector.recent)) == (highest, len(numbers) - taken_back)


def test_a_forgotten_change_is_no_repeat() -> None:
    detector = remembering(1, 2)
    detector.forget()
    assert (detector.highest, len(detector.recent)) == (-1, 0)
