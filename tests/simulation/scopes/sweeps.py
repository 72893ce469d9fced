"""Every call of a scope and of its handles, entering and leaving: cancelled at each of its checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import partial
from typing import Final, Literal, TypeAlias

import attrs
import trio

from tests.helpers.sweep import MOMENTS, CancelAt, Moment
from tests.simulation.fates.faults import Injector
from tests.simulation.fates.settings import RULES
from tests.simulation.fates.sweeps import PLACES, Place
from tests.simulation.fates.world import FateOutcome, run_world
from tests.simulation.runner import strict
from tplus_trio import OrderScope
from tplus_trio.scopes import open_plain_nursery

from .bots import KINDS_OF_ACTS, ScopeBot
from .notes import ScopeNote
from .settings import ScopeSettings
from .world import ScopeWorld

__all__ = ["OPERATIONS", "ScopeSweep", "run_sweep", "run_sweeps", "sweeps"]

#: The most checkpoints of an operation.
_MOST: Final = 3000
#: What is cancelled.
OPERATIONS: Final = (*(kind for kind in KINDS_OF_ACTS if kind != "pause"), "enter", "leave")
State: TypeAlias = Literal["up", "down", "half-open"]
#: How the network is from the beginning of the operation.
STATES: Final[dict[State, Callable[[ScopeWorld], object]]] = {
    "up": lambda _: None,
    "down": lambda world: world.partition(2.5, refuse=True),
    "half-open": lambda world: world.network.stall(),
}
_DEADLINE: Final = 1.0
_LEASE: Final = 2.0
#: Seconds by which a call may outlast its cancellation.
_ROUNDING: Final = 0.001


@attrs.frozen
class ScopeSweep:
    """One operation that is cancelled at each of its checkpoints.

    Attributes:
        kind: The operation.
        state: How the network is.
        place: Whether the operation is cancelled (or the scope), or the client's whole block.
        moment: Whether the task waits at the checkpoint, or was woken there.
        by_control: Whether the requests go over the control channel.
        has_rules: Whether all rules are declared; otherwise none is.
        seed: The seed of the terms of its orders. With an odd one the scope has a lease.
    """

    kind: str
    state: State
    place: Place
    moment: Moment
    by_control: bool
    has_rules: bool
    seed: int

    def settings(self) -> ScopeSettings:
        """Return the settings of its worlds."""
        rules = frozenset(RULES) if self.has_rules else frozenset[str]()
        quiet = ScopeSettings.quiet(self.seed, by_control=self.by_control, rules=rules)
        return attrs.evolve(quiet, latency=0.01)


class _SweepWorld(ScopeWorld):
    """A world with one operation, which is cancelled at its n-th checkpoint."""

    def __init__(self, sweep: ScopeSweep, n: int, *, verbose: bool = False) -> None:
        super().__init__(sweep.settings(), verbose=verbose)
        self._sweep = sweep
        self._n = n
        self._bot = ScopeBot(self, 0)
        self._cancelled_at: float | None = None

    @property
    def was_cancelled(self) -> bool:
        """Return whether the operation had so many checkpoints."""
        return self._cancelled_at is not None

    async def run_bots(self, injector: Injector) -> None:
        sweep = self._sweep
        note = ScopeNote(str(sweep), _DEADLINE, _LEASE if sweep.seed % 2 else None)
        async with open_plain_nursery() as network:
            network.start_soon(self._end_network_faults)
            with trio.CancelScope() as scope:
                if sweep.kind == "enter":
                    STATES[sweep.state](self)
                    with self._cancelling(scope):
                        await self._bot.run_scope(note, _do_nothing)
                else:
                    with ExitStack() as leaving:
                        await self._bot.run_scope(note, partial(self._act, scope, leaving))
        injector.calm_down()

    async def _end_network_faults(self) -> None:
        await trio.sleep(8.0)
        self.end_network_faults()

    async def _act(self, scope: trio.CancelScope, leaving: ExitStack, orders: OrderScope) -> None:
        sweep = self._sweep
        resting = await orders.create_limit_order(Decimal(1), Decimal("0.95"), "Buy")
        await orders.keep("bid", "Buy", Decimal("0.96"), Decimal(1))
        await resting.wait_open()
        self._bot.add(resting)
        STATES[sweep.state](self)
        if sweep.kind == "leave":
            leaving.enter_context(self._cancelling(scope))
            return
        with trio.CancelScope() as inside, self._cancelling(inside):
            await self._bot.make(sweep.kind, self._bot.draw(sweep.kind, orders))
        if self._cancelled_at is not None and trio.current_time() - self._cancelled_at > _ROUNDING:
            raise AssertionError(f"a call lasts {trio.current_time() - self._cancelled_at} s after it was cancelled")

    @contextmanager
    def _cancelling(self, inside: trio.CancelScope) -> Generator[None]:
        scope = inside if self._sweep.place == "inside" else self.block

        def cancel() -> None:
            self._cancelled_at = trio.current_time()
            if scope is self.block:
                self.cut_off_at = self._cancelled_at
            scope.cancel()

        instrument = CancelAt(self._n, self._sweep.moment, cancel, (self.client,))
        trio.lowlevel.add_instrument(instrument)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(instrument)


async def _do_nothing(_: OrderScope) -> None:
    await trio.lowlevel.checkpoint()


def sweeps(*, by_control: bool, has_rules: bool) -> Generator[ScopeSweep]:
    """Return the sweeps of every operation."""
    seeds = itertools.count(has_rules)
    for kind, state in itertools.product(OPERATIONS, STATES):
        for place, moment in itertools.product(PLACES, MOMENTS):
            yield ScopeSweep(kind, state, place, moment, by_control, has_rules, next(seeds))


def run_sweeps(*, by_control: bool, stride: int = 1, part: int = 1) -> Generator[FateOutcome]:
    """Run the sweeps of one way, or every ``part``-th of them, without rules and with all of them; see `run_sweep`."""
    first = itertools.cycle(range(1, stride + 1))
    for has_rules in (False, True):
        for sweep in itertools.islice(sweeps(by_control=by_control, has_rules=has_rules), has_rules, None, part):
            for outcome in run_sweep(sweep, stride=stride, first=next(first)):
                yield attrs.evolve(outcome, origin=f" {sweep}")


def run_sweep(sweep: ScopeSweep, *, stride: int = 1, first: int = 1) -> Generator[FateOutcome]:
    """Run a sweep: a world for every ``stride``-th checkpoint from the ``first``, and one that is not cancelled."""
    for n in range(first, _MOST, stride):
        with strict():
            world = run_world(partial(_SweepWorld, sweep, n))
        world.outcome.seed = n
        yield world.outcome
        if not world.was_cancelled:
            return
    raise AssertionError(f"{sweep} does not end")
