"""A hole in a stream that could not be closed."""

from __future__ import annotations

import attrs

__all__ = ["Gap"]


@attrs.frozen
class Gap:
    """Stands in a stream where items may be missing: between two times, completeness cannot be proved."""

    #: The last moment (ns since the Unix epoch) up to which nothing is missing.
    since_ns: int
    #: The first moment (ns) from which on nothing is missing again.
    until_ns: int
    #: Why, for a person to read.
    reason: str
