"""Runs an operation again and again, cancelled at its 1st, 2nd, 3rd… checkpoint, until it ends uncancelled.

A checkpoint is where a task gives up control. Each is cancelled in two ways: while the task waits there, so that the
wait is undone if possible; and after the awaited event has happened, so that the next checkpoint notices it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final, Literal, TypeAlias, TypeVar

import attrs
import trio

from tests.helpers.world import World
from tplus_trio import Client

__all__ = ["MOMENTS", "CancelAt", "Moment", "Operation", "Tally", "idle_connections", "inspect", "sweep"]

Moment = Literal["waiting", "woken"]
W = TypeVar("W", bound=World)
Operation: TypeAlias = Callable[[W], Awaitable[object]]
MakeWorld: TypeAlias = Callable[[], AbstractAsyncContextManager[W]]

MOMENTS: Final[tuple[Moment, ...]] = ("waiting", "woken")
#: The most checkpoints of an operation. One with more does not end.
_MOST = 2000


@attrs.define
class Tally:
    """Counts the checkpoints that were cancelled, by operation."""

    counts: dict[str, int] = attrs.field(factory=dict[str, int])

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        lines = [f"  {count:5} {name}" for name, count in sorted(self.counts.items())]
        return "\n".join(["", *lines, f"  {self.total:5} checkpoints cancelled at, in all"])


class CancelAt(trio.abc.Instrument):
    """Cancels something at the n-th checkpoint. It counts those of this task, and of tasks started since.

    Args:
        n: The number of the checkpoint, from 1.
        moment: Whether the task waits there, or was woken there.
        cancel: Cancels it.
        clients: The clients.
    """

    def __init__(self, n: int, moment: Moment, cancel: Callable[[], object], clients: tuple[Client, ...]) -> None:
        self._left = n
        self._moment = moment
        self._cancel = cancel
        self._clients = clients
        self._root = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._moment == "waiting" and self._is_ours(task):
            self._count()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._moment == "woken" and self._is_ours(task):
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            self._cancel()

    def _is_ours(self, task: trio.lowlevel.Task | None) -> bool:
        homes = [tasks.nursery for client in self._clients if (tasks := client._client_scope.tasks) is not None]
        while task is not None:
            nursery = task.parent_nursery
            if task is self._root or (nursery is not None and nursery in homes):
                return True
            task = None if nursery is None else nursery.parent_task
        return False


@contextmanager
def _cancelling_at(n: int, moment: Moment, world: World, scope: trio.CancelScope) -> Generator[None]:
    instrument = CancelAt(n, moment, scope.cancel, (world.md, world.oms))
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)


async def sweep(
    tally: Tally,
    name: str,
    operation: Operation[W],
    make_world: MakeWorld[W],
    *,
    prepare: Operation[W] | None = None,
    after: Operation[W] | None = None,
    look: Operation[W] | None = None,
    at_end: Callable[[W], None] | None = None,
    again: bool = True,
) -> None:
    """Cancel an operation at each of its checkpoints, each time in a new world, and inspect what it left.

    Args:
        tally: Counts the checkpoints.
        name: The name in ``tally``.
        operation: The operation that is cancelled.
        make_world: Makes the world of each run.
        prepare: Runs before the operation.
        after: Runs after the cancelled operation.
        look: Runs after that and at the end; `inspect` if None.
        at_end: Called when the clients have been left, also after a cancellation from outside.
        again: Whether the operation has to succeed afterwards.
    """
    count = 0
    for moment in MOMENTS:
        for n in range(1, _MOST):
            async with make_world() as world:
                if prepare is not None:
                    await prepare(world)
                with trio.CancelScope() as scope, _cancelling_at(n, moment, world, scope):
                    await operation(world)
                if not scope.cancel_called:
                    break
                try:
                    if after is not None:
                        await after(world)
                    await (look or inspect)(world)
                    if again:
                        with trio.fail_after(60):
                            await operation(world)
                        await (look or inspect)(world)
                except BaseException as exc:
                    exc.add_note(f"{name}, cancelled {moment} at its checkpoint {n}")
                    raise
                network = world.network
            assert network.open_connections == 0, f"{name}, {moment} at {n}: a connection outlives the clients"
            if at_end is not None:
                at_end(world)
            count += 1
        else:
            raise AssertionError(f"{name} does not end")
    assert count >= 2, f"{name} is no checkpoint"
    for moment in MOMENTS:
        count += await _sweep_from_outside(name, operation, make_world, prepare, moment, at_end)
    tally.counts[name] = count


async def _sweep_from_outside(
    name: str,
    operation: Operation[W],
    make_world: MakeWorld[W],
    prepare: Operation[W] | None,
    moment: Moment,
    at_end: Callable[[W], None] | None,
) -> int:
    """Cancel everything at each checkpoint of an operation, including its clients. Return the number of checkpoints."""
    for n in range(1, _MOST):
        with trio.CancelScope() as scope:
            async with make_world() as world:
                if prepare is not None:
                    await prepare(world)
                with _cancelling_at(n, moment, world, scope):
                    await operation(world)
        if not scope.cancel_called:
            return n - 1
        where = f"{name}, cancelled from outside, {moment} at {n}"
        assert world.network.open_connections == 0, f"{where}: a connection outlives the clients"
        if at_end is not None:
            try:
                at_end(world)
            except AssertionError as exc:
                exc.add_note(where)
                raise
        assert world.exchange.connections == 0, f"{where}: the exchange still sends a feed to somebody"
        for client in (world.md, world.oms):
            assert not client.statistics().streams, f"{where}: a stream is still running"
            for session in client._service._sessions.values():
                assert not session.is_signing_in, f"{where}: a sign-in holds its lock"
    raise AssertionError(f"{name} does not end")


def idle_connections(client: Client) -> int:
    """Count the connections that a client keeps for its next REST calls."""
    pacer = client._service._run.get().pacer
    for queue in (*pacer._queues.values(), pacer.handshakes):
        assert not queue.under_way, "a request that has ended takes up a slot"
        assert not queue.waiting, "a request that has ended waits for its turn"
    return client.statistics().requests.idle_connections


async def inspect(world: World) -> None:
    """Check that an operation left no task, connection or lock. A stream that was iterated bare has a second to end."""
    await trio.sleep(1.0)
    kept = 0
    for client in (world.md, world.oms):
        home = client._client_scope
        assert not client.statistics().streams, "a stream is still running"
        if home.tasks is not None:
            assert not home.tasks.nursery.child_tasks, "a task is still running"
        for session in client._service._sessions.values():
            assert not session.is_signing_in, "a sign-in holds its lock"
        kept += idle_connections(client)
    assert world.network.open_connections == kept, "a connection is open, and nobody has it"
    assert world.exchange.connections == 0, "the exchange still sends a feed to somebody"
