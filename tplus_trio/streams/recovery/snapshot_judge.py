"""Whether a snapshot is current: it may come from a cache, from a replica that is behind, or from before a restart."""

from __future__ import annotations

from typing import Final

from tplus_trio.streams.recovery.repeats import FAR_BACK

__all__ = ["SnapshotJudge"]

#: After as many rejected snapshots in a row, the next is accepted: the service has started over, since a cache does not
#: serve an old snapshot for so long.
_MAX_REJECTED: Final = 5
#: As many changes in a row that the snapshot contains already mean that the snapshot is of the book before a restart.
#: The limit doubles each time, until a change follows, since a connection may really be so far behind.
_MAX_CATCH_UP: Final = 50


class SnapshotJudge:
    """Accepts or rejects snapshots by their numbers, and notices later if an accepted one was of another book.

    All numbers are sequence numbers; -1 stands for none.
    """

    __slots__ = (
        "_catch_up_count",
        "_catch_up_limit",
        "_is_far_behind",
        "old_epoch_high",
        "pre_gap_high",
        "rejected_snapshots",
    )

    def __init__(self) -> None:
        #: The highest number before the last loss. A snapshot below it is old, unless the service has started over.
        self.pre_gap_high: int = -1
        #: The snapshots in a row that were rejected.
        self.rejected_snapshots: int = 0
        #: After a snapshot with a lower number than before: changes up to this number may be of the book before.
        self.old_epoch_high: int = -1
        #: The changes since the snapshot that it contained already, and how many of them are accepted.
        self._catch_up_count = 0
        self._catch_up_limit = _MAX_CATCH_UP
        #: Whether this connection is known to be far behind the snapshots.
        self._is_far_behind = False

    def begin_connection(self) -> None:
        """Nothing is known about how far the next connection is behind."""
        self._is_far_behind = False

    def note_gap(self, highest: int) -> None:
        """Continuity was lost after this number."""
        self.pre_gap_high = max(self.pre_gap_high, highest)

    def require(self, number: int) -> None:
        """The next snapshot has to contain this number; -1 means that any snapshot is accepted."""
        self.pre_gap_high = number

    def accepts(self, number: int, first_held: int | None, last_held: int | None = None) -> bool:
        """Decide about a snapshot, and count it if it is rejected.

        It is accepted if it contains all that came before the loss, or if the held changes follow it. Otherwise either
        the service has started over or the snapshot is old. It is also old if it is far above all that the connection
        has brought: the service has started over, and the snapshot is of the book before.

        Args:
            number: The snapshot's number.
            first_held: The number of the first held change; None if none is held.
            last_held: The number of the last held change; None if none is held.
        """
        if last_held is not None and number - last_held > FAR_BACK and not self._is_far_behind:
            self.rejected_snapshots += 1
            # A connection may really be so far behind; then that is not doubted again.
            self._is_far_behind = self.rejected_snapshots >= _MAX_REJECTED
            return self._is_far_behind
        if number >= self.pre_gap_high or (first_held is not None and first_held <= number + 1):
            return True
        self.rejected_snapshots += 1
        return self.pre_gap_high - number > FAR_BACK or self.rejected_snapshots >= _MAX_REJECTED

    def delivered(self, number: int) -> None:
        """A snapshot with this number was accepted and is delivered."""
        if number < self.pre_gap_high:
            self.old_epoch_high = self.pre_gap_high
        elif number >= self.old_epoch_high:
            self.old_epoch_high = -1
        self.pre_gap_high = -1
        self.rejected_snapshots = self._catch_up_count = 0

    def is_of_old_epoch(self, number: int) -> bool:
        """Whether a jump to this number may be a change of the book from before the service went back.

        Below `old_epoch_high` the numbers are those of the new book, which has then left the old one behind.
        """
        if 0 <= self.old_epoch_high < number:
            return True
        self.old_epoch_high = -1
        return False

    def is_catching_up(self, distance: int, *, is_first: bool) -> bool:
        """Decide about a change that the snapshot should contain, and count it.

        Args:
            distance: How far its number is below the snapshot's.
            is_first: Whether it is the first change of the connection.

        Returns:
            True if the connection is catching up with the snapshot; False if the service has started over.
        """
        self._catch_up_count += 1
        if self._catch_up_count > self._catch_up_limit:
            self._catch_up_limit *= 2
            return False
        return not (is_first and distance > FAR_BACK)

    def settle(self) -> None:
        """A change followed the one before: restore the limit of `is_catching_up`."""
        self._catch_up_limit = _MAX_CATCH_UP
