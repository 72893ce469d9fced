"""One world: a client, an exchange and a network in one loop, on a virtual clock, from one seed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio
from trio.testing import MockClock

from tests.simulation.determinism import deterministic
from tests.simulation.invariants import ensure
from tests.simulation.settings import sources
from tests.simulation.world import explain
from tplus_trio import OrderBookClient, RestartPolicy, ServiceRules, User
from tplus_trio.scopes import ProtectedNursery, open_plain_nursery
from tplus_trio.testing import Exchange, Faults, MemoryNetwork

from .bots import Bot
from .calls import Call
from .faults import Injector
from .guesses import Guess
from .judge import Finding, Judge
from .record import Arrival, Record, Run
from .settings import RESOLVE_TIMEOUT, FateSettings
from .trader import fill_books, trade

__all__ = ["FateOutcome", "FateWorld", "run_fates", "run_world"]

#: The exchange's time at the beginning, in nanoseconds since the Unix epoch.
_EPOCH_NS: Final = 1_750_000_000 * 10**9
#: Virtual seconds after which a world is stopped.
_END_OF_TIME: Final = 600.0
#: Seconds after the last fault: until a client with all rules is in doubt of nothing, and until the world is judged.
_SETTLED: Final = 2.0
_CALM: Final = 8.0
#: Seconds: a client that guesses does not resolve.
_NO_TIME: Final = 0.001


W = TypeVar("W", bound="FateWorld")


@attrs.define
class FateOutcome:
    """The outcome of a world."""

    seed: int
    by_control: bool
    #: Where it comes from, if its seed does not tell.
    origin: str = ""
    calls: int = 0
    faults: Counter[str] = attrs.field(factory=Counter[str])
    #: How many items had which fate, by what was requested and what was stated.
    fates: Counter[tuple[str, str]] = attrs.field(factory=Counter[tuple[str, str]])
    findings: list[Finding] = attrs.field(factory=list[Finding])
    #: Uncancelled items that could be resolved: all rules declared, the service reachable. And how many were unknown.
    resolvable: int = 0
    unresolved: int = 0
    #: Items of which a copy took effect after the first one had been refused; they are not judged.
    late_copies: int = 0
    #: An exception that ended the world.
    crash: str | None = None


class _FateObserver:
    """Notes the fates that the client reports, also those that it finds out after the call."""

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self.fates: list[tuple[str, str, str]] = []

    def order_fate(self, operation: str, order_id: str, fate: str) -> None:
        """Note a fate."""
        self._log("observer", f"{operation} {order_id}: {fate}")
        self.fates.append((operation.removeprefix("batch-"), order_id, fate))

    def request(self, method: str, path: str, status: int | None, seconds: float) -> None:
        """Log a request over REST."""
        self._log("client", f"{method} {path}: {status} after {seconds:.2f} s")


class FateWorld:
    """One world.

    Args:
        settings: Its settings.
        guess: How the client guesses what is in doubt; None believes what the client states.
        verbose: Whether to print what happens in it.
    """

    # More than ten attributes: the parts of the world, which the bots, the faults and the judge reach through it.
    def __init__(self, settings: FateSettings, *, guess: Guess | None = None, verbose: bool = False) -> None:
        self.settings: FateSettings = settings
        self.guess: Guess | None = guess
        self.outcome: FateOutcome = FateOutcome(settings.seed, settings.by_control)
        self.record: Record = Record()
        self.record.on_run = self._ran
        self.user: User = User(sources(settings.seed, "fates/user").randbytes(32))
        self.exchange: Exchange = self.record.exchange(now_ns=self.now_ns, seed=settings.seed)
        for asset in settings.assets:
            self.exchange.add_market(asset)
        self.faults: Faults = self.exchange.faults
        self.network: MemoryNetwork = MemoryNetwork(self.exchange, latency=settings.latency, seed=settings.seed)
        self.calls: list[Call] = []
        self.observer: _FateObserver = _FateObserver(self.log)
        self.client: OrderBookClient
        self.nursery: ProtectedNursery
        self._quantities = 0
        self._verbose = verbose
        self._partitioned_until = 0.0
        #: When everything that was held had become known; and what was in doubt then.
        self.settled_doubts: set[tuple[str, str]] = set()
        #: The scope around the client's block; and when that was cancelled from outside.
        self.block: trio.CancelScope = trio.CancelScope()
        self.cut_off_at: float | None = None

    epoch_ns: int = _EPOCH_NS

    # For its parts.

    def log(self, who: str, what: str) -> None:
        """Print an event, if the world is verbose."""
        if self._verbose:
            print(f"{trio.current_time():9.4f} {who}: {what}", file=sys.stderr)

    def now_ns(self) -> int:
        """Return the present time, for the client and the exchange."""
        return _EPOCH_NS + round(trio.current_time() * 1e9)

    def new_quantity(self, sign: int = 1) -> int:
        """Return a quantity that no other request has. With the sign -1 it is lower than those with the sign 1."""
        self._quantities += 1
        return 5000 + sign * self._quantities

    def named(self) -> set[str]:
        """Return the ids of the orders that the client lists as in doubt."""
        return {order_id for order_id, _ in self.doubts()}

    def doubts(self) -> set[tuple[str, str]]:
        """Return what the client lists as in doubt: the ids of orders, and what was requested."""
        if self.guess is not None:
            return set()
        return {(doubt.order_id, doubt.operation) for doubt in self.client.orders_in_doubt}

    @property
    def is_partitioned(self) -> bool:
        """Return whether the network is partitioned."""
        return trio.current_time() <= self._partitioned_until

    def partition(self, seconds: float, *, refuse: bool) -> None:
        """Partition the network."""
        self._partitioned_until = trio.current_time() + seconds
        self.network.partition(seconds, refuse=refuse)

    def end_network_faults(self) -> None:
        """End the faults of the network that last."""
        self.network.resume()
        self.network.delay(0)
        self.network.throttle(None)
        self.network.refuse(0)

    def _ran(self, arrival: Arrival, run: Run) -> None:
        """Note whether an order was in doubt when a request for it took effect after its call."""
        said = ", ".join(
            f"{part.act} {part.order_id}/{part.quantity}: {run.said[part.order_id]}" for part in arrival.parts
        )
        self.log("exchange", f"#{run.number} {arrival.way} {said}")
        if run.number is None:
            return
        named: set[str] | None = None
        ended = {item.quantity: item for call in self.calls if call.ended is not None for item in call.items}
        for part in arrival.parts:
            item = ended.get(part.quantity)
            if item is not None and part.quantity is not None and self._took_effect(part.order_id, run.number):
                named = self.named() if named is None else named
                item.was_named = part.order_id in named

    def _took_effect(self, order_id: str, number: int) -> bool:
        effects = self.exchange.effects_of(self.user, order_id)
        return any(one.request_number == number and one.kind == one.operation for one in effects)

    # Its run.

    async def run(self) -> None:
        """Run the world, and judge it."""
        fill_books(self)
        before = trio.lowlevel.current_statistics().tasks_living
        async with self.network:
            injector = Injector(self)
            async with open_plain_nursery() as nursery:
                self.nursery = nursery
                nursery.start_soon(trade, self)
                await self.run_client(injector)
                ensure(self.network.open_connections == 0, "connections outlive the client")
                await self.record.wait_carried_out()
                await trio.sleep(21.0)  # a repetition comes at most 20 s later
                nursery.cancel_scope.cancel()
            self.check_connections()
        living = trio.lowlevel.current_statistics().tasks_living - before
        ensure(living == 0, f"{living} tasks outlive the client")
        ensure(not self.exchange.crashes, f"the exchange failed: {self.exchange.crashes}")
        self.judge(injector)

    def check_connections(self) -> None:
        """Check that the exchange sends no feed to anybody any more."""
        ensure(self.exchange.connections == 0, "streams outlive the client")

    def judge(self, injector: Injector) -> None:
        """Add what is wrong to the outcome."""
        Judge(self, injector.disturbances).judge()

    def options(self) -> dict[str, Any]:
        """Return the arguments of the client."""
        settings = self.settings
        return {
            "connector": self.network,
            "default_user": self.user,
            "use_ws_control": settings.by_control,
            "timeout": settings.timeout,
            "ping_interval": 4.0,
            "ping_timeout": 2.0,
            "restart": RestartPolicy(initial_delay=0.05, max_delay=0.5),
            "now_ns": self.now_ns,
            "observer": self.observer,
            "jitter": sources(settings.seed, "fates/jitter").random,
            "rules": ServiceRules(**settings.declared()),
            "resolve_timeout": RESOLVE_TIMEOUT if self.guess is None else _NO_TIME,
        }

    async def run_client(self, injector: Injector) -> None:
        """Run the client, from its beginning to its end."""
        settings = self.settings
        self.client = OrderBookClient("http://oms", **self.options())
        with self.block:
            async with self.client:
                if settings.cut_off is not None:
                    self.nursery.start_soon(self._cut_off)
                await self.run_bots(injector)
                await trio.sleep(_SETTLED + 4 * settings.most_latency)
                self.settled_doubts = self.doubts()
                await trio.sleep(_CALM - _SETTLED)
                if settings.waits:
                    await self.record.wait_carried_out()
                    await trio.sleep(_CALM)
        if self.cut_off_at is not None:
            took = trio.current_time() - self.cut_off_at
            most = 2 * RESOLVE_TIMEOUT + 1.0 + 4 * settings.most_latency + 0.01
            ensure(took <= most, f"the client's block outlasts its cancellation by {took:.2f} s")
            injector.calm_down()

    async def _cut_off(self) -> None:
        """Cancel the client's block, in the midst of its calls."""
        assert self.settings.cut_off is not None
        await trio.sleep(self.settings.cut_off)
        if not self.block.cancel_called:
            self.log("world", "the client's block is cancelled")
            self.cut_off_at = trio.current_time()
            for call in self.calls:
                if call.ended is None and call.cancelled is None:
                    call.cancelled = self.cut_off_at
            self.block.cancel()

    async def run_bots(self, injector: Injector) -> None:
        """Let the bots make their calls; faults happen for a part of that time."""
        await self.run_disturbed(injector, [Bot(self, n, self.client).run for n in range(self.settings.bots)])

    async def run_disturbed(self, injector: Injector, programs: Iterable[Callable[[], Awaitable[object]]]) -> None:
        """Run programs to their end; faults happen for a part of that time."""
        async with open_plain_nursery() as chaos:
            chaos.start_soon(injector.run)
            async with open_plain_nursery() as bots:
                for program in programs:
                    bots.start_soon(program)
                with trio.move_on_after(self.settings.chaos):
                    await trio.sleep_forever()
                chaos.cancel_scope.cancel()
                self.log("world", "calms down")
                injector.calm_down()
                if self.is_partitioned:
                    await trio.sleep_until(self._partitioned_until)
                    await trio.sleep(0.001)
                    injector.calm_down()


async def _main(world: FateWorld) -> None:
    try:
        with trio.move_on_after(_END_OF_TIME) as scope:
            await world.run()
        ensure(not scope.cancelled_caught, f"nothing came to an end in {_END_OF_TIME:.0f} s")
    except BaseException as exc:  # noqa: BLE001 - whatever comes out of a world condemns it
        world.outcome.crash = explain(exc)


def run_world(make: Callable[[], W]) -> W:
    """Make a world, run it, and return it."""
    worlds: list[W] = []

    async def main() -> None:
        worlds.append(make())
        await _main(worlds[-1])

    deterministic(partial(trio.run, main, clock=MockClock(autojump_threshold=0)))
    return worlds[-1]


def run_fates(settings: FateSettings, *, guess: Guess | None = None, verbose: bool = False) -> FateOutcome:
    """Run the world of some settings, and return its outcome. The arguments are those of `FateWorld`."""
    return run_world(partial(FateWorld, settings, guess=guess, verbose=verbose)).outcome
