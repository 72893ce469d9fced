"""Candles that were missed: the latest state of each, whether its volume rose or fell."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.streams.recovery.test_backfill import ASSET, Clock, missing, read_in_vain
from tplus_trio import BadRow, Gap, KlinesPage, KlineUpdate, Timebar
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import KlinesBackfill

MINUTE = 60_000_000_000


def candle(minute: int, volume: int) -> KlineUpdate:
    one = Decimal(1)
    return KlineUpdate(one, one, one, one, Decimal(volume), minute * MINUTE, (minute + 1) * MINUTE, asset_id=ASSET)


def bars(*candles: tuple[int, int]) -> KlinesPage:
    """Make a page of candles, newest first."""
    return KlinesPage([Timebar(*attrs.astuple(candle(*each))[:-1]) for each in reversed(candles)])


def states(items: Sequence[Any]) -> list[tuple[int, int]]:
    return [(item.open_timestamp_ns // MINUTE, int(item.volume)) for item in items]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def candles(clock: Clock) -> KlinesBackfill:
    """The candle of minute 1 was delivered in two states; then the connection was lost."""
    made = KlinesBackfill(clock, ConnectionCounts(), max_pages=3, asset_id=ASSET)
    assert made.subscribed() == ()
    assert states(made.receive([candle(1, 1), candle(1, 2)])) == [(1, 1), (1, 2)]
    missing(made, clock)
    return made


def test_missed_candles_arrive_in_their_latest_state(candles: KlinesBackfill) -> None:
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


def test_an_unchanged_candle_is_not_delivered_again(candles: KlinesBackfill) -> None:
    assert candles.answer(0, bars((0, 7), (1, 2)), early=False) == ()
    assert candles.synced


def test_an_older_state_from_rest_does_not_replace_a_candle(candles: KlinesBackfill) -> None:
    # The request was made between the two.
    candles.receive([candle(2, 3), candle(2, 5)])
    assert states(candles.answer(0, bars((1, 2), (2, 4)), early=False)) == [(2, 3), (2, 5)]


def test_candles_missed_before_the_first_delivery_arrive(clock: Clock) -> None:
    made = KlinesBackfill(clock, ConnectionCounts(), max_pages=3, asset_id=ASSET)
    clock.now = 2 * MINUTE + 7
    assert made.subscribed() == ()
    missing(made, clock, clock.now, 4 * MINUTE)
    # One of them is the candle that was open when the stream began.
    assert states(made.answer(0, bars((1, 5), (2, 6), (3, 1)), early=False)) == [(2, 6), (3, 1)]


def test_states_from_the_feed_are_delivered_whatever_rest_lists(candles: KlinesBackfill) -> None:
    candles.receive([candle(2, 3), candle(2, 5), candle(3, 1)])
    assert states(candles.answer(0, bars((1, 2), (2, 5), (3, 1)), early=False)) == [(2, 3), (2, 5), (3, 1)]


def test_a_loss_of_candles_beyond_the_page_limit_is_one_gap(candles: KlinesBackfill, clock: Clock) -> None:
    candles.receive([candle(90, 1)])
    candles.answer(0, bars((89, 1), (90, 1)), early=False)
    candles.answer(1, bars((87, 1), (88, 1)), early=False)
    clock.now = 3000
    gap, *rest = candles.answer(2, bars((85, 1), (86, 1)), early=False)
    assert gap == Gap(1000, 3000, "reset")
    assert states(rest) == [(90, 1)]


def test_a_history_that_ends_within_the_loss_leaves_a_gap(candles: KlinesBackfill, clock: Clock) -> None:
    assert read_in_vain(candles, bars((5, 1), (6, 1)), bars()) == (Gap(1000, 2000, "reset"),)
    assert candles.synced


# REST is behind the feed, and the feed behind REST.


def test_an_answer_that_does_not_reach_the_feed_is_requested_again(candles: KlinesBackfill) -> None:
    candles.receive([candle(4, 1)])
    assert candles.answer(0, bars((1, 5), (2, 1)), early=False) == ()
    assert candles.pending_request == 0
    assert states(candles.answer(0, bars((1, 5), (2, 7), (3, 2), (4, 1)), early=False)) == [
        (1, 5),
        (2, 7),
        (3, 2),
        (4, 1),
    ]


def test_an_answer_that_never_reaches_the_feed_leaves_a_gap(candles: KlinesBackfill) -> None:
    candles.receive([candle(4, 1)])
    before, gap, last = read_in_vain(candles, bars((1, 5)))
    assert isinstance(gap, Gap)
    assert states([before, last]) == [(1, 5), (4, 1)]


def test_the_first_candle_after_an_outage_is_held_for_a_read(candles: KlinesBackfill) -> None:
    assert states(candles.answer(0, bars((1, 5)), early=False)) == [(1, 5)]
    assert (candles.synced, candles.pending_request) == (True, None)
    assert candles.receive([candle(3, 1)]) == ()
    assert (candles.synced, candles.pending_request, candles.urgent, candles.hold_timeout) == (True, 0, True, 1.0)
    assert states(candles.answer(0, bars((1, 6), (2, 4), (3, 1)), early=False)) == [(1, 6), (2, 4), (3, 1)]


def test_an_update_of_the_last_listed_candle_needs_no_further_read(candles: KlinesBackfill) -> None:
    candles.answer(0, bars((1, 5), (2, 1)), early=False)
    assert states(candles.receive([candle(2, 3)])) == [(2, 3)]
    assert candles.pending_request is None


def test_the_final_state_of_a_candle_is_delivered_before_the_next_candle(candles: KlinesBackfill) -> None:
    assert states(candles.answer(0, bars((1, 10), (2, 0)), early=False)) == [(1, 10), (2, 0)]
    assert states(candles.receive([candle(1, 12), candle(2, 1)])) == [(1, 12), (2, 1)]


def test_a_smaller_volume_after_a_rollback_is_delivered(candles: KlinesBackfill) -> None:
    assert states(candles.answer(0, bars((1, 10)), early=False)) == [(1, 10)]
    assert states(candles.receive([candle(1, 8)])) == [(1, 8)]
    # During an outage, the same holds for a candle before the last.
    assert states(candles.receive([candle(2, 5)])) == [(2, 5)]
    missing(candles, candles._now_ns)  # type: ignore[arg-type]  # the clock of the fixture
    candles.receive([candle(3, 1)])
    assert states(candles.answer(0, bars((0, 9), (1, 7), (2, 4), (3, 1)), early=False)) == [(1, 7), (2, 4), (3, 1)]


def test_a_feed_that_begins_with_the_last_delivered_state_proves_that_nothing_is_missing(
    candles: KlinesBackfill,
) -> None:
    assert states(candles.receive([candle(1, 2), candle(1, 3)])) == [(1, 2), (1, 3)]
    assert candles.synced
    assert candles.is_optional


def test_pages_that_are_oldest_first_or_shift_lose_no_candle(candles: KlinesBackfill) -> None:
    candles.receive([candle(4, 1)])
    page = KlinesPage([*bars((1, 5), (2, 7), (3, 2), (4, 1)).items][::-1])
    assert states(candles.answer(0, page, early=False)) == [(1, 5), (2, 7), (3, 2), (4, 1)]
    missing(candles, candles._now_ns)  # type: ignore[arg-type]  # the clock of the fixture
    candles.receive([candle(8, 1)])
    assert candles.answer(0, bars((6, 1), (7, 1), (8, 1)), early=False) == ()
    # A candle opened meanwhile, so 6 is also on this page, which was requested later.
    assert states(candles.answer(1, bars((4, 1), (5, 1), (6, 2)), early=False)) == [(5, 1), (6, 2), (7, 1), (8, 1)]


def test_a_candle_that_moves_to_the_page_before_is_not_lost(candles: KlinesBackfill) -> None:
    candles.receive([candle(9, 1)])
    assert candles.answer(0, bars((7, 1), (8, 1), (9, 1)), early=False) == ()
    # 8 was removed meanwhile, so 6 moved to the page above.
    assert candles.answer(1, bars((3, 1), (4, 1), (5, 1)), early=False) == ()
    assert (candles.pending_request, candles.retry_after) == (0, 0.0)
    assert candles.answer(0, bars((6, 2), (7, 2), (9, 1)), early=False) == ()
    assert candles.pending_request == 2
    found = candles.answer(2, bars((0, 1), (1, 1), (2, 1)), early=False)
    assert states(found) == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2), (8, 1), (9, 1)]


def test_minutes_without_a_candle_make_the_page_be_read_twice(candles: KlinesBackfill) -> None:
    candles.receive([candle(9, 1)])
    assert candles.answer(0, bars((7, 1), (9, 1)), early=False) == ()
    assert candles.answer(1, bars((0, 1), (1, 1), (4, 1)), early=False) == ()
    assert candles.pending_request == 0
    assert states(candles.answer(0, bars((7, 1), (9, 1)), early=False)) == [(1, 1), (4, 1), (7, 1), (9, 1)]


def test_a_gap_stands_for_a_candle_that_cannot_be_decoded(candles: KlinesBackfill) -> None:
    candles.receive([candle(4, 1)])
    page = bars((0, 1), (1, 2), (3, 2), (4, 1))
    bad = (BadRow(2, "null", b"null"), BadRow(5, "null", b"null"))  # of minute 2, and from before the stream
    page = attrs.evolve(page, bad=bad)
    gap, *rest = candles.answer(0, page, early=False)
    assert (gap.since_ns, gap.until_ns) == (MINUTE, 3 * MINUTE)  # type: ignore[union-attr]  # it is a gap
    assert states(rest) == [(3, 2), (4, 1)]


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["trade", "undo", "next", "receive", "lost", "ask", "answer", "lag"]), st.integers(0, 3)
        ),
        max_size=60,
    )
)
def test_the_last_state_of_every_candle_is_delivered(steps: list[tuple[str, int]]) -> None:
    minute, lag = 1, 0
    recovery = KlinesBackfill(lambda: minute * MINUTE, ConnectionCounts(), max_pages=3, asset_id=ASSET)
    recovery.subscribed()
    volumes = {1: 1}
    past = [dict(volumes)]
    wire = [candle(1, 1)]
    asked: tuple[int, int, Any] | None = None
    out = list[Any](recovery.receive(wire))
    wire.clear()
    settle = [("lag", 0), *[("receive", 0), ("ask", 0), ("answer", 0)] * 20, ("next", 0)]
    for name, n in [*steps, ("lost", 0), *settle, *settle, ("receive", 0)]:
        match name:
            case "trade" | "undo":
                # A trade changes the open candle, or a rollback one of the last.
                at = minute if name == "trade" else max(1, minute - n)
                volumes[at] = max(0, volumes[at] + (n if name == "trade" else -1))
                wire.append(candle(at, volumes[at]))
            case "next":
                minute += 1
                volumes[minute] = 1
                wire.append(candle(minute, 1))
            case "receive":
                out += recovery.receive(wire)
                wire.clear()
            case "lost":
                wire.clear()
                asked = None
                recovery.lost("lost")
                out += recovery.subscribed()
            case "lag":
                lag = n
            case "ask" if recovery.pending_request is not None and asked is None:
                state = past[-1 - min(lag, len(past) - 1)]
                asked = (
                    recovery.generation,
                    recovery.pending_request,
                    bars(*sorted(state.items())) if recovery.pending_request == 0 else bars(),
                )
            case "answer" if asked is not None:
                (generation, page, found), asked = asked, None
                if generation == recovery.generation:
                    out += recovery.answer(page, found, early=False)
            case _:
                pass
        if volumes != past[-1]:
            past.append(dict(volumes))
    assert recovery.synced
    last = {item.open_timestamp_ns // MINUTE: int(item.volume) for item in out if isinstance(item, KlineUpdate)}
    assert last[minute] == volumes[minute]
    if not any(isinstance(item, Gap) for item in out) and not any(name == "lag" and n for name, n in steps):
        assert last == volumes
