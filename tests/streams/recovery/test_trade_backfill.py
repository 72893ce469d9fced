"""What proves that no trade is missing: each rule by example, then all of them against a history that lags."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import AssetIdentifier, Gap, Trade
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import TradesBackfill
from tplus_trio.streams.recovery.trade_memory import TradeMemory

ASSET = AssetIdentifier(200)


def trade(number: int, **more: Any) -> Trade:
    made = Trade(ASSET, number, Decimal(100), Decimal(1), number * 10, buyer_is_maker=False)
    return attrs.evolve(made, **more)


def trades(*given: int) -> list[Trade]:
    return [trade(number) for number in given]


def told(items: Sequence[Any]) -> list[Any]:
    return ["gap" if isinstance(item, Gap) else item.trade_id for item in items]


class Rows(list[Any]):
    """A page of which some rows could not be decoded."""

    bad: Any = ()


def rows(*given: int | None) -> Rows:
    """A page; None is a row that could not be decoded."""
    made = Rows(trades(*(number for number in given if number is not None)))
    made.bad = [position for position, number in enumerate(given) if number is None]
    return made


class Clock:
    now = 10

    def __call__(self) -> int:
        return self.now


class Recovery(TradesBackfill):
    """A trades recovery that takes and returns trade ids."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock, ConnectionCounts(), max_pages=3, confirm_timeout=1.5)
        self.subscribed()

    def come(self, *given: int) -> list[Any]:
        self.clock.now = max(self.clock.now, *(10 * number for number in given))
        return told(self.receive(trades(*given)))

    def page_is(self, *given: int | None) -> list[Any]:
        assert self.pending_request is not None
        return told(self.answer(self.pending_request, rows(*given), early=False))


def lost(recovery: Recovery) -> Recovery:
    recovery.lost("reset")
    recovery.subscribed()
    assert (recovery.pending_request, recovery.synced) == (0, False)
    return recovery


@pytest.fixture
def recovery() -> Recovery:
    """1, 2 and 3 were delivered; then the connection was lost."""
    made = Recovery()
    assert made.come(1, 2, 3) == [1, 2, 3]
    return lost(made)


# REST is behind the feed.


def test_an_answer_that_does_not_reach_the_feed_is_asked_for_again(recovery: Recovery) -> None:
    assert recovery.come(7) == []
    waits = []
    for _ in range(3):
        assert recovery.page_is(5, 4, 3, 2, 1) == []
        assert not recovery.synced
        waits.append(recovery.retry_after)
    assert waits == sorted(waits)
    assert waits[-1] > 0
    assert recovery.page_is(7, 6, 5, 4, 3, 2, 1) == [4, 5, 6, 7]
    assert recovery.come(8) == [8]


def test_an_answer_that_never_reaches_the_feed_leaves_a_gap(recovery: Recovery) -> None:
    assert recovery.come(7, 8) == []
    for _ in range(5):
        assert recovery.page_is(5, 4, 3) == []
    assert recovery.page_is(5, 4, 3) == [4, 5, "gap", 7, 8]
    assert recovery.synced
    assert recovery.come(9) == [9]


def test_an_answer_may_reach_beyond_the_first_live_trade(recovery: Recovery) -> None:
    recovery.come(7, 8)
    assert recovery.page_is(8, 6, 5, 4, 3) == [4, 5, 6, 8, 7]  # 7 is not listed, but what came after it is


def test_where_nothing_live_has_come_the_first_live_trade_is_held_for_one_more_read(recovery: Recovery) -> None:
    assert recovery.page_is(5, 4, 3) == [4, 5]
    assert (recovery.pending_request, recovery.synced, recovery.urgent, recovery.hold_timeout) == (
        None,
        True,
        False,
        None,
    )
    generation = recovery.generation
    assert recovery.come(7) == []
    assert (recovery.pending_request, recovery.synced, recovery.urgent, recovery.hold_timeout) == (0, True, True, 1.5)
    assert recovery.generation != generation
    assert recovery.come(8) == []
    assert recovery.page_is(7, 6, 5) == [6, 7, 8]
    assert (recovery.pending_request, recovery.urgent, recovery.hold_timeout) == (None, False, None)
    # This happens once an outage.
    assert recovery.come(12) == [12]
    assert (recovery._stats.gaps, recovery._stats.resyncs) == (1, 1)


def test_a_repeat_after_the_first_live_trade_does_not_end_the_wait_for_it(recovery: Recovery) -> None:
    assert recovery.page_is(5, 4, 3) == [4, 5]
    assert recovery.come(6) == []
    assert recovery.come(5) == []
    assert (recovery.pending_request, recovery.held) == (0, 2)
    assert recovery.page_is(6, 5, 4) == [6]
    assert (recovery.come(7), recovery.held) == ([7], 0)


def test_the_read_that_confirms_is_repeated_until_its_time_is_over(recovery: Recovery) -> None:
    recovery.page_is(5, 4, 3)
    recovery.come(8)
    for _ in range(9):
        assert recovery.page_is(6, 5, 4) == []
        assert recovery.pending_request == 0
    assert told(recovery.expire()) == [6, "gap", 8]
    assert (recovery.pending_request, recovery.hold_timeout, recovery.synced) == (None, None, True)
    assert recovery.expire() == ()
    assert recovery.come(9) == [9]


def test_the_time_is_over_before_anything_was_answered(recovery: Recovery) -> None:
    recovery.clock.now = 50
    recovery.page_is(5, 4, 3)
    recovery.come(8)
    gap, last = recovery.expire()
    assert gap == Gap(50, 80, "reset")
    assert told([last]) == [8]


def test_the_feed_brings_what_rest_had(recovery: Recovery) -> None:
    assert recovery.page_is(5, 4, 3) == [4, 5]
    assert recovery.come(4, 5, 6) == [6]  # the feed was behind REST: nothing lies between


def test_a_feed_that_begins_again_with_what_was_delivered_has_bridged_the_hole(recovery: Recovery) -> None:
    generation = recovery.generation
    assert recovery.come(2, 3, 4, 5) == [4, 5]
    assert (recovery.is_optional, recovery.synced, recovery.generation != generation) == (True, True, True)
    assert recovery.come(9) == [9]


def test_only_the_first_trade_of_a_connection_bridges(recovery: Recovery) -> None:
    assert recovery.come(7, 3) == []
    assert recovery.come(3) == []
    recovery = Recovery()
    recovery.come(1, 2, 3)
    recovery.hole("a bad frame")
    assert recovery.come(3) == []
    assert recovery.pending_request == 0


def test_news_of_an_old_trade_bridges_nothing(recovery: Recovery) -> None:
    assert recovery.receive([trade(3, status="Rollbacked")]) == ()
    assert recovery.pending_request == 0


def test_a_hole_while_rest_is_asked_does_not_begin_from_the_start(recovery: Recovery) -> None:
    recovery.come(7)
    generation = recovery.generation
    assert recovery.hole("a bad frame") == ()
    assert recovery.generation == generation
    # The answer is older than the second hole, in which 8 was missed. The next trade shows that.
    assert recovery.page_is(7, 6, 5, 4, 3) == [4, 5, 6, 7]
    assert recovery.come(9) == []
    assert recovery.page_is(9, 8, 7) == [8, 9]


def test_holes_without_end_end_in_a_gap(recovery: Recovery) -> None:
    recovery.come(7)
    for _ in range(5):
        recovery.hole("a bad frame")
        assert recovery.page_is(5, 4, 3) == []
    assert recovery.page_is(5, 4, 3) == [4, 5, "gap", 7]


# Late confirmation.


def test_a_trade_between_two_that_were_delivered_is_delivered_late(recovery: Recovery) -> None:
    recovery = Recovery()
    recovery.come(1, 3, 5)
    lost(recovery)
    assert recovery.page_is(6, 5, 4, 3, 2, 1, 0) == [2, 4, 6]  # 0 is from before the stream


def test_what_a_gap_covers_is_not_delivered_late(recovery: Recovery) -> None:
    recovery.come(9)
    recovery.clock.now = 90
    assert recovery.page_is(8, 7) == recovery.page_is(6) == []
    assert recovery.page_is(5) == ["gap", 9]
    assert recovery.come(10, 12) == [10, 12]
    lost(recovery)
    assert recovery.page_is(13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2) == [11, 13]


# Identity.


@pytest.mark.parametrize("other", [{"timestamp_ns": 77}, {"price": Decimal(101)}, {"quantity": Decimal(2)}])
def test_the_same_id_with_another_content_is_another_trade(other: dict[str, Any], recovery: Recovery) -> None:
    again = trade(2, **other)
    recovery = Recovery()
    recovery.come(1, 2, 3)
    assert recovery.receive([again, again, trade(2)]) == [again]


def test_numbers_that_start_over_deliver_all() -> None:
    recovery = Recovery()
    recovery.come(*range(1, 60))
    fresh = [trade(n, timestamp_ns=10_000 + n) for n in range(1, 30)]
    assert recovery.receive(fresh[:10]) == fresh[:10]
    lost(recovery)
    recovery.receive(fresh[25:27])
    assert list(recovery.answer(0, fresh[26:4:-1], early=False)) == fresh[10:27]
    assert recovery.receive(fresh) == fresh[27:]


def test_another_status_of_a_trade_is_news() -> None:
    recovery = Recovery()
    pending, confirmed, undone = (trade(1, status=status) for status in ("Pending", "Confirmed", "Rollbacked"))
    assert recovery.receive([pending, confirmed, pending, confirmed]) == [pending, confirmed]
    assert recovery.receive([undone, pending, undone]) == [undone]


def test_rest_brings_a_status_that_was_missed_and_none_of_before() -> None:
    recovery = Recovery()
    recovery.receive([trade(1), trade(2), trade(3, status="Pending")])
    lost(recovery)
    page = [trade(3), trade(2, status="Pending"), trade(1, status="Rollbacked")]
    assert list(recovery.answer(0, page, early=False)) == [page[2], page[0]]


def test_a_replay_yields_each_trade_once(recovery: Recovery) -> None:
    assert recovery.come(1, 2, 3, 4) == [4]
    lost(recovery)
    assert recovery.come(1, 2, 3, 4, 5, 6) == [5, 6]


def test_digits_of_a_price_do_not_make_another_trade(recovery: Recovery) -> None:
    assert recovery.receive([trade(3, price=Decimal("100.00")), trade(3, quantity=Decimal("1E+0"))]) == []


def test_ids_of_equal_hashes_cost_no_more() -> None:
    memory = TradeMemory()
    chosen = [trade(5 + n * (2**61 - 1), timestamp_ns=n) for n in range(9000, 0, -1)]
    began = time.process_time()
    assert memory.new(chosen) == chosen
    assert memory.new(chosen) == []
    assert time.process_time() - began < 2  # a set of the ids took 3.4 s, and this needs four


def test_the_memory_is_bounded() -> None:
    memory = TradeMemory()
    for n in range(100):
        markets = [trade(n * 1000 + k, asset_id=AssetIdentifier(n * 1000 + k)) for k in range(1000)]
        assert memory.new(markets) == markets
        assert memory.knows(markets[0])
    assert not memory.knows(trade(1, asset_id=AssetIdentifier(1)))
    assert len(memory._recent) + len(memory._highest) + len(memory._earlier_highest) <= 35_000
    assert len(memory._statuses) <= 21_000


# Rows that cannot be decoded, and pages that are out of order.


def test_a_gap_stands_for_a_row_that_cannot_be_decoded(recovery: Recovery) -> None:
    recovery.come(6)
    page = rows(6, 5, None, None, 3, 2)
    gap, *rest = recovery.answer(0, page, early=False)
    assert (gap.since_ns, gap.until_ns) == (30, 50)  # type: ignore[union-attr]  # it is a gap
    assert told(rest) == [5, 6]
    # It is delivered once. A row from before the stream was not missed.
    lost(recovery)
    assert recovery.page_is(7, 6, 5, None, None, 3, 2, 1, None) == [7]


def test_a_bad_row_where_the_feed_is(recovery: Recovery) -> None:
    assert recovery.page_is(None, 4, 3) == [4, "gap"]
    assert recovery.synced


@pytest.mark.parametrize("bad", [2, {1: "why", 3: "why"}, [attrs.make_class("Bad", ["position"])(1)]])
def test_bad_rows_may_be_said_in_several_ways(bad: Any, recovery: Recovery) -> None:
    page = Rows(trades(5, 4, 3))
    page.bad = bad
    assert told(recovery.answer(0, page, early=False)).count("gap") in {1, 2}


@pytest.mark.parametrize(
    "given",
    [(3, 4, 5, 6, 7), (7, 5, 6, 3, 4), (7, 6, 5, 4, 3, 7, 6)],
    ids=["oldest first", "in no order", "repeated"],
)
def test_pages_in_another_order_lose_nothing(given: tuple[int, ...], recovery: Recovery) -> None:
    recovery.come(7)
    assert recovery.page_is(*given) == [4, 5, 6, 7]


def test_pages_that_are_oldest_first_of_one_time(recovery: Recovery) -> None:
    recovery = Recovery()
    alike = [trade(number, timestamp_ns=10) for number in range(1, 7)]
    recovery.receive(alike[:2])
    lost(recovery)
    assert list(recovery.answer(0, alike, early=False)) == alike[2:]


def test_a_history_that_is_oldest_first_leaves_a_gap(recovery: Recovery) -> None:
    recovery.come(20)
    for _ in range(5):
        assert recovery.page_is(1, 2, 3, 4, 5, 6) == []
    assert recovery.page_is(1, 2, 3, 4, 5, 6) == [4, 5, 6, "gap", 20]


# Rows that move up between two requests.


def test_a_trade_that_moves_to_the_page_before_is_not_lost(recovery: Recovery) -> None:
    recovery.come(9)
    assert recovery.page_is(9, 8, 7, 6) == []
    # 8 was taken off meanwhile, so 5 moved to the page above.
    assert recovery.page_is(4, 3, 2, 1) == []
    assert (recovery.pending_request, recovery.retry_after) == (0, 0.0)
    assert recovery.page_is(9, 7, 6, 5) == [4, 5, 6, 7, 8, 9]
    assert recovery.pending_request is None


def test_trades_move_while_the_page_is_read_again(recovery: Recovery) -> None:
    recovery.come(12)
    assert recovery.page_is(12, 11, 10, 9) == []
    assert recovery.page_is(6, 5, 4, 3) == []
    # 7 and 8 are missing. Two trades are made meanwhile, and others are taken off.
    assert recovery.page_is(14, 13, 12, 9) == []
    assert recovery.pending_request == 1
    assert recovery.page_is(8, 7, 6, 5) == []
    assert recovery.pending_request == 2
    assert recovery.page_is(4, 3) == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


def test_a_page_that_ends_as_before_shows_nothing(recovery: Recovery) -> None:
    recovery.come(30)
    assert recovery.page_is(30, 25, 20) == []
    # 25 was taken off, so 10 moves up; it moves down again when 31 is made.
    assert recovery.page_is(5, 4, 3) == []
    assert recovery.page_is(31, 30, 20) == []
    assert recovery.pending_request == 1
    assert recovery.page_is(10, 5, 4) == []
    assert recovery.pending_request == 0
    assert recovery.page_is(31, 30, 20) == []
    assert recovery.pending_request == 2
    assert recovery.page_is(3, 2, 1) == [4, 5, 10, 20, 25, 30, 31]


def test_a_page_that_is_as_before_shows_that_nothing_moved(recovery: Recovery) -> None:
    recovery.come(30)
    # Not every number is a trade here.
    assert recovery.page_is(30, 25, 20) == []
    assert recovery.page_is(10, 5, 3) == []
    assert recovery.pending_request == 0
    assert recovery.page_is(30, 25, 20) == [5, 10, 20, 25, 30]


def test_trades_of_one_time_keep_their_order_when_a_page_is_read_again(recovery: Recovery) -> None:
    def page_is(*numbers: int) -> list[Any]:
        assert recovery.pending_request is not None
        # Not every number is a trade, so the pages join only once they were read again.
        page = [attrs.evolve(trade(number), timestamp_ns=40 if number > 3 else 30) for number in numbers]
        return told(recovery.answer(recovery.pending_request, page, early=False))

    assert page_is(30, 25, 20) == []
    assert page_is(10, 5, 3) == []
    assert recovery.pending_request == 0
    assert page_is(30, 25, 20) == [5, 10, 20, 25, 30]


def test_a_row_that_is_unreadable_in_two_readings_of_a_page_is_one_gap(recovery: Recovery) -> None:
    assert recovery.page_is(30, None, 20) == []
    assert recovery.page_is(10, 5, 3) == []
    assert recovery.pending_request == 0
    out = recovery.answer(0, rows(30, None, 20), early=False)
    assert told(out) == [5, 10, 20, "gap", 30]
    (gap,) = [item for item in out if isinstance(item, Gap)]
    assert (gap.since_ns, gap.until_ns) == (200, 300)


def test_a_status_that_is_not_known_is_not_set_back(recovery: Recovery) -> None:
    before, after = trade(4, status="Confirmed"), trade(4, status="Netted")
    assert recovery.receive([before, after]) == ()
    assert recovery.answer(0, [after, *trades(3, 2, 1)], early=False) == (after,)


def test_replicas_of_different_age_that_answer_in_turn_leave_a_gap(recovery: Recovery) -> None:
    recovery.come(9)
    out: list[Any] = []
    requests = 0
    while not recovery.synced:
        requests += 1
        out += recovery.page_is(*((9, 8, 7, 6) if recovery.pending_request == 0 else (3, 2, 1)))
    assert out == ["gap", 9]
    assert requests < 50


def test_a_page_that_was_emptied_is_not_the_end_of_history() -> None:
    recovery = lost(Recovery())
    recovery.come(9)
    assert recovery.page_is(9, 8, 7) == []
    # 8 was taken off, and 6 moved up. Nothing is below it.
    assert recovery.page_is() == []
    assert recovery.pending_request == 0
    recovery.page_is(9, 7, 6)
    assert recovery.pending_request == 1
    assert recovery.page_is() == []
    assert recovery.pending_request == 0
    assert recovery.page_is(9, 7, 6) == [6, 7, 8, 9]


STEPS = [
    *["make", "receive", "ask", "answer"] * 3,
    *["lost", "replay", "hole", "lag", "late", "undo", "shuffle", "expire", "remove", "shift"],
]


class Model:
    """A feed that loses its connection, a history that lags and comes in pages, and a recovery between the two."""

    def __init__(self, page_size: int, max_pages: int) -> None:
        self.recovery = TradesBackfill(lambda: self.made * 10, ConnectionCounts(), max_pages=max_pages)
        self.page_size = page_size
        self.made = 0
        self.history: list[Trade] = []
        #: The trades of it that REST lists.
        self.listed: list[Trade] = []
        self.removed: set[int] = set()
        self.undone: set[int] = set()
        self.late_ones: set[int] = set()
        self.out: list[Trade | Gap] = [*self.recovery.subscribed()]
        self.is_shuffled = False
        self._lag = self._next_lag = 0
        self._wire: list[Trade] = []
        self._asked: tuple[int, int, list[Trade]] | None = None

    def make(self, n: int) -> None:
        self.made += 1
        self.history.append(trade(self.made))
        self.listed.append(self.history[-1])
        self._wire.append(self.history[-1])

    def receive(self, n: int) -> None:
        self.out += self.recovery.receive(self._wire)
        self._wire.clear()

    def lost(self, n: int) -> None:
        """The connection is lost, with what was under way, and some more is missed."""
        for _ in range(n):
            self.make(0)
        self._wire.clear()
        self._asked = None
        self.recovery.lost("lost")
        self.out += self.recovery.subscribed()

    def replay(self, n: int) -> None:
        """Another connection, which begins with the trades before."""
        self.lost(n)
        self._wire += self.history[-1 - n :]

    def hole(self, n: int) -> None:
        """A frame cannot be decoded."""
        if self._wire:
            self.out += self.recovery.receive(self._wire[:-1])
            self._wire.clear()
            self.out += self.recovery.hole("hole")

    def lag(self, n: int) -> None:
        """From the next read on, REST is behind by ``n`` trades."""
        self._next_lag = n

    def late(self, n: int) -> None:
        """A trade is confirmed late, and the feed does not send it."""
        at = len(self.history) - n
        if at > 0:
            number = 1_000_000 + len(self.history)
            self.late_ones.add(number)
            before = self.history[at - 1]
            self.history.insert(at, trade(number, timestamp_ns=before.timestamp_ns))
            if before in self.listed:
                self.listed.insert(self.listed.index(before) + 1, self.history[at])

    def undo(self, n: int) -> None:
        """A trade is rolled back, and the feed sends it."""
        # Only once: a feed that begins with a delivered item proves that nothing is missing before it.
        if len(self.history) > n and (undone := self.history[-1 - n]).trade_id not in self.undone:
            self.undone.add(undone.trade_id)
            self._wire.append(attrs.evolve(undone, status="Rollbacked"))

    def remove(self, n: int) -> None:
        """One of the newest trades is taken off the list that REST has."""
        is_first_seam = self.recovery._reader._joiner.page <= 1 and self.recovery.pending_request in {None, 0, 1}
        if len(self.listed) > n and is_first_seam:
            self.removed.add(self.listed.pop(-1 - n).trade_id)

    def shift(self, n: int) -> None:
        """A trade is taken off after the first page of a read was answered."""
        self.lost(self.page_size)
        for step in (self.make, self.receive, self.ask, self.answer):
            step(0)
        self.remove(n)

    def shuffle(self, n: int) -> None:
        """The rows of the next pages are oldest first."""
        self.is_shuffled = not self.is_shuffled

    def expire(self, n: int) -> None:
        self.out += self.recovery.expire()

    def ask(self, n: int) -> None:
        page = self.recovery.pending_request
        if page is not None and self._asked is None:
            # If rows moved up and back between two requests, nothing could show it, so REST lags by the same number.
            if page == 0 == self.recovery._reader._joiner.page:
                self._lag = self._next_lag
            newest_first = self.listed[: max(0, len(self.listed) - self._lag)][::-1]
            found = newest_first[page * self.page_size :][: self.page_size]
            self._asked = (self.recovery.generation, page, found[::-1] if self.is_shuffled else found)

    def answer(self, n: int) -> None:
        if self._asked is not None:
            (generation, page, found), self._asked = self._asked, None
            if generation == self.recovery.generation:
                self.out += self.recovery.answer(page, found, early=False)

    def settle(self) -> None:
        """The connection lasts, and REST is up to date."""
        self._next_lag = 0
        for _ in range(2):
            for _ in range(40):
                self.receive(0)
                self.ask(0)
                self.answer(0)
            self.make(0)
        self.receive(0)
        # If all known trades were taken off, no read meets one until the time is over.
        self.expire(0)
        assert self.recovery.synced
        assert self.recovery.held == 0


@settings(deadline=None, max_examples=300)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=60),
    page_size=st.integers(1, 6),
    max_pages=st.integers(1, 6),
)
def test_each_trade_once_or_a_gap(steps: list[tuple[str, int]], page_size: int, max_pages: int) -> None:
    model = Model(page_size, max_pages)
    # One trade comes before all else, so that a read has a trade to meet.
    for name, n in [("make", 0), ("receive", 0), *steps]:
        getattr(model, name)(n)
    model.settle()
    delivered = [(item.trade_id, item.status) for item in model.out if isinstance(item, Trade)]
    assert len(delivered) == len(set(delivered))
    gaps = [item for item in model.out if isinstance(item, Gap)]
    for made in model.history:
        covered = any(gap.since_ns <= made.timestamp_ns <= gap.until_ns for gap in gaps)
        may_miss = model.late_ones | model.removed
        assert covered or made.trade_id in may_miss or (made.trade_id, made.status) in delivered, made
    if not gaps and not any(name in {"late", "undo", "remove", "shift"} for name, _ in steps):
        assert [number for number, _ in delivered] == list(range(1, model.made + 1))


def test_a_held_status_that_rest_has_gone_beyond_is_not_delivered() -> None:
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
    """Three trades, the last pending; then a loss, and a connection that begins with the second."""
    backfill.subscribed()
    backfill.receive([trade(1), trade(2), trade(3, status="Pending")])
    backfill.lost("reset")
    backfill.subscribed()
    assert [item.trade_id for item in backfill.receive([trade(2), trade(4)])] == [4]  # type: ignore[union-attr]
    assert backfill.synced


def test_after_a_replay_rest_is_asked_for_statuses_that_changed() -> None:
    backfill = TradesBackfill(Clock(), ConnectionCounts(), max_pages=3)
    replayed(backfill)
    assert (backfill.pending_request, backfill.is_optional) == (0, True)
    assert told(backfill.receive([trade(5)])) == [5], "nothing is held"
    news = backfill.answer(0, [trade(6), trade(5), trade(4), trade(3), trade(2), trade(1)], early=False)
    assert told(news) == [3], "what the feed has not told yet is left to it"
    assert backfill.pending_request is None
    assert told(backfill.receive([trade(6)])) == [6]


def test_after_a_replay_nothing_is_missing_if_rest_cannot_be_asked() -> None:
    backfill = TradesBackfill(Clock(), ConnectionCounts(), max_pages=3)
    replayed(backfill)
    backfill.do_without()
    assert backfill.pending_request is None
    assert told(backfill.receive([trade(5)])) == [5]
