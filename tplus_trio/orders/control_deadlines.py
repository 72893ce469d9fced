"""Until when the senders of a control channel wait."""

from __future__ import annotations

import trio

from tplus_trio.orders.control_requests import ControlRequest

__all__ = ["ControlDeadlines"]


class ControlDeadlines:
    """Ends the waits of a channel's senders in time.

    A scope for each would cost more than all else that is done for an order here. All of them wait equally long, so one
    task watches the oldest.
    """

    def __init__(self) -> None:
        self._requests: dict[ControlRequest, None] = {}
        self._added = trio.lowlevel.ParkingLot()

    def add(self, request: ControlRequest, deadline: float) -> None:
        """Watch a request whose deadline, on trio's clock, is none before that of another one."""
        request.deadline = deadline
        self._requests[request] = None
        self._added.unpark()

    def discard(self, request: ControlRequest) -> None:
        """Watch a request no longer."""
        self._requests.pop(request, None)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            while not self._requests:  # a request may end before this task runs
                await self._added.park()
            oldest = next(iter(self._requests))
            await trio.sleep_until(oldest.deadline)
            while self._requests and (oldest := next(iter(self._requests))).deadline <= trio.current_time():
                del self._requests[oldest]
                if not oldest.done.is_set():
                    oldest.is_late = True
                    oldest.done.set()
