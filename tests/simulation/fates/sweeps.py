"""Every order call, cancelled at each of its checkpoints under some faults, from inside and from outside the client."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from functools import partial
from typing import Final, Literal, TypeAlias

import attrs
import trio

from tests.helpers.sweep import MOMENTS, CancelAt, Moment
from tests.simulation.runner import strict
from tplus_trio.testing import Faults

from .bots import KINDS_OF_CALLS, Bot
from .calls import Call
from .faults import Injector
from .settings import RULES, FateSettings
from .world import FateOutcome, FateWorld, run_world

__all__ = ["SWEEP_FAULTS", "Sweep", "run_sweep", "run_sweeps", "sweeps"]

#: The most checkpoints of a call.
_MOST: Final = 2000
#: What happens to the request of the call that is cancelled, by name. The path is that of its way.
SWEEP_FAULTS: Final[dict[str, Callable[[Faults, str], object]]] = {
    "none": lambda _, __: None,
    "act, then nothing": lambda faults, path: faults.act_then_answer("nothing", path=path),
    "act, then 503": lambda faults, path: faults.act_then_answer(503, path=path),
    "not carried out": lambda faults, path: faults.fail_requests(path, 503),
    "drop": lambda faults, path: faults.drop_after_request(path=path),
    "hold": lambda faults, path: faults.hold_requests(1.5, path=path),
    "hold for long": lambda faults, path: faults.hold_requests(30, path=path),
}
Place: TypeAlias = Literal["inside", "outside"]
PLACES: Final[tuple[Place, ...]] = ("inside", "outside")


@attrs.frozen
class Sweep:
    """One call that is cancelled at each of its checkpoints.

    Attributes:
        kind: The call.
        fault: What happens to its request.
        place: Whether the call is cancelled, or the block of the whole client.
        moment: Whether the task waits at the checkpoint, or was woken there.
        by_control: Whether the request goes over the control channel.
        has_rules: Whether all rules are declared; otherwise none is.
        seed: The seed of the terms of its orders.
    """

    kind: str
    fault: str
    place: Place
    moment: Moment
    by_control: bool
    has_rules: bool
    seed: int

    def settings(self) -> FateSettings:
        """Return the settings of its worlds."""
        rules = frozenset(RULES) if self.has_rules else frozenset[str]()
        if self.fault.startswith("hold"):
            rules -= {"control_keeps_order"}
        return FateSettings.quiet(self.seed, by_control=self.by_control, rules=rules)


class _SweepWorld(FateWorld):
    """A world with one call, which is cancelled at its n-th checkpoint, and nobody else."""

    def __init__(self, sweep: Sweep, n: int, *, verbose: bool = False) -> None:
        super().__init__(sweep.settings(), verbose=verbose)
        self._sweep = sweep
        self._n = n
        #: Whether the call had so many checkpoints.
        self.was_cancelled = False

    async def run_bots(self, injector: Injector) -> None:
        bot = Bot(self, 0, self.client)
        for _ in range(3):
            call, send = bot.draw("limit")
            await bot.perform(call, send)
        prefix = "/control" if self._sweep.by_control else "/orders"
        SWEEP_FAULTS[self._sweep.fault](self.faults, prefix)
        call, send = bot.draw(self._sweep.kind)
        with trio.CancelScope() as inside:
            scope = inside if self._sweep.place == "inside" else self.block

            def cancel() -> None:
                self._note(call, scope)

            instrument = CancelAt(self._n, self._sweep.moment, cancel, (self.client,))
            trio.lowlevel.add_instrument(instrument)
            try:
                await bot.perform(call, send)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        injector.calm_down()

    def _note(self, call: Call, scope: trio.CancelScope) -> None:
        self.was_cancelled = True
        call.cancelled = trio.current_time()
        if scope is self.block:
            self.cut_off_at = call.cancelled
        scope.cancel()


def sweeps(*, by_control: bool, has_rules: bool) -> Generator[Sweep]:
    """Return the sweeps of every call."""
    seeds = itertools.count()
    for kind, fault in itertools.product(KINDS_OF_CALLS, SWEEP_FAULTS):
        for place, moment in itertools.product(PLACES, MOMENTS):
            yield Sweep(kind, fault, place, moment, by_control, has_rules, next(seeds))


def run_sweeps(*, by_control: bool, stride: int = 1, part: int = 1) -> Generator[FateOutcome]:
    """Run the sweeps of one way, or every ``part``-th of them, without rules and with all of them; see `run_sweep`."""
    first = itertools.cycle(range(1, stride + 1))
    for has_rules in (False, True):
        for sweep in itertools.islice(sweeps(by_control=by_control, has_rules=has_rules), has_rules, None, part):
            for outcome in run_sweep(sweep, stride=stride, first=next(first)):
                yield attrs.evolve(outcome, origin=str(sweep))


def run_sweep(sweep: Sweep, *, stride: int = 1, first: int = 1) -> Generator[FateOutcome]:
    """Run a sweep: a world for every ``stride``-th checkpoint from the ``first``, and one that is not cancelled."""
    for n in range(first, _MOST, stride):
        with strict():
            world = run_world(partial(_SweepWorld, sweep, n))
        world.outcome.seed = n
        yield world.outcome
        if not world.was_cancelled:
            return
    raise AssertionError(f"{sweep} does not end")
