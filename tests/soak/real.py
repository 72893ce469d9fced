"""An hour of real time: the exchange in a process of its own, TCP to it, and a pipe that controls it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tests.simulation.callers import Callers
from tests.simulation.reference import Reference
from tests.simulation.settings import MARKETS, Settings, sources
from tests.simulation.world import explain
from tplus_trio import RestartPolicy, TplusError
from tplus_trio.models import AssetIdentifier
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.users import User

from .bot import Plan, Soak, enter_clients
from .checkers import Checkers, Records
from .exchange import REMOTE, LocalExchange, paced, short_memory
from .pipe import RemoteExchange, obey, receive, send

__all__ = ["plan_of", "serve", "settings_of", "soak_for_real"]

_ROOT: Final = Path(__file__).parent.parent.parent
#: The number of trades that the exchange remembers: more than a client requests.
_HISTORY: Final = 5_000


def settings_of(seed: int) -> Settings:
    """Return the settings of a soak in real time."""
    return Settings(
        seed=seed,
        assets=MARKETS,
        by_tens=frozenset(),
        latency=0.0,
        chaos=10.0,
        between_faults=2.5,
        between_actions=1.0,
        token_ttl=300.0,
        timeout=5.0,
        ping_interval=4.0,
        ping_timeout=4.0,
        restart=RestartPolicy(initial_delay=0.1, max_delay=2.0, within=20.0),
        signed_in=True,
        most_partition=6.0,
    )


def plan_of(seconds: float) -> Plan:
    """Return the durations and intervals of a soak in real time."""
    return Plan(
        seconds=seconds,
        between_checks=45.0,
        between_samples=min(5.0, seconds / 30),
        between_looks=0.5,
        fickle=2.0,
        between_orders=0.1,
        pause=0.02,
        patience=60.0,
        settle=0.25,
        rounds=120,
        between_nudges=2.0,
    )


# The exchange's process.


@attrs.define
class _ServersWorld:
    """The `World` of the faults in the exchange's process, which has no readers."""

    faults: Counter[str] = attrs.field(factory=Counter[str])
    auth_trouble: list[float] = attrs.field(factory=list[float])

    @property
    def troubles(self) -> int:
        return self.faults.total()

    def log(self, who: str, what: str) -> None:
        pass

    def count(self, fault: str) -> None:
        self.faults[fault] += 1

    def failed(self, who: str, failure: TplusError) -> None:
        raise AssertionError(who) from failure

    def now_ns(self) -> int:
        raise AssertionError("nobody asks")


class _NoReference(Reference):
    """Keeps no history: the facts are requested at quiet moments."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def disturbed(self, seconds: float) -> None:
        pass

    def restarted(self, asset: AssetIdentifier) -> None:
        pass

    def forget(self) -> None:
        pass


async def serve(seed: int, rate: float) -> None:
    """Serve an exchange over TCP, and obey the standard input until it ends."""
    logging.disable(logging.CRITICAL)
    settings, world = settings_of(seed), _ServersWorld()
    exchange = Exchange(token_ttl=settings.token_ttl, seed=seed)
    for asset in settings.assets:
        exchange.add_market(asset)
    user = User(sources(seed, "user").randbytes(32))
    pipe = trio.StapledStream(trio.lowlevel.FdStream(1), trio.lowlevel.FdStream(0))
    with short_memory(_HISTORY):
        async with pipe, MemoryNetwork(exchange, seed=seed) as network, trio.open_nursery() as nursery:
            local_exchange = LocalExchange(
                world,
                settings,
                network,
                user.public_key,
                _NoReference(exchange),
                paced(rate, settings.assets),
                nursery,
                kinds=REMOTE,
                readers=[],
                sign_in=trio.lowlevel.checkpoint,
            )
            async with network.serve() as url:
                await send(pipe, url)
                await obey(local_exchange, pipe, world.faults)
            nursery.cancel_scope.cancel()


# The measured process.


@asynccontextmanager
async def _other_process(seed: int, rate: float) -> AsyncGenerator[trio.StapledStream[Any, Any]]:
    code = f"import trio; from tests.soak.real import serve; trio.run(serve, {seed}, {rate})"
    command = [sys.executable, "-c", code]
    start = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        assert process.stdio is not None
        yield process.stdio
        await process.stdio.send_stream.aclose()


async def _live(seed: int, seconds: float, rate: float, soak: Soak) -> None:
    async with _other_process(seed, rate) as pipe, AsyncExitStack() as stack:
        md, oms = await enter_clients(stack, await receive(pipe), soak.settings, soak.user)
        soak.open(md, oms)
        await soak.run(RemoteExchange(pipe), Callers(soak, soak.settings, md, oms), oms)


def soak_for_real(seed: int, seconds: float, rate: float, *, verbose: bool = False) -> tuple[Soak, str | None]:
    """Run for a number of seconds; return the soak, and the violation found or None."""
    user = User(sources(seed, "user").randbytes(32))
    checkers = Checkers(Records(), time.time_ns)
    soak = Soak(settings_of(seed), plan_of(seconds), checkers, user, time.time_ns, verbose=verbose)
    logging.getLogger("tplus_trio").setLevel(logging.CRITICAL)
    try:
        trio.run(_live, seed, seconds, rate, soak)
    except Exception as exc:  # noqa: BLE001 - whatever comes out condemns it
        return soak, explain(exc)
    return soak, None
