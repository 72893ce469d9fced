"""An hour of real time: the exchange in a process of its own, TCP between, and a pipe to tell it what to do."""

from __future__ import annotations

import logging
import pickle
import struct
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trio.abc
from simulation.callers import Callers
from simulation.consumers import Reader
from simulation.invariants import Violation
from simulation.settings import MARKETS, Settings, sources
from simulation.truth import Truth
from simulation.world import explain

from tplus_trio import RestartPolicy, TplusError
from tplus_trio.models import AssetIdentifier
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.users import User

from .bot import Plan, Soak, enter_clients
from .judges import Facts, Judges, Records
from .stage import REMOTE, Stage, paced, short_memory

__all__ = ["RemoteStage", "soak_for_real", "take_orders"]

_LENGTH: Final = struct.Struct("!I")
_ROOT: Final = Path(__file__).parent.parent.parent
#: Trades that the exchange remembers: more than a client asks for.
_HISTORY: Final = 5_000


def settings_of(seed: int) -> Settings:
    """The settings of an hour."""
    return Settings(
        seed=seed,
        assets=MARKETS,
        by_tens=frozenset(),
        latency=0.0,
        chaos=10.0,
        between_faults=4.0,
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
    """How long, and how often what."""
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
    )


# The pipe: pickles with their lengths before them.


async def _send(stream: trio.abc.SendStream, value: object) -> None:
    data = pickle.dumps(value)
    await stream.send_all(_LENGTH.pack(len(data)) + data)


class _Receiver:
    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._data = bytearray()

    async def receive(self) -> Any:
        """The next value; EOFError at the end."""
        head = await self._exactly(_LENGTH.size)
        return pickle.loads(await self._exactly(*_LENGTH.unpack(head)))

    async def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            if not (data := await self._stream.receive_some(65536)):
                raise EOFError("the other process has ended")
            self._data += data
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken


# The exchange's process.


@attrs.define
class _ServersWorld:
    """The world of the faults in the exchange's process: nobody reads there."""

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


class _NoTruth(Truth):
    """No history is kept: what was true is asked for at quiet moments."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def disturbed(self, seconds: float) -> None:
        pass

    def restarted(self, asset: AssetIdentifier) -> None:
        pass

    def forget(self) -> None:
        pass


async def take_orders(
    seed: int, rate: float, receive: Callable[[], Any], send: Callable[[object], Any], *, bug: str | None = None
) -> None:
    """Serve an exchange over TCP, and do what the other side of the pipe says until it says no more."""
    settings, world = settings_of(seed), _ServersWorld()
    with short_memory(_HISTORY):
        exchange = Exchange(token_ttl=settings.token_ttl, seed=seed)
        for asset in settings.assets:
            exchange.add_market(asset)
        user = User(sources(seed, "user").randbytes(32))
        readers: list[Reader] = []
        async with MemoryNetwork(exchange, seed=seed) as network, trio.open_nursery() as nursery:
            stage = Stage(
                world,
                settings,
                network,
                user.public_key,
                _NoTruth(exchange),
                paced(rate, settings.assets),
                nursery,
                kinds=REMOTE,
                readers=readers,
                sign_in=trio.lowlevel.checkpoint,
            )
            async with network.serve() as url:
                await send(url)
                while True:
                    try:
                        order = await receive()
                    except EOFError:
                        break
                    answer = await getattr(stage, order)()
                    if isinstance(answer, Facts):
                        answer = attrs.evolve(answer, faults=dict(world.faults))
                    await send(answer)
            nursery.cancel_scope.cancel()


async def _serve(seed: int, rate: float) -> None:
    logging.disable(logging.CRITICAL)
    async with trio.lowlevel.FdStream(0) as stdin, trio.lowlevel.FdStream(1) as stdout:
        await take_orders(seed, rate, _Receiver(stdin).receive, partial(_send, stdout))


# The measured process.


class RemoteStage:
    """A `Stage` at the other end of a pipe."""

    def __init__(self, receive: Callable[[], Any], send: Callable[[object], Any]) -> None:
        self._receive = receive
        self._send = send

    async def begin(self) -> None:
        await self._ask("begin")

    async def hush(self) -> None:
        await self._ask("hush")

    async def touch(self) -> Facts:
        facts: Facts = await self._ask("touch")
        return facts

    async def forget(self) -> None:
        await self._ask("forget")

    async def _ask(self, order: str) -> Any:
        await self._send(order)
        try:
            return await self._receive()
        except EOFError:
            raise Violation("the exchange's process has ended") from None


@asynccontextmanager
async def _other_process(seed: int, rate: float) -> AsyncGenerator[tuple[str, RemoteStage]]:
    import subprocess  # noqa: PLC0415

    code = f"import trio; from tests.soak.real import _serve; trio.run(_serve, {seed}, {rate})"
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process, [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
            )
        )
        assert process.stdin is not None
        assert process.stdout is not None
        receive, send = _Receiver(process.stdout).receive, partial(_send, process.stdin)
        yield await receive(), RemoteStage(receive, send)
        await process.stdin.aclose()


async def _live(seed: int, seconds: float, rate: float, soak: Soak) -> None:
    async with _other_process(seed, rate) as (url, theatre), AsyncExitStack() as stack:
        md, oms = await enter_clients(stack, url, soak.settings, soak.user)
        soak.open(md, oms)
        await soak.run(theatre, Callers(soak, soak.settings, md, oms), oms)


def soak_for_real(seed: int, seconds: float, rate: float, *, verbose: bool = False) -> tuple[Soak, str | None]:
    """Live for so many seconds; what there was, and what broke."""
    import time  # noqa: PLC0415

    user = User(sources(seed, "user").randbytes(32))
    judges = Judges(Records(), time.time_ns)
    soak = Soak(settings_of(seed), plan_of(seconds), judges, user, time.time_ns, verbose=verbose)
    logging.getLogger("tplus_trio").setLevel(logging.CRITICAL)
    try:
        trio.run(_live, seed, seconds, rate, soak)
    except Exception as exc:  # noqa: BLE001 - whatever comes out condemns it
        return soak, explain(exc)
    return soak, None
