"""Writes the files of a tape so that a killed process, or a dead machine, loses what came after the last sync only."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from tplus_trio.cli.failure import explaining
from tplus_trio.testing.replay.compression import compressor_of

__all__ = ["Rotation", "TapeWriter", "parse_rotation"]

_AMOUNT: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-zA-Z]+)", re.ASCII)
_BYTES: Final = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LEGAL: Final = "a size such as 100MB or 64MiB, or a time such as 30m, 1h or 1d"
#: The endings of a tape's name, which stay behind the number of a file.
_ENDINGS: Final = (".jsonl", ".json", ".gz", ".xz", ".zst")


@attrs.frozen
class Rotation:
    """When another file is begun."""

    #: Once a file has so many bytes; None is no limit.
    size: int | None = None
    #: Once a file is so many seconds old; None is no limit.
    seconds: float | None = None

    def is_due(self, size: int, seconds: float) -> bool:
        """Return whether a file of this size and age is full."""
        return (self.size is not None and size >= self.size) or (self.seconds is not None and seconds >= self.seconds)


def parse_rotation(text: str) -> Rotation:
    """Read the text of a rotation.

    Raises:
        ValueError: It is neither a size nor a time.
    """
    match = _AMOUNT.fullmatch(text.strip())
    amount, unit = (float(match[1]), match[2].lower()) if match else (0.0, "")
    if not 0 < amount < 10**15:
        raise ValueError(f"{text!r} is not {_LEGAL}")
    if unit in _BYTES:
        return Rotation(size=max(1, int(amount * _BYTES[unit])))
    if unit in _SECONDS:
        return Rotation(seconds=amount * _SECONDS[unit])
    raise ValueError(f"{text!r} is not {_LEGAL}")


class TapeWriter:
    """Appends lines to a file, or to one file after another. Its methods block the thread, which is not the main one.

    A file that exists is not written to. With a rotation, the files are numbered: ``tape-00001.jsonl.gz``; the first
    number is above those that exist.

    Args:
        path: The file; its ending says how it is compressed.
        rotation: When another file is begun; None means never.
        clock: Returns the time in seconds, on any clock that does not go back.

    Raises:
        Failure: The file exists, cannot be made, or needs a module that is not installed.
    """

    def __init__(self, path: Path, rotation: Rotation | None, clock: Callable[[], float]) -> None:
        self._rotation = rotation
        self._clock = clock
        self._path = path
        self._number = 0 if rotation is None else _last_number(path)
        #: The bytes written to all files.
        self.written: int = 0
        self._open()

    def _open(self) -> None:
        self._number += self._rotation is not None
        self.path: Path = _numbered(self._path, self._number) if self._number else self._path
        with explaining(f"the tape {self.path}", ValueError):
            self._compressor = compressor_of(self.path)
        with explaining(f"the tape {self.path}", OSError):
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            _sync_folder(self.path.parent)
        self._size, self._opened_at, self._is_broken = 0, self._clock(), False

    def write(self, lines: bytes) -> None:
        """Append lines, and return once they are on the disk.

        Raises:
            Failure: They could not be written.
        """
        if lines and not self._is_broken:
            self._put(self._compressor.compress(lines) + self._compressor.flush())

    @property
    def is_full(self) -> bool:
        """Whether another file has to be begun."""
        return self._rotation is not None and self._rotation.is_due(self._size, self._clock() - self._opened_at)

    def rotate(self) -> None:
        """End the file and begin the next.

        Raises:
            Failure: The disk is full, or the next file cannot be made.
        """
        self.close()
        self._open()

    def close(self) -> None:
        """End the file. After a failed write it stays as it is: readable up to the last write that succeeded.

        Raises:
            Failure: The rest could not be written.
        """
        try:
            if not self._is_broken:
                self._put(self._compressor.finish())
        finally:
            os.close(self._descriptor)

    def _put(self, data: bytes) -> None:
        rest, self._is_broken = memoryview(data), True
        with explaining(f"the tape {self.path}", OSError):
            while rest:
                written = os.write(self._descriptor, rest)
                rest = rest[written:]
                self._size += written
                self.written += written
            os.fsync(self._descriptor)
        self._is_broken = False


def _sync_folder(folder: Path) -> None:
    """Make a new file's name outlast a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _split(path: Path) -> tuple[str, str]:
    """Split a file's name before its endings: ``tape`` and ``.jsonl.gz``."""
    stem, endings = path.name, ""
    while (suffix := Path(stem).suffix).lower() in _ENDINGS:
        stem, endings = stem.removesuffix(suffix), suffix + endings
    return stem, endings


def _numbered(path: Path, number: int) -> Path:
    stem, endings = _split(path)
    return path.with_name(f"{stem}-{number:05}{endings}")


def _last_number(path: Path) -> int:
    """Return the highest number of a file that exists; 0 if there is none."""
    stem, endings = _split(path)
    pattern = re.compile(rf"{re.escape(stem)}-(\d{{5,}}){re.escape(endings)}")
    with explaining(f"the folder {path.parent}", OSError):
        found = [int(match[1]) for file in path.parent.iterdir() if (match := pattern.fullmatch(file.name))]
    return max(found, default=0)
