"""Kills the example's market maker, and measures what its lease costs: ``python -m tests.soak.leases``.

``kills`` runs the exchange in this process and market makers in processes of their own, over TCP, and kills each with
SIGKILL while it quotes. ``simulated`` does the same in memory: the network is cut, and the program is cancelled.
``cost`` measures the share of time quoted and the requests a minute, in memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import random
import sys
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from trio.testing import MockClock

from tplus_trio import LimitOrderDetails, MarketDataClient, OrderBookClient, User
from tplus_trio.testing import Exchange, MemoryNetwork, serve
from tplus_trio.testing.exchange.effects import Effect

__all__ = ["BOUND", "Cost", "kill_in_memory", "kill_processes", "longest_rest", "measure_cost", "run_in_memory"]

_BOT: Final = Path(__file__).parents[2] / "examples/market_maker.py"
_MARKET: Final = 200
_OTHER: Final = User().public_key
_URL: Final = "http://exchange"
#: Seconds beyond the lease in which an order may rest after a kill: one, and the largest bound of the service's clock
#: that the client accepts for a lease of 4 s.
BOUND: Final = 1.0 + 1.0
#: Seconds within which a bot quotes in memory: up to 0.2 s one way, it takes several round trips.
_START: Final = 5.0
#: Seconds from the start of a process within which it has to quote, also on a busy machine.
_PATIENCE: Final = 60.0
_ENDS: Final = frozenset({"cancel", "expire", "remove"})


@attrs.frozen
class Cost:
    """What quoting cost."""

    #: The share of time in which an order rested, of both sides together, from 0 to 1.
    quoted: float
    #: Requests about orders in a minute.
    orders: float
    #: Other REST requests in a minute.
    reads: float


def _bot() -> Any:
    spec = importlib.util.spec_from_file_location("market_maker", _BOT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _open_market() -> Exchange:
    exchange = Exchange()
    exchange.add_market(_MARKET)
    for side, price in (("Buy", 900), ("Sell", 1000)):
        exchange.place(_OTHER, _MARKET, side, price, 5000)
    return exchange


async def _move(exchange: Exchange, between: float, rng: random.Random) -> None:
    """Move the best prices of others in turn, about every so many seconds."""
    shown = {"Buy": 900, "Sell": 1000}
    better: dict[str, str] = {}
    while True:
        await trio.sleep(between * rng.uniform(0.5, 1.5))
        side = rng.choice(("Buy", "Sell"))
        if side in better:
            exchange.cancel(_OTHER, better.pop(side))
        else:
            price = shown[side] + rng.randint(1, 9) * (1 if side == "Buy" else -1)
            better[side] = exchange.place(_OTHER, _MARKET, side, price, 5000).order_id


def _intervals(effects: tuple[Effect, ...], now_ns: int) -> list[tuple[str, int, int]]:
    """Return when each order of the bots rested: its user, its begin and its end, now at the latest."""
    begun: dict[tuple[str, str], tuple[int, int]] = {}
    found: list[tuple[str, int, int]] = []
    for effect in effects:
        if effect.user == _OTHER:
            continue
        key = (effect.user, effect.order_id)
        if effect.kind == "create":
            assert isinstance(effect.details, LimitOrderDetails)
            begun[key] = (effect.time_ns, effect.details.quantity)
        elif effect.kind in _ENDS and key in begun:
            found.append((effect.user, begun.pop(key)[0], effect.time_ns))
    return found + [(user, begin, now_ns) for (user, _), (begin, _) in begun.items()]


def longest_rest(exchange: Exchange, killed_ns: dict[str, int]) -> float:
    """Return for how many seconds an order rested at most after its user was killed.

    Args:
        exchange: Its record is read.
        killed_ns: When each user was killed, by the exchange's time.
    """
    intervals = _intervals(exchange.effects, exchange.now_ns())
    return max((end - killed_ns[user]) / 1e9 for user, _, end in intervals if user in killed_ns)


# In memory.


async def kill_in_memory(seed: int, lease: float | None = 4.0) -> float:
    """Cut the network of a quoting bot and cancel it. Return for how many seconds an order rested after that."""
    rng = random.Random(seed)
    exchange, user, life = _open_market(), User(), trio.CancelScope()
    network = MemoryNetwork(exchange, latency=rng.choice((0.0, 0.02, 0.2)), seed=seed)
    async with network, trio.open_nursery() as nursery:
        nursery.start_soon(_move, exchange, rng.choice((0.1, 1.0, 5.0)), rng)
        nursery.start_soon(_quote, network, user, lease, rng.random() < 0.5, life)
        await trio.sleep(_START + rng.uniform(0.0, 20.0))
        assert exchange.orders(user), "it did not quote"
        network.partition(100.0)
        life.cancel()
        killed_ns = exchange.now_ns()
        await trio.sleep(50.0)
        nursery.cancel_scope.cancel()
    return longest_rest(exchange, {user.public_key: killed_ns})


async def _quote(
    network: MemoryNetwork, user: User, lease: float | None, use_ws_control: bool, life: trio.CancelScope
) -> None:
    options: dict[str, Any] = {"connector": network, "now_ns": network.exchange.now_ns}
    with life:
        async with (
            MarketDataClient(_URL, **options) as md,
            OrderBookClient(_URL, default_user=user, use_ws_control=use_ws_control, **options) as oms,
        ):
            await _bot().make_market(md, oms, lease)


async def measure_cost(lease: float | None, between: float, seconds: float = 1800.0) -> Cost:
    """Quote for a time with 50 ms one way to the exchange. Return what it cost.

    Args:
        lease: Seconds; None is no lease.
        between: Seconds between two changes of the best prices.
        seconds: How long.
    """
    exchange, user, life = _open_market(), User(), trio.CancelScope()
    async with MemoryNetwork(exchange, latency=0.05) as network, trio.open_nursery() as nursery:
        nursery.start_soon(_move, exchange, between, random.Random(1))
        nursery.start_soon(_quote, network, user, lease, False, life)
        await trio.sleep(60.0)
        before_ns, before = exchange.now_ns(), _requests(exchange)
        await trio.sleep(seconds)
        after_ns, after = exchange.now_ns(), _requests(exchange)
        rested = sum(
            max(0, min(end, after_ns) - max(begin, before_ns))
            for _, begin, end in _intervals(exchange.effects, after_ns)
        )
        life.cancel()
        await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    orders, reads = ((new - old) * 60 / seconds for old, new in zip(before, after, strict=True))
    return Cost(quoted=rested / 2e9 / seconds, orders=orders, reads=reads)


def _requests(exchange: Exchange) -> tuple[int, int]:
    """Return the numbers of requests about orders, and of other REST requests."""
    orders = len(exchange.answers)
    return orders, sum(n for (method, _), n in exchange.requests.items() if method == "GET")


# In processes of their own.


async def kill_processes(n: int, lease: float, at_once: int = 4) -> float:
    """Kill bots in processes of their own while they quote. Return for how many seconds an order rested after that.

    Args:
        n: How many.
        lease: Seconds.
        at_once: How many live at a time.
    """
    exchange, rng = _open_market(), random.Random(1)
    killed_ns: dict[str, int] = {}
    starting, limit = trio.Lock(), trio.Semaphore(at_once)
    async with serve(exchange) as url, trio.open_nursery() as nursery:
        nursery.start_soon(_move, exchange, 0.2, rng)
        async with trio.open_nursery() as kills:
            for _ in range(n):
                kills.start_soon(_kill_process, exchange, url, lease, starting, limit, killed_ns, rng.uniform(0, lease))
        await trio.sleep(lease + BOUND + 1.0)
        nursery.cancel_scope.cancel()
    assert len(killed_ns) == n
    return longest_rest(exchange, killed_ns)


async def _kill_process(
    exchange: Exchange,
    url: str,
    lease: float,
    starting: trio.Lock,
    limit: trio.Semaphore,
    killed_ns: dict[str, int],
    seconds: float,
) -> None:
    program = f"import trio, market_maker; trio.run(market_maker.main, {url!r}, {url!r}, {lease!r})"
    async with limit:
        async with starting:  # one at a time, so that the next new user is this one's
            known = _quoting(exchange)
            process = await trio.lowlevel.open_process([sys.executable, "-c", program], cwd=_BOT.parent)
            with trio.fail_after(_PATIENCE):
                while not (new := _quoting(exchange) - known):  # noqa: ASYNC110 - the exchange does not tell
                    await trio.sleep(0.05)
        await trio.sleep(seconds)
        assert process.returncode is None
        process.kill()
        (user,) = new
        killed_ns[user] = exchange.now_ns()
        await process.wait()


def _quoting(exchange: Exchange) -> set[str]:
    """Return the users who placed an order, except the others of the market."""
    return {effect.user for effect in exchange.effects if effect.kind == "create"} - {_OTHER}


def main() -> int:
    """Run what the command line says; return 1 if an order rested too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.leases", description=__doc__)
    parser.add_argument("mode", choices=["kills", "simulated", "cost"])
    parser.add_argument("--n", type=int, help="how many kills (default: 20, or 1000 simulated)")
    parser.add_argument("--lease", type=float, default=4.0, help="seconds (default: %(default)s)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.mode == "cost":
        for between in (1.0, 10.0):
            for lease in (None, 30.0, 4.0):
                print(f"moves every {between:g} s, lease {lease}: {run_in_memory(measure_cost, lease, between)}")
        return 0
    if options.mode == "kills":
        rested = trio.run(kill_processes, options.n or 20, options.lease)
    else:
        rested = max(run_in_memory(kill_in_memory, seed, options.lease) for seed in range(options.n or 1000))
    print(f"an order rested for {rested:.3f} s after a kill at most; allowed are {options.lease + BOUND:g} s")
    return int(rested > options.lease + BOUND)


def run_in_memory(function: Any, *args: Any) -> Any:
    """Run a coroutine function on a virtual clock."""
    return trio.run(function, *args, clock=MockClock(autojump_threshold=0.0))


if __name__ == "__main__":
    sys.exit(main())
