"""Reads of a history's pages: how many pages, how often, and which rows are kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tplus_trio.streams.recovery.history_reader import HistoryReader, ReadState
from tplus_trio.streams.recovery.row_kind import RowKind


class Numbers(RowKind):
    """Rows that are numbers. A row's time is the number itself."""

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


def test_a_page_that_does_not_join_is_read_again_and_keeps_rows_that_only_one_reading_has(
    reader: HistoryReader,
) -> None:
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


def test_useless_reads_are_counted_and_delay_the_next(reader: HistoryReader) -> None:
    delays: list[float] = []
    while not reader.is_exhausted:
        take(reader, 0, 9, 8)
        reader.read_again([7])
        assert (reader.fallback, reader.next_page, reader.rows()) == ([7], 0, [])
        delays.append(reader.retry_after)
    assert delays == [0.0, 0.25, 0.5, 0.75, 1.5]
    reader.read_again([7])
    assert reader.retry_after == 1.5


def test_a_new_read_forgets_the_rows_and_keeps_the_count(reader: HistoryReader) -> None:
    take(reader, 0, 9, 8)
    reader.read_again([7])
    reader.reset()
    assert (reader.fallback, reader.rows(), reader.useless_reads) == ((), [], 1)
