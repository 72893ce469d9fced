"""The file of a journal: opening, locking, appending, and making it small again."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

import trio

from tplus_trio.arguments import check_instance
from tplus_trio.errors import JournalCorrupt, JournalInUse, JournalNotWritten
from tplus_trio.models import Order
from tplus_trio.orders.journal.lines import (
    HEADER,
    ChangeSent,
    OrderGone,
    OrderSent,
    Record,
    encode_line,
    encode_lines,
    read_lines,
)
from tplus_trio.orders.journal.open_orders import OpenOrders
from tplus_trio.orders.order_facts import Change
from tplus_trio.threads import run_in_thread
from tplus_trio.users.files import put_over, staged

if sys.platform != "win32":
    import fcntl

__all__ = ["OrderJournal"]

#: The file is its owner's alone, although it has no secrets.
_MODE: Final = 0o600


class OrderJournal:
    """A file in which a scope notes its orders before they are sent, so that the next run of the program owns them.

    Give it, or the path alone, to `OrderBookClient.order_scope`. Entering the scope makes the file, with mode 0600, and
    a file beside it, ``<path>.lock``, which stays. One scope at a time uses a journal. The file has the orders and
    their changes; no private key, token or signature is in it.

    What was written survives the end of the process, however it ends. It survives the end of the machine only with
    ``sync=True``, which waits for the disk before each order and each change is sent.

    Args:
        path: The file. Its folder exists.
        sync: Whether to wait until the disk has what was written.

    Raises:
        TypeError, ValueError: an argument is not legal.
        RuntimeError: the platform has no file locks (``fcntl``).
    """

    def __init__(self, path: str | os.PathLike[str], *, sync: bool = False) -> None:
        if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
            msg = f"path is a str or a path of text, not {type(path).__name__}"
            raise TypeError(msg)
        if not os.fspath(path):
            raise ValueError("path is the name of a file, not an empty text")
        if sys.platform == "win32":
            raise RuntimeError("a journal needs file locks (fcntl), which this platform does not have")
        #: The file.
        self.path: Path = Path(path)
        #: Whether to wait until the disk has what was written.
        self.sync: bool = check_instance("sync", sync, bool)

    def __repr__(self) -> str:
        return f"OrderJournal({str(self.path)!r}, sync={self.sync})"

    async def _open(self) -> OpenJournal:
        """Lock the file and read it. A torn last line is cut off.

        Cancelling it takes effect when the file has been read.

        Raises:
            JournalInUse: another scope uses it.
            JournalCorrupt: it is not as it was written.
            OSError: it cannot be read or written.
        """
        opened: list[OpenJournal] = []
        # A thread cannot be cancelled, and one that was left alone would hold the lock. It only reads and writes files.
        with trio.CancelScope(shield=True):
            opened.append(await run_in_thread(lambda: OpenJournal(self.path, sync=self.sync)))
        return opened[0]


class OpenJournal:
    """A journal that is open and locked. Making one blocks while the file is read.

    Args:
        path: The file.
        sync: Whether to wait until the disk has what was written.

    Raises:
        JournalInUse, JournalCorrupt, OSError: as for `OrderJournal`.
    """

    # Eleven attributes: the file, what is in it, and how far the disk has it.
    def __init__(self, path: Path, *, sync: bool) -> None:
        # Links are followed: the lock is that of the file, and a new file takes the place of the file itself.
        self._path = path = Path(os.path.realpath(path))
        self._sync = sync
        self._file = -1
        #: The number of the next line, and the length of the file in bytes.
        self._lines = 1
        self._length = len(HEADER)
        #: The entries of orders that have gone, as far as that could not be written.
        self._gone: list[int] = []
        #: Why nothing can be written any more; None if it can.
        self._failure: OSError | None = None
        #: Held while the disk is waited for. Then it has what was written before: so many lines.
        self._syncing = trio.Lock()
        self._synced = 1
        #: The orders that are not known to have gone.
        self.orders: OpenOrders = OpenOrders()
        self._lock = _lock(path)
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        data = self._path.read_bytes() if self._path.exists() else b""
        end = data.rfind(b"\n") + 1
        if not end and not HEADER.startswith(data):
            raise JournalCorrupt(f"{self._path} is no journal: it has no whole line. Nothing was changed")
        number = 0
        try:
            for number, record in read_lines(data):
                try:
                    self.orders.add(record)
                except ValueError as exc:
                    msg = f"line {number + 1}: {exc}"
                    raise ValueError(msg) from exc
        except ValueError as exc:
            msg = f"{self._path}, {exc}. Nothing was changed; move the file away to begin a new one"
            raise JournalCorrupt(msg) from exc
        kept = list(self.orders.records())
        if not end or number > 2 * len(kept):
            # Beside it first, so that the file has either all that it had or all that is needed.
            text = encode_lines(kept)
            with staged(self._path.parent, text) as temporary:
                put_over(temporary, self._path)
            number, end = len(kept), len(text)
        self._lines, self._length = number + 1, end
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(self._file, end)

    # Writing.

    async def write_order(self, order: Order, key: str | None = None, follows: int | None = None) -> int:
        """Write that an order is about to be sent.

        If it fails or is cancelled, the journal says that the order has gone.

        Args:
            order: The order.
            key: Its key, if it has one.
            follows: The entry of the order of the same handle that it follows.

        Returns:
            Its entry.

        Raises:
            JournalNotWritten: it could not be written.
            UnicodeEncodeError: the key has half a surrogate pair.
        """
        entry = self.orders.next_entry
        self._write(OrderSent(entry, order, key, follows))
        try:
            await self._wait_synced()
        except BaseException:
            self.write_gone(entry)
            raise
        return entry

    async def write_change(self, entry: int, change: Change) -> None:
        """Write that a change of an order is about to be sent. Nothing is written of an order that has gone.

        Cancelling it leaves the line, which does no harm.

        Args:
            entry: The order.
            change: The change.

        Raises:
            JournalNotWritten: it could not be written.
        """
        if entry in self.orders:
            self._write(ChangeSent(entry, change))
            await self._wait_synced()

    def write_gone(self, entry: int) -> None:
        """Write that an order is proved gone. If that fails, it is written before anything else."""
        if entry not in self.orders or entry in self._gone:
            return
        self._gone.append(entry)
        with contextlib.suppress(JournalNotWritten):  # until then the order may rest, as far as the journal knows
            self._write_gone()

    def _write(self, record: Record) -> None:
        self._write_gone()
        self._append(record)

    def _write_gone(self) -> None:
        while self._gone:
            self._append(OrderGone(self._gone[0]))
            self._gone.pop(0)

    def _append(self, record: Record) -> None:
        line = encode_line(self._lines, record)
        if self._failure is not None:
            raise self._not_written(self._failure)
        try:
            _write_all(self._file, line)
        except OSError as exc:
            self._cut_off(exc)
            raise self._not_written(exc) from exc
        self._lines += 1
        self._length += len(line)
        self.orders.add(record)

    def _cut_off(self, failure: OSError) -> None:
        """Remove what a failed write may have left of a line."""
        try:
            os.ftruncate(self._file, self._length)
        except OSError:
            self._failure = failure

    def _not_written(self, failure: OSError) -> JournalNotWritten:
        return JournalNotWritten(f"{self._path} could not be written: {failure}; the request was not sent")

    async def _wait_synced(self) -> None:
        """Wait until the disk has what was written, if that is wanted. One wait serves all lines before it."""
        if not self._sync:
            return
        lines = self._lines
        async with self._syncing:
            if self._synced >= lines:
                return
            if self._failure is not None:
                raise self._not_written(self._failure)
            lines = self._lines
            # A descriptor of its own: the thread of a call that is cancelled goes on, also after the file is closed.
            file = os.dup(self._file)
            try:
                await run_in_thread(lambda: _sync(file))
            except OSError as exc:
                # What the disk has is not known any more, and the system does not try again to write it.
                self._failure = exc
                raise self._not_written(exc) from exc
            self._synced = lines

    def close(self) -> None:
        """Close the file, and let others use it."""
        self._failure = self._failure or OSError("the journal is closed")
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
        os.close(self._lock)


def _write_all(file: int, line: bytes) -> None:
    written = os.write(file, line)
    if written < len(line):
        msg = f"only {written} of {len(line)} bytes were written"
        raise OSError(msg)


def _sync(file: int) -> None:
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _lock(path: Path) -> int:
    """Lock a journal, and return the descriptor that holds the lock until it is closed.

    Raises:
        JournalInUse: it is locked.
        OSError: the file of the lock cannot be opened.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        if isinstance(exc, BlockingIOError):
            raise JournalInUse(f"another scope or program uses the journal {path}. Nothing was changed") from exc
        raise
    return descriptor
