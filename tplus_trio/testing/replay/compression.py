"""The compression of a tape's file, by its ending. Pure.

A file that is written piece by piece has to be readable up to its last piece when its writer is killed. So each format
can *flush*: write what makes all data so far readable.
"""

from __future__ import annotations

import importlib
import lzma
import zlib
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

__all__ = ["Compressor", "compressor_of", "decompressed"]

#: zlib's number for a window of 32 KiB with a gzip header.
_GZIP: Final = 31
#: Levels that keep up with a busy feed on a part of a core: each higher one costs more time than it saves space.
_GZIP_LEVEL, _XZ_PRESET = 6, 1
#: The modules with zstd: the standard library's from Python 3.14 on, and its backport.
_ZSTD_MODULES: Final = ("compression.zstd", "backports.zstd")


class Compressor(Protocol):
    """Compresses a file piece by piece. Each method returns the bytes to write."""

    def compress(self, data: bytes) -> bytes:
        """Take more data."""
        ...

    def flush(self) -> bytes:
        """Make all data so far readable."""
        ...

    def finish(self) -> bytes:
        """End the file."""
        ...


class _Plain:
    """No compression."""

    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""

    finish = flush


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP)

    def compress(self, data: bytes) -> bytes:
        return self._inner.compress(data)

    def flush(self) -> bytes:
        return self._inner.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._inner.flush(zlib.Z_FINISH)


class _Xz:
    """Ends a stream at each flush, because Python's lzma cannot flush within one. A file may hold many streams."""

    def __init__(self) -> None:
        self._inner: lzma.LZMACompressor | None = None

    def compress(self, data: bytes) -> bytes:
        if self._inner is None:
            self._inner = lzma.LZMACompressor(preset=_XZ_PRESET)
        return self._inner.compress(data)

    def flush(self) -> bytes:
        inner, self._inner = self._inner, None
        return b"" if inner is None else inner.flush()

    finish = flush


class _Zstd:
    def __init__(self) -> None:
        self._inner = _zstd().ZstdCompressor()

    def compress(self, data: bytes) -> bytes:
        return bytes(self._inner.compress(data))

    def flush(self) -> bytes:
        return bytes(self._inner.flush(self._inner.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._inner.flush(self._inner.FLUSH_FRAME))


def _zstd() -> Any:
    """Import the module with zstd.

    Raises:
        ValueError: There is none.
    """
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ValueError("a file that ends in .zst needs Python 3.14 or the package backports.zstd; .gz and .xz do not")


_COMPRESSORS: Final[dict[str, Callable[[], Compressor]]] = {".gz": _Gzip, ".xz": _Xz, ".zst": _Zstd}
_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {
    ".gz": lambda: zlib.decompressobj(wbits=_GZIP),
    ".xz": lzma.LZMADecompressor,
    ".zst": lambda: _zstd().ZstdDecompressor(),
}


def compressor_of(path: str | Path) -> Compressor:
    """Return the compressor for a file: of its ending ``.gz``, ``.xz`` or ``.zst``, or none.

    Raises:
        ValueError: The file ends in ``.zst``, and no module for it is installed.
    """
    return _COMPRESSORS.get(Path(path).suffix.lower(), _Plain)()


def decompressed(path: str | Path, pieces: Iterable[bytes]) -> Generator[bytes, None, bool]:
    """Decompress the pieces of a file, and return whether the file ends where its compressed data does.

    Args:
        path: The file's name; its ending says how it is compressed.
        pieces: Its bytes, in order.

    Raises:
        ValueError: The data is corrupt, or no module for ``.zst`` is installed.
    """
    make = _DECOMPRESSORS.get(Path(path).suffix.lower())
    if make is None:
        yield from pieces
        return True
    inner = make()
    is_begun = False
    for piece in pieces:
        rest = piece
        while rest:
            if inner.eof:
                inner = make()
            is_begun = True
            try:
                yield inner.decompress(rest)
            except Exception as exc:  # zlib.error, LZMAError or ZstdError
                if isinstance(exc, MemoryError | OSError):
                    raise
                raise ValueError(f"the compressed data is corrupt: {exc}") from exc
            rest = inner.unused_data if inner.eof else b""
    return bool(inner.eof) or not is_begun
