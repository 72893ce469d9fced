"""Which of a client's streams may bring items now, where many have some at once."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["Turns"]

#: So many consumers may be on their way to items. As many streams cost no more for each message than one does.
_MANY: Final = 4


class Turns:
    """Keeps streams that are busy together from all decoding a batch before the first consumer has taken one.

    Hundreds of them would: what is decoded and not taken yet is looked through by each garbage collection, and the loop
    takes a tenth of a second to go round. So a stream that has bytes waits while enough consumers have been woken and
    had no turn yet. Consumers that are busy elsewhere were not woken, and hold nobody up.
    """

    def __init__(self) -> None:
        self._coming = 0
        self._streams = trio.lowlevel.ParkingLot()

    @property
    def crowded(self) -> bool:
        """Whether a stream is to `wait` before it decodes what it has."""
        return self._coming >= _MANY

    async def wait(self) -> None:
        """Wait for one's turn."""
        await self._streams.park()
        # This stream's consumer may be busy, and then wake nobody: the others must not depend on it.
        self._go_on()

    def woken(self, consumers: int) -> None:
        """So many consumers were woken, and run in the loop's next turn."""
        self._coming += consumers

    def arrived(self) -> None:
        """One of them runs."""
        self._coming -= 1
        self._go_on()

    def _go_on(self) -> None:
        if self._coming < _MANY:
            self._streams.unpark()
