"""A network in memory between a client and the embedded exchange, with faults that a test can request."""

from __future__ import annotations

import errno
import os
import random
import socket
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Final, Self, cast

import attrs
import trio
import trio.abc

from tplus_trio.arguments import check_count, check_number
from tplus_trio.scopes import ServiceTasks, open_service_tasks
from tplus_trio.testing.exchange.exchange import Exchange
from tplus_trio.testing.network.pipe import DEFAULT_CAPACITY, Conditions, MemoryStream, Pipe
from tplus_trio.testing.network.sites import Handler, Sites
from tplus_trio.testing.server.expiry_timer import ExpiryTimer
from tplus_trio.testing.server.replica import Replica
from tplus_trio.testing.server.server import listen, serve_stream

__all__ = ["MemoryNetwork"]

#: In memory, all hosts lead to the exchange.
_URL: Final = "http://exchange"


async def _pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, scope: trio.CancelScope) -> None:
    """Copy bytes from source to sink until the source ends."""
    while data := await source.receive_some():
        await sink.send_all(data)
    scope.cancel()


def _reset_socket(stream: trio.abc.Stream) -> None:
    """Make the operating system reset the connection when this stream is closed."""
    if isinstance(stream, trio.SSLStream):
        stream = cast("trio.SSLStream[trio.abc.Stream]", stream).transport_stream
    if isinstance(stream, trio.SocketStream):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@attrs.define(eq=False)
class _Connection:
    """The two pipes between a client and its server, as the network sees them."""

    upward: Pipe
    downward: Pipe
    near_open: bool = True
    far_open: bool = True

    def both(self) -> tuple[Pipe, Pipe]:
        return self.upward, self.downward


@attrs.frozen(eq=False)
class _Partition:
    """A partition of the network: whether new connections fail, and the event of its end."""

    refuses: bool
    over: trio.Event = attrs.field(factory=trio.Event)


class MemoryNetwork:
    """A connector whose connections lead to one exchange, and whose faults are methods.

    Enter it once, with ``async with``; leaving or cancelling the block cancels the servers and closes every connection.
    It runs on trio's clock, real or virtual. Give it to a client as ``connector=``::

        async with MemoryNetwork(exchange, latency=(0.01, 0.2), seed=7) as network:
            async with MarketDataClient("http://exchange", connector=network) as md:
                ...
                network.reset_connections()

    Every fault may be called at any time while the network is open, and returns without waiting.

    Args:
        exchange: The exchange that answers; None makes a new, empty :class:`~tplus_trio.testing.Exchange`.
        latency: Seconds from one end to the other, 0 or more; a pair (least, most) draws each piece's latency.
        bandwidth: Bytes per second, for each direction of each connection, more than 0; None is unlimited.
        seed: The seed of the drawn latencies, 0 or more.
        capacity: The bytes that each direction of a connection holds before its sender waits, 1 or more.
        handler: A coroutine function that serves the far end of each connection instead of ``exchange``.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A latency or seed is negative, the least latency is above the most, or a bandwidth or capacity is
            not positive.
    """

    def __init__(
        self,
        exchange: Exchange | None = None,
        *,
        latency: float | tuple[float, float] = 0.0,
        bandwidth: float | None = None,
        seed: int = 0,
        capacity: int = DEFAULT_CAPACITY,
        handler: Handler | None = None,
    ) -> None:
        least, most = latency if isinstance(latency, tuple) and len(latency) == 2 else (latency, latency)
        if isinstance(least, tuple) or isinstance(most, tuple):
            raise TypeError("latency is a number of seconds, or a (least, most) pair of them")
        check_number("latency", most, least=check_number("latency", least, finite=True), finite=True)
        if bandwidth is not None:
            check_number("bandwidth", bandwidth, more=True)
        check_count("seed", seed, least=0)
        check_count("capacity", capacity)
        # Twelve attributes: three public ones, three for the tasks of an entered network, one for each kind of fault.
        #: The exchange behind this network.
        self.exchange: Final = Exchange() if exchange is None else exchange
        #: The number of calls of :meth:`connect`, refused ones included.
        self.connects: int = 0
        #: A base URL of this network: over TCP while :meth:`serve` runs, else for clients with this ``connector``.
        self.url: str = _URL
        self._sites = Sites(partial(serve_stream, self.exchange) if handler is None else handler)
        self._conditions = Conditions(latency, bandwidth, rng=random.Random(seed))
        self._capacity = capacity
        #: A dict keeps its order: the latencies that a seed draws must not depend on addresses in memory.
        self._connections: dict[_Connection, None] = {}
        self._refusals = 0
        self._partition: _Partition | None = None
        self._background: AbstractAsyncContextManager[ServiceTasks] | None = None
        self._nursery: ServiceTasks | None = None
        self._expiries: ExpiryTimer | None = None

    async def __aenter__(self) -> Self:
        if self._background is not None:
            raise RuntimeError("a MemoryNetwork can be entered once only")
        self._background = open_service_tasks()
        self._nursery = await self._background.__aenter__()
        self._expiries = ExpiryTimer(self.exchange, self._nursery)
        self._expiries.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._background is not None
        if self._expiries is not None:
            self._expiries.stop()
        self._nursery = None
        self.resume()  # tasks that wait on a stalled connection see its end
        # Its tasks are cancelled, so the wait is bounded.
        return await self._background.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - it bounds itself

    @property
    def open_connections(self) -> int:
        """The number of connections that the side that opened them has not closed."""
        return sum(connection.near_open for connection in self._connections)

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """Open a connection to the site of ``host``; without :meth:`move`, all hosts lead to one exchange.

        It takes two latencies, as a TCP handshake does. When cancelled, it leaves nothing behind.

        Args:
            host: The host name.
            port: The port; every port leads to the same site.

        Raises:
            OSError: The connection was refused, or the network is partitioned or not open.
        """
        self.connects += 1
        await trio.lowlevel.checkpoint()
        self._raise_if_refused(host, port)
        if self._partition is not None:
            if self._partition.refuses:
                raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH), f"{host}:{port}")
            await self._partition.over.wait()
        await trio.sleep(self._conditions.draw_latency() + self._conditions.draw_latency())
        if self._nursery is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the network is down", f"{host}:{port}")
        connection = _Connection(Pipe(self._conditions, self._capacity), Pipe(self._conditions, self._capacity))
        self._connections[connection] = None
        near = MemoryStream(connection.upward, connection.downward, partial(self._closed, connection, near=True))
        far = MemoryStream(connection.downward, connection.upward, partial(self._closed, connection, near=False))
        self._nursery.start_soon(self._serve, self._sites.of(host), far)
        return near

    @asynccontextmanager
    async def serve(
        self, host: str = "127.0.0.1", port: int = 0, *, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncGenerator[str]:
        """Accept TCP connections and pass them through this network, so that its faults apply to real sockets.

        It is like :func:`~tplus_trio.testing.serve`, for programs in other processes and clients without a
        ``connector``. A connection that this network refuses is accepted and then reset. Leaving or cancelling the
        block closes all TCP connections.

        Args:
            host: The address to listen on.
            port: The port; 0 chooses a free one.
            ssl_context: The settings of TLS; None is plain HTTP.

        Yields:
            The base URL, such as ``http://127.0.0.1:43210``.

        Raises:
            OSError: The server cannot listen on this address.
        """
        async with listen(partial(self._relay, host, port), host, port, ssl_context=ssl_context) as url:
            self.url = url
            try:
                yield url
            finally:
                self.url = _URL

    async def _relay(self, host: str, port: int, outside: trio.abc.Stream) -> None:
        """Copy bytes, ends and resets between a TCP connection and one of this network."""
        try:
            async with (
                await self.connect(host, port) as inside,
                trio.open_nursery(strict_exception_groups=True) as nursery,
            ):
                nursery.start_soon(_pump, outside, inside, nursery.cancel_scope)
                await _pump(inside, outside, nursery.cancel_scope)
        except* (OSError, trio.BrokenResourceError):
            _reset_socket(outside)
        finally:
            await trio.aclose_forcefully(outside)

    def _closed(self, connection: _Connection, *, near: bool) -> None:
        if near:
            connection.near_open = False
        else:
            connection.far_open = False
        if not (connection.near_open or connection.far_open):
            self._connections.pop(connection, None)

    async def _serve(self, handler: Handler, stream: MemoryStream) -> None:
        try:
            await handler(stream)
        finally:
            stream.close()

    def _raise_if_refused(self, host: str, port: int) -> None:
        if self._nursery is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the network is down", f"{host}:{port}")
        if self._refusals:
            self._refusals -= 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED), f"{host}:{port}")

    # Sites

    def add_site(self, name: str, site: Exchange | Replica | Handler) -> None:
        """Add a server that :meth:`move` can move hosts to; no host leads to it before.

        Args:
            name: The site's name for :meth:`move`; not empty, and not used before.
            site: An exchange, a replica of one, or a coroutine function that serves the far end of each connection.

        Raises:
            ValueError: The name is empty or taken.
        """
        self._sites.add(name, partial(serve_stream, site) if isinstance(site, Exchange | Replica) else site)

    def move(self, host: str, site: str) -> None:
        """Lead new connections to ``host`` to ``site``, as a changed DNS entry does.

        Open connections still lead to the old site until one side closes them.

        Args:
            host: The host; ``""`` stands for all hosts that were not moved by name.
            site: The name of a site; ``""`` is the exchange or handler that the network was made with.

        Raises:
            ValueError: No site has this name.
        """
        self._sites.move(host, site)

    # Faults

    def drop_connections(self) -> None:
        """Close all open connections in order: bytes on their way arrive, then both sides read the end."""
        for pipe in self._pipes():
            pipe.end()

    def reset_connections(self) -> None:
        """Reset all open connections: both sides fail, and bytes on their way are lost, possibly within a frame."""
        self._reset(list(self._connections))

    def stall(self) -> None:
        """Make the open connections half-open: nothing arrives in either direction, and neither side sees an end.

        New connections work.
        """
        for pipe in self._pipes():
            pipe.stall()

    def resume(self) -> None:
        """End a :meth:`stall`: all bytes that it held back arrive."""
        for pipe in self._pipes():
            pipe.resume()

    def partition(self, seconds: float, *, refuse: bool = False) -> None:
        """Partition the network for a time: open connections stall, and are reset at the end of it.

        Args:
            seconds: How long, 0 or more, on trio's clock.
            refuse: Whether new connections fail at once; otherwise they wait for the end of the partition.

        Raises:
            TypeError: ``seconds`` is not a number.
            ValueError: ``seconds`` is negative or infinite.
            RuntimeError: The network is not open, or is already partitioned.
        """
        check_number("seconds", seconds, finite=True)
        if self._nursery is None:
            raise RuntimeError("the network is not open")
        if self._partition is not None:
            raise RuntimeError("the network is partitioned already")
        self.stall()
        self._partition = _Partition(refuse)
        self._nursery.start_soon(self._heal, seconds, self._partition.over, list(self._connections))

    async def _heal(self, seconds: float, over: trio.Event, cut: list[_Connection]) -> None:
        await trio.sleep(seconds)
        self._partition = None
        self._reset(cut)
        over.set()

    def refuse(self, n: int = 1) -> None:
        """Refuse the next ``n`` connections; this replaces an earlier number.

        Raises:
            TypeError: ``n`` is not an integer.
            ValueError: ``n`` is negative.
        """
        self._refusals = check_count("n", n, least=0)

    def delay(self, seconds: float) -> None:
        """Add ``seconds`` to every latency from now on; 0 ends it.

        Raises:
            TypeError: ``seconds`` is not a number.
            ValueError: ``seconds`` is negative or infinite.
        """
        self._conditions.extra_delay = check_number("seconds", seconds, finite=True)

    def throttle(self, bytes_per_second: float | None) -> None:
        """Limit each direction of each connection to a number of bytes per second from now on.

        Bytes already on their way keep their times of arrival. Later bytes queue, in order, up to the network's
        ``capacity``: a pong waits behind the data sent before it.

        Args:
            bytes_per_second: The limit, more than 0; None is unlimited.

        Raises:
            TypeError: ``bytes_per_second`` is not a number.
            ValueError: ``bytes_per_second`` is not positive.
        """
        if bytes_per_second is not None:
            check_number("bytes_per_second", bytes_per_second, more=True)
        self._conditions.bandwidth = bytes_per_second

    def _pipes(self) -> list[Pipe]:
        return [pipe for connection in self._connections for pipe in connection.both()]

    @staticmethod
    def _reset(connections: list[_Connection]) -> None:
        for connection in connections:
            for pipe in connection.both():
                pipe.break_off()
