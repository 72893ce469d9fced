"""Order events, and events that REST does not list: a snapshot or a gap stands where some may be missing."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio import (
    AssetIdentifier,
    Gap,
    OrderReplaceFailedEvent,
    OrderResponse,
    OrdersSnapshot,
    OrdersUpdate,
    Side,
    UnknownOrderEvent,
    UserOrders,
)
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import GapMarking, OrdersRecovery, Recovery

_ZEROS: dict[str, Any] = {
    f"{state}_{what}": Decimal(0)
    for state in ("confirmed", "pending")
    for what in ("filled_quantity", "filled_amount", "trading_fees_amount")
}


NONE = UserOrders((), {})


def event(number: int) -> OrderReplaceFailedEvent:
    return OrderReplaceFailedEvent(str(number), "user")


def order(name: str) -> OrderResponse:
    return OrderResponse(
        order_id=name, base_asset=AssetIdentifier(200), side=Side.BUY, timestamp_ns=0, status="Open", **_ZEROS
    )


def orders_recovery() -> OrdersRecovery:
    return OrdersRecovery(count(100).__next__, ConnectionCounts())


def test_the_first_connection_needs_no_snapshot() -> None:
    recovery = orders_recovery()
    recovery.lost("refused")
    assert recovery.subscribed() == ()
    assert recovery.synced
    assert recovery.pending_request is None
    assert recovery.receive([event(1)]) == [event(1)]
    assert recovery._stats == ConnectionCounts()


def test_a_snapshot_comes_before_the_events_held_for_it() -> None:
    recovery = orders_recovery()
    recovery.subscribed()
    recovery.receive([event(1)])
    recovery.lost("reset")
    assert not recovery.synced
    recovery.subscribed()
    assert recovery.receive([event(2)]) == ()
    assert recovery.receive([event(3), event(4)]) == ()
    assert (recovery.pending_request, recovery.held) == (0, 3)
    snapshot, *events = recovery.answer(0, UserOrders((order("a"),), {}), early=False)
    assert snapshot == OrdersSnapshot((order("a"),), 100)
    assert events == [event(2), event(3), event(4)]
    assert (recovery.synced, recovery.held) == (True, 0)
    assert recovery.receive([event(5)]) == [event(5)]
    assert (recovery._stats.gaps, recovery._stats.resyncs) == (1, 1)


def test_an_incomplete_listing_is_marked_incomplete() -> None:
    recovery = orders_recovery()
    recovery.subscribed()
    recovery.lost("reset")
    recovery.subscribed()
    (snapshot,) = recovery.answer(0, UserOrders((order("a"),), {"has_next_page": True}), early=False)
    assert snapshot == OrdersSnapshot((order("a"),), 100, is_complete=False)


def test_events_between_two_losses_are_not_lost() -> None:
    recovery = orders_recovery()
    recovery.subscribed()
    for number in (1, 2):
        before = recovery.generation
        recovery.lost("again")
        assert recovery.generation != before  # the answer on its way is older than this hole
        recovery.subscribed()
        recovery.receive([event(number)])
    recovery.lost("a third time")
    recovery.subscribed()
    recovery.receive([event(3)])
    first, second, snapshot, third = recovery.answer(0, NONE, early=False)
    assert [first, second, third] == [event(1), event(2), event(3)]
    assert isinstance(snapshot, OrdersSnapshot)


@given(st.lists(st.sampled_from(["event", "lost", "answer"]), max_size=40))
def test_each_event_comes_once_and_each_hole_before_a_snapshot(steps: list[str]) -> None:
    recovery, out, sent, holes = orders_recovery(), list[OrdersUpdate](), 0, 0
    recovery.subscribed()
    for step in steps:
        if step == "event":
            sent += 1
            out += recovery.receive([event(sent)])
        elif step == "lost":
            holes += 1
            recovery.lost("a hole")
            out += recovery.subscribed()
            out += recovery.receive([UnknownOrderEvent("Hole", {"n": holes})])
        elif recovery.pending_request is not None:
            out += recovery.answer(recovery.pending_request, NONE, early=False)
    if recovery.pending_request is not None:
        out += recovery.answer(recovery.pending_request, NONE, early=False)
    assert [item.order_id for item in out if isinstance(item, OrderReplaceFailedEvent)] == [
        str(n + 1) for n in range(sent)
    ]
    # The snapshot of the last hole comes before the event that followed that hole.
    if holes:
        last = max(n for n, item in enumerate(out) if isinstance(item, UnknownOrderEvent))
        assert isinstance(out[last - 1], OrdersSnapshot)
        assert recovery._stats.gaps == holes


def test_a_gap_begins_at_the_last_received_event() -> None:
    clock = [10]
    recovery: GapMarking[str] = GapMarking(lambda: clock[0], ConnectionCounts())
    recovery.lost("refused")
    assert recovery.subscribed() == ()  # nothing was subscribed before, so nothing was missed
    for now in (20, 30):
        clock[0] = now
        assert recovery.receive(["event"]) == ["event"]
    clock[0] = 50
    recovery.lost("reset")
    recovery.lost("refused, too")
    clock[0] = 70
    assert recovery.subscribed() == (Gap(30, 70, "reset"),)
    assert recovery.synced
    # The next gap begins at the subscription.
    clock[0] = 90
    recovery.lost("again")
    assert recovery.subscribed() == (Gap(70, 90, "again"),)
    # The clock was set back: a gap does not end before it begins.
    clock[0] = 60
    recovery.lost("and again")
    assert recovery.subscribed() == (Gap(60, 90, "and again"),)
    assert recovery._stats.gaps == 3  # one snapshot for each outage, however many attempts failed


def test_a_feed_of_whole_messages_needs_nothing() -> None:
    stats = ConnectionCounts()
    recovery: Recovery[str] = Recovery(lambda: 0, stats)
    recovery.lost("refused")
    assert stats.gaps == 0
    assert (*recovery.subscribed(), *recovery.receive(["a"])) == ("a",)
    recovery.lost("reset")
    assert (*recovery.subscribed(), *recovery.receive(["b"])) == ("b",)
    assert (recovery.synced, recovery.held, stats.gaps, stats.resyncs) == (True, 0, 1, 0)
    with pytest.raises(RuntimeError, match="requested no page"):
        recovery.answer(0, None, early=False)
