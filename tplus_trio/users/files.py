"""Reads and writes the files of stored users; a file is written completely or not at all."""

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
#: The errors that a file system without hard links gives for `os.link`.
_NO_HARD_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EXDEV}
)
_NO_SYMLINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file; a symbolic link is not one.

    Raises:
        KeyfileError: The folder of ``path`` cannot be read.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise KeyfileError(f"cannot read {path}: {error.strerror}") from error


def warn_if_open(path: Path) -> None:
    """Log a warning if anyone but the owner may read, write or execute a keyfile."""
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
    """Read a small regular file; symbolic links are not followed.

    Returns:
        The first 64 KiB + 1 byte of the file: the caller sees by the extra byte that it is too long.

    Raises:
        KeyfileError: ``path`` is not a regular file, or cannot be read.
    """
    if not is_file(path):
        raise KeyfileError(f"not a regular file: {path}")
    try:
        # The check above gives a clear message. O_NOFOLLOW covers a link that replaced the file since then.
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_SYMLINK), "rb") as file:
            return file.read(_MAX_FILE_SIZE + 1)
    except OSError as error:
        raise KeyfileError(f"cannot read {path}: {error.strerror}") from error


def make_private(folder: Path) -> None:
    """Create the folder if it is missing, and give it mode 0700 if its group or others have any access.

    A folder that everybody may write to is refused, not changed: other users may depend on it.

    Raises:
        ValueError: Everybody may write to the folder.
        OSError: The folder cannot be created, or its mode cannot be changed.
    """
    # Missing parents get 0700 too, so that nobody else can replace the folder; chmod, because of the umask.
    for missing in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
        missing.chmod(0o700)
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        raise ValueError(f"everybody may write to {folder}; run chmod o-w on it, or give UserManager another folder")
    if stat.S_IMODE(mode) & 0o077:
        folder.chmod(0o700)


@contextlib.contextmanager
def staged(folder: Path, data: bytes) -> Generator[Path]:
    """Write ``data`` to a synced temporary file of mode 0600 in ``folder``.

    `put_new` or `put_over` gives it its final name. If neither did, it is removed on exit.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            temporary.chmod(0o600)  # mkstemp asks for 0600; the umask may have removed bits
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def put_new(temporary: Path, path: Path) -> None:
    """Give a staged file its final name, if nothing has that name.

    Raises:
        FileExistsError: ``path`` exists.
        OSError: The file cannot be renamed; nothing was changed.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Reserve the name with an empty file, then replace that with ours.
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
    """Give a staged file its final name, replacing any file that has it.

    Raises:
        OSError: The file cannot be renamed; nothing was changed.
    """
    os.replace(temporary, path)  # noqa: PTH105 - same argument order as os.link above; pathlib's is reversed
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Sync the folder, so that a new name survives a power cut; nothing happens where folders cannot be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
