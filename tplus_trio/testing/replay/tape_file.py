"""Reads the lines of a tape's file, and says whether the file breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from tplus_trio.testing.replay.compression import decompressed

__all__ = ["TapeLines"]

#: Bytes that are read at a time.
_PIECE: Final = 64 * 1024


class TapeLines:
    """The lines of a tape's file, once. A file whose writer was killed may break off within a line.

    Args:
        path: The file; its ending says how it is compressed.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        #: After the last line: whether the file breaks off within its compressed data.
        self.is_cut: bool = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line with its line end; the last one may lack it.

        Raises:
            OSError: The file cannot be read.
            ValueError: Its compressed data is corrupt.
        """
        with self._path.open("rb") as file:
            rest = b""
            pieces = decompressed(self._path, _pieces(file))
            while True:
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    self.is_cut = not end.value
                    break
                *lines, rest = (rest + piece).splitlines(keepends=True) or [b""]
                yield from lines
                if rest.endswith(b"\n"):
                    yield rest
                    rest = b""
            if rest:
                yield rest


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
