"""Trades and candles that were missed: read from REST page by page, delivered once and in order, before later items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest

from tplus_trio import AssetIdentifier, Gap, Trade
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import KlinesBackfill, TradesBackfill
from tplus_trio.streams.recovery.backfill import Backfill

ASSET = AssetIdentifier(200)


def trade(number: int) -> Trade:
    return Trade(ASSET, number, Decimal(100), Decimal(1), number, buyer_is_maker=False)


def trades(*given: int) -> list[Trade]:
    return [trade(number) for number in given]


def ids(items: Sequence[Any]) -> list[int]:
    assert not any(isinstance(item, Gap) for item in items)
    return [item.trade_id for item in items]


class Clock:
    now = 1000

    def __call__(self) -> int:
        return self.now


def missing(recovery: Backfill[Any], clock: Clock, since: int = 1000, until: int = 2000) -> None:
    """Receive an item at ``since``, then lose the connection until ``until``."""
    clock.now = since
    recovery.receive([])
    clock.now = until
    recovery.lost("reset")
    assert recovery.subscribed() == ()
    assert recovery.pending_request == 0
    assert not recovery.synced


def read_in_vain(recovery: Backfill[Any], *pages: Any) -> Sequence[Any]:
    """Answer until the recovery gives up, and return what it delivers then."""
    for _ in range(5):
        for number, page in enumerate(pages):
            assert recovery.pending_request == number
            assert recovery.answer(number, page, early=False) == ()
    for number, page in enumerate(pages[:-1]):
        assert recovery.answer(number, page, early=False) == ()
    return recovery.answer(len(pages) - 1, pages[-1], early=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recovery(clock: Clock) -> TradesBackfill:
    """Trades 1 and 2 were delivered; then the connection was lost."""
    made = TradesBackfill(clock, ConnectionCounts(), max_pages=3)
    made.lost("refused")
    assert made.subscribed() == ()
    assert made.synced
    assert made.receive(trades(1, 2)) == trades(1, 2)
    missing(made, clock)
    return made


def test_missed_trades_arrive_first_and_in_order(recovery: TradesBackfill) -> None:
    assert recovery.receive(trades(8, 9)) == ()
    assert recovery.answer(0, trades(9, 8, 7, 6), early=False) == ()
    assert recovery.pending_request == 1
    assert ids(recovery.answer(1, trades(5, 4, 3, 2), early=False)) == [3, 4, 5, 6, 7, 8, 9]
    assert recovery.pending_request is None
    assert (recovery.synced, recovery.held) == (True, 0)
    assert recovery.receive(trades(9, 10)) == trades(10)
    assert (recovery._stats.gaps, recovery._stats.resyncs) == (1, 1)


@pytest.fixture
def fresh(clock: Clock) -> TradesBackfill:
    """No trade came since the subscription at 1000; then the connection was lost."""
    made = TradesBackfill(clock, ConnectionCounts(), max_pages=3)
    assert made.subscribed() == ()
    missing(made, clock)
    return made


@pytest.mark.parametrize(
    ("pages", "delivered"),
    [
        ([trades(1003, 1002), trades(1001, 1000, 999)], [1000, 1001, 1002, 1003]),
        ([trades(1003, 1002), trades(1001), []], [1001, 1002, 1003]),
    ],
    ids=["to the subscription", "to the beginning of history"],
)
def test_trades_missed_before_the_first_delivery_arrive(
    fresh: TradesBackfill, pages: list[list[Trade]], delivered: list[int]
) -> None:
    fresh.receive(trades(1003, 1004))
    for number, page in enumerate(pages[:-1]):
        assert fresh.answer(number, page, early=False) == ()
        assert fresh.pending_request == number + 1
    assert ids(fresh.answer(len(pages) - 1, pages[-1], early=False)) == [*delivered, 1004]
    assert fresh.synced


@pytest.mark.parametrize("page", [trades(999, 998), []], ids=["nothing since", "no history"])
def test_a_history_that_stays_behind_before_the_first_delivery_leaves_a_gap(
    fresh: TradesBackfill, page: list[Trade]
) -> None:
    fresh.receive(trades(1003, 1004))
    for _ in range(5):
        assert fresh.answer(0, page, early=False) == ()
        assert fresh.pending_request == 0
    gap, *rest = fresh.answer(0, page, early=False)
    assert isinstance(gap, Gap)
    assert ids(rest) == [1003, 1004]


@pytest.mark.parametrize("page", [trades(999, 998), []], ids=["nothing since", "no history"])
def test_a_loss_without_trades_before_the_first_delivery_leaves_no_gap(
    fresh: TradesBackfill, page: list[Trade]
) -> None:
    assert fresh.answer(0, page, early=False) == ()
    assert fresh.synced


def test_a_loss_beyond_the_page_limit_before_the_first_delivery_is_one_gap(fresh: TradesBackfill) -> None:
    for page in range(2):
        assert fresh.answer(page, trades(1900 - page), early=False) == ()
    assert fresh.answer(2, trades(1898), early=False) == (Gap(1000, 2000, "reset"),)


def test_a_clock_set_back_before_the_first_delivery_leaves_a_gap(fresh: TradesBackfill, clock: Clock) -> None:
    clock.now = 500
    assert read_in_vain(fresh, trades(499), []) == (Gap(500, 1000, "reset"),)
    assert fresh.synced


def test_a_loss_without_missed_trades_leaves_no_gap(recovery: TradesBackfill) -> None:
    assert recovery.answer(0, trades(2, 1), early=False) == ()
    assert recovery.synced


def test_a_page_that_ends_where_the_loss_begins_needs_the_next_page(recovery: TradesBackfill) -> None:
    # The page ends where the hole begins. Only the next page shows that nothing more is missing.
    assert recovery.answer(0, trades(5, 4, 3), early=False) == ()
    assert ids(recovery.answer(1, trades(2, 1), early=False)) == [3, 4, 5]


def test_a_history_that_ends_within_the_loss_leaves_a_gap(recovery: TradesBackfill, clock: Clock) -> None:
    # Trade 2 was delivered and is not listed: the service has forgotten it or started over, and more may be missing.
    recovery.receive(trades(10))
    clock.now = 3000
    gap, *rest = read_in_vain(recovery, trades(9, 8), [])
    assert gap == Gap(1000, 3000, "reset")
    assert ids(rest) == [10]
    assert recovery.synced


def test_trades_that_are_made_between_two_pages_shift_them(recovery: TradesBackfill) -> None:
    recovery.answer(0, trades(6, 5), early=False)
    recovery.receive(trades(7))
    assert recovery.answer(1, trades(5, 4, 3, 2), early=False) == ()
    assert (recovery.pending_request, recovery.retry_after) == (
        0,
        0.0,
    )  # 7 may be newer than REST
    assert recovery.answer(0, trades(7, 6, 5), early=False) == ()
    assert ids(recovery.answer(1, trades(5, 4, 3, 2), early=False)) == [3, 4, 5, 6, 7]


def test_a_loss_beyond_the_page_limit_is_one_gap(recovery: TradesBackfill, clock: Clock) -> None:
    recovery.receive(trades(20))
    for page in range(2):
        assert recovery.answer(page, trades(19 - 2 * page, 18 - 2 * page), early=False) == ()
    clock.now = 3000
    assert recovery.answer(2, trades(15, 14), early=False) == (Gap(1000, 3000, "reset"), trade(20))
    assert recovery.synced
    # The rows of the pages were not delivered, so they can still come, although the gap covers them.
    assert recovery.receive(trades(21)) == trades(21)


def test_a_gap_does_not_end_before_it_begins(recovery: TradesBackfill, clock: Clock) -> None:
    for page in range(2):
        recovery.answer(page, trades(9 - page), early=False)
    clock.now = 10  # the clock was corrected meanwhile
    assert recovery.answer(2, trades(7), early=False) == (Gap(10, 1000, "reset"),)


def test_a_second_loss_starts_the_backfill_again(recovery: TradesBackfill, clock: Clock) -> None:
    recovery.receive(trades(5))
    recovery.answer(0, trades(5, 4), early=False)
    generation = recovery.generation
    clock.now = 2500
    recovery.lost("refused")
    assert (recovery.pending_request, recovery.held, recovery.generation != generation) == (0, 0, True)
    recovery.subscribed()
    recovery.receive(trades(8))
    assert ids(recovery.answer(0, trades(8, 7, 6, 5, 4, 3, 2), early=False)) == [3, 4, 5, 6, 7, 8]


def test_a_gap_over_two_losses_has_the_first_reason(recovery: TradesBackfill, clock: Clock) -> None:
    recovery.lost("refused")
    recovery.subscribed()
    for page in range(2):
        recovery.answer(page, trades(50 - page), early=False)
    clock.now = 4000
    assert recovery.answer(2, trades(40), early=False) == (Gap(1000, 4000, "reset"),)


def test_trades_of_two_markets_may_have_the_same_number() -> None:
    machine = TradesBackfill(Clock(), ConnectionCounts(), max_pages=1)
    machine.subscribed()
    other = attrs.evolve(trade(1), asset_id=AssetIdentifier(201))
    assert machine.receive([trade(1), other, other]) == [trade(1), other]


@pytest.mark.parametrize("make", [TradesBackfill, KlinesBackfill])
def test_a_first_connection_that_fails_misses_nothing(make: Callable[..., Backfill[Any]]) -> None:
    more = {"asset_id": ASSET} if make is KlinesBackfill else {}
    machine = make(Clock(), ConnectionCounts(), max_pages=3, **more)
    for _ in range(3):
        machine.lost("refused")
    machine.subscribed()
    assert machine.synced
    assert machine._stats.gaps == 0
