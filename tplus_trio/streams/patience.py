"""How long a feed waits before it asks REST again. Pure: the time is an argument."""

from __future__ import annotations

import math
from typing import Final

import attrs

from tplus_trio.errors import ConnectionFailed

__all__ = ["PATIENT", "Patience", "Spacing"]

#: Useless answers in a row before the next request is delayed.
PATIENT: Final = 2
#: Seconds without a request after which the delays start over.
_QUIET: Final = 10.0
#: Seconds: the first delay of a resynchronisation over a connection that lasts. It doubles each time.
_FIRST_SPACING: Final = 0.25
#: Seconds: the longest such delay.
_LONGEST_SPACING: Final = 5.0
#: Answers in a row that do not fit before the connection is given up: its messages contradict REST.
_HOPELESS: Final = 8


@attrs.define
class Spacing:
    """The delays between resynchronisations that one connection needs again and again, because of bad frames say.

    Times are in seconds, on any clock that does not go back.
    """

    _begun: int = 0
    _ended: float = -math.inf

    def begin(self, now: float) -> float:
        """Count a resynchronisation; return its delay in seconds: 0 for the first ones, then more each time."""
        if now - self._ended > _QUIET:
            self._begun = 0
        self._begun += 1
        if self._begun <= PATIENT:
            return 0.0
        return min(_FIRST_SPACING * 2.0 ** min(self._begun - PATIENT - 1, 20), _LONGEST_SPACING)

    def end(self, now: float) -> None:
        """Note that a request was answered."""
        self._ended = now

    def reset(self) -> None:
        """Start over without a delay."""
        self._begun = 0


@attrs.define
class Patience:
    """Counts the answers of REST in a row that were useless."""

    useless: int = 0
    #: Of them, those that did not fit what the connection brought.
    rejected: int = 0

    def count(self, *, useful: bool, rejected: bool) -> None:
        """Count an answer.

        Raises:
            ConnectionFailed: too many answers in a row did not fit; another connection is needed.
        """
        if useful:
            self.useless = self.rejected = 0
            return
        self.useless += 1
        self.rejected += rejected
        if self.rejected >= _HOPELESS:
            msg = f"{self.rejected} answers over REST in a row did not fit what the connection brought"
            raise ConnectionFailed(msg)
