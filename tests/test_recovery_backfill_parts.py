"""The parts of a backfill, each alone: its table of phases, the reader of pages, the memory of undecodable rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from tplus_trio.streams.recovery.backfill_phases import TRANSITIONS, BackfillEvent, Phase
from tplus_trio.streams.recovery.history_reader import HistoryReader, ReadState
from tplus_trio.streams.recovery.row_kind import RowKind
from tplus_trio.streams.recovery.unreadable_rows import UnreadableRows

# The table.

#: Every change of phase that there is.
CHANGES = {
    (Phase.LIVE, BackfillEvent.LOSS): Phase.RECOVERING,
    (Phase.RECOVERING, BackfillEvent.PROVING_ITEM): Phase.CHECKING,
    (Phase.RECOVERING, BackfillEvent.CLOSED): Phase.LIVE,
    (Phase.RECOVERING, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.UNCONFIRMED,
    (Phase.RECOVERING, BackfillEvent.GIVEN_UP): Phase.LIVE,
    (Phase.UNCONFIRMED, BackfillEvent.LOSS): Phase.RECOVERING,
    (Phase.UNCONFIRMED, BackfillEvent.PROVING_ITEM): Phase.LIVE,
    (Phase.UNCONFIRMED, BackfillEvent.UNPROVED_ITEM): Phase.CONFIRMING,
    (Phase.CONFIRMING, BackfillEvent.LOSS): Phase.RECOVERING,
    (Phase.CONFIRMING, BackfillEvent.CLOSED): Phase.LIVE,
    (Phase.CONFIRMING, BackfillEvent.CLOSED_WITHOUT_ITEM): Phase.UNCONFIRMED,
    (Phase.CONFIRMING, BackfillEvent.GIVEN_UP): Phase.LIVE,
    (Phase.CHECKING, BackfillEvent.LOSS): Phase.RECOVERING,
    (Phase.CHECKING, BackfillEvent.CHECKED): Phase.LIVE,
}


def test_every_event_in_every_phase_has_a_row() -> None:
    assert set(TRANSITIONS) == set(product(Phase, BackfillEvent))


def test_the_changes_of_phase_are_these_and_no_others() -> None:
    assert {key: phase for key, phase in TRANSITIONS.items() if phase is not key[0]} == CHANGES


def test_rest_is_asked_while_something_is_open() -> None:
    assert {phase for phase in Phase if phase.asks_rest} == {Phase.RECOVERING, Phase.CONFIRMING, Phase.CHECKING}


# The reader.


class Numbers(RowKind):
    """Rows that are numbers, which are their times, too."""

    def rows(self, answer: Sequence[int]) -> Sequence[int]:
        return answer

    def sort_key(self, row: int) -> tuple[int, int]:
        return row, 0

    def ends_ns(self, row: int) -> int:
        return row

    def key(self, row: int) -> str:
        return str(row)

    def is_adjacent(self, row: int, older: int) -> bool:
        return row == older + 1


@pytest.fixture
def reader() -> HistoryReader:
    return HistoryReader(Numbers(), max_pages=3)


def take(reader: HistoryReader, page: int, *rows: int, met: bool = False) -> ReadState:
    return reader.take(page, rows, rows, met=met)


def test_pages_are_read_until_one_meets(reader: HistoryReader) -> None:
    assert take(reader, 0, 9, 8) is ReadState.UNFINISHED
    assert reader.next_page == 1
    assert take(reader, 1, 7, 6, met=True) is ReadState.MET
    assert reader.rows() == [9, 8, 7, 6]


def test_pages_beyond_the_bound_are_not_read(reader: HistoryReader) -> None:
    for page in range(2):
        assert take(reader, page, 9 - page) is ReadState.UNFINISHED
    assert take(reader, 2, 7) is ReadState.TOO_LONG


def test_a_history_that_ends_does_not_meet(reader: HistoryReader) -> None:
    assert take(reader, 0, 9) is ReadState.UNFINISHED
    assert take(reader, 1) is ReadState.NOT_MET


def test_a_page_that_does_not_join_is_read_again_and_keeps_what_only_one_reading_has(reader: HistoryReader) -> None:
    take(reader, 0, 9, 8)
    assert take(reader, 1, 6, 5, met=True) is ReadState.UNFINISHED
    assert reader.next_page == 0
    assert take(reader, 0, 9, 7) is ReadState.MET
    assert reader.rows() == [9, 8, 7, 6, 5]


def test_pages_that_never_join_do_not_meet(reader: HistoryReader) -> None:
    take(reader, 0, 90)
    pages = ((1, 50), (0, 91), (1, 51), (0, 92), (1, 52))
    states = [take(reader, page, row, met=page == 1) for page, row in pages]
    assert states == [ReadState.UNFINISHED] * 4 + [ReadState.NOT_MET]


def test_useless_reads_are_counted_and_delayed(reader: HistoryReader) -> None:
    delays: list[float] = []
    while not reader.is_exhausted:
        take(reader, 0, 9, 8)
        reader.read_again([7])
        assert (reader.fallback, reader.next_page, reader.rows()) == ([7], 0, [])
        delays.append(reader.retry_after)
    assert delays == [0.0, 0.25, 0.5, 0.75, 1.5]
    reader.read_again([7])
    assert reader.retry_after == 1.5


def test_another_read_forgets_and_counts_on(reader: HistoryReader) -> None:
    take(reader, 0, 9, 8)
    reader.read_again([7])
    reader.reset()
    assert (reader.fallback, reader.rows(), reader.useless_reads) == ((), [], 1)


# The memory of undecodable rows.


def test_only_more_rows_than_before_at_one_place_are_new() -> None:
    unreadable = UnreadableRows()
    assert not unreadable.are_new("7", 0)
    assert [unreadable.are_new("7", count) for count in (1, 1, 3, 2, 3)] == [True, False, True, False, False]
    assert unreadable.are_new("8", 1)


def test_the_memory_of_places_is_bounded() -> None:
    unreadable = UnreadableRows()
    for n in range(2000):
        assert unreadable.are_new(str(n), 1)
    assert unreadable.are_new("0", 2)  # it is now the place that was used last
    assert unreadable.are_new("2000", 1)
    assert not unreadable.are_new("0", 2)
    assert unreadable.are_new("1", 1)
