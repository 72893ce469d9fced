"""A journal reads as it was written, without its torn last line, or not at all."""

from __future__ import annotations

import re
from random import Random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.journal_records import order_named, random_records, replacement_of
from tplus_trio.orders.journal.lines import (
    HEADER,
    ChangeSent,
    OrderGone,
    OrderSent,
    Record,
    encode_line,
    encode_lines,
    read_lines,
)

ORDER = order_named("a")
RECORDS: list[Record] = [
    OrderSent(1, ORDER, "bid"),
    ChangeSent(1, replacement_of(ORDER)),
    OrderSent(2, order_named("b", 2), None, 1),
    OrderGone(2),
]


def records_in(data: bytes) -> list[Record]:
    return [record for _, record in read_lines(data)]


def resealed(line: bytes, number: int | None = None) -> bytes:
    """A line whose checksum is right again."""
    checked = line[9:].rstrip(b"\n")
    if number is not None:
        checked = b"%d %b" % (number, checked.partition(b" ")[2])
    return b"%08x %b\n" % (crc32(checked), checked)


@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_records_are_read_as_they_were_written(random: Random, length: int) -> None:
    records, _ = random_records(random, length)
    assert records_in(encode_lines(records)) == records
    assert [number for number, _ in read_lines(encode_lines(records))] == list(range(1, length + 1))


def test_a_line_that_is_cut_at_any_byte_is_no_record() -> None:
    data = encode_lines(RECORDS)
    for length in range(len(data) + 1):
        whole = max(data[:length].count(b"\n") - 1, 0)
        assert records_in(data[:length]) == RECORDS[:whole]


def test_each_byte_of_each_line_is_checked() -> None:
    data = encode_lines(RECORDS)
    for position in range(len(data) - 1):  # without the last newline the last line is torn
        for other in (data[position] ^ 1, data[position] ^ 0x20, 0, ord("\n")):
            if other == data[position]:
                continue
            with pytest.raises(ValueError, match=r"^line [1-5]: "):
                records_in(data[:position] + bytes([other]) + data[position + 1 :])


@pytest.mark.parametrize("number", range(5))
def test_a_missing_or_doubled_or_moved_line_is_named(number: int) -> None:
    lines = encode_lines(RECORDS).splitlines(keepends=True)
    doubled = [*lines[: number + 1], *lines[number:]]
    with pytest.raises(ValueError, match=f"^line {number + 2}: .*lines are missing, or are there twice"):
        records_in(b"".join(doubled))
    if number < len(lines) - 1:
        missing = lines[:number] + lines[number + 1 :]
        with pytest.raises(ValueError, match=f"^line {number + 1}: "):
            records_in(b"".join(missing))
        moved = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
        with pytest.raises(ValueError, match=f"^line {number + 1}: "):
            records_in(b"".join(moved))


def test_a_format_or_version_that_is_not_known_is_refused() -> None:
    later = resealed(HEADER.replace(b'"version":1', b'"version":2'))
    with pytest.raises(ValueError, match=re.escape("line 1: the journal's version is 2; this program reads version 1")):
        records_in(later)
    with pytest.raises(ValueError, match="line 1: it is a journal of 'x', not of"):
        records_in(resealed(HEADER.replace(b"tplus-trio orders", b"x")))


@pytest.mark.parametrize(
    "text",
    [
        b'{"entry":1}',
        b'{"entry":"1","gone":true}',
        b'{"entry":1,"gone":false}',
        b'{"entry":1,"kind":"move","change":{}}',
        b'{"entry":1,"kind":"amend","change":{}}',
        b'{"entry":1,"key":null,"follows":null,"order":{}}',
        b'{"entry":1,"key":3,"follows":null,"order":{}}',
        b"{]}",
        b'{"\xff":1}',
    ],
)
def test_a_line_that_says_nothing_known_is_refused(text: bytes) -> None:
    line = resealed(b"00000000 1 " + text + b"\n")
    with pytest.raises(ValueError, match=r"^line 2: "):
        records_in(HEADER + line)


def test_a_key_without_a_utf8_form_is_refused_before_it_is_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_line(1, OrderSent(1, ORDER, "\ud800"))


def test_a_line_is_one_line() -> None:
    line = encode_line(1, OrderSent(1, order_named("a\nb"), "c\nd"))
    assert line.count(b"\n") == 1
    assert records_in(HEADER + line) == [OrderSent(1, order_named("a\nb"), "c\nd")]
