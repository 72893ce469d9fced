"""Clocks that jump, tokens that are expired on arrival, and servers that ask for endless patience."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.hostile import URL, USER
from tests.helpers.peers import Peer, answer, answers, read_head
from tests.helpers.raw_client import SECOND, Clock
from tests.helpers.world import ASSET, open_world
from tests.streams.recovery.test_backfill import trade
from tplus_trio import (
    AuthError,
    DecodeError,
    Gap,
    HandshakeRejected,
    MarketDataClient,
    OrderBookClient,
    RateLimitError,
    RestartPolicy,
)
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.policy import Restarts
from tplus_trio.streams.recovery import GapMarking, TradesBackfill
from tplus_trio.testing import MemoryNetwork

YEAR = 365 * 86400
JUMPS = [-60 * YEAR, -YEAR, -1, 0, 1, YEAR, 1000 * YEAR]


# Gaps.


@attrs.frozen
class Event:
    timestamp_ns: int


def marked_gap(clock: Clock, jumps: tuple[float, float, float], told_ns: int) -> Gap:
    recovery = GapMarking[Any](clock, ConnectionCounts())
    recovery.subscribed()
    clock.pass_(jumps[0])
    recovery.receive([Event(told_ns)])
    clock.pass_(jumps[1])
    recovery.lost("a test")
    clock.pass_(jumps[2])
    (gap,) = recovery.subscribed()
    return gap


def backfilled_gap(clock: Clock, jumps: tuple[float, float, float], told_ns: int) -> Gap:
    recovery = TradesBackfill(clock, ConnectionCounts(), max_pages=1)
    recovery.subscribed()
    clock.pass_(jumps[0])
    recovery.receive([attrs.evolve(trade(1), timestamp_ns=told_ns)])
    clock.pass_(jumps[1])
    recovery.lost("a test")
    clock.pass_(jumps[2])
    recovery.subscribed()
    (gap,) = recovery.answer(0, [trade(9)], early=False)
    assert isinstance(gap, Gap)
    return gap


@pytest.mark.parametrize("gap_after", [marked_gap, backfilled_gap])
def test_no_gap_ends_before_it_begins(gap_after: Callable[[Clock, tuple[float, float, float], int], Gap]) -> None:
    """However the client's clock and the exchange's jump, and in any order."""
    for told_ns in (-(10**30), 0, 1_700_000_000 * SECOND, 10**30):
        for first in JUMPS:
            for second in JUMPS:
                for third in JUMPS:
                    clock = Clock()
                    gap = gap_after(clock, (first, second, third), told_ns)
                    assert gap.since_ns <= gap.until_ns
                    assert gap.since_ns <= clock.now_ns <= gap.until_ns


@pytest.mark.parametrize("gap_after", [marked_gap, backfilled_gap])
def test_a_clock_that_was_ahead_hides_no_gap(
    gap_after: Callable[[Clock, tuple[float, float, float], int], Gap],
) -> None:
    """It is set right before the last event, which is the last that is known of."""
    clock = Clock()
    right_ns = clock.now_ns
    clock.pass_(YEAR)
    gap = gap_after(clock, (-YEAR, 0, 60), right_ns - SECOND)
    assert gap.since_ns <= right_ns
    assert gap.until_ns == right_ns + 60 * SECOND


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_stream_over_a_jump_of_the_clock(jump: float, autojump_clock: MockClock) -> None:
    clock = Clock()
    async with open_world(now_ns=clock) as world, world.oms.stream_user_events() as stream:
        await stream.wait_live()
        clock.pass_(jump)
        world.network.reset_connections()
        with trio.fail_after(5):
            gap = await stream.receive()
            assert isinstance(gap, Gap)
            assert gap.since_ns <= gap.until_ns
            await stream.wait_live()
        assert stream.stats.connects == 2
        assert world.exchange.sign_ins <= 2


# Tokens.


@attrs.define
class SigningIn:
    """A service that issues tokens with any expiry, and can refuse the requests that carry them."""

    expiry_ns: int
    refuse: bool = False
    sign_ins: int = 0
    requests: int = 0
    sent: int = 0
    nonce: bytes = b'{"value":"1"}'

    async def __call__(self, stream: trio.abc.Stream) -> None:
        while head := await read_head(stream):
            self.sent += len(head)
            if b"GET /nonce/" in head:
                await stream.send_all(answer(200, self.nonce))
            elif b"POST /auth" in head:
                self.sign_ins += 1
                await stream.send_all(answer(200, b'{"token":"t%d","expiry_ns":%d}' % (self.sign_ins, self.expiry_ns)))
            else:
                self.requests += 1
                await stream.send_all(answer(401, b"no") if self.refuse else answer(200, b"[]"))


EXPIRIES = [-(10**30), -1, 0, 1, 1_700_000_000 * SECOND - 1, 1_700_000_000 * SECOND, 10**400]


@pytest.mark.parametrize("expiry_ns", EXPIRIES)
async def test_a_token_that_has_expired_when_it_comes_is_used_until_refused(
    expiry_ns: int, autojump_clock: MockClock
) -> None:
    """Limit: one sign-in for any number of requests, concurrent or consecutive, because only the clocks disagree."""
    service = SigningIn(expiry_ns)
    async with (
        MemoryNetwork(handler=service, latency=0.01) as network,
        OrderBookClient(URL, default_user=USER, connector=network, now_ns=Clock()) as oms,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(oms.get_user_orders)
        for _ in range(20):
            await oms.get_user_orders()
    assert service.requests == 40
    assert service.sign_ins == 1


@pytest.mark.parametrize("left_ns", [-YEAR * SECOND, 0, 1, 10 * SECOND, YEAR * SECOND])
async def test_a_service_that_refuses_its_own_tokens(left_ns: int, autojump_clock: MockClock) -> None:
    """Limit: two requests and two sign-ins for each call, whatever the token's expiry."""
    clock = Clock()
    service = SigningIn(clock.now_ns + left_ns, refuse=True)
    async with (
        MemoryNetwork(handler=service) as network,
        OrderBookClient(URL, default_user=USER, connector=network, now_ns=clock) as oms,
    ):
        for calls in range(1, 6):
            with pytest.raises(AuthError):
                await oms.get_user_orders()
            assert service.requests == 2 * calls
            assert service.sign_ins <= 2 * calls
        with pytest.raises(HandshakeRejected):
            await oms.stream_orders(restart=RestartPolicy()).receive()
        assert service.requests == 12


@pytest.mark.parametrize("jump", JUMPS)
async def test_requests_over_a_jump_of_the_clock(jump: float, autojump_clock: MockClock) -> None:
    """Limit: one more sign-in, whichever clock was right."""
    clock = Clock()
    service = SigningIn(clock.now_ns + 3600 * SECOND)
    async with (
        MemoryNetwork(handler=service) as network,
        OrderBookClient(URL, default_user=USER, connector=network, now_ns=clock) as oms,
    ):
        await oms.get_user_orders()
        clock.pass_(jump)
        for _ in range(20):
            await oms.get_user_orders()
        clock.pass_(-jump)
        for _ in range(20):
            await oms.get_user_orders()
    assert service.sign_ins <= 2


NONCES = {
    "10 MB": b'{"value":"' + b"1" * 10_000_000 + b'"}',
    "1,025 characters": b'"' + b"1" * 1025 + b'"',
    "a cancellation": rb'{"value":"{\"order_id\":\"x\",\"asset_id\":\"200\",\"signer\":\"y\",\"protocol_version\":1}"}',
    "an order after spaces": rb'{"value":"\r\n {\"signer\":\"y\"}"}',
}


@pytest.mark.parametrize("how", NONCES)
async def test_an_illegal_nonce_is_not_signed(how: str, autojump_clock: MockClock) -> None:
    """Limit: 1,024 characters, and nothing that could be an order, because the same key signs orders."""
    service = SigningIn(0, nonce=NONCES[how])
    async with (
        MemoryNetwork(handler=service) as network,
        OrderBookClient(URL, default_user=USER, connector=network) as oms,
    ):
        with pytest.raises(DecodeError, match="not signed") as caught:
            await oms.get_user_orders()
        assert len(str(caught.value)) < 200
    assert service.sign_ins == 0
    assert service.sent < 1000


async def test_a_nonce_of_the_longest_is_signed(autojump_clock: MockClock) -> None:
    service = SigningIn(0, nonce=b'"' + b"1" * 1024 + b'"')
    async with (
        MemoryNetwork(handler=service) as network,
        OrderBookClient(URL, default_user=USER, connector=network) as oms,
    ):
        await oms.get_user_orders()
    assert service.sign_ins == 1


# Retry-After. Limit: an hour.

PATIENCE = {
    "7": 7,
    "3599": 3599,
    "3601": 3600,
    "1000000000": 3600,
    "9" * 300: 3600,
    "9" * 400: 1,
    "Fri, 31 Dec 9999 23:59:59 GMT": 3600,
    "Thu, 01 Jan 1970 00:00:00 GMT": 1,
    "-5": 1,
    "1e9": 1,
    "soon": 1,
    "": 1,
}


@pytest.mark.parametrize("value", PATIENCE)
@pytest.mark.parametrize("where", ["handshake", "snapshot"])
async def test_a_stream_is_not_put_to_sleep_for_years(value: str, where: str, autojump_clock: MockClock) -> None:
    """A later attempt costs one request. A stream that is silent for thirty years costs more."""
    asked = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal asked
        while head := await read_head(stream):
            if where == "snapshot" and b"/diff/" in head:
                peer = await Peer.upgrade(stream, head)
                await peer.serve()
                return
            asked += 1
            await stream.send_all(answer(429, b"wait", f"Retry-After: {value}"))

    policy = RestartPolicy(initial_delay=1.0)
    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient(URL, connector=network, jitter=lambda: 1.0, restart=policy) as md,
        md.stream_tickers() if where == "handshake" else md.stream_depth(ASSET, sequence="increasing"),
    ):
        await trio.sleep(PATIENCE[value] - 0.5)
        before = asked
        assert before
        await trio.sleep(1)
        assert asked > before
        if PATIENCE[value] > 1:
            assert before == 1


async def test_an_error_carries_the_wait_that_the_server_requested(autojump_clock: MockClock) -> None:
    """A request does not wait. Its caller decides."""
    async with (
        MemoryNetwork(handler=answers(answer(429, b"wait", "Retry-After: 1000000000"))) as network,
        MarketDataClient(URL, connector=network) as md,
    ):
        with pytest.raises(RateLimitError) as caught:
            await md.get_orderbook_snapshot(200)
        assert caught.value.retry_after == 1e9
        assert trio.current_time() < 1


def test_the_longest_wait_is_an_hour() -> None:
    machine = Restarts(RestartPolicy(max_delay=7200.0, initial_delay=7200.0), lambda: 1.0)
    assert machine.failed(HandshakeRejected(503, "", 1e300), 0.0) == 7200.0  # the user chose the policy's delay
    machine = Restarts(RestartPolicy(), lambda: 1.0)
    assert machine.failed(HandshakeRejected(503, "", 1e300), 0.0) == 3600.0
    assert machine.failed(RateLimitError("RATE_LIMITED", "", 429, retry_after=math.inf), 0.0) == 3600.0
