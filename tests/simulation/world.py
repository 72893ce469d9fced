"""One world: client, exchange and network in one loop, on a virtual clock, from one seed."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import attrs
import trio
from trio.testing import MockClock

from tplus_trio import MarketDataClient, OrderBookClient, SlowConsumer, TplusError
from tplus_trio.errors import AuthError, HandshakeRejected, NotFoundError
from tplus_trio.observer import Observer
from tplus_trio.streams.stats import StreamState
from tplus_trio.testing import Exchange, MemoryNetwork, Rejection, Request, Response, Subscription
from tplus_trio.users import User

from .actors import make_actors
from .callers import Callers
from .consumers import Reader
from .determinism import deterministic
from .faults import Fault, Injector
from .faults_data import HARMLESS, NOT_FOUND
from .invariants import Violation, ensure
from .reference import Reference
from .settings import MOST_DELAY, MOST_REST_DELAY, Settings, sources
from .traders import Traders

__all__ = ["Outcome", "WorldRun", "explain", "run_world"]

#: The exchange's time at the beginning, in nanoseconds since the Unix epoch.
_EPOCH_NS: Final = 1_750_000_000 * 10**9
#: Virtual seconds after which a world is stopped.
_END_OF_TIME: Final = 5_000.0
#: How often a last change is made before every reader must have seen it: a client needs some changes to notice that a
#: service has started over.
_ROUNDS: Final = 60
_ROUNDS_AFTER_RESTART: Final = 260
#: Events that are counted and change nothing for a client.
_HARMLESS: Final = ("slow consumer", "receive cancelled", *HARMLESS)


#: Seconds: the longest `Retry-After` of a fault, and the hold of a live item for one more read.
_HELD: Final = 4.0 + 1.0 + 1.0


@attrs.define
class Outcome:
    """The outcome of a world."""

    seed: int
    violation: str | None = None
    faults: Counter[str] = attrs.field(factory=Counter)
    #: Virtual seconds.
    seconds: float = 0.0
    #: The number of log records.
    digest: str = ""
    #: Seconds from the last fault until the slowest stream was live.
    recovery: float = 0.0
    snapshots: int = 0
    items: int = 0


class _Exchange(Exchange):
    """An exchange that reports each 429: it delays the client's requests, also those that confirm a read."""

    def on_refusal(self) -> None:
        """Note that it has refused a request or a handshake."""

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        if response.status == 429:
            self.on_refusal()
        return response

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        try:
            return super().subscribe(path, headers)
        except Rejection as rejection:
            if rejection.response.status == 429:
                self.on_refusal()
            raise


class WorldRun:
    """A running world.

    Args:
        seed: The seed of the world.
        verbose: Whether to print what happens.
        kinds: The only faults that happen; None draws them from the seed.
        observer: Observes the clients.
    """

    def __init__(
        self,
        seed: int,
        *,
        verbose: bool = False,
        kinds: Mapping[str, Fault] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._kinds = kinds
        self._observer = observer
        self.settings = Settings.of(seed)
        self.outcome = Outcome(seed)
        self._verbose = verbose
        self._hash = hashlib.sha256()
        #: The last time at which tokens were made useless, or refused.
        self.auth_trouble: list[float] = []
        self.readers: list[Reader] = []

    # For its parts.

    def log(self, who: str, what: str) -> None:
        """Log an event."""
        line = f"{trio.current_time():10.4f} {who}: {what}"
        self._hash.update(line.encode())
        self.outcome.items += 1
        if self._verbose:
            print(line, file=sys.stderr)

    def count(self, fault: str) -> None:
        """Count a fault."""
        self.outcome.faults[fault] += 1

    @property
    def troubles(self) -> int:
        """Return how many events have happened that may lead to a snapshot request."""
        return self.outcome.faults.total() - sum(self.outcome.faults[kind] for kind in _HARMLESS)

    def now_ns(self) -> int:
        """Return the present time, for the client and the exchange."""
        return _EPOCH_NS + round(trio.current_time() * 1e9)

    def failed(self, who: str, failure: TplusError) -> None:
        """Accept the failure of a stream if a fault accounts for it."""
        if isinstance(failure, SlowConsumer):
            self.count("slow consumer given up")
            return
        refused = isinstance(failure, AuthError) or (
            isinstance(failure, HandshakeRejected) and failure.status in {401, 403}
        )
        if isinstance(failure, NotFoundError) and self.outcome.faults[NOT_FOUND]:
            # It raises an error, so nothing is lost silently.
            self.count("ended by a proxy's 404")
            return
        # One refusal is taken care of by signing in afresh; a second one during the same attempt is for good. The
        # injector sees to it that there is none, but tokens may expire by themselves.
        if refused and self.auth_trouble and self.settings.token_ttl < 100.0:
            self.count("refused twice")
            return
        raise Violation(f"{who} ended: {failure!r}")

    # Its run.

    async def run(self) -> None:
        """Run the world.

        Raises:
            Violation: a promise was broken.
        """
        settings = self.settings
        rng = sources(settings.seed, "world")
        exchange = _Exchange(now_ns=self.now_ns, token_ttl=settings.token_ttl, seed=settings.seed)
        user = User(rng.randbytes(32))
        for asset in settings.assets:
            exchange.add_market(asset)
            if asset in settings.by_tens:
                exchange.faults.number_by(asset, 10)
                self.count("numbering by tens")
        reference = Reference(exchange, follows_trades=True)
        exchange.on_refusal = partial(reference.trades.doubt, _HELD)  # type: ignore[method-assign]  # to listen in
        traders = Traders(exchange, settings, [user.public_key], statuses=True)
        for _ in range(30):
            traders.change(rng.choice(settings.assets))
        before = trio.lowlevel.current_statistics().tasks_living
        network = MemoryNetwork(exchange, latency=settings.latency, seed=settings.seed)
        async with network:
            await self._run_clients(network, reference, traders, user)
            ensure(network.open_connections == 0, f"{network.open_connections} connections outlive the clients")
            # The exchange may still hold an answer back, or may not know yet that its client is gone.
            await trio.sleep(2 * settings.most_latency + MOST_REST_DELAY + 1.0)
            living = trio.lowlevel.current_statistics().tasks_living - before
            ensure(living == 0, f"{living} tasks outlive the clients")
        ensure(not exchange.crashes, f"the exchange failed: {exchange.crashes}")

    async def _run_clients(self, network: MemoryNetwork, reference: Reference, traders: Traders, user: User) -> None:
        settings, exchange = self.settings, network.exchange
        options: dict[str, Any] = {
            "connector": network,
            "timeout": settings.timeout,
            "ping_interval": settings.ping_interval,
            "ping_timeout": settings.ping_timeout,
            "restart": settings.restart,
            "now_ns": self.now_ns,
            "jitter": sources(settings.seed, "jitter").random,
            "observer": self._observer,
        }
        async with AsyncExitStack() as stack:
            public = user if settings.signed_in else None
            md = await stack.enter_async_context(MarketDataClient("http://md", default_user=public, **options))
            oms = await stack.enter_async_context(OrderBookClient("http://oms", default_user=user, **options))
            self.readers = make_actors(self, settings, md, oms, reference, user)
            callers = Callers(self, settings, md, oms, partial(exchange.orders, user))
            injector = Injector(
                self, settings, network, reference, self.readers, traders, callers.sign_in_together, kinds=self._kinds
            )
            async with trio.open_nursery() as nursery:
                for reader in self.readers:
                    nursery.start_soon(reader.run)
                nursery.start_soon(self._look, reference)
                with trio.move_on_after(settings.chaos):
                    async with trio.open_nursery() as chaos:
                        chaos.start_soon(traders.run)
                        chaos.start_soon(injector.run)
                        chaos.start_soon(callers.run)
                self.log("world", "calms down")
                await injector.stop()
                for reader in self.readers:
                    reader.calm_down()
                await self._settle(traders, reference, injector)
                await callers.check(exchange.orders(user.public_key))
                self._check_snapshots(reference, injector)
                for reader in self.readers:
                    reader.stop()
                for reader in self.readers:
                    await reader.ended.wait()
                nursery.cancel_scope.cancel()
            # A stream that was iterated bare has one second to notice that its iterator is gone.
            await trio.sleep(1.0 + 2 * settings.most_latency + 0.1)
            # An entered client follows the orders and trades of its own user until it is left.
            own = ("/orders", f"/trades/user/events/{user.public_key}")
            running = [stream.path for stream in (*md.statistics().streams, *oms.statistics().streams)]
            followed = [path for path in own if path in running]
            for path in followed:
                running.remove(path)
            ensure(not running, f"streams outlive their readers: {running}")
            # The ends may wait behind bytes that a fault delayed.
            await trio.sleep(MOST_DELAY)
            outliving = exchange.connections - len(followed)
            ensure(outliving <= 0, f"{outliving} streams outlive their readers")

    async def _look(self, reference: Reference) -> None:
        """Check what must hold at any time, again and again."""
        rng = sources(self.settings.seed, "look")
        while not reference.runaway.is_set():
            await trio.sleep(rng.uniform(0.05, 1.0))
            for reader in self.readers:
                reader.check()
        raise Violation(f"snapshots are asked for without end: {dict(reference.snapshots)}")

    async def _settle(self, traders: Traders, reference: Reference, injector: Injector) -> None:
        """Check that everything becomes live and right once no more faults happen."""
        began = trio.current_time()
        while any(reader.state is not StreamState.LIVE for reader in self.readers):
            if trio.current_time() > began + injector.patience:
                late = [reader.describe() for reader in self.readers if reader.state is not StreamState.LIVE]
                raise Violation(f"not live {injector.patience:.0f} s after the last fault: {late}")
            await trio.sleep(0.25)
        self.outcome.recovery = trio.current_time() - began
        settings = self.settings
        found: list[str] = []
        for _ in range(_ROUNDS_AFTER_RESTART if injector.restarted else _ROUNDS):
            for asset in settings.assets:
                for act in (traders.change, traders.trade, traders.place):
                    act(asset)
            await trio.sleep(1.0 + 4 * settings.most_latency)
            if not (found := [f"{reader.name}: {text}" for reader in self.readers if (text := reader.missing())]):
                return
        raise Violation("; ".join(found))

    def _check_snapshots(self, reference: Reference, injector: Injector) -> None:
        """Check that no client requests snapshots without end."""
        asked = sum(reference.snapshots.values())
        self.outcome.snapshots = asked
        most = injector.most_snapshots
        ensure(asked <= most, f"{asked} snapshots were asked for, {most} are accounted for")

    def finish(self) -> Outcome:
        """Return the outcome."""
        self.outcome.digest = self._hash.hexdigest()
        return self.outcome


async def _main(world: WorldRun) -> None:
    start = trio.current_time()
    try:
        with trio.move_on_after(_END_OF_TIME) as scope:
            await world.run()
        ensure(not scope.cancelled_caught, f"nothing came to an end in {_END_OF_TIME:.0f} s")
    except BaseException as exc:  # noqa: BLE001 - whatever comes out of a world condemns it
        world.outcome.violation = explain(exc)
        world.log("world", f"VIOLATION: {world.outcome.violation}")
    world.outcome.seconds = trio.current_time() - start


def explain(failure: BaseException) -> str:
    """Return a violation's text; anything else with its traceback."""
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    if isinstance(failure, BaseExceptionGroup):
        violations, _ = failure.split(Violation)
        if violations is not None:
            return explain(violations.exceptions[0])
    if isinstance(failure, Violation):
        return str(failure)
    return "".join(traceback.format_exception(failure))


def run_world(
    seed: int,
    *,
    verbose: bool = False,
    kinds: Mapping[str, Fault] | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Run the world of a seed, and return its outcome. The arguments are those of `WorldRun`."""
    world = WorldRun(seed, verbose=verbose, kinds=kinds, observer=observer)
    deterministic(partial(trio.run, _main, world, clock=MockClock(autojump_threshold=0)))
    return world.finish()
