"""The kinds of network worlds: each draws its numbers from the seed and checks its promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import attrs
import trio

from tests.helpers.wrapped_streams import WrappedStream
from tplus_trio import MarketDataClient, OrderBookClient, TplusError
from tplus_trio.errors import AuthError, HandshakeRejected
from tplus_trio.streams.stats import StreamState
from tplus_trio.testing import Exchange, MemoryNetwork, Rejection, Request, Response, Subscription
from tplus_trio.testing.server.server import serve_stream

from .invariants import Violation, ensure
from .network_moves import moved
from .network_world import PATIENCE, NetworkWorld, all_synced, open_books

__all__ = ["NETWORK_KINDS", "NetworkWorld"]

_PAGE: Final = b"<html><head><title>Maintenance</title></head><body>back soon</body></html>"


class _Recorder:
    """Serves an exchange, and records when each request and handshake came and whether a limit refused it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.crashes = exchange.crashes
        self.now_ns = exchange.now_ns
        #: The time in virtual seconds, and whether the answer was a 429.
        self.attempts: list[tuple[float, bool]] = []

    def handle(self, request: Request) -> Response:
        """Answer a REST request."""
        response = self.exchange.handle(request)
        self.attempts.append((trio.current_time(), response.status == 429))
        return response

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        """Open a feed."""
        try:
            subscription = self.exchange.subscribe(path, headers)
        except Rejection as rejection:
            self.attempts.append((trio.current_time(), rejection.response.status == 429))
            raise
        self.attempts.append((trio.current_time(), False))
        return subscription

    def most_within(self, seconds: float, since: float) -> int:
        """Return the most attempts within a number of seconds, after ``since``."""
        times = [at for at, _ in self.attempts if at >= since]
        return max((sum(at <= other < at + seconds for other in times) for at in times), default=0)


async def _limited(world: NetworkWorld) -> None:
    """Many books connect under a limit that REST and handshakes share."""
    rng, exchange = world.rng, world.exchange
    markets = world.list_markets(rng.randrange(20, 61))
    rate = rng.uniform(8.0, 20.0)
    recorder = _Recorder(exchange)
    handler = partial(serve_stream, recorder)
    async with MemoryNetwork(exchange, latency=0.01, handler=handler) as network, AsyncExitStack() as stack:
        exchange.faults.limit_rate(rate, retry_after=rng.choice((0.5, 1.0, 2.0)))
        begun = trio.current_time()
        md = await stack.enter_async_context(MarketDataClient("http://md", **world.options(network)))
        books = await open_books(stack, md, markets)
        # A handshake and a snapshot each; pacing may lose half the limit, and the first second is refused.
        await all_synced(books, 2 * 2 * len(markets) / rate + PATIENCE)
        later = [refused for at, refused in recorder.attempts if at >= begun + 1.0]
        ensure(sum(later) <= 0.1 * len(later), f"{sum(later)} of {len(later)} requests refused after the first second")


async def _herd(world: NetworkWorld) -> None:
    """Streams that are refused together, with one Retry-After, come back at different times."""
    rng, exchange = world.rng, world.exchange
    markets = world.list_markets(rng.randrange(30, 61))
    recorder = _Recorder(exchange)
    handler = partial(serve_stream, recorder)
    async with MemoryNetwork(exchange, latency=0.01, handler=handler) as network, AsyncExitStack() as stack:
        exchange.faults.reject_handshakes(len(markets), 429, retry_after=2.0)
        begun = trio.current_time()
        md = await stack.enter_async_context(MarketDataClient("http://md", **world.options(network)))
        await all_synced(await open_books(stack, md, markets), 2 * PATIENCE)
        most = recorder.most_within(0.05, begun + 1.9)
        ensure(most <= len(markets) // 2, f"{most} attempts of {len(markets)} streams within 50 ms of a Retry-After")


async def _revoked(world: NetworkWorld) -> None:
    """A token is revoked: handshakes with it are answered 101 and closed."""
    rng, exchange = world.rng, world.exchange
    world.list_markets(1)
    async with (
        MemoryNetwork(exchange, latency=rng.uniform(0.0, 0.1), seed=1) as network,
        OrderBookClient("http://oms", default_user=world.user, **world.options(network)) as oms,
        oms.stream_orders() as orders,
    ):
        await orders.wait_live()
        times = rng.randrange(1, 4)
        for _ in range(times):
            before = exchange.sign_ins
            exchange.faults.revoke_tokens(rng.choice((1008, 3000, 4401, 4403)))
            await trio.sleep(PATIENCE)
            ensure(orders.state is StreamState.LIVE, f"{orders.state} after a revoking close")
            signed = exchange.sign_ins - before
            ensure(1 <= signed <= 2, f"{signed} sign-ins after one revoking close")


async def _expired_twice(world: NetworkWorld) -> None:
    """A token and the successor that another call fetched expire before the first call is refused."""
    rng, exchange = world.rng, world.exchange
    async with (
        MemoryNetwork(exchange, latency=rng.uniform(0.0, 0.05), seed=1) as network,
        OrderBookClient("http://oms", default_user=world.user, **world.options(network)) as oms,
    ):
        await oms.get_user_orders()
        exchange.faults.expire_tokens()
        exchange.faults.delay_requests("/orders/user", 3.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(oms.get_user_orders)
            await trio.sleep(1.0)
            await oms.get_user_orders()
            exchange.faults.expire_tokens()
        ensure(exchange.sign_ins <= 4, f"{exchange.sign_ins} sign-ins for two expiries")


async def _refused_for_good(world: NetworkWorld) -> None:
    """A stream ends if a 401 repeats after a sign-in made for it."""
    exchange = world.exchange
    async with (
        MemoryNetwork(exchange, latency=world.rng.uniform(0.0, 0.05), seed=1) as network,
        OrderBookClient("http://oms", default_user=world.user, **world.options(network)) as oms,
    ):
        await oms.get_user_orders()
        exchange.faults.reject_handshakes(1000, 401, path="/orders")
        try:
            with trio.fail_after(PATIENCE):
                async with oms.stream_orders() as orders:
                    await orders.receive()
        except (AuthError, HandshakeRejected):
            pass
        ensure(exchange.sign_ins == 2, f"{exchange.sign_ins} sign-ins where one more was called for")


async def _slow_link(world: NetworkWorld) -> None:
    """A pong arrives late behind queued data that arrives all the time."""
    rng, exchange = world.rng, world.exchange
    world.list_markets(1)
    interval, timeout = rng.uniform(3.0, 8.0), rng.uniform(3.0, 8.0)
    options = world.options(None, ping_interval=interval, ping_timeout=timeout)
    async with MemoryNetwork(exchange, latency=0.01) as network:
        options["connector"] = network
        async with MarketDataClient("http://md", **options) as md, md.stream_depth(200) as depth:
            await depth.wait_live()
            network.throttle(rng.uniform(1500.0, 3000.0))
            padding = "x" * 1000
            for _ in range(60):
                for _ in range(4):
                    exchange.faults.send_text("/marketdepth/diff/200", f'{{"type":"ping","id":"{padding}"}}')
                await trio.sleep(1.0)
            ensure(depth.stats.connects == 1, f"{depth.stats.connects - 1} reconnections while bytes came")


def _anything_comes(network: MemoryNetwork) -> bool:
    """Return whether bytes are on their way to a client."""
    return any(connection.downward._pieces for connection in network._connections)


async def _blocked_loop(world: NetworkWorld) -> None:
    """The program computes for longer than ping_timeout; the pong waits in the pipe."""
    rng, exchange = world.rng, world.exchange
    world.list_markets(1)
    interval, timeout = rng.uniform(1.0, 8.0), rng.uniform(1.0, 8.0)
    async with MemoryNetwork(exchange, latency=0.05) as network:
        options = world.options(network, ping_interval=interval, ping_timeout=timeout)
        async with MarketDataClient("http://md", **options) as md, md.stream_depth(200) as depth:
            await depth.wait_live()
            for _ in range(6):
                await trio.sleep(0.2)
                # Nothing is published: bytes on the way to the client are a pong.
                while not _anything_comes(network):  # noqa: ASYNC110 - the network has no event for it
                    await trio.sleep(0.01)
                world.clock.jump(rng.uniform(0.1, 5.0) * timeout)
            await trio.sleep(1.0)
            ensure(depth.stats.connects == 1, f"{depth.stats.connects - 1} reconnections after a blocked loop")


async def _proxy_page(world: NetworkWorld) -> None:
    """A proxy's page answers a handshake or a snapshot request."""
    rng, exchange = world.rng, world.exchange
    world.list_markets(1)
    status = rng.choice((200, 408, 425, 502, 503))
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/html"),)
    if rng.random() < 0.3:
        headers = (*headers, ("x-padding", "x" * 20_000))
    page = Response(status, _PAGE, headers)
    arm = rng.choice((exchange.faults.answer_handshakes, exchange.faults.answer_requests))
    async with MemoryNetwork(exchange, latency=0.01) as network:
        arm("/marketdepth", page, rng.randrange(1, 4))
        async with MarketDataClient("http://md", **world.options(network)) as md, md.open_book(200) as book:
            try:
                await all_synced([book], PATIENCE)
            except TplusError as exc:
                raise Violation(f"a page with status {status} is passing, not {exc!r}") from exc


async def _mass_cancellation(world: NetworkWorld) -> None:
    """Many calls are cancelled in one step while connections are made, again and again."""
    rng, exchange = world.rng, world.exchange
    world.list_markets(1)
    latency = 0.05
    async with MemoryNetwork(exchange, latency=latency) as network:
        async with MarketDataClient("http://md", **world.options(network, timeout=5.0)) as md:
            for _ in range(12):
                calls = rng.randrange(33, 121)
                with trio.move_on_after(rng.choice((0.0, latency, 2 * latency, rng.uniform(0.0, 6 * latency)))):
                    async with trio.open_nursery() as nursery:
                        for _ in range(calls):
                            nursery.start_soon(md.get_orderbook_snapshot, 200)
                if rng.random() < 0.5:
                    network.reset_connections()
                    await trio.sleep(0.2)
            try:
                with trio.fail_after(PATIENCE):
                    async with trio.open_nursery() as nursery:
                        for _ in range(40):
                            nursery.start_soon(md.get_orderbook_snapshot, 200)
            except* (TplusError, trio.TooSlowError) as failures:
                raise Violation(f"calls are not answered after cancellations: {failures.exceptions[0]!r}") from failures
        await trio.sleep(1.0)
        ensure(network.open_connections == 0, f"{network.open_connections} connections outlive the client")


async def _server_away(world: NetworkWorld) -> None:
    """The server refuses the connections of many books for some seconds."""
    rng, exchange = world.rng, world.exchange
    markets = world.list_markets(rng.randrange(150, 301) if world.heavy else rng.randrange(40, 61))
    async with MemoryNetwork(exchange, latency=0.01) as network, AsyncExitStack() as stack:
        md = await stack.enter_async_context(MarketDataClient("http://md", **world.options(network)))
        books = await open_books(stack, md, markets)
        await all_synced(books, 2 * PATIENCE)
        network.refuse(10**9)
        network.reset_connections()
        await trio.sleep(rng.uniform(1.0, 10.0))
        network.refuse(0)
        await trio.sleep(1.0)
        await all_synced(books, 2 * PATIENCE)
        with trio.move_on_after(PATIENCE) as scope:
            await md.get_orderbook_snapshot(200)
        ensure(not scope.cancelled_caught, "REST does not answer after the server was away")


class _Wrapped(WrappedStream):
    """A stream of a class that the client does not know."""


@attrs.frozen
class _Wrapping:
    """A connector whose streams are wrapped."""

    network: MemoryNetwork

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """Connect."""
        return _Wrapped(await self.network.connect(host, port))


async def _idle_closed(world: NetworkWorld) -> None:
    """The service closes idle REST connections."""
    rng, exchange = world.rng, world.exchange
    world.list_markets(1)
    async with MemoryNetwork(exchange, latency=rng.uniform(0.0, 0.05), seed=1) as network:
        connector = _Wrapping(network) if rng.random() < 0.7 else network
        async with MarketDataClient("http://md", **world.options(connector)) as md:
            for _ in range(6):
                try:
                    await md.get_orderbook_snapshot(200)
                except TplusError as exc:
                    raise Violation(f"a call failed over a connection that was closed while idle: {exc!r}") from exc
                network.drop_connections()
                await trio.sleep(rng.uniform(0.2, 3.0))


async def _loose_groups(world: NetworkWorld) -> None:
    """A handshake is refused in a run with strict_exception_groups=False."""
    world.list_markets(1)
    world.exchange.faults.reject_handshakes(2, 503)
    async with (
        MemoryNetwork(world.exchange) as network,
        MarketDataClient("http://md", **world.options(network)) as md,
        md.open_book(200) as book,
    ):
        await all_synced([book], PATIENCE)


_KINDS: Final[tuple[Callable[[NetworkWorld], Awaitable[None]], ...]] = (
    moved,
    _limited,
    _herd,
    _revoked,
    _expired_twice,
    _refused_for_good,
    _slow_link,
    _blocked_loop,
    _proxy_page,
    _mass_cancellation,
    _server_away,
    _idle_closed,
    _loose_groups,
)
NETWORK_KINDS: Final = {kind.__name__.strip("_").replace("_", " "): kind for kind in _KINDS}
