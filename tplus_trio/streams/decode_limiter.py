"""Which of a client's streams may decode now, when many have received something at once."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["DecodeLimiter"]

#: Consumers that may be about to run. With as many, a message costs no more than with one.
_MAX_RESUMING: Final = 4


class DecodeLimiter:
    """Keeps busy streams from all decoding a batch before the first consumer has taken one.

    Hundreds of them would: each garbage collection looks through what is decoded and not yet taken, and one pass of the
    loop takes a tenth of a second. So a stream with received bytes waits while enough consumers have been woken and
    have not run yet. A consumer that is busy elsewhere was not woken, and delays nobody.
    """

    def __init__(self) -> None:
        #: Consumers that were woken and have not run yet.
        self._resuming = 0
        self._streams = trio.lowlevel.ParkingLot()

    @property
    def is_saturated(self) -> bool:
        """Whether a stream has to `wait` before it decodes what it has."""
        return self._resuming >= _MAX_RESUMING

    async def wait(self) -> None:
        """Wait until this stream may decode. Cancelling it affects no other stream."""
        await self._streams.park()
        # This stream's consumer may be busy, and then nothing wakes it: the next stream must not depend on that.
        self._wake_next()

    def consumers_woken(self, count: int) -> None:
        """Count consumers that were woken, and run in the loop's next pass."""
        self._resuming += count

    def consumer_resumed(self) -> None:
        """Count one of them as running."""
        self._resuming -= 1
        self._wake_next()

    def _wake_next(self) -> None:
        if self._resuming < _MAX_RESUMING:
            self._streams.unpark()
