"""A gap was delivered once for each undecodable row."""

from __future__ import annotations

from tplus_trio.streams.recovery.unreadable_rows import UnreadableRows


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
