"""The files of tapes: compressed by their ending, and readable up to where they break off."""

from __future__ import annotations

import gzip
import importlib
import lzma
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tplus_trio.testing import Tape, TapeAnswer, TapeEntry, TapeFrame, TapeLoss
from tplus_trio.testing.replay.compression import compressor_of

ENTRIES: list[TapeEntry] = [
    TapeAnswer(1, "/marketdepth/200", '{"bids":[],"asks":[],"sequence_number":1}'),
    *(TapeFrame(n, "/trades", f"frame {n} \N{EURO SIGN}" * 20) for n in range(2, 400)),
    TapeLoss(400, "/trades", "the connection was lost"),
    TapeLoss(401, "/marketdepth/diff/200", "a number was skipped", connection=False),
]
LINES = [f"{entry.line()}\n".encode() for entry in ENTRIES]


def written(path: Path, *, until: int) -> bytes:
    """What a recorder has written when it has flushed so many lines and not finished."""
    compressor, data = compressor_of(path), b""
    for start in range(0, until, 50):
        data += compressor.compress(b"".join(LINES[start : min(start + 50, until)])) + compressor.flush()
    return data


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.xz", ".GZ"])
def test_a_tape_is_written_and_read(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"tape{ending}"
    Tape(ENTRIES).save(file)
    tape = Tape.load(file)
    assert list(tape) == ENTRIES
    assert tape.tear is None
    data = file.read_bytes()
    if ending != ".jsonl":
        data = lzma.decompress(data) if ending.endswith("xz") else gzip.decompress(data)  # other programs read it too
    assert data == b"".join(LINES)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.xz"])
@pytest.mark.parametrize("until", [100, 230, len(LINES)])
def test_what_was_flushed_is_read(tmp_path: Path, ending: str, until: int) -> None:
    file = tmp_path / f"tape{ending}"
    whole = written(file, until=until)
    file.write_bytes(whole)
    assert list(Tape.load(file)) == ENTRIES[:until]
    # The next piece was written in part.
    more = compressor_of(file).compress(b"".join(LINES)) if ending != ".jsonl.gz" else b"\x01\x02"
    file.write_bytes(whole + (LINES[0][:20] if ending == ".jsonl" else more[:6]))
    tape = Tape.load(file)
    assert list(tape) == ENTRIES[:until]
    assert tape.tear is not None


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.xz"])
def test_a_file_may_break_off_anywhere(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"tape{ending}"
    whole = written(file, until=150)
    for size in range(0, len(whole), max(1, len(whole) // 97)):
        file.write_bytes(whole[:size])
        try:
            tape = Tape.load(file)
        except ValueError:
            assert ending == ".jsonl"
            assert size < len(LINES[0])  # not one line
            continue
        assert list(tape) == ENTRIES[: len(tape)]
        flushed = len(written(file, until=100))
        assert len(tape) >= (100 if size >= flushed else 0)


def test_how_a_file_breaks_off_is_told(tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    file.write_bytes(LINES[0] + LINES[1][:-9])
    assert Tape.load(file).tear == "its last line breaks off"
    file.write_bytes(LINES[0] + LINES[1][:-1])  # whole, but for its end
    assert (len(Tape.load(file)), Tape.load(file).tear) == (2, None)
    file.write_bytes(LINES[0] + LINES[1].rstrip() + b"\xe2\x82")  # half a character
    assert Tape.load(file).tear == "its last line breaks off"
    file.write_bytes(LINES[0] + LINES[1][:-9] + b"\n" + LINES[2])
    with pytest.raises(ValueError, match="line 2 of the tape is not JSON"):
        Tape.load(file)
    packed = tmp_path / "tape.gz"
    packed.write_bytes(gzip.compress(b"".join(LINES))[:-12])
    assert Tape.load(packed).tear == "its compressed data breaks off"


@pytest.mark.parametrize("name", ["tape.gz", "tape.xz"])
def test_corrupt_data_is_an_error(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"this is not compressed at all, whatever its name says")
    with pytest.raises(ValueError, match="the compressed data is corrupt"):
        Tape.load(file)


def test_zstd_needs_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ValueError, match=r"needs Python 3\.14 or the package backports\.zstd"):
        Tape(ENTRIES).save(tmp_path / "tape.zst")
    (tmp_path / "tape.zst").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"needs Python 3\.14 or the package backports\.zstd"):
        Tape.load(tmp_path / "tape.zst")


def test_zstd_with_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The module's interface, over lzma: frames instead of blocks make no difference here.
    class Compressor:
        FLUSH_BLOCK, FLUSH_FRAME = 1, 2

        def __init__(self) -> None:
            self.data = b""

        def compress(self, data: bytes) -> bytes:
            self.data += data
            return b""

        def flush(self, mode: int) -> bytes:
            assert mode in {1, 2}
            data, self.data = self.data, b""
            return lzma.compress(data) if data else b""

    module = SimpleNamespace(ZstdCompressor=Compressor, ZstdDecompressor=lzma.LZMADecompressor)
    monkeypatch.setattr(importlib, "import_module", lambda _: module)
    file = tmp_path / "tape.zst"
    Tape(ENTRIES).save(file)
    assert list(Tape.load(file)) == ENTRIES
    file.write_bytes(written(file, until=70))
    assert list(Tape.load(file)) == ENTRIES[:70]


@pytest.mark.parametrize(
    "line",
    [
        '{"t_ns": 1, "ws": "/trades", "lost": 1}',
        '{"t_ns": 1, "get": "/trades", "lost": "x"}',
        '{"t_ns": true, "ws": "/trades", "gap": "x"}',
        '{"t_ns": 1, "ws": "/trades", "gap": "\\ud800"}',
    ],
)
def test_what_is_no_loss(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        Tape.parse([line])
