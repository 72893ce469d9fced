"""``record`` and ``replay`` in processes of their own: how they end, and what is on the disk then."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import PATIENCE, end, finished, line, started
from tplus_trio.cli import main
from tplus_trio.cli.failure import Failure
from tplus_trio.cli.record.writer import Rotation, TapeWriter, parse_rotation
from tplus_trio.testing import Tape, TapeAnswer, TapeFrame

CLI = ("-m", "tplus_trio")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with started(*CLI, "exchange", "--port", "0") as process:
        yield line(process)


def wait_until_written(file: Path) -> int:
    """Wait until the tape has grown twice; return its entries then."""
    deadline, sizes = time.monotonic() + PATIENCE, set[int]()
    while len(sizes) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        sizes.add(file.stat().st_size if file.exists() else 0)
    return len(Tape.load(file))


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.xz"])
def test_record(url: str, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"tape.{ending}"
    feeds = ("depth:200", "trades", "klines:200", "ticker:201", "tickers", "trades")
    ended = finished(*CLI, "record", file, *feeds, "--url", url, "--for", "1200ms")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.startswith(f"{file}: 1 s  ")
    assert " 0 losses  " in ended.err
    tape = Tape.load(file)
    assert tape.tear is None
    assert "/marketdepth/diff/200" in tape.feeds
    assert any(isinstance(entry, TapeAnswer) and entry.path == "/marketdepth/200" for entry in tape)
    assert [entry.t_ns for entry in tape] == sorted(entry.t_ns for entry in tape)
    assert f"  {sum(isinstance(entry, TapeFrame) for entry in tape)} frames  " in ended.err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_tape_is_complete(url: str, tmp_path: Path, signum: signal.Signals) -> None:
    file = tmp_path / "tape.jsonl.gz"
    with started(*CLI, "record", file, "depth:200", "tickers", "--url", url) as process:
        before = wait_until_written(file)
        ended = end(process, signum)
    assert ended.status == 130
    tape = Tape.load(file)
    assert tape.tear is None
    assert len(tape) >= before


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.xz"])
def test_a_killed_recorder_loses_its_last_second(url: str, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"tape.{ending}"
    with started(*CLI, "record", file, "depth:200", "depth:201", "depth:202", "tickers", "--url", url) as process:
        wait_until_written(file)
        killed_ns = time.time_ns()
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    tape = Tape.load(file)
    # The exchange changes some book forty times a second.
    assert tape[-1].t_ns > killed_ns - 1_000_000_000
    # It is played, with a warning if it breaks off.
    with started(*CLI, "replay", file, "--port", "0", "--speed", "inf") as process:
        assert line(process).startswith("http://127.0.0.1:")
        assert "feeds, " in line(process)
        err = end(process, signal.SIGINT).err
    assert err == (
        ""
        if tape.tear is None
        else f"tplus-trio: the tape {file} is not complete: {tape.tear}; what comes before that is used\n"
    )


def test_each_file_of_a_rotation_can_be_played(url: str, tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl.gz"
    (tmp_path / "tape-00007.jsonl.gz").touch()
    ended = finished(*CLI, "record", file, "depth:200", "--url", url, "--for", "2200ms", "--rotate", "600ms")
    assert ended.status == 2  # milliseconds are no unit of a rotation
    ended = finished(*CLI, "record", file, "depth:200", "--url", url, "--for", "2200ms", "--rotate", "0.6s")
    assert ended.status == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:3] == [f"tape-0000{n}.jsonl.gz" for n in (7, 8, 9)]
    numbers: list[int] = []
    for name in names[1:]:
        tape = Tape.load(tmp_path / name)
        assert tape.tear is None
        assert not any(entry.line().partition('"lost"')[1] or '"gap"' in entry.line() for entry in tape)
        snapshots = [entry for entry in tape if isinstance(entry, TapeAnswer)]
        assert snapshots or name == names[-1]
        numbers += [int(e.frame.rpartition(":")[2][:-1]) for e in tape if isinstance(e, TapeFrame)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


# The writer


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    file.write_text("precious")
    with pytest.raises(Failure, match="File exists"):
        TapeWriter(file, None, lambda: 0.0)
    assert file.read_text() == "precious"


def test_the_files_of_a_rotation_by_size(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a.b.jsonl", Rotation(size=10), lambda: 0.0)
    writer.write(b"12345\n")
    assert not writer.is_full
    writer.write(b"1234\n")
    assert writer.is_full
    writer.rotate()
    assert not writer.is_full
    writer.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.b-00001.jsonl": b"12345\n1234\n",
        "a.b-00002.jsonl": b"",
    }
    assert writer.written == 11


def test_a_full_disk_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TapeWriter(tmp_path / "tape.gz", None, lambda: 0.0)
    writer.write(b"whole\n")
    good = (tmp_path / "tape.gz").read_bytes()

    def write(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        with pytest.raises(Failure, match="No space left on device"):
            writer.write(b"lost\n")
    writer.close()
    assert (tmp_path / "tape.gz").read_bytes() == good  # nothing that would not fit behind it


@pytest.mark.parametrize(
    ("text", "rotation"),
    [
        ("100MB", Rotation(size=100_000_000)),
        ("1.5 kib", Rotation(size=1536)),
        ("1h", Rotation(seconds=3600.0)),
        (".5s", Rotation(seconds=0.5)),
        ("1d", Rotation(seconds=86400.0)),
    ],
)
def test_rotations(text: str, rotation: Rotation) -> None:
    assert parse_rotation(text) == rotation


@pytest.mark.parametrize("text", ["", "5", "MB", "0MB", "-1s", "5x", "1e9s", "inf s", f"{'9' * 400}s"])
def test_what_is_no_rotation(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as 100MB"):
        parse_rotation(text)


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        (("depth",), 2, "'depth' names no market"),
        (("trades:200",), 2, "'trades:200' names a market"),
        (("orders",), 2, "'orders' is no public feed"),
        (("depth:x",), 2, "an asset is"),
        ((), 2, "Missing argument"),
        (("trades", "--for", "0"), 2, "is no time above 0"),
        (("trades", "--rotate", "5x"), 2, "is not a size such as 100MB"),
        (("trades", "--url", "ftp://x"), 2, "a base URL's scheme is http or https"),
        (("trades", "--url", "http://127.0.0.1:1"), 1, "could not connect to 127.0.0.1:1: Connection refused"),
    ],
)
def test_what_record_refuses(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, args: tuple[str, ...], status: int, text: str
) -> None:
    assert main(["record", str(tmp_path / "tape.jsonl"), *args]) == status
    out, err = capfd.readouterr()
    assert text in err
    assert (out, list(tmp_path.iterdir())) == ("", [])
    assert status == 2 or err.count("\n") == 1


def test_a_folder_that_does_not_exist(capfd: pytest.CaptureFixture[str], url: str, tmp_path: Path) -> None:
    assert main(["record", str(tmp_path / "no" / "tape.jsonl"), "trades", "--url", url]) == 1
    assert capfd.readouterr().err.endswith("tape.jsonl: No such file or directory\n")
    assert main(["replay", str(tmp_path / "no")]) == 1
    assert "No such file or directory" in capfd.readouterr().err
    assert main(["replay", str(tmp_path), "--speed", "0"]) == 2


@pytest.mark.parametrize("command", ["record", "replay"])
def test_each_help_has_an_example(capfd: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    assert f"tplus-trio {command} " in capfd.readouterr().out.partition("Example")[2]
