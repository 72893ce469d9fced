"""The files of stored users: read with care, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

from tplus_trio.errors import KeyfileError
from tplus_trio.log_events import LogEvent, log_event

__all__ = ["is_file", "make_private", "put_new", "put_over", "read_small", "staged", "warn_if_open"]

_log = logging.getLogger("tplus_trio.users")

_MAX_FILE_SIZE: Final = 64 * 1024
#: What a file system without hard links answers to one.
_NO_HARD_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EXDEV}
)
_NO_SYMLINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)


def is_file(path: Path) -> bool:
    """Whether there is a regular file, and no symbolic link to one.

    Raises:
        KeyfileError: Its folder cannot be read.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise KeyfileError(f"cannot read {path}: {error.strerror}") from error


def warn_if_open(path: Path) -> None:
    """Log a warning if others than its owner may use a keyfile."""
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if os.name == "posix" and mode & 0o077:
            log_event(
                _log,
                logging.WARNING,
                LogEvent.KEYFILE_READABLE,
                "permissions %04o for %s are too open; close the keyfile with chmod 600",
                mode,
                path,
                path=str(path),
                mode=mode,
            )


def read_small(path: Path) -> bytes:
    """The bytes of a small regular file that is no symbolic link: one byte more than 64 KiB at most.

    Raises:
        KeyfileError: It is no such file, or cannot be read.
    """
    if not is_file(path):
        raise KeyfileError(f"not a regular file: {path}")
    try:
        # Checked above for a good message, and here against a link that has just taken its place.
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_SYMLINK), "rb") as file:
            return file.read(_MAX_FILE_SIZE + 1)
    except OSError as error:
        raise KeyfileError(f"cannot read {path}: {error.strerror}") from error


def make_private(folder: Path) -> None:
    """Have the folder, for its owner alone; one that everybody may write to is not ours to close.

    Raises:
        ValueError: Everybody may write to it.
        OSError: It cannot be made or closed.
    """
    # Those above it as well, lest somebody exchanges it; and whatever the umask is.
    for missing in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
        missing.chmod(0o700)
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        raise ValueError(f"everybody may write to {folder}; keys need a folder of their own")
    if stat.S_IMODE(mode) & 0o077:
        folder.chmod(0o700)


@contextlib.contextmanager
def staged(folder: Path, data: bytes) -> Generator[Path]:
    """A file of mode 0600 beside its place, safe on the disk, to be put there; removed afterwards if it was not.

    Raises:
        OSError: It cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            temporary.chmod(0o600)  # made with that, or less where the umask says so
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def put_new(temporary: Path, path: Path) -> None:
    """Put a staged file in its place, if nothing is there.

    Raises:
        FileExistsError: Something is there.
        OSError: It cannot be put there; nothing was changed.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Take the name with an empty file, then put ours over it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_SYMLINK, 0o600))
        try:
            put_over(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
    else:
        _sync(path.parent)


def put_over(temporary: Path, path: Path) -> None:
    """Put a staged file in its place, whatever is there.

    Raises:
        OSError: It cannot be put there; nothing was changed.
    """
    os.replace(temporary, path)  # noqa: PTH105 - beside os.link, which pathlib names the other way round
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have a new name survive a power cut, where folders can be synced at all."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
