"""Which of a client's connections may hand out messages, when many have received some at once."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["Turns"]

#: Bytes of messages that may be handed out before the loop is passed: one full batch of most feeds. It makes fewer
#: objects than it takes to start the garbage collector, so a hundred streams cost little more a message than one.
_MOST: Final = 8 * 1024
#: What a batch costs besides its messages, in bytes of messages that cost as much.
_BATCH: Final = 256
#: How often the loop is passed before the next turn: the consumers that the last one woke run in the first pass, and
#: take their messages.
_PASSES: Final = 2


class Turns:
    """Lets connections hand out messages a few at a time, and the loop pass in between.

    Without it, one pass of the loop would decode what hundreds of connections have received. That takes a tenth of a
    second, for which no other task runs, and each garbage collection looks through all of it.

    Those who wait stand in line. The first of them passes the loop, and then lets as many go on as have a turn's bytes
    together.
    """

    def __init__(self) -> None:
        #: How many bytes were handed out in this turn, and the ids of the connections that handed them out.
        self._used = 0
        self._served: set[int] = set()
        self._line: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        #: The bytes that those in line have.
        self._sizes: dict[trio.lowlevel.Task, int] = {}
        #: The task that passes the loop for those in line; None if nobody waits.
        self._leader: trio.lowlevel.Task | None = None

    def admits(self, connection: object, size: int) -> bool:
        """Return whether a connection may hand out messages now. If it may, they count.

        Args:
            connection: The connection. It has passed the loop since its last messages.
            size: The bytes that it has.
        """
        if id(connection) in self._served:
            self._begin_turn()
        if self._leader is not None or self._used >= _MOST:
            return False
        self._used += min(size, _MOST) + _BATCH
        self._served.add(id(connection))
        return True

    async def wait(self, connection: object, size: int) -> None:
        """Wait until a connection that is not admitted may hand out messages, which count. Cancelled, it has left."""
        task = trio.lowlevel.current_task()
        passes = _PASSES
        if self._leader is not None:
            await self._stand_in_line(task, size)
            passes -= 1  # to be woken took one
        else:
            self._leader = task
        if self._leader is task:
            try:
                for _ in range(passes):
                    await trio.lowlevel.checkpoint()
                self._begin_turn()
                self._used = min(size, _MOST) + _BATCH
            finally:
                self._let_others_go_on()
        self._served.add(id(connection))

    async def _stand_in_line(self, task: trio.lowlevel.Task, size: int) -> None:
        self._sizes[task] = min(size, _MOST)
        try:
            await self._line.park()
        finally:
            del self._sizes[task]

    def _begin_turn(self) -> None:
        self._used = 0
        self._served.clear()

    def _let_others_go_on(self) -> None:
        """Let those go on for whom there is room, and the next one pass the loop for the rest."""
        self._leader = None
        while self._leader is None and (woken := self._line.unpark()):
            self._used += self._sizes[woken[0]] + _BATCH
            if self._used > _MOST:
                self._leader = woken[0]
