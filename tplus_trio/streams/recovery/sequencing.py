"""What "the next sequence number" means for a service, and how that is found out."""

from __future__ import annotations

import logging
from typing import Final, Literal, get_args

from tplus_trio.log_events import LogEvent, log_event

__all__ = ["Sequencing"]

_log = logging.getLogger("tplus_trio.streams")

#: What "the next sequence number" means.
Sequencing = Literal["auto", "contiguous", "increasing"]

#: Fresh snapshots in a row, each followed at once by a jump, that show that a service's numbers are not contiguous. One
#: jump after a snapshot is a lost message; five in a row are hardly chance.
_MAX_FRESH_JUMPS: Final = 5


def check_sequencing(sequence: str) -> None:
    """Check a depth stream's ``sequence`` argument.

    Raises:
        ValueError: ``sequence`` is not one of the legal values.
    """
    if sequence not in get_args(Sequencing):
        msg = f"sequence is one of {', '.join(get_args(Sequencing))}, not {sequence!r}"
        raise ValueError(msg)


class SequencingRule:
    """Decides whether a jump of sequence numbers is a loss.

    With ``"auto"`` a jump is a loss until the service proves that its numbers are not contiguous. This proof holds for
    one connection.

    Args:
        mode: The depth stream's ``sequence`` argument.
        name: The stream's name, for the log.
    """

    __slots__ = ("_has_warned", "_mode", "fresh_jump_count", "is_contiguous", "name")

    def __init__(self, mode: Sequencing, name: str) -> None:
        self._mode = mode
        self._has_warned = False
        #: The stream's name, for the log.
        self.name: str = name
        #: Whether a jump is a loss.
        self.is_contiguous: bool = mode != "increasing"
        #: Fresh snapshots in a row, each of which was followed at once by a jump.
        self.fresh_jump_count: int = 0

    def reset(self) -> None:
        """Begin again for another connection, which may reach another server that counts differently."""
        self.is_contiguous = self._mode != "increasing"
        self.fresh_jump_count = 0

    def accepts_jump(self, *, is_fresh: bool) -> bool:
        """Decide about a jump while numbers count as contiguous, and count it if it follows a snapshot at once.

        Args:
            is_fresh: Whether no change has followed the snapshot before this one.

        Returns:
            Whether jumps are how this service counts.
        """
        if not is_fresh:
            self.fresh_jump_count = 0
            return False
        self.fresh_jump_count += 1
        if self._mode != "auto" or self.fresh_jump_count < _MAX_FRESH_JUMPS:
            return False
        log_event(
            _log,
            logging.INFO if self._has_warned else logging.WARNING,
            LogEvent.NUMBERS_NOT_CONTIGUOUS,
            "%s: sequence numbers are not contiguous (%d fresh snapshots in a row were followed by a jump); "
            "increasing numbers are accepted over this connection, and a lost message cannot be noticed",
            self.name,
            self.fresh_jump_count,
            path=self.name,
        )
        self.is_contiguous, self._has_warned = False, True
        return True
