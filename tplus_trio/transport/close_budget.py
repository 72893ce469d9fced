"""How long the connections of a client may wait for the answers to their close frames."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

__all__ = ["CloseBudget"]

#: Seconds that sending a close frame may take where no time is left to wait for the answer. A socket with room takes
#: the frame at once.
_SENDING: Final = 0.02


class CloseBudget:
    """The time for which the connections of one client may wait, in all, for answers to their close frames.

    Each of them alone would wait for a peer that is gone, one after the other where they are left in turn. An answered
    close costs nothing, and connections that wait at the same time spend the same seconds.

    Args:
        seconds: The whole time; 0 waits for no answer.
    """

    def __init__(self, seconds: float) -> None:
        self._whole = seconds
        self._left = seconds
        #: Where the wait that others may share ends, and how many are in it.
        self._deadline = 0.0
        self._waiting = 0

    def restore(self) -> None:
        """Have the whole time again: a handshake succeeded, so there is a peer that answers."""
        if not self._waiting:
            self._left = self._whole

    @contextmanager
    def wait(self) -> Generator[Callable[[], None]]:
        """Send a close frame and wait for the answer in this scope, which is cancelled when the time is used up.

        Yields:
            What to call when the frame was sent: even where no time is left to wait, there is time to send.
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
