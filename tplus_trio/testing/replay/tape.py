"""Tapes: recorded frames and answers, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeAlias, final, overload

import attrs

__all__ = ["Tape", "TapeAnswer", "TapeEntry", "TapeFrame"]


@attrs.frozen
class TapeFrame:
    """A frame that a feed sent.

    Attributes:
        t_ns: The time, in nanoseconds since the Unix epoch, UTC.
        path: The feed's path, such as ``/marketdepth/diff/200``.
        frame: The frame's text.
    """

    t_ns: int
    path: str
    frame: str

    def line(self) -> str:
        """Return the entry's line of a tape, without the line end."""
        return _line({"t_ns": self.t_ns, "ws": self.path, "frame": self.frame})


@attrs.frozen
class TapeAnswer:
    """An answer to a ``GET`` request.

    Attributes:
        t_ns: The time, in nanoseconds since the Unix epoch, UTC.
        path: The requested path, such as ``/marketdepth/200``.
        body: The answer's text.
    """

    t_ns: int
    path: str
    body: str

    def line(self) -> str:
        """Return the entry's line of a tape, without the line end."""
        return _line({"t_ns": self.t_ns, "get": self.path, "body": self.body})


TapeEntry: TypeAlias = TapeFrame | TapeAnswer


@final
class Tape(Sequence[TapeEntry]):
    """A recording: a sequence of its entries.

    Args:
        entries: The entries, in order.
    """

    def __init__(self, entries: Iterable[TapeEntry]) -> None:
        self._entries = tuple(entries)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read a tape from its lines; empty lines are ignored.

        Raises:
            ValueError: A line is not an entry; the message has its number.
        """
        return cls(_read(line, number) for number, line in enumerate(lines, 1) if line.strip())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a tape from a file. This blocks the thread.

        Args:
            path: The file, in UTF-8.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not a tape.
        """
        with Path(path).open(encoding="utf-8") as file:
            return cls.parse(file)

    def save(self, path: str | Path) -> None:
        """Write the tape to a file, replacing it. This blocks the thread.

        Args:
            path: The file; it is written in UTF-8.

        Raises:
            OSError: The file cannot be written.
        """
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(f"{entry.line()}\n" for entry in self._entries)

    @property
    def duration(self) -> float:
        """The seconds from the first entry to the last; 0 for an empty tape."""
        return (self._entries[-1].t_ns - self._entries[0].t_ns) / 1e9 if self._entries else 0.0

    @property
    def feeds(self) -> frozenset[str]:
        """The paths of the feeds on the tape."""
        return frozenset(entry.path for entry in self._entries if isinstance(entry, TapeFrame))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TapeEntry]:
        return iter(self._entries)

    @overload
    def __getitem__(self, index: int) -> TapeEntry: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[TapeEntry, ...]: ...

    def __getitem__(self, index: int | slice) -> TapeEntry | tuple[TapeEntry, ...]:
        return self._entries[index]

    def __repr__(self) -> str:
        return f"<Tape of {len(self)} entries, {self.duration:g} s>"


def _read(line: str, number: int) -> TapeEntry:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"line {number} of the tape is not JSON") from None
    match fields:
        case {"t_ns": int(t_ns), "ws": str(path), "frame": str(frame)} if _is_legal(t_ns, path, frame):
            return TapeFrame(t_ns, path, frame)
        case {"t_ns": int(t_ns), "get": str(path), "body": str(body)} if _is_legal(t_ns, path, body):
            return TapeAnswer(t_ns, path, body)
        case _:
            raise ValueError(
                f"line {number} of the tape is neither "
                '{"t_ns": …, "ws": "/path", "frame": "…"} nor {"t_ns": …, "get": "/path", "body": "…"}'
            )


def _is_legal(t_ns: int, *texts: str) -> bool:
    """Return whether a time and texts are legal: JSON allows lone surrogates, which have no UTF-8 form."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return not isinstance(t_ns, bool) and abs(t_ns) < 1 << 63


def _line(fields: dict[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
