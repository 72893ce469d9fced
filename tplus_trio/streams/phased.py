"""What sessions and consumers have in common: a phase, and tasks that wait for another one."""

from __future__ import annotations

from types import TracebackType

import trio

from tplus_trio.streams.lifecycle import STATES, Phase
from tplus_trio.streams.stats import StreamState

__all__ = ["Phased"]


class Phased:
    """Has a phase of the table in `streams.lifecycle`, and wakes those that wait for another one."""

    def __init__(self) -> None:
        self.phase: Phase = Phase.UNSTARTED
        #: What ended it; None as long as it goes on, and if it was closed.
        self.failure: Exception | None = None
        self._trace: TracebackType | None = None
        self._phase_changed = trio.Event()

    @property
    def state(self) -> StreamState:
        """The public state, which follows from the phase."""
        return STATES[self.phase]

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that is served."""
        return self.phase is Phase.LIVE or self.phase is Phase.SYNCING

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        changed, self._phase_changed = self._phase_changed, trio.Event()
        changed.set()

    def _fail(self, failure: Exception) -> None:
        """Keep the failure, to be raised where somebody waits. Its traceback does not grow with each of them."""
        self.failure, self._trace = failure, failure.__traceback__

    async def wait_for(self, state: StreamState) -> None:
        """Wait for a state.

        Raises:
            TplusError: it failed for good.
            trio.ClosedResourceError: it was closed.
        """
        await trio.lowlevel.checkpoint()
        while self.state is not state:
            if self.phase is Phase.CLOSED:
                if self.failure is None:
                    msg = "the stream was closed"
                    raise trio.ClosedResourceError(msg)
                raise self.failure.with_traceback(self._trace)
            await self._phase_changed.wait()

    async def wait_open(self) -> None:
        """Wait until there is a connection that is served."""
        while not self.is_open:
            await self._phase_changed.wait()

    async def wait_closed(self) -> None:
        """Wait until it has ended."""
        if self.phase is Phase.CLOSED:
            await trio.lowlevel.checkpoint()
        while self.phase is not Phase.CLOSED:
            await self._phase_changed.wait()
