"""A month on a virtual clock: client, exchange and network in one loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from typing import Final

import attrs
import trio
import trio.testing
from trio.testing import MockClock

from tests.simulation.bugs import BUGS
from tests.simulation.callers import Callers
from tests.simulation.determinism import deterministic
from tests.simulation.faults import KINDS, Fault, Injector
from tests.simulation.faults_data import DATA_KINDS
from tests.simulation.reference import Reference
from tests.simulation.runner import strict
from tests.simulation.settings import MARKETS, Settings, sources
from tests.simulation.world import explain
from tplus_trio import RestartPolicy
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.users import User

from .bot import Plan, Soak, enter_clients
from .checkers import Checkers, Records
from .exchange import REMOTE, LocalExchange, Market, SoakExchange, full_history, short_memory
from .pipe import RemoteExchange, obey

__all__ = ["SimulatedSoak", "month", "run_soak", "simulate"]

_EPOCH_NS: Final = 1_750_000_000 * 10**9
_DAY: Final = 86_400.0
_OPEN: Final = 16 * 3600.0
_WEEKEND: Final = (5, 6)
#: Seconds by which a clock may be wrong after it was set.
_MOST_WRONG: Final = 3600.0
#: The length of every history: more than a client requests.
_HISTORY: Final = 1_200


def month(seed: int, days: float) -> tuple[Settings, Plan]:
    """Return the settings of a month, or of another number of days."""
    settings = Settings(
        seed=seed,
        assets=MARKETS,
        by_tens=frozenset(),
        latency=(0.001, 0.05),
        chaos=3600.0,
        between_faults=1200.0,
        between_actions=60.0,
        token_ttl=3600.0,
        timeout=10.0,
        ping_interval=300.0,
        ping_timeout=30.0,
        restart=RestartPolicy(max_delay=300.0),
        signed_in=True,
        most_partition=2 * 3600.0,
    )
    plan = Plan(
        seconds=days * _DAY,
        between_checks=_DAY if days > 1 else days * _DAY / 4,
        between_samples=None,
        between_looks=60.0,
        fickle=2 * 3600.0,
        between_orders=600.0,
        pause=60.0,
        patience=1200.0,
        settle=2.0,
        rounds=130,
    )
    return settings, plan


class Clock:
    """The client's clock, which is set wrong now and then."""

    def __init__(self) -> None:
        self.wrong_ns = 0

    @staticmethod
    def true_ns() -> int:
        """Return the exchange's time."""
        return _EPOCH_NS + round(trio.current_time() * 1e9)

    def __call__(self) -> int:
        return self.true_ns() + self.wrong_ns


def _kinds(clock: Clock) -> dict[str, Fault]:
    def clock_set(injector: Injector) -> bool:
        if not injector.may_refuse():
            return False
        clock.wrong_ns = injector.rng.choice((0, round(injector.rng.uniform(-_MOST_WRONG, _MOST_WRONG) * 1e9)))
        return True

    kinds = {name: kind for name, kind in KINDS.items() if name not in DATA_KINDS}
    return kinds | REMOTE | {"clock set": clock_set}


async def _calendar(local_exchange: LocalExchange) -> None:
    """Restart the service on every working day, trade for some hours, and close."""
    while True:
        day, second = divmod(trio.current_time(), _DAY)
        if day % 7 not in _WEEKEND and second < _OPEN:
            if second < 60.0:
                for _ in local_exchange.traders.assets:
                    await local_exchange.injector.inject("sequence restarted and dropped")
            with trio.move_on_at(day * _DAY + _OPEN):
                await local_exchange.traders.run()
        await trio.sleep_until((day + 1) * _DAY)


@attrs.frozen(kw_only=True)
class SimulatedSoak:
    """The arguments of one soak on a virtual clock."""

    settings: Settings
    plan: Plan
    market: Market = _calendar
    #: Whether every state of every book is recorded; otherwise the facts are requested through a pipe.
    has_reference: bool = True
    #: Whether the exchange has its full history from the beginning.
    history: bool = False
    make: Callable[..., Soak] = Soak
    verbose: bool = False


async def _run_soak(simulated: SimulatedSoak, soaks: list[Soak]) -> None:
    settings, seed = simulated.settings, simulated.settings.seed
    clock = Clock()
    exchange = Exchange(now_ns=clock.true_ns, token_ttl=settings.token_ttl, seed=seed)
    user = User(sources(seed, "user").randbytes(32))
    for asset in settings.assets:
        exchange.add_market(asset)
    if simulated.history:
        full_history(exchange, user.public_key, _HISTORY)
    reference = Reference(exchange)
    checkers = Checkers(
        Records(),
        clock.true_ns,
        reference if simulated.has_reference else None,
        2 * settings.most_latency + 0.1,
        settings.notice,
    )
    soak = simulated.make(settings, simulated.plan, checkers, user, clock.true_ns, verbose=simulated.verbose)
    soaks.append(soak)
    async with MemoryNetwork(exchange, latency=settings.latency, seed=seed) as network, AsyncExitStack() as stack:
        md, oms = await enter_clients(stack, "http://exchange", settings, user, connector=network, now_ns=clock)
        soak.open(md, oms)
        callers = Callers(soak, settings, md, oms)
        async with trio.open_nursery() as nursery:
            local_exchange = LocalExchange(
                soak,
                settings,
                network,
                user.public_key,
                reference,
                simulated.market,
                nursery,
                kinds=_kinds(clock),
                readers=soak.readers,
                sign_in=callers.sign_in_together,
            )
            soak_exchange: SoakExchange = local_exchange
            if not simulated.has_reference:
                near, far = trio.testing.memory_stream_pair()
                nursery.start_soon(obey, local_exchange, far)
                soak_exchange = RemoteExchange(near)
            await soak.run(soak_exchange, callers, oms)
            nursery.cancel_scope.cancel()


def run_soak(simulated: SimulatedSoak, bug: str | None = None) -> tuple[Soak, str | None]:
    """Run a soak, with a planted bug if one is named; return the soak and the violation found, or None."""
    soaks: list[Soak] = []
    violation: str | None = None
    clock = MockClock(autojump_threshold=0)
    with strict(), short_memory(_HISTORY), BUGS[bug]() if bug is not None else nullcontext():
        try:
            deterministic(partial(trio.run, _run_soak, simulated, soaks, clock=clock))
        except Exception as exc:  # noqa: BLE001 - whatever comes out condemns it
            violation = explain(exc)
    return soaks[0], violation


def simulate(seed: int, days: float, *, verbose: bool = False) -> tuple[Soak, str | None]:
    """Simulate `days` days; return the soak and the violation found, or None."""
    settings, plan = month(seed, days)
    return run_soak(SimulatedSoak(settings=settings, plan=plan, history=days > 1, verbose=verbose))
