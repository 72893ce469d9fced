"""A task that trades while a live book is in sync, and checks that it stops when the book does not."""

from __future__ import annotations

import random
from typing import Final

import trio

from tplus_trio import BookNotSynced, LiveBook, TplusError

__all__ = ["SessionTrader"]

#: Seconds. It is longer than any round trip of a world's network, so that this limit alone drops no connection.
_MAX_SILENCE: Final = 25.0


class SessionTrader:
    """Runs bodies of ``while_synced`` of one book, one after the other.

    It makes no requests, so that a world runs the same with and without it.

    Args:
        name: Seeds what the bodies do.
    """

    def __init__(self, name: str) -> None:
        self._rng = random.Random(f"sessions of {name}")
        self._max_silence = self._rng.choice((None, None, _MAX_SILENCE))
        #: The first violation.
        self.violation: str | None = None
        self.sessions = 0

    async def run(self, book: LiveBook) -> None:
        """Run until the book has ended."""
        try:
            while True:
                async with book.while_synced(self._max_silence) as session:
                    self.sessions += 1
                    changes = session.changes()
                    while True:
                        match self._rng.randrange(4):
                            case 0:
                                await anext(changes)
                            case 1:
                                await trio.lowlevel.checkpoint()
                            case _:
                                await trio.sleep(self._rng.expovariate(5.0))
                        if session.lost is None:
                            _ = book.best_bid  # it is in sync: this does not raise
                        else:
                            # The task was woken before the loss. Its next checkpoint has to be its last.
                            await trio.lowlevel.checkpoint()
                            self._fail("a body went on after the loss of its book")
                if session.lost is None:
                    self._fail("a block of while_synced ended without a loss")
        except BookNotSynced as exc:
            self._fail(f"a body read a book that was out of sync before it was told: {exc}")
        except (TplusError, trio.ClosedResourceError):
            pass  # the book has ended

    def _fail(self, violation: str) -> None:
        self.violation = self.violation or violation
