"""How long to wait before REST is asked again. Pure: the time is an argument."""

from __future__ import annotations

import math
from typing import Final

import attrs

from tplus_trio.errors import ConnectionFailed

__all__ = ["PATIENT", "Patience", "Spacing"]

#: How many answers in a row may turn out to be of no use before the next request is put off.
PATIENT: Final = 2
#: Seconds without a request after which the feed counts as quiet again.
_QUIET: Final = 10.0
#: Seconds that a resynchronisation over a connection that lasts is put off, after the first ones; twice as long each
#: time; and at most.
_FIRST_SPACING: Final = 0.25
_LONGEST_SPACING: Final = 5.0
#: Answers in a row that do not fit after which the connection is given up: what it brought contradicts what REST says.
_HOPELESS: Final = 8


@attrs.define
class Spacing:
    """Between requests that a connection which lasts makes necessary again and again, as bad frames do.

    Seconds on any clock that does not go back.
    """

    _begun: int = 0
    _ended: float = -math.inf

    def begin(self, now: float) -> float:
        """Count a resynchronisation; return the seconds to put it off: none for the first ones, then more each time."""
        if now - self._ended > _QUIET:
            self._begun = 0
        self._begun += 1
        if self._begun <= PATIENT:
            return 0.0
        return min(_FIRST_SPACING * 2.0 ** min(self._begun - PATIENT - 1, 20), _LONGEST_SPACING)

    def end(self, now: float) -> None:
        """Note when a request was answered."""
        self._ended = now

    def reset(self) -> None:
        """Begin anew."""
        self._begun = 0


@attrs.define
class Patience:
    """With answers of REST that are of no use."""

    useless: int = 0
    #: Of them, those that were looked at, and did not fit.
    rejected: int = 0

    def count(self, *, useful: bool, rejected: bool) -> None:
        """Count an answer.

        Raises:
            ConnectionFailed: none will fit any more.
        """
        if useful:
            self.useless = self.rejected = 0
            return
        self.useless += 1
        self.rejected += rejected
        if self.rejected >= _HOPELESS:
            msg = f"{self.rejected} answers over REST in a row did not fit what the connection brought"
            raise ConnectionFailed(msg)
