"""The time that the connections of a client may spend on answers to their close frames."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

__all__ = ["CloseBudget"]

#: Seconds that sending a close frame may take if no time is left to wait for the answer. A socket with room takes the
#: frame at once.
_SENDING: Final = 0.02


class CloseBudget:
    """The total time for which the connections of one client may wait for answers to their close frames.

    Without it, connections that are left in turn would each wait for a peer that is gone. An answered close costs
    nothing, and connections that wait at the same time spend the same seconds.

    Args:
        seconds: The total time, in seconds; 0 waits for no answer.
    """

    def __init__(self, seconds: float) -> None:
        self._whole = seconds
        self._left = seconds
        #: When the present wait ends, and how many connections are in it.
        self._deadline = 0.0
        self._waiting = 0

    def restore(self) -> None:
        """Make the total time available again. Called after a handshake: there is a peer that answers."""
        if not self._waiting:
            self._left = self._whole

    @contextmanager
    def wait(self) -> Generator[Callable[[], None]]:
        """Send a close frame and wait for the answer in this scope, which is cancelled when the time is used up.

        Yields:
            A function to call when the frame was sent. Even if no time is left to wait, there is time to send.
        """
        now = trio.current_time()
        if not self._waiting:
            self._deadline = now + self._left
        self._waiting += 1
        answered = False
        try:
            with trio.CancelScope(deadline=max(self._deadline, now + _SENDING)) as scope:
                yield partial(setattr, scope, "deadline", self._deadline)
                answered = True
        finally:
            self._waiting -= 1
            if not answered:
                self._left = min(self._left, max(self._deadline - trio.current_time(), 0.0))
