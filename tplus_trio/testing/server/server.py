"""The server of an exchange: REST and WebSocket on one port, over any byte stream."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from functools import partial
from math import inf
from typing import Final, Protocol, cast

import h11
import trio
import trio.abc
import trio_websocket
from wsproto.utilities import LocalProtocolError

from tplus_trio.scopes import open_service_tasks
from tplus_trio.testing.exchange.exchange import Exchange
from tplus_trio.testing.exchange.feeds import ABNORMAL, Subscription
from tplus_trio.testing.exchange.http_messages import JSON, LateResponse, Rejection, Request, Response
from tplus_trio.testing.server.expiry_timer import expiring_orders
from tplus_trio.testing.wire_frames import on_the_wire

__all__ = ["serve", "serve_stream"]

logger: logging.Logger = logging.getLogger(__name__)

MAX_HEAD: Final = 32 * 1024
MAX_BODY: Final = 1024 * 1024
MAX_MESSAGE: Final = 1024 * 1024
#: The limit on the time that a client takes for a handshake or a close, in seconds.
PATIENCE: Final = 5.0
#: Messages in one write: enough to be fast, few enough that other tasks run.
BATCH: Final = 256


@asynccontextmanager
async def serve(
    exchange: Exchange,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[str]:
    """Serve an exchange over TCP while the ``async with`` body runs.

    Args:
        exchange: The exchange to serve.
        host: The address to listen on.
        port: The port; 0 chooses a free one.
        ssl_context: The settings of TLS; None is plain HTTP.

    Yields:
        The base URL, ``http://127.0.0.1:43210`` (``https`` with TLS).

    Raises:
        OSError: The server cannot listen on this address.

    Leaving or cancelling the body closes all connections at once. An exception of the body leaves it unchanged.
    """
    async with (
        open_service_tasks() as nursery,
        listen(partial(serve_stream, exchange), host, port, ssl_context=ssl_context) as url,
    ):
        with expiring_orders(exchange, nursery):
            yield url


@asynccontextmanager
async def listen(
    handler: Callable[[trio.abc.Stream], Awaitable[object]],
    host: str,
    port: int,
    *,
    ssl_context: ssl.SSLContext | None,
) -> AsyncGenerator[str]:
    """Call a handler with every TCP connection, as :func:`serve` does."""

    async def handle(stream: trio.SocketStream) -> None:
        if ssl_context is None:
            await handler(stream)
        else:
            await handler(trio.SSLStream(stream, ssl_context, server_side=True, https_compatible=True))

    listeners = await trio.open_tcp_listeners(port, host=host)
    async with open_service_tasks() as tasks:
        nursery = cast("trio.Nursery", tasks)  # serve_listeners uses its start_soon alone
        await tasks.start(partial(trio.serve_listeners, handler_nursery=nursery), handle, listeners)
        bound = listeners[0].socket.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        yield f"{'http' if ssl_context is None else 'https'}://{name}:{bound}"


class Server(Protocol):
    """The part of an exchange, or of a replica of one, that a connection is served from."""

    @property
    def crashes(self) -> list[Exception]:
        """The unexpected exceptions of the exchange itself."""
        ...

    def now_ns(self) -> int:
        """Return the exchange's time, in nanoseconds since the Unix epoch, UTC."""
        ...

    def handle(self, request: Request) -> Response:
        """Answer a REST request."""
        ...

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        """Open a feed."""
        ...


async def serve_stream(exchange: Server, stream: trio.abc.Stream) -> None:
    """Serve one connection until either side closes it, then close it.

    Nothing that a client does makes it raise. An unexpected exception of the exchange is logged, kept in
    :attr:`~tplus_trio.testing.Exchange.crashes`, and ends this connection only. When cancelled, it closes the stream
    without waiting.

    Args:
        exchange: The exchange, or a :class:`~tplus_trio.testing.Replica` of one.
        stream: The connection.
    """
    try:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the client is gone
            await _HttpConnection(exchange, stream).run()
    except Exception as exc:
        logger.exception("a connection of the embedded exchange failed")
        exchange.crashes.append(exc)
    finally:
        # An orderly close is not needed: the answers are sent already.
        await trio.aclose_forcefully(stream)


class _HttpConnection:
    """One HTTP connection: requests and answers in turn, until a request upgrades it to a WebSocket."""

    def __init__(self, exchange: Server, stream: trio.abc.Stream) -> None:
        self._exchange = exchange
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        #: The bytes received since this request began: trio-websocket reads a handshake a second time.
        self._received = bytearray()

    async def run(self) -> None:
        """Serve until the connection ends."""
        while True:
            try:
                head = await self._read_event()
                if not isinstance(head, h11.Request):
                    return
                request = await self._read_request(head)
            except h11.RemoteProtocolError as exc:
                await self._refuse(exc.error_status_hint)
                return
            if request.headers.get("upgrade", "").lower() == "websocket":
                if await self._upgrade(request):
                    return
            elif not await self._answer(request):
                return
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._received = bytearray(self._http.trailing_data[0])
            self._http.start_next_cycle()

    async def _read_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            data = bytes(await self._stream.receive_some())
            self._received += data
            self._http.receive_data(data)

    async def _read_request(self, head: h11.Request) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        body = bytearray()
        while True:
            event = await self._read_event()
            if not isinstance(event, h11.Data):
                break
            body += event.data
            if len(body) > MAX_BODY:
                raise h11.RemoteProtocolError("body too large", error_status_hint=413)
        return Request(head.method.decode("ascii"), head.target.decode("latin-1"), headers, bytes(body))

    async def _answer(self, request: Request) -> bool:
        """Answer a request; return False if the connection ends with it."""
        try:
            response = self._exchange.handle(request)
        except Exception as exc:  # noqa: BLE001 - a server answers every request
            response = self._report(request, exc)
        if response.later is not None:
            response = await _made(response.later)
        if response.is_sent:
            await self._respond(response)
            return not response.drops
        if not response.drops:
            while await self._stream.receive_some():
                pass  # until the client gives up
        return False

    def _report(self, request: Request, exc: Exception) -> Response:
        """Log and keep an unexpected exception of the exchange, and return the client's answer."""
        logger.error("the embedded exchange failed on %s %s", request.method, request.path, exc_info=exc)
        self._exchange.crashes.append(exc)
        return Response(500, b'{"error":{"code":"INTERNAL_ERROR","message":"internal error"}}')

    async def _respond(self, response: Response) -> None:
        if response.delay:
            await trio.sleep(response.delay)
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        if all(name.lower() != "date" for name, _ in response.headers):
            headers.append(("date", formatdate(self._exchange.now_ns() // 1_000_000_000, usegmt=True)))
        # One write: a client must not receive half an answer unless a test requests it.
        await self._send(
            h11.Response(status_code=response.status, headers=headers),
            h11.Data(data=response.body),
            h11.EndOfMessage(),
        )

    async def _refuse(self, status: int) -> None:
        """Answer an illegal request if an answer can still be sent, and end the connection."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._respond(Response(status, b'{"error":"bad request"}', (JSON, ("connection", "close"))))

    async def _send(self, *events: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        await self._stream.send_all(b"".join([self._http.send(event) or b"" for event in events]))

    async def _upgrade(self, request: Request) -> bool:
        """Serve a feed; return False if the handshake was refused and the connection can go on."""
        if "sec-websocket-key" not in request.headers or request.headers.get("sec-websocket-version") != "13":
            await self._respond(Response(400, b'{"error":"not a WebSocket handshake of version 13"}'))
            return False
        try:
            subscription = self._exchange.subscribe(request.target, request.headers)
        except Rejection as rejection:
            await self._respond(rejection.response)
            return False
        except Exception as exc:  # noqa: BLE001 - as above
            await self._respond(self._report(request, exc))
            return False
        try:
            await _serve_feed(_ServerStream(self._stream, bytes(self._received)), subscription)
        finally:
            subscription.close()
        return True


async def _made(later: LateResponse) -> Response:
    """Wait until the exchange has made an answer."""
    while later.response is None:
        made = trio.Event()
        later.on_ready = made.set
        await made.wait()
    return later.response


class _ServerStream(trio.abc.Stream):
    """The stream under a WebSocket: it returns the handshake once more, and allows one write at a time.

    trio-websocket reads the handshake, and sends pongs and the close frame. The feed's frames are written directly to
    the stream, many at once. The lock separates the two writers.
    """

    def __init__(self, stream: trio.abc.Stream, received: bytes) -> None:
        self._stream = stream
        self._received = received
        #: Held around every write.
        self.lock = trio.Lock()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        async with self.lock:
            await self._stream.send_all(memoryview(data))

    async def send_all_locked(self, data: bytes) -> None:
        """Write; the caller holds :attr:`lock`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        async with self.lock:
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._received:
            await trio.lowlevel.checkpoint()
            received, self._received = self._received, b""
            return received
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _serve_feed(stream: _ServerStream, subscription: Subscription) -> None:
    """Complete the handshake and send a subscription's messages until either side closes."""
    try:
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            # The whole connection has a deadline until the handshake is complete.
            nursery.cancel_scope.deadline = trio.current_time() + PATIENCE
            request = await trio_websocket.wrap_server_stream(nursery, stream, max_message_size=MAX_MESSAGE)
            connection = await request.accept(subprotocol=subscription.subprotocol)
            nursery.cancel_scope.deadline = inf
            nursery.start_soon(_receive, connection, subscription)
            await _send_out(connection, stream, subscription)
            if subscription.close_code != ABNORMAL:
                with trio.move_on_after(PATIENCE):
                    await connection.aclose(subscription.close_code, subscription.close_reason)
            nursery.cancel_scope.cancel()
    except* (trio_websocket.ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client is gone
    except* LocalProtocolError:
        pass  # trio-websocket answers a ping while it closes, and wsproto refuses that


async def _receive(connection: trio_websocket.WebSocketConnection, subscription: Subscription) -> None:
    """Read the client's messages until it closes; trio-websocket answers its pings meanwhile."""
    try:
        while True:
            message = await connection.get_message()
            if subscription.on_message is not None:
                subscription.on_message(message)
    except trio_websocket.ConnectionClosed:
        subscription.close()


async def _send_out(
    connection: trio_websocket.WebSocketConnection, stream: _ServerStream, subscription: Subscription
) -> None:
    while True:
        messages = subscription.take(BATCH)
        if messages:
            async with stream.lock:
                if connection.closed is not None:
                    return  # no data may follow a close frame
                await stream.send_all_locked(on_the_wire(messages))
        elif subscription.closed and not subscription.backlog:
            return
        else:
            changed = trio.Event()
            subscription.on_ready = changed.set
            with trio.move_on_at(subscription.stalled_until):
                await changed.wait()
