"""The statistics of a control channel."""

from __future__ import annotations

import attrs

from tplus_trio.streams.stats import StreamState

__all__ = ["ControlStatistics"]


@attrs.frozen(kw_only=True)
class ControlStatistics:
    """What a control channel has done since it was opened."""

    #: The public key of the user whom it is signed in as.
    user: str
    state: StreamState
    #: Connections made.
    connects: int
    #: Requests that wait for a connection, or for their turn.
    waiting: int
    #: Requests that may have been sent and wait for an answer.
    in_flight: int
    #: The most requests that have been in flight.
    peak_in_flight: int
    #: Requests that were answered, refusals not counted.
    answered: int
    #: Answers that came a second time, or after their request was given up.
    repeats: int
    #: Answers that belong to no request.
    strays: int
    #: Frames that could not be decoded and name no request.
    malformed: int
