"""Which users a service knows: for them, "not found" is no answer to a listing."""

from __future__ import annotations

import math
from typing import Final

import trio

from tplus_trio.errors import NotFoundError

__all__ = ["KnownUsers", "is_of_the_service", "says_nothing_yet"]

#: What the service says where a listing names a market that does not exist.
_NO_MARKET = ("ASSET_", "MARKET_")
#: Seconds by which a listing may lag behind an answer or an event.
_LAG: Final = 10.0


class KnownUsers:
    """The public keys of the users of whom a service has listed, sent or accepted something.

    A service answers 404 to a listing of a user that it has not seen yet. For a user that it knew when the listing was
    requested, a 404 is an error. An answer or an event proves that for a while only: the book may refuse an order that
    the service took, and then the service may have nothing to list.

    Args:
        lag: Seconds by which a listing may lag behind an answer or an event.
    """

    def __init__(self, lag: float = _LAG) -> None:
        self._lag = lag
        #: Those of whom orders were listed.
        self._keys: set[str] = set()
        #: Those for whom a listing had an answer, with the name of that listing. Another listing may still be missing.
        self._listed: set[tuple[str, str]] = set()
        #: When the last answer or event of each came, on trio's clock.
        self._seen_at: dict[str, float] = {}

    def add(self, key: str, listing: str | None = None) -> None:
        """Remember a user; with a listing, only that this listing has an answer for the user."""
        if listing is None:
            self._keys.add(key)
        else:
            self._listed.add((listing, key))

    def saw(self, key: str) -> None:
        """Note that the service accepted something of a user, or sent an event."""
        self._seen_at[key] = trio.current_time()

    def has(self, key: str, listing: str | None = None) -> bool:
        """Return whether the service knows a user. Ask before a request: its answer may be older than what follows."""
        if key in self._keys or (listing, key) in self._listed:
            return True
        return trio.current_time() - self._seen_at.get(key, -math.inf) < self._lag


def says_nothing_yet(refusal: NotFoundError) -> bool:
    """Return whether a refusal of a listing means that a user whom the service may not know has nothing there yet."""
    return is_of_the_service(refusal) and not refusal.code.startswith(_NO_MARKET)


def is_of_the_service(refusal: NotFoundError) -> bool:
    """Return whether the service itself sent a 404, not a proxy: its codes end in ``_NOT_FOUND``."""
    return refusal.status == 404 and refusal.code.endswith("_NOT_FOUND")
