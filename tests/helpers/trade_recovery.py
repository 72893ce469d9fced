"""A trades recovery that takes and returns trade ids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs

from tests.helpers.recovered_streams import ids_and_gaps
from tplus_trio import AssetIdentifier, Trade
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import TradesBackfill

__all__ = ["ASSET", "Clock", "Recovery", "Rows", "after_a_loss", "lost", "rows", "trade", "trades"]

ASSET = AssetIdentifier(200)


def trade(number: int, **more: Any) -> Trade:
    made = Trade(ASSET, number, Decimal(100), Decimal(1), number * 10, buyer_is_maker=False)
    return attrs.evolve(made, **more)


def trades(*given: int) -> list[Trade]:
    return [trade(number) for number in given]


class Rows(list[Any]):
    """A page of which some rows could not be decoded."""

    bad: Any = ()


def rows(*given: int | None) -> Rows:
    """Make a page; None is a row that could not be decoded."""
    made = Rows(trades(*(number for number in given if number is not None)))
    made.bad = [position for position, number in enumerate(given) if number is None]
    return made


class Clock:
    now = 10

    def __call__(self) -> int:
        return self.now


class Recovery(TradesBackfill):
    """A trades recovery that takes and returns trade ids."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock, ConnectionCounts(), max_pages=3, confirm_timeout=1.5)
        self.subscribed()

    def receive_ids(self, *given: int) -> list[Any]:
        """Let the feed bring trades of these ids, and return what is delivered."""
        self.clock.now = max(self.clock.now, *(10 * number for number in given))
        return ids_and_gaps(self.receive(trades(*given)))

    def answer_page(self, *given: int | None) -> list[Any]:
        """Answer the pending request with a page, and return what is delivered."""
        assert self.pending_request is not None
        return ids_and_gaps(self.answer(self.pending_request, rows(*given), early=False))


def lost(recovery: Recovery) -> Recovery:
    recovery.lost("reset")
    recovery.subscribed()
    assert (recovery.pending_request, recovery.synced) == (0, False)
    return recovery


def after_a_loss() -> Recovery:
    """1, 2 and 3 were delivered; then the connection was lost."""
    made = Recovery()
    assert made.receive_ids(1, 2, 3) == [1, 2, 3]
    return lost(made)
