"""What proves that no trade is missing: one example for each rule."""

from __future__ import annotations

import attrs
import pytest

from tests.helpers.recovered_streams import ids_and_gaps
from tests.helpers.trade_recovery import Clock, Recovery, after_a_loss, lost, trade
from tplus_trio import Gap
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import TradesBackfill


@pytest.fixture
def recovery() -> Recovery:
    return after_a_loss()


# REST is behind the feed.


def test_an_answer_that_does_not_reach_the_feed_is_requested_again(recovery: Recovery) -> None:
    assert recovery.receive_ids(7) == []
    waits = []
    for _ in range(3):
        assert recovery.answer_page(5, 4, 3, 2, 1) == []
        assert not recovery.synced
        waits.append(recovery.retry_after)
    assert waits == sorted(waits)
    assert waits[-1] > 0
    assert recovery.answer_page(7, 6, 5, 4, 3, 2, 1) == [4, 5, 6, 7]
    assert recovery.receive_ids(8) == [8]


def test_an_answer_that_never_reaches_the_feed_leaves_a_gap(recovery: Recovery) -> None:
    assert recovery.receive_ids(7, 8) == []
    for _ in range(5):
        assert recovery.answer_page(5, 4, 3) == []
    assert recovery.answer_page(5, 4, 3) == [4, 5, "gap", 7, 8]
    assert recovery.synced
    assert recovery.receive_ids(9) == [9]


def test_an_answer_may_go_beyond_the_first_live_trade(recovery: Recovery) -> None:
    recovery.receive_ids(7, 8)
    assert recovery.answer_page(8, 6, 5, 4, 3) == [4, 5, 6, 8, 7]  # 7 is not listed, but a later trade is


def test_the_first_live_trade_after_an_answer_is_held_for_one_more_read(recovery: Recovery) -> None:
    assert recovery.answer_page(5, 4, 3) == [4, 5]
    assert (recovery.pending_request, recovery.synced, recovery.urgent, recovery.hold_timeout) == (
        None,
        True,
        False,
        None,
    )
    generation = recovery.generation
    assert recovery.receive_ids(7) == []
    assert (recovery.pending_request, recovery.synced, recovery.urgent, recovery.hold_timeout) == (0, True, True, 1.5)
    assert recovery.generation != generation
    assert recovery.receive_ids(8) == []
    assert recovery.answer_page(7, 6, 5) == [6, 7, 8]
    assert (recovery.pending_request, recovery.urgent, recovery.hold_timeout) == (None, False, None)
    # This happens once for each outage.
    assert recovery.receive_ids(12) == [12]
    assert (recovery._stats.gaps, recovery._stats.resyncs) == (1, 1)


def test_a_repeat_does_not_end_the_hold_of_the_first_live_trade(recovery: Recovery) -> None:
    assert recovery.answer_page(5, 4, 3) == [4, 5]
    assert recovery.receive_ids(6) == []
    assert recovery.receive_ids(5) == []
    assert (recovery.pending_request, recovery.held) == (0, 2)
    assert recovery.answer_page(6, 5, 4) == [6]
    assert (recovery.receive_ids(7), recovery.held) == ([7], 0)


def test_the_confirming_read_is_repeated_until_the_hold_times_out(recovery: Recovery) -> None:
    recovery.answer_page(5, 4, 3)
    recovery.receive_ids(8)
    for _ in range(9):
        assert recovery.answer_page(6, 5, 4) == []
        assert recovery.pending_request == 0
    assert ids_and_gaps(recovery.expire()) == [6, "gap", 8]
    assert (recovery.pending_request, recovery.hold_timeout, recovery.synced) == (None, None, True)
    assert recovery.expire() == ()
    assert recovery.receive_ids(9) == [9]


def test_a_hold_that_times_out_without_an_answer_leaves_a_gap(recovery: Recovery) -> None:
    recovery.clock.now = 50
    recovery.answer_page(5, 4, 3)
    recovery.receive_ids(8)
    gap, last = recovery.expire()
    assert gap == Gap(50, 80, "reset")
    assert ids_and_gaps([last]) == [8]


def test_a_feed_behind_rest_needs_no_confirming_read(recovery: Recovery) -> None:
    assert recovery.answer_page(5, 4, 3) == [4, 5]
    assert recovery.receive_ids(4, 5, 6) == [6]  # the feed was behind REST: no trade is missing between


def test_a_feed_that_begins_with_a_delivered_trade_proves_that_nothing_is_missing(recovery: Recovery) -> None:
    generation = recovery.generation
    assert recovery.receive_ids(2, 3, 4, 5) == [4, 5]
    assert (recovery.is_optional, recovery.synced, recovery.generation != generation) == (True, True, True)
    assert recovery.receive_ids(9) == [9]


def test_only_the_first_trade_of_a_connection_proves_that_nothing_is_missing(recovery: Recovery) -> None:
    assert recovery.receive_ids(7, 3) == []
    assert recovery.receive_ids(3) == []
    recovery = Recovery()
    recovery.receive_ids(1, 2, 3)
    recovery.hole("a bad frame")
    assert recovery.receive_ids(3) == []
    assert recovery.pending_request == 0


def test_a_new_status_of_an_old_trade_proves_nothing(recovery: Recovery) -> None:
    assert recovery.receive([trade(3, status="Rollbacked")]) == ()
    assert recovery.pending_request == 0


def test_a_hole_during_a_request_keeps_its_answer(recovery: Recovery) -> None:
    recovery.receive_ids(7)
    generation = recovery.generation
    assert recovery.hole("a bad frame") == ()
    assert recovery.generation == generation
    # The answer is older than the second hole, in which 8 was missed. The next trade shows that.
    assert recovery.answer_page(7, 6, 5, 4, 3) == [4, 5, 6, 7]
    assert recovery.receive_ids(9) == []
    assert recovery.answer_page(9, 8, 7) == [8, 9]


def test_repeated_holes_end_in_a_gap(recovery: Recovery) -> None:
    recovery.receive_ids(7)
    for _ in range(5):
        recovery.hole("a bad frame")
        assert recovery.answer_page(5, 4, 3) == []
    assert recovery.answer_page(5, 4, 3) == [4, 5, "gap", 7]


# Late confirmation.


def test_a_missed_trade_between_delivered_ones_is_delivered_late(recovery: Recovery) -> None:
    recovery = Recovery()
    recovery.receive_ids(1, 3, 5)
    lost(recovery)
    assert recovery.answer_page(6, 5, 4, 3, 2, 1, 0) == [2, 4, 6]  # 0 is from before the stream


def test_trades_that_a_gap_covers_are_not_delivered_late(recovery: Recovery) -> None:
    recovery.receive_ids(9)
    recovery.clock.now = 90
    assert recovery.answer_page(8, 7) == recovery.answer_page(6) == []
    assert recovery.answer_page(5) == ["gap", 9]
    assert recovery.receive_ids(10, 12) == [10, 12]
    lost(recovery)
    assert recovery.answer_page(13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2) == [11, 13]


# Replays.


def test_a_held_status_older_than_the_one_of_rest_is_not_delivered() -> None:
    backfill = TradesBackfill(Clock(), ConnectionCounts(), max_pages=3)
    backfill.subscribed()
    backfill.receive([trade(1)])
    backfill.lost("reset")
    backfill.subscribed()
    pending, confirmed = (attrs.evolve(trade(2), status=status) for status in ("Pending", "Confirmed"))
    assert backfill.receive([pending, trade(3)]) == ()
    news = backfill.answer(0, [trade(3), confirmed, trade(1)], early=False)
    assert [(item.trade_id, item.status) for item in news if not isinstance(item, Gap)] == [
        (2, "Confirmed"),
        (3, "Confirmed"),
    ]
    assert backfill.receive([pending]) == []


def replayed(backfill: TradesBackfill) -> None:
    """Receive three trades, the last pending; then lose the connection, and receive from the second on."""
    backfill.subscribed()
    backfill.receive([trade(1), trade(2), trade(3, status="Pending")])
    backfill.lost("reset")
    backfill.subscribed()
    assert [item.trade_id for item in backfill.receive([trade(2), trade(4)])] == [4]  # type: ignore[union-attr]  # no gap among them
    assert backfill.synced


def test_a_replay_requests_the_statuses_that_changed() -> None:
    backfill = TradesBackfill(Clock(), ConnectionCounts(), max_pages=3)
    replayed(backfill)
    assert (backfill.pending_request, backfill.is_optional) == (0, True)
    assert ids_and_gaps(backfill.receive([trade(5)])) == [5], "nothing is held"
    news = backfill.answer(0, [trade(6), trade(5), trade(4), trade(3), trade(2), trade(1)], early=False)
    assert ids_and_gaps(news) == [3], "trades that the feed has not delivered yet are not delivered from the page"
    assert backfill.pending_request is None
    assert ids_and_gaps(backfill.receive([trade(6)])) == [6]


def test_a_replay_leaves_no_gap_if_rest_cannot_be_asked() -> None:
    backfill = TradesBackfill(Clock(), ConnectionCounts(), max_pages=3)
    replayed(backfill)
    backfill.do_without()
    assert backfill.pending_request is None
    assert ids_and_gaps(backfill.receive([trade(5)])) == [5]
