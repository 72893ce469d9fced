"""The package's own threads, and clocks that jump."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tplus_trio import KeyfileError, MarketDataClient, OrderBookClient, UserManager
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.threads import run_in_thread


def _slowly() -> str:
    time.sleep(0.05)  # real time, as deriving a key takes
    return "done"


def _run(main: Callable[[], Awaitable[object]], clock: MockClock | None) -> object:
    return trio.run(main, clock=clock)


async def test_the_clock_stands_still_while_a_thread_works(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    with trio.fail_after(30):
        assert await run_in_thread(_slowly) == "done"
    assert trio.current_time() == start
    await trio.sleep(3600)  # and jumps again afterwards
    assert trio.current_time() == start + 3600


async def test_neighbours_go_on_meanwhile(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_in_thread, _slowly)
        nursery.start_soon(run_in_thread, _slowly)
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 2


@pytest.mark.parametrize("clock", [None, MockClock(autojump_threshold=0), MockClock(rate=1000)])
def test_a_failure_comes_out_as_it_is(clock: MockClock | None) -> None:
    failure = ValueError("no such key")

    def fail() -> None:
        raise failure

    async def main() -> None:
        with pytest.raises(ValueError, match="no such key") as caught:
            await run_in_thread(fail)
        assert caught.value is failure

    _run(main, clock)


@pytest.mark.parametrize("clock", [None, MockClock(autojump_threshold=0)])
def test_cancellation_does_not_wait_for_the_thread(clock: MockClock | None) -> None:
    release, started = threading.Event(), trio.Event()

    async def main() -> None:
        token = trio.lowlevel.current_trio_token()

        def block() -> None:
            token.run_sync_soon(started.set)
            release.wait(10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_in_thread, block)
            await started.wait()
            nursery.cancel_scope.cancel()

    try:
        _run(main, clock)
    finally:
        release.set()


async def _trade(exchange: Exchange, network: MemoryNetwork, manager: UserManager, password: str) -> None:
    user = manager.load("bot", password)
    async with OrderBookClient(network.url, connector=network, default_user=user, now_ns=exchange.now_ns) as client:
        with trio.fail_after(30):
            await client.create_limit_order(5, 900, "Buy", asset_id=200)


async def test_a_stored_user_under_a_clock_that_jumps(
    exchange: Exchange, network: MemoryNetwork, autojump_clock: MockClock, tmp_path: Path
) -> None:
    manager = UserManager(tmp_path / "users")
    public_key = manager.generate("bot", "secret").public_key
    start = trio.current_time()
    await _trade(exchange, network, manager, "secret")
    assert len(exchange.orders(public_key)) == 1
    assert trio.current_time() == start
    with pytest.raises(KeyfileError, match="the password is wrong"):
        await _trade(exchange, network, manager, "wrong")


async def test_a_stored_user_of_market_data(network: MemoryNetwork, autojump_clock: MockClock, tmp_path: Path) -> None:
    manager = UserManager(tmp_path / "users")
    manager.generate("bot", "secret")
    user = manager.load("bot", "secret")
    start = trio.current_time()
    async with MarketDataClient(network.url, connector=network, default_user=user) as client:
        with trio.fail_after(0.01):
            await client.get_trades()
    assert trio.current_time() == start


def test_a_program_on_the_real_clock_does_not_load_trio_testing() -> None:
    program = (
        "import sys, trio\n"
        "from tplus_trio.threads import run_in_thread\n"
        "assert trio.run(run_in_thread, lambda: 7) == 7\n"
        "assert 'trio.testing' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
