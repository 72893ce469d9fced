"""Trades and candles that were missed: asked of REST page by page, delivered once, in order, before what came since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import AssetIdentifier, Gap, KlinesPage, KlineUpdate, StreamStats, Timebar, Trade
from tplus_trio.streams.recovery import KlinesBackfill, TradesBackfill
from tplus_trio.streams.recovery.backfill import Backfill

ASSET = AssetIdentifier(200)
MINUTE = 60_000_000_000


def trade(number: int) -> Trade:
    return Trade(ASSET, number, Decimal(100), Decimal(1), number, buyer_is_maker=False)


def trades(*given: int) -> list[Trade]:
    return [trade(number) for number in given]


def candle(minute: int, volume: int) -> KlineUpdate:
    one = Decimal(1)
    return KlineUpdate(one, one, one, one, Decimal(volume), minute * MINUTE, (minute + 1) * MINUTE, asset_id=ASSET)


def bars(*candles: tuple[int, int]) -> KlinesPage:
    """A page of candles, newest first."""
    return KlinesPage([Timebar(*attrs.astuple(candle(*each))[:-1]) for each in reversed(candles)])


def ids(items: Sequence[Any]) -> list[int]:
    assert not any(isinstance(item, Gap) for item in items)
    return [item.trade_id for item in items]


def states(items: Sequence[Any]) -> list[tuple[int, int]]:
    return [(item.open_timestamp_ns // MINUTE, int(item.volume)) for item in items]


class Clock:
    now = 1000

    def __call__(self) -> int:
        return self.now


def missing(recovery: Backfill[Any], clock: Clock, since: int = 1000, until: int = 2000) -> None:
    """Something came at ``since``; then the connection was lost, until ``until``."""
    clock.now = since
    recovery.receive([])
    clock.now = until
    recovery.lost("reset")
    assert recovery.subscribed() == ()
    assert recovery.page == 0
    assert not recovery.synced


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recovery(clock: Clock) -> TradesBackfill:
    """Trades 1 and 2 came; then the connection was lost."""
    made = TradesBackfill(clock, StreamStats(), max_pages=3)
    made.lost("refused")
    assert made.subscribed() == ()
    assert made.synced
    assert made.receive(trades(1, 2)) == trades(1, 2)
    missing(made, clock)
    return made


def test_missed_trades_come_first_and_in_order(recovery: TradesBackfill) -> None:
    assert recovery.receive(trades(8, 9)) == ()
    assert recovery.answer(0, trades(9, 8, 7, 6), early=False) == ()
    assert recovery.page == 1
    assert ids(recovery.answer(1, trades(5, 4, 3, 2), early=False)) == [3, 4, 5, 6, 7, 8, 9]
    assert recovery.page is None
    assert (recovery.synced, recovery.held) == (True, 0)
    assert recovery.receive(trades(9, 10)) == trades(10)
    assert (recovery._stats.gaps, recovery._stats.resyncs) == (1, 1)


@pytest.fixture
def fresh(clock: Clock) -> TradesBackfill:
    """Nothing came since the subscription at 1000; then the connection was lost."""
    made = TradesBackfill(clock, StreamStats(), max_pages=3)
    assert made.subscribed() == ()
    missing(made, clock)
    return made


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ([trades(1003, 1002), trades(1000, 999)], [1000, 1002, 1003]),
        ([trades(1003, 1002), trades(1001), []], [1001, 1002, 1003]),
        ([trades(999, 998)], []),
        ([[]], []),
    ],
    ids=["to the subscription", "to the beginning of history", "nothing since", "no history"],
)
def test_a_loss_before_the_first_trade(fresh: TradesBackfill, pages: list[list[Trade]], told: list[int]) -> None:
    fresh.receive(trades(1003, 1004))
    for number, page in enumerate(pages[:-1]):
        assert fresh.answer(number, page, early=False) == ()
        assert fresh.page == number + 1
    live = [1003, 1004] if 1003 not in told else [1004]
    assert ids(fresh.answer(len(pages) - 1, pages[-1], early=False)) == told + live
    assert fresh.synced


def test_a_loss_before_the_first_trade_beyond_the_bound(fresh: TradesBackfill) -> None:
    for page in range(2):
        assert fresh.answer(page, trades(1900 - page), early=False) == ()
    assert fresh.answer(2, trades(1898), early=False) == (Gap(1000, 2000, "reset"),)


def test_a_clock_that_was_set_back_does_not_tell_what_is_from_before(fresh: TradesBackfill, clock: Clock) -> None:
    clock.now = 500
    assert fresh.answer(0, trades(499), early=False) == ()
    assert fresh.answer(1, [], early=False) == (Gap(500, 1000, "reset"),)
    assert fresh.synced


def test_nothing_was_missed(recovery: TradesBackfill) -> None:
    assert recovery.answer(0, trades(2, 1), early=False) == ()
    assert recovery.synced


def test_a_page_that_ends_where_the_hole_begins(recovery: TradesBackfill) -> None:
    # The pages bring the hole exactly: only the one after shows that there is no more.
    assert recovery.answer(0, trades(5, 4, 3), early=False) == ()
    assert ids(recovery.answer(1, trades(2, 1), early=False)) == [3, 4, 5]


def test_a_history_that_ends_within_the_hole_is_not_whole(recovery: TradesBackfill, clock: Clock) -> None:
    # The service forgets, or has started over: trade 2 was delivered and is not there. Who knows what came after it?
    assert recovery.answer(0, trades(9, 8), early=False) == ()
    recovery.receive(trades(10))
    clock.now = 3000
    gap, *rest = recovery.answer(1, [], early=False)
    assert gap == Gap(1000, 3000, "reset")
    assert ids(rest) == [10]
    assert recovery.synced


def test_trades_that_are_made_between_two_pages_shift_them(recovery: TradesBackfill) -> None:
    recovery.answer(0, trades(6, 5), early=False)
    recovery.receive(trades(7))
    assert ids(recovery.answer(1, trades(5, 4, 3, 2), early=False)) == [3, 4, 5, 6, 7]


def test_a_hole_beyond_the_bound_is_one_gap(recovery: TradesBackfill, clock: Clock) -> None:
    recovery.receive(trades(20))
    for page in range(2):
        assert recovery.answer(page, trades(19 - 2 * page, 18 - 2 * page), early=False) == ()
    clock.now = 3000
    assert recovery.answer(2, trades(15, 14), early=False) == (Gap(1000, 3000, "reset"), trade(20))
    assert recovery.synced
    # What the pages brought was not delivered, so it can still come; the gap covers it, though.
    assert recovery.receive(trades(21)) == trades(21)


def test_a_gap_does_not_end_before_it_begins(recovery: TradesBackfill, clock: Clock) -> None:
    for page in range(2):
        recovery.answer(page, trades(9 - page), early=False)
    clock.now = 10  # set right meanwhile
    assert recovery.answer(2, trades(7), early=False) == (Gap(10, 1000, "reset"),)


def test_a_second_loss_begins_again(recovery: TradesBackfill, clock: Clock) -> None:
    recovery.receive(trades(5))
    recovery.answer(0, trades(5, 4), early=False)
    ticket = recovery.ticket
    clock.now = 2500
    recovery.lost("refused")
    assert (recovery.page, recovery.held, recovery.ticket != ticket) == (0, 0, True)
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
    machine = TradesBackfill(Clock(), StreamStats(), max_pages=1)
    machine.subscribed()
    other = attrs.evolve(trade(1), asset_id=AssetIdentifier(201))
    assert machine.receive([trade(1), other, other]) == [trade(1), other]


STEPS = ["trade", "trade", "receive", "lost", "ask", "answer"]


class TradesModel:
    """A feed that loses its connection, a history in pages, and a recovery between the two."""

    def __init__(self, page_size: int, max_pages: int) -> None:
        self.recovery = TradesBackfill(lambda: 0, StreamStats(), max_pages=max_pages)
        self.page_size = page_size
        self.made = 0
        self.out: list[Trade | Gap] = [*self.recovery.subscribed()]
        self._wire: list[int] = []
        self._asked: tuple[int, int, list[int]] | None = None

    def trade(self) -> None:
        self.made += 1
        self._wire.append(self.made)

    def receive(self) -> None:
        self.out += self.recovery.receive(trades(*self._wire))
        self._wire.clear()

    def lost(self) -> None:
        """The connection is lost, with what was under way, and some more is missed."""
        self._wire.clear()
        self._asked = None
        self.made += self.made % 7
        self.recovery.lost("lost")
        self.out += self.recovery.subscribed()

    def ask(self) -> None:
        page = self.recovery.page
        if page is not None and self._asked is None:
            newest_first = range(self.made, 0, -1)
            self._asked = (self.recovery.ticket, page, [*newest_first[page * self.page_size :][: self.page_size]])

    def answer(self) -> None:
        if self._asked is not None:
            (ticket, page, found), self._asked = self._asked, None
            if ticket == self.recovery.ticket:
                self.out += self.recovery.answer(page, trades(*found), early=False)


@settings(deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS)), page_size=st.integers(1, 4), max_pages=st.integers(1, 6))
def test_each_trade_once_in_order_or_a_gap(steps: list[str], page_size: int, max_pages: int) -> None:
    model = TradesModel(page_size, max_pages)
    # One trade comes before all else, so that there is something that a hole can join on to.
    for step in ["trade", "receive", *steps, "lost", *["receive", "ask", "answer"] * 9, "trade", "receive"]:
        getattr(model, step)()
    assert model.recovery.synced
    last, gap = 0, False
    for item in model.out:
        if isinstance(item, Gap):
            gap = True
            continue
        # What a gap does not cover is all there, each once.
        assert item.trade_id > last if gap else item.trade_id == last + 1
        last, gap = item.trade_id, False
    assert last == model.made


@pytest.fixture
def candles(clock: Clock) -> KlinesBackfill:
    """The candle of minute 1 came, in two states; then the connection was lost."""
    made = KlinesBackfill(clock, StreamStats(), max_pages=3, asset_id=ASSET)
    assert made.subscribed() == ()
    assert states(made.receive([candle(1, 1), candle(1, 2)])) == [(1, 1), (1, 2)]
    missing(made, clock)
    return made


def test_missed_candles_come_in_their_latest_state(candles: KlinesBackfill) -> None:
    assert candles.receive([candle(5, 1)]) == ()
    assert candles.answer(0, bars((4, 9), (5, 1)), early=False) == ()
    assert states(candles.answer(1, bars((0, 7), (1, 5), (2, 8), (3, 8)), early=False)) == [
        (1, 5),
        (2, 8),
        (3, 8),
        (4, 9),
        (5, 1),
    ]
    assert candles.synced
    assert states(candles.receive([candle(5, 2)])) == [(5, 2)]


def test_a_candle_that_did_not_change_is_not_told_again(candles: KlinesBackfill) -> None:
    assert candles.answer(0, bars((0, 7), (1, 2)), early=False) == ()
    assert candles.synced


def test_rest_does_not_set_a_candle_back(candles: KlinesBackfill) -> None:
    # REST was asked between the two.
    candles.receive([candle(2, 3), candle(2, 5)])
    assert states(candles.answer(0, bars((1, 2), (2, 4)), early=False)) == [(2, 4), (2, 5)]


def test_a_loss_before_the_first_candle(clock: Clock) -> None:
    made = KlinesBackfill(clock, StreamStats(), max_pages=3, asset_id=ASSET)
    clock.now = 2 * MINUTE + 7
    assert made.subscribed() == ()
    missing(made, clock, clock.now, 4 * MINUTE)
    # Among them the one that was current when the stream began.
    assert states(made.answer(0, bars((1, 5), (2, 6), (3, 1)), early=False)) == [(2, 6), (3, 1)]


def test_candles_older_than_rest_says_are_not_told_again(candles: KlinesBackfill) -> None:
    candles.receive([candle(2, 3), candle(2, 5), candle(3, 1)])
    assert states(candles.answer(0, bars((1, 2), (2, 5), (3, 1)), early=False)) == [(2, 5), (3, 1)]


def test_a_hole_of_candles_beyond_the_bound(candles: KlinesBackfill, clock: Clock) -> None:
    candles.receive([candle(90, 1)])
    candles.answer(0, bars((89, 1), (90, 1)), early=False)
    candles.answer(1, bars((87, 1), (88, 1)), early=False)
    clock.now = 3000
    gap, *rest = candles.answer(2, bars((85, 1), (86, 1)), early=False)
    assert gap == Gap(1000, 3000, "reset")
    assert states(rest) == [(90, 1)]


def test_a_history_of_candles_that_ends_within_the_hole(candles: KlinesBackfill, clock: Clock) -> None:
    assert candles.answer(0, bars((5, 1), (6, 1)), early=False) == ()
    assert candles.answer(1, bars(), early=False) == (Gap(1000, 2000, "reset"),)
    assert candles.synced


@pytest.mark.parametrize("make", [TradesBackfill, KlinesBackfill])
def test_a_first_connection_that_fails_misses_nothing(make: Callable[..., Backfill[Any]]) -> None:
    more = {"asset_id": ASSET} if make is KlinesBackfill else {}
    machine = make(Clock(), StreamStats(), max_pages=3, **more)
    for _ in range(3):
        machine.lost("refused")
    machine.subscribed()
    assert machine.synced
    assert machine._stats.gaps == 0
