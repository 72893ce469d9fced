"""Repeats of changes, and changes with the number of a repeat and other content."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tplus_trio import OrderBookDiff, PriceLevel
from tplus_trio.codec import decode_depth_frame
from tplus_trio.streams.recovery.continuity import Discontinuity
from tplus_trio.streams.recovery.repeats import RepeatDetector


def diff(number: int, quantity: int = 1) -> OrderBookDiff:
    return OrderBookDiff([PriceLevel(Decimal(100), Decimal(quantity))], (), number)


def remembering(*numbers: int) -> RepeatDetector:
    detector = RepeatDetector()
    for number in numbers:
        detector.add(number, diff(number))
    return detector


def examine(detector: RepeatDetector, change: OrderBookDiff) -> Discontinuity | None:
    return detector.examine(change, change)


def test_a_repeat_has_the_same_content() -> None:
    detector = remembering(1, 2, 5)
    assert examine(detector, diff(2)) is None
    other = examine(detector, diff(2, quantity=3))
    assert other is not None
    assert (other.has_restarted, "2 came after 5" in other.reason) == (False, True)
    never_came = examine(detector, diff(4))
    assert never_came is not None
    assert not never_came.has_restarted


@pytest.mark.parametrize(
    ("again", "is_repeat"),
    [
        (b'{"asks":[],"bids":[[100,1]],"sequence_number":2}', True),
        (b'{"bids": [["100.0", "1"]], "asks": [], "sequence_number": 2}', True),
        ('{"asks":[],"bids":[[100,1]],"sequence_number":2}', True),
        (b'{"asks":[],"bids":[[100,2]],"sequence_number":2}', False),
        (b'{"asks":[[100,1]],"bids":[],"sequence_number":2}', False),
    ],
)
@pytest.mark.parametrize("has_message", [True, False])
def test_messages_are_compared_by_content(again: bytes | str, is_repeat: bool, has_message: bool) -> None:
    detector = RepeatDetector()
    first = b'{"asks":[],"bids":[[100,1]],"sequence_number":2}'
    detector.add(2, first if has_message else diff(2))
    detector.add(3, diff(3))
    (change,) = decode_depth_frame(again)
    assert (detector.examine(change, again) is None) is is_repeat


@pytest.mark.parametrize(("number", "has_restarted"), [(1000, False), (999, True)])
def test_a_number_far_back_is_a_restart(number: int, has_restarted: bool) -> None:
    found = examine(remembering(2000), diff(number))
    assert found is not None
    assert found.has_restarted is has_restarted


def run_of(detector: RepeatDetector) -> int:
    """Return how many repeats in a row count as a restart."""
    for count in range(1, 1000):
        if (found := examine(detector, diff(1))) is not None:
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
        assert all(examine(detector, diff(1)) is None for _ in range(49))
        detector.add(number, diff(number))


def test_the_memory_of_changes_is_bounded() -> None:
    detector = remembering(*range(1000))
    assert len(detector) == 64
    assert examine(detector, diff(936)) is None
    assert examine(detector, diff(935)) is not None


@pytest.mark.parametrize(("numbers", "taken_back", "highest"), [((1, 2, 3), 2, 1), ((1, 2), 2, -1), ((1, 2), 0, 2)])
def test_changes_that_are_taken_back_are_forgotten(numbers: Sequence[int], taken_back: int, highest: int) -> None:
    detector = remembering(*numbers)
    detector.take_back(taken_back)
    assert (detector.highest, len(detector)) == (highest, len(numbers) - taken_back)


def test_changes_that_are_taken_back_come_with_their_messages() -> None:
    detector = RepeatDetector()
    detector.add_following(range(100), [b"%d" % number for number in range(100)])
    assert detector.take_back(2) == [b"98", b"99"]
    assert detector.highest == 97
    assert detector.take_back(80) == [b""] * 18 + [b"%d" % number for number in range(36, 98)]
    assert (detector.highest, len(detector)) == (-1, 0)


def test_a_change_whose_message_is_no_longer_known_is_no_repeat() -> None:
    detector = RepeatDetector()
    detector.add(1, b"")
    assert examine(detector, diff(1)) is not None


def test_a_forgotten_change_is_no_repeat() -> None:
    detector = remembering(1, 2)
    detector.forget()
    assert (detector.highest, len(detector)) == (-1, 0)
