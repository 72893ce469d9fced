"""Rows that cannot be decoded, and pages that are out of order."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.helpers.recovered_streams import ids_and_gaps
from tests.helpers.trade_recovery import Recovery, Rows, after_a_loss, lost, rows, trade, trades


@pytest.fixture
def recovery() -> Recovery:
    return after_a_loss()


def test_a_gap_stands_for_a_row_that_cannot_be_decoded(recovery: Recovery) -> None:
    recovery.receive_ids(6)
    page = rows(6, 5, None, None, 3, 2)
    gap, *rest = recovery.answer(0, page, early=False)
    assert (gap.since_ns, gap.until_ns) == (30, 50)  # type: ignore[union-attr]  # it is a gap
    assert ids_and_gaps(rest) == [5, 6]
    # It is delivered once. A row from before the stream was not missed.
    lost(recovery)
    assert recovery.answer_page(7, 6, 5, None, None, 3, 2, 1, None) == [7]


def test_a_bad_row_newer_than_the_feed_leaves_a_gap(recovery: Recovery) -> None:
    assert recovery.answer_page(None, 4, 3) == [4, "gap"]
    assert recovery.synced


@pytest.mark.parametrize("bad", [2, {1: "why", 3: "why"}, [attrs.make_class("Bad", ["position"])(1)]])
def test_bad_rows_may_be_given_in_several_forms(bad: Any, recovery: Recovery) -> None:
    page = Rows(trades(5, 4, 3))
    page.bad = bad
    assert ids_and_gaps(recovery.answer(0, page, early=False)).count("gap") in {1, 2}


@pytest.mark.parametrize(
    "given",
    [(3, 4, 5, 6, 7), (7, 5, 6, 3, 4), (7, 6, 5, 4, 3, 7, 6)],
    ids=["oldest first", "in no order", "repeated"],
)
def test_pages_in_another_order_lose_nothing(given: tuple[int, ...], recovery: Recovery) -> None:
    recovery.receive_ids(7)
    assert recovery.answer_page(*given) == [4, 5, 6, 7]


def test_oldest_first_pages_of_equal_times_keep_their_order(recovery: Recovery) -> None:
    recovery = Recovery()
    alike = [trade(number, timestamp_ns=10) for number in range(1, 7)]
    recovery.receive(alike[:2])
    lost(recovery)
    assert list(recovery.answer(0, alike, early=False)) == alike[2:]


def test_a_history_that_is_oldest_first_leaves_a_gap(recovery: Recovery) -> None:
    recovery.receive_ids(20)
    for _ in range(5):
        assert recovery.answer_page(1, 2, 3, 4, 5, 6) == []
    assert recovery.answer_page(1, 2, 3, 4, 5, 6) == [4, 5, 6, "gap", 20]
