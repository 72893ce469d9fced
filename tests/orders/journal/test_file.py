"""The file of a journal: who may use it, what reaches it, and what a failure of the disk leaves."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from tests.helpers.journal_records import order_named, random_records, replacement_of
from tplus_trio import JournalCorrupt, JournalInUse, JournalNotWritten, OrderJournal
from tplus_trio.models import Order
from tplus_trio.orders.journal import file as journal_file
from tplus_trio.orders.journal.file import OpenJournal
from tplus_trio.orders.journal.lines import HEADER, OrderGone, encode_lines

ORDER = order_named("a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal is to be."""
    return tmp_path / "orders.journal"


def opened(path: Path, *, sync: bool = False) -> OpenJournal:
    return OpenJournal(path, sync=sync)


def orders_in(path: Path) -> list[Order]:
    with closing(opened(path)) as journal:
        return [written.order for written in journal.orders]


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def write_content(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


# Opening.


async def test_a_new_journal_is_its_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = await OrderJournal(str(path))._open()
    finally:
        os.umask(before)
    with closing(journal):
        assert content_of(path) == HEADER
        assert modes_in(path.parent) == {"orders.journal": 0o600, "orders.journal.lock": 0o600}


@pytest.mark.parametrize("content", [b"", HEADER[:1], HEADER[:-1]])
async def test_a_file_that_was_only_begun_is_new(path: Path, content: bytes) -> None:
    write_content(path, content)
    with closing(opened(path)) as journal:
        await journal.write_order(ORDER)
    assert orders_in(path) == [ORDER]


@pytest.mark.parametrize("content", [b"notes", b"notes\n", b"\0" * 40, encode_lines([OrderGone(5)]), HEADER * 2])
def test_a_file_that_is_no_journal_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for _ in range(2):  # it is not locked after that
        with pytest.raises(JournalCorrupt, match=r"orders\.journal.*Nothing was changed"):
            opened(path)
    assert path.read_bytes() == content


def test_a_corrupt_line_is_named_and_nothing_is_changed(path: Path) -> None:
    records, _ = random_records(Random(5), 12)
    data = encode_lines(records)
    lines = data.splitlines(keepends=True)
    for number in range(len(lines)):
        start = sum(map(len, lines[:number]))
        path.write_bytes(damaged := data[: start + 12] + b"!" + data[start + 13 :] + b"torn")
        with pytest.raises(JournalCorrupt, match=f", line {number + 1}: "):
            opened(path)
        assert path.read_bytes() == damaged


def test_a_torn_line_is_cut_off(path: Path) -> None:
    records, left = random_records(Random(3), 9)
    data = encode_lines(records)
    for torn in (b"0", b"\0" * 600, data.splitlines()[3]):
        path.write_bytes(data + torn)
        with closing(opened(path)) as journal:
            assert {one.entry for one in journal.orders} == set(left)
            # What is written next is a line of its own.
            journal.write_gone(min(left))
        with closing(opened(path)) as journal:
            assert {one.entry for one in journal.orders} == set(left) - {min(left)}


@pytest.mark.parametrize("path", [3, b"a", None, ""])
def test_a_path_that_names_no_file_is_refused(path: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^path is "):
        OrderJournal(path)


async def test_a_folder_that_does_not_exist_is_an_error_of_the_system(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await OrderJournal(path / "a" / "b")._open()


# One at a time.


async def test_a_second_scope_is_refused_under_each_name_of_the_file(path: Path) -> None:
    other = path.with_name("link")
    other.symlink_to(path)
    with closing(opened(path)) as journal:
        for name in (path, other):
            with pytest.raises(JournalInUse, match=r"uses the journal .*orders\.journal"):
                await OrderJournal(name)._open()
        await journal.write_order(ORDER)
    assert orders_in(other) == [ORDER]
    assert other.is_symlink()


def test_a_process_that_was_killed_leaves_its_journal_to_the_next(path: Path) -> None:
    program = (
        "import sys, time, trio\n"
        "from tests.helpers.journal_records import order_named\n"
        "from tplus_trio import OrderJournal\n"
        "async def main():\n"
        "    journal = await OrderJournal(sys.argv[1])._open()\n"
        "    await journal.write_order(order_named('a'))\n"
        "    print('written', flush=True)\n"
        "    await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            with pytest.raises(JournalInUse):
                opened(path)
        finally:
            process.send_signal(signal.SIGKILL)
    assert orders_in(path) == [ORDER]


# Writing.


async def test_each_record_is_written_at_once_and_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return write(descriptor, data)

    with closing(opened(path)) as journal:
        monkeypatch.setattr(os, "write", counted)
        first = await journal.write_order(ORDER, "bid")
        await journal.write_change(first, replacement_of(ORDER))
        second = await journal.write_order(order_named("b"), "bid", first)
        journal.write_gone(second)
        journal.write_gone(second)
        await journal.write_change(second, replacement_of(order_named("b")))
        monkeypatch.undo()
        assert content_of(path) == HEADER + b"".join(writes)
        assert [write.count(b"\n") for write in writes] == [1] * 4
    assert orders_in(path) == []


def _refuse(_: int, data: bytes) -> int:
    raise OSError(28, "No space left on device")


def _write_half(descriptor: int, data: bytes) -> int:
    return os.writev(descriptor, [data[: len(data) // 2]])


@pytest.mark.parametrize("write", [_refuse, _write_half])
async def test_a_failed_write_is_raised_and_leaves_nothing(
    path: Path, write: Callable[[int, bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(path)) as journal:
        entry = await journal.write_order(ORDER)
        before = content_of(path)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(JournalNotWritten, match=r"could not be written: .*; the request was not sent"):
                await journal.write_order(order_named("b"))
            with pytest.raises(JournalNotWritten):
                await journal.write_change(entry, replacement_of(ORDER))
            journal.write_gone(entry)  # it is no call about an order, and raises nothing
            assert content_of(path) == before
            assert [one.entry for one in journal.orders] == [entry]
        await journal.write_order(order_named("c"))  # after that which could not be written
    assert orders_in(path) == [order_named("c")]


async def test_a_line_that_cannot_be_removed_is_the_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(opened(path)) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _write_half)
            patch.setattr(os, "ftruncate", _refuse)
            with pytest.raises(JournalNotWritten):
                await journal.write_order(ORDER)
        with pytest.raises(JournalNotWritten):
            await journal.write_order(ORDER)
    assert orders_in(path) == []


async def test_a_closed_journal_takes_nothing(path: Path) -> None:
    journal = opened(path)
    journal.close()
    with pytest.raises(JournalNotWritten, match="the journal is closed"):
        await journal.write_order(ORDER)


# Waiting for the disk.


async def test_one_wait_for_the_disk_serves_all_that_was_written_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, synced = threading.Event(), list[int]()

    def sync(descriptor: int) -> None:
        may_end.wait(5)
        synced.append(os.fstat(descriptor).st_size)

    with closing(opened(path, sync=True)) as journal:
        monkeypatch.setattr(os, "fsync", sync)
        sizes: list[int] = []

        async def write(number: int) -> None:
            await journal.write_order(order_named(f"o{number}"))
            sizes.append(len(synced))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, 0)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(1, 5):
                nursery.start_soon(write, number)
            await trio.testing.wait_all_tasks_blocked()
            whole = len(content_of(path))
            may_end.set()
        # The first wait began with the first line, and the second one served the others.
        assert sizes == [1, 2, 2, 2, 2]
        assert synced[-1] == whole
        monkeypatch.undo()


async def test_without_sync_the_disk_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(opened(path)) as journal:
        monkeypatch.setattr(os, "fsync", _refuse)
        await journal.write_order(ORDER)
        monkeypatch.undo()


async def test_a_disk_that_fails_ends_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with closing(opened(path, sync=True)) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(JournalNotWritten, match="Input/output error"):
                await journal.write_order(ORDER)
        with pytest.raises(JournalNotWritten):
            await journal.write_order(order_named("b"))
    # It may have reached the disk, and was not sent: the next run does not know.
    assert orders_in(path) == [ORDER]


async def test_an_order_whose_wait_is_cancelled_has_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    with closing(opened(path, sync=True)) as journal:
        monkeypatch.setattr(os, "fsync", lambda _: may_end.wait(5))
        with trio.move_on_after(0.01) as scope:
            await journal.write_order(ORDER)
        assert scope.cancelled_caught
        assert list(journal.orders) == []
        may_end.set()
        monkeypatch.undo()
    assert orders_in(path) == []


# Making it small.


def test_a_journal_of_orders_that_have_gone_is_made_small(path: Path) -> None:
    records, left = random_records(Random(8), 200)
    data = encode_lines(records)
    path.write_bytes(data)
    before = orders_in(path)
    assert before == [order for order, _, _ in left.values()]
    assert len(path.read_bytes()) < len(data) / 2
    assert orders_in(path) == before


class KilledError(BaseException):
    """The process ends here."""


def test_a_process_that_is_killed_while_it_makes_a_journal_small_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, left = random_records(Random(8), 60)
    data = encode_lines(records)
    steps = ("open", "fsync", "replace", "ftruncate")
    real = {name: getattr(os, name) for name in steps}
    kills = 0
    while True:
        path.write_bytes(data)
        done = 0

        def step(name: str, *args: Any, _at: int = kills, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == _at + 1:
                raise KilledError
            return real[name](*args, **options)

        with monkeypatch.context() as patch:
            for name in steps:
                patch.setattr(os, name, lambda *args, _name=name, **options: step(_name, *args, **options))
            with suppress(KilledError):
                opened(path).close()
        with closing(opened(path)) as journal:
            assert [(one.entry, one.order) for one in journal.orders] == [
                (entry, order) for entry, (order, _, _) in left.items()
            ]
        if done <= kills:
            break
        kills += 1
    assert kills > 5


def test_closing_lets_the_next_one_in_although_reading_failed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(journal_file, "read_lines", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opened(path)
    opened(path).close()
