"""The network in memory: a legal trio stream, on trio's clock, with faults to order."""

from __future__ import annotations

import errno
import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, check_two_way_stream, wait_all_tasks_blocked

from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.network.pipe import Conditions, MemoryStream, stream_pair


async def echo(stream: trio.abc.Stream) -> None:
    """A server that sends everything back, and closes when its client does."""
    try:
        while data := await stream.receive_some():
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass


async def hold(stream: trio.abc.Stream) -> None:
    """A server that never reads."""
    await trio.sleep_forever()


async def test_the_streams_keep_trios_contract(autojump_clock: MockClock) -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        await trio.lowlevel.checkpoint()
        return stream_pair()

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        pair = stream_pair(capacity=16)
        for stream in pair:
            await stream.send_all(b"x" * 16)
        return pair

    await check_two_way_stream(make, make_clogged)


async def test_the_contract_holds_with_latency_and_bandwidth(autojump_clock: MockClock) -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        await trio.lowlevel.checkpoint()
        return stream_pair(Conditions(latency=(0.001, 0.2), bandwidth=1e6))

    await check_two_way_stream(make, None)


async def test_bytes_take_their_time(autojump_clock: MockClock) -> None:
    near, far = stream_pair(Conditions(latency=0.25))
    start = trio.current_time()
    await near.send_all(b"hello")
    assert trio.current_time() == start
    assert await far.receive_some() == b"hello"
    assert trio.current_time() - start == pytest.approx(0.25)
    await near.aclose()
    assert await far.receive_some() == b""
    assert trio.current_time() - start == pytest.approx(0.5)


async def test_bandwidth_spreads_bytes_out(autojump_clock: MockClock) -> None:
    near, far = stream_pair(Conditions(bandwidth=10_000.0))
    start = trio.current_time()
    await near.send_all(b"x" * 40_000)
    first = await far.receive_some()
    assert 0 < len(first) < 10_000
    assert trio.current_time() - start < 0.5
    got = len(first)
    while got < 40_000:
        got += len(await far.receive_some())
    assert trio.current_time() - start == pytest.approx(4.0)


async def test_jitter_never_reorders(autojump_clock: MockClock) -> None:
    near, far = stream_pair(Conditions(latency=(0.0, 1.0)))
    for i in range(50):
        await near.send_all(bytes([i]))
    got = b""
    while len(got) < 50:
        got += await far.receive_some()
    assert got == bytes(range(50))


async def test_a_full_connection_makes_its_sender_wait() -> None:
    near, far = stream_pair(capacity=100)
    sent = trio.Event()

    async def send() -> None:
        await near.send_all(b"x" * 250)
        sent.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert not sent.is_set()
        got = 0
        while got < 250:
            got += len(await far.receive_some(30))
        await sent.wait()


async def test_a_cancelled_receive_loses_nothing(autojump_clock: MockClock) -> None:
    near, far = stream_pair(Conditions(latency=1.0))
    await near.send_all(b"precious")
    with trio.move_on_after(0.5):
        await far.receive_some()
    with trio.CancelScope() as scope:
        scope.cancel()
        await far.receive_some()
    assert await far.receive_some(3) == b"pre"
    with assert_checkpoints():
        assert await far.receive_some() == b"cious"


async def test_a_connection_reaches_the_handler() -> None:
    async with MemoryNetwork(handler=echo) as network:
        stream = await network.connect("anywhere", 1)
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        assert network.open_connections == 1
        await stream.aclose()
        assert network.open_connections == 0
    assert network.connects == 1


async def test_connecting_takes_a_round_trip(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo, latency=0.2) as network:
        start = trio.current_time()
        await network.connect("anywhere", 1)
        assert trio.current_time() - start == pytest.approx(0.4)
        with trio.move_on_after(0.1):
            await network.connect("anywhere", 1)
        assert network.open_connections == 1


async def test_the_network_goes_with_its_scope() -> None:
    async with MemoryNetwork(handler=echo) as network:
        stream = await network.connect("anywhere", 1)
        stalled = await network.connect("anywhere", 1)
        network.stall()
    for left in (stream, stalled):
        assert await left.receive_some() == b""
    with pytest.raises(ConnectionRefusedError):
        await network.connect("anywhere", 1)


async def test_an_exception_leaves_the_network_as_it_is() -> None:
    async def fail() -> None:
        async with MemoryNetwork(handler=echo) as network:
            await network.connect("anywhere", 1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()


async def test_dropping_is_orderly(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo, latency=0.1) as network:
        stream = await network.connect("anywhere", 1)
        await stream.send_all(b"last words")
        await trio.sleep(0.15)  # the echo is on its way
        network.drop_connections()
        assert await stream.receive_some() == b"last words"
        assert await stream.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"more")


async def test_a_reset_loses_what_is_under_way(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo, latency=0.1) as network:
        stream = await network.connect("anywhere", 1)
        await stream.send_all(b"lost words")
        await trio.sleep(0.15)
        network.reset_connections()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"more")
        fresh = await network.connect("anywhere", 1)
        await fresh.send_all(b"again")
        assert await fresh.receive_some() == b"again"


async def test_a_reset_wakes_who_waits() -> None:
    async def expect_broken(operation: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await operation()

    async with MemoryNetwork(handler=hold, capacity=10) as network, trio.open_nursery() as nursery:
        stream = await network.connect("anywhere", 1)
        nursery.start_soon(expect_broken, stream.receive_some)
        nursery.start_soon(expect_broken, lambda: stream.send_all(b"x" * 100))
        await wait_all_tasks_blocked()
        network.reset_connections()


async def test_a_stalled_connection_is_silent_but_open(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo) as network:
        stream = await network.connect("anywhere", 1)
        network.stall()
        await stream.send_all(b"anyone?")
        with trio.move_on_after(1000) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        other = await network.connect("anywhere", 1)
        await other.send_all(b"new")
        assert await other.receive_some() == b"new"
        network.resume()
        assert await stream.receive_some() == b"anyone?"


async def test_nobody_sees_a_stalled_end() -> None:
    async with MemoryNetwork(handler=echo) as network:
        stream = await network.connect("anywhere", 1)
        network.stall()
        network.drop_connections()
        await stream.send_all(b"into the void")
        network.resume()
        assert await stream.receive_some() == b""


async def test_a_partition_hangs_then_resets(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo) as network:
        stream = await network.connect("anywhere", 1)
        start = trio.current_time()
        network.partition(5.0)
        with pytest.raises(RuntimeError, match="already"):
            network.partition(1.0)
        late = await network.connect("anywhere", 1)
        assert trio.current_time() - start == pytest.approx(5.0)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await late.send_all(b"healed")
        assert await late.receive_some() == b"healed"


async def test_a_partition_can_refuse(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo) as network:
        network.partition(5.0, refuse=True)
        with pytest.raises(OSError, match="anywhere:1") as caught:
            await network.connect("anywhere", 1)
        assert caught.value.errno == errno.EHOSTUNREACH
        await trio.sleep(5.1)
        await network.connect("anywhere", 1)


async def test_refusals_are_counted() -> None:
    async with MemoryNetwork(handler=echo) as network:
        network.refuse(2)
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await network.connect("anywhere", 1)
        await network.connect("anywhere", 1)
        assert (network.connects, network.open_connections) == (3, 1)


async def test_a_delay_adds_up(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=echo, latency=0.1) as network:
        stream = await network.connect("anywhere", 1)
        network.delay(2.0)
        start = trio.current_time()
        await stream.send_all(b"slow")
        await stream.receive_some()
        assert trio.current_time() - start == pytest.approx(4.2)
        network.delay(0.0)
        await stream.send_all(b"fast")
        await stream.receive_some()
        assert trio.current_time() - start == pytest.approx(4.4)


async def test_the_same_seed_gives_the_same_latencies(autojump_clock: MockClock) -> None:
    async def measure(seed: int) -> float:
        async with MemoryNetwork(handler=echo, latency=(0.0, 1.0), seed=seed) as network:
            start = trio.current_time()
            stream = await network.connect("anywhere", 1)
            await stream.send_all(b"x")
            await stream.receive_some()
            return trio.current_time() - start

    assert await measure(1) == pytest.approx(await measure(1))
    assert await measure(1) != pytest.approx(await measure(2))


async def test_an_idle_stream_says_whether_it_is_readable() -> None:
    near, far = stream_pair()
    assert not near.is_readable()
    await far.send_all(b"x")
    assert near.is_readable()
    await near.receive_some()
    far.close()
    assert near.is_readable()


@pytest.mark.parametrize("latency", [-1.0, (2.0, 1.0), (-1.0, 1.0), math.nan, math.inf, (0.0, math.inf)])
def test_impossible_latencies(latency: float | tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="latency"):
        MemoryNetwork(latency=latency)


def test_other_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        MemoryNetwork(bandwidth=0)
    with pytest.raises(ValueError, match="capacity"):
        MemoryNetwork(capacity=0)
    with pytest.raises(ValueError, match="seed is at least 0"):
        MemoryNetwork(seed=-1)
    for latency in ("1", (1, 2, 3), None):
        with pytest.raises(TypeError, match="latency is a number"):
            MemoryNetwork(latency=latency)  # type: ignore[arg-type]  # illegal on purpose
    network = MemoryNetwork()
    with pytest.raises(ValueError, match="n is at least 0, not -1"):
        network.refuse(-1)
    for seconds in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="seconds is at least 0 and finite"):
            network.delay(seconds)
        with pytest.raises(ValueError, match="seconds is at least 0 and finite"):
            network.partition(seconds)
    with pytest.raises(RuntimeError, match="not open"):
        network.partition(1.0)
