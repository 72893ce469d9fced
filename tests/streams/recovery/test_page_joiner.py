"""Rows that move to another page between two requests are not lost."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.helpers.recovered_streams import ids_and_gaps
from tests.helpers.trade_recovery import Recovery, after_a_loss, lost, rows, trade, trades
from tplus_trio import Gap


@pytest.fixture
def recovery() -> Recovery:
    return after_a_loss()


def test_a_trade_that_moves_to_the_page_before_is_not_lost(recovery: Recovery) -> None:
    recovery.receive_ids(9)
    assert recovery.answer_page(9, 8, 7, 6) == []
    # 8 was removed meanwhile, so 5 moved to the page above.
    assert recovery.answer_page(4, 3, 2, 1) == []
    assert (recovery.pending_request, recovery.retry_after) == (0, 0.0)
    assert recovery.answer_page(9, 7, 6, 5) == [4, 5, 6, 7, 8, 9]
    assert recovery.pending_request is None


def test_trades_that_move_while_the_page_is_read_again_are_not_lost(recovery: Recovery) -> None:
    recovery.receive_ids(12)
    assert recovery.answer_page(12, 11, 10, 9) == []
    assert recovery.answer_page(6, 5, 4, 3) == []
    # 7 and 8 are missing. Meanwhile two trades are made, and others are removed.
    assert recovery.answer_page(14, 13, 12, 9) == []
    assert recovery.pending_request == 1
    assert recovery.answer_page(8, 7, 6, 5) == []
    assert recovery.pending_request == 2
    assert recovery.answer_page(4, 3) == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


def test_a_page_with_the_same_last_row_does_not_prove_that_rows_stayed(recovery: Recovery) -> None:
    recovery.receive_ids(30)
    assert recovery.answer_page(30, 25, 20) == []
    # 25 was removed, so 10 moves up; it moves down again when 31 is made.
    assert recovery.answer_page(5, 4, 3) == []
    assert recovery.answer_page(31, 30, 20) == []
    assert recovery.pending_request == 1
    assert recovery.answer_page(10, 5, 4) == []
    assert recovery.pending_request == 0
    assert recovery.answer_page(31, 30, 20) == []
    assert recovery.pending_request == 2
    assert recovery.answer_page(3, 2, 1) == [4, 5, 10, 20, 25, 30, 31]


def test_an_unchanged_page_proves_that_no_row_moved(recovery: Recovery) -> None:
    recovery.receive_ids(30)
    # Not every number is a trade here.
    assert recovery.answer_page(30, 25, 20) == []
    assert recovery.answer_page(10, 5, 3) == []
    assert recovery.pending_request == 0
    assert recovery.answer_page(30, 25, 20) == [5, 10, 20, 25, 30]


def test_trades_of_one_time_keep_their_order_when_a_page_is_read_again(recovery: Recovery) -> None:
    def answer_page(*numbers: int) -> list[Any]:
        assert recovery.pending_request is not None
        # Not every number is a trade, so the pages join only once they were read again.
        page = [attrs.evolve(trade(number), timestamp_ns=40 if number > 3 else 30) for number in numbers]
        return ids_and_gaps(recovery.answer(recovery.pending_request, page, early=False))

    assert answer_page(30, 25, 20) == []
    assert answer_page(10, 5, 3) == []
    assert recovery.pending_request == 0
    assert answer_page(30, 25, 20) == [5, 10, 20, 25, 30]


def test_a_row_that_is_unreadable_in_two_readings_of_a_page_is_one_gap(recovery: Recovery) -> None:
    assert recovery.answer_page(30, None, 20) == []
    assert recovery.answer_page(10, 5, 3) == []
    assert recovery.pending_request == 0
    out = recovery.answer(0, rows(30, None, 20), early=False)
    assert ids_and_gaps(out) == [5, 10, 20, "gap", 30]
    (gap,) = [item for item in out if isinstance(item, Gap)]
    assert (gap.since_ns, gap.until_ns) == (200, 300)


def test_an_unknown_status_is_not_replaced_by_an_older_one(recovery: Recovery) -> None:
    before, after = trade(4, status="Confirmed"), trade(4, status="Netted")
    assert recovery.receive([before, after]) == ()
    assert recovery.answer(0, [after, *trades(3, 2, 1)], early=False) == (after,)


def test_replicas_of_different_age_that_answer_in_turn_leave_a_gap(recovery: Recovery) -> None:
    recovery.receive_ids(9)
    out: list[Any] = []
    requests = 0
    while not recovery.synced:
        requests += 1
        out += recovery.answer_page(*((9, 8, 7, 6) if recovery.pending_request == 0 else (3, 2, 1)))
    assert out == ["gap", 9]
    assert requests < 50


def test_a_page_that_was_emptied_is_not_the_end_of_history() -> None:
    recovery = lost(Recovery())
    recovery.receive_ids(9)
    assert recovery.answer_page(9, 8, 7) == []
    # 8 was removed, and 6 moved up. Nothing is below it.
    assert recovery.answer_page() == []
    assert recovery.pending_request == 0
    recovery.answer_page(9, 7, 6)
    assert recovery.pending_request == 1
    assert recovery.answer_page() == []
    assert recovery.pending_request == 0
    assert recovery.answer_page(9, 7, 6) == [6, 7, 8, 9]
