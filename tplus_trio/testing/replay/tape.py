"""Tapes: recorded frames and answers, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeAlias, final, overload

import attrs

from tplus_trio.arguments import has_utf8
from tplus_trio.testing.replay.compression import compressor_of
from tplus_trio.testing.replay.tape_file import TapeLines

__all__ = ["Tape", "TapeAnswer", "TapeEntry", "TapeFrame", "TapeLoss"]


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


@attrs.frozen
class TapeLoss:
    """A place where frames of a feed may be missing, because they were not received.

    Played, it is a loss for the subscribers too: the exchange closes their connections, unless the sequence numbers of
    the feed show the loss.

    Attributes:
        t_ns: The time, in nanoseconds since the Unix epoch, UTC.
        path: The feed's path, such as ``/marketdepth/diff/200``.
        reason: Why, for a person to read.
        connection: Whether the connection was lost; if not, something was missed over a connection that went on.
    """

    t_ns: int
    path: str
    reason: str
    connection: bool = True

    def line(self) -> str:
        """Return the entry's line of a tape, without the line end."""
        return _line({"t_ns": self.t_ns, "ws": self.path, "lost" if self.connection else "gap": self.reason})


TapeEntry: TypeAlias = TapeFrame | TapeAnswer | TapeLoss


@final
class Tape(Sequence[TapeEntry]):
    """A recording: a sequence of its entries.

    Args:
        entries: The entries, in order.
    """

    def __init__(self, entries: Iterable[TapeEntry]) -> None:
        self._entries = tuple(entries)
        self._tear: str | None = None

    @property
    def tear(self) -> str | None:
        """How the file broke off that the tape was read from; None if it was complete."""
        return self._tear

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read a tape from its lines; empty lines are ignored.

        Raises:
            ValueError: A line is not an entry; the message has its number.
        """
        return cls(read_entry(line, number) for number, line in enumerate(lines, 1) if line.strip())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a tape from a file. This blocks the thread.

        A file whose writer was killed may break off within its last line or its compressed data: what comes before is
        read, and :attr:`tear` says so.

        Args:
            path: The file, in UTF-8; it is decompressed if it ends in ``.gz``, ``.xz`` or ``.zst``.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not a tape.
        """
        tears: list[str] = []
        tape = cls(read_file(path, tears.append))
        tape._tear = tears[0] if tears else None
        return tape

    def save(self, path: str | Path) -> None:
        """Write the tape to a file, replacing it. This blocks the thread.

        Args:
            path: The file; it is written in UTF-8, compressed if it ends in ``.gz``, ``.xz`` or ``.zst``.

        Raises:
            OSError: The file cannot be written.
            ValueError: It ends in ``.zst``, and no module for it is installed.
        """
        compressor = compressor_of(path)
        with Path(path).open("wb") as file:
            file.writelines(compressor.compress(f"{entry.line()}\n".encode()) for entry in self._entries)
            file.write(compressor.finish())

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


def read_file(path: str | Path, on_tear: Callable[[str], object]) -> Iterator[TapeEntry]:
    """Read the entries of a tape's file, one after the other.

    Args:
        path: The file.
        on_tear: Called after the last entry if the file breaks off, with how.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a tape.
    """
    lines = TapeLines(path)
    is_begun = is_torn = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = read_entry(line.decode(), number)
        except ValueError:
            if line.endswith(b"\n") or not (is_begun or lines.is_cut):
                raise
            is_torn = True
            break
        yield entry
        is_begun = True
    if lines.is_cut:
        on_tear("its compressed data breaks off")
    elif is_torn:
        on_tear("its last line breaks off")


def read_entry(line: str, number: int) -> TapeEntry:
    """Read one line of a tape.

    Args:
        line: The line.
        number: Its number, for the error message.

    Raises:
        ValueError: The line is not an entry.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"line {number} of the tape is not JSON") from None
    match fields:
        case {"t_ns": int(t_ns), "ws": str(path), "frame": str(frame)} if _is_legal(t_ns, path, frame):
            return TapeFrame(t_ns, path, frame)
        case {"t_ns": int(t_ns), "get": str(path), "body": str(body)} if _is_legal(t_ns, path, body):
            return TapeAnswer(t_ns, path, body)
        case {"t_ns": int(t_ns), "ws": str(path), "lost": str(reason)} if _is_legal(t_ns, path, reason):
            return TapeLoss(t_ns, path, reason)
        case {"t_ns": int(t_ns), "ws": str(path), "gap": str(reason)} if _is_legal(t_ns, path, reason):
            return TapeLoss(t_ns, path, reason, connection=False)
        case _:
            raise ValueError(
                f"line {number} of the tape is neither "
                '{"t_ns": …, "ws": "/path", "frame": "…"} nor {"t_ns": …, "get": "/path", "body": "…"}, '
                'and names no loss: {"t_ns": …, "ws": "/path", "lost": "…"} or "gap"'
            )


def _is_legal(t_ns: int, *texts: str) -> bool:
    """Return whether a time and texts are legal."""
    return has_utf8("".join(texts)) and not isinstance(t_ns, bool) and abs(t_ns) < 1 << 63


def _line(fields: dict[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
