"""WebSockets that are written to: subprotocols, order, cancellation, and the end of the connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio_websocket
from trio.testing import MockClock

from tests.helpers.peers import Peer
from tests.helpers.peers import websocket as peer_websocket
from tests.helpers.wrapped_streams import WrappedStream
from tplus_trio import ConnectionFailed
from tplus_trio.secret import Redactor
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import text_frame
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.websocket import BinaryMessage, WebSocket, WebSocketLimits
from tplus_trio.transport.websocket_opening import open_websocket

ENDPOINT = Endpoint.from_url("http://exchange")
PROTOCOL = "tplus.ws.v1"
LIMITS = WebSocketLimits(close_timeout=1.0)

Script = Callable[[trio_websocket.WebSocketConnection], Awaitable[None]]


class Server:
    """trio-websocket's server side of each connection. It records what clients send."""

    def __init__(self, script: Script | None = None, *, subprotocol: str | None = PROTOCOL) -> None:
        self.received: list[str | bytes] = []
        self.proposed: tuple[str, ...] = ()
        self.closed_with: int | None = None
        self._script = script or self.listen
        self._subprotocol = subprotocol

    async def __call__(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)
            self.proposed = request.proposed_subprotocols
            chosen = self._subprotocol if self._subprotocol in self.proposed else None
            connection = await request.accept(subprotocol=chosen)
            await self._script(connection)
            nursery.cancel_scope.cancel()

    async def listen(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Record messages until the client is gone."""
        try:
            while True:
                self.received.append(await connection.get_message())
        except trio_websocket.ConnectionClosed as exc:
            self.closed_with = None if exc.reason is None else exc.reason.code


async def echo(connection: trio_websocket.WebSocketConnection) -> None:
    """Echo messages."""
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed:
        pass


async def deaf(stream: trio.abc.Stream) -> None:
    """A server that accepts a handshake and then reads nothing."""
    async with trio.open_nursery() as nursery:
        request = await trio_websocket.wrap_server_stream(nursery, Stopping(stream))
        await request.accept()
        await trio.sleep_forever()


class Stopping(WrappedStream):
    """A stream that reads once: the handshake."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self._has_read = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._has_read:
            await trio.sleep_forever()
        self._has_read = True
        return await self._stream.receive_some(max_bytes)


#: Bytes. More than the pipe and trio's buffers hold, so that the sender waits for a server that does not read.
MUCH = "x" * 1_000_000


@pytest.mark.parametrize("fast", [True, False])
async def test_a_message_arrives_and_its_answer_comes_back(fast: bool, autojump_clock: MockClock) -> None:
    limits = WebSocketLimits(fast=fast)
    async with (
        MemoryNetwork(handler=Server(echo)) as network,
        open_websocket(network, ENDPOINT, "/control", limits=limits) as websocket,
    ):
        for text in ("", "a", "ü€😀", MUCH):
            await websocket.send(text)
            (message,) = await websocket.receive()
            assert (message if isinstance(message, str) else message.decode()) == text


async def test_the_server_chooses_a_subprotocol(autojump_clock: MockClock) -> None:
    server = Server()
    async with MemoryNetwork(handler=server) as network:
        async with open_websocket(network, ENDPOINT, "/control", subprotocols=("v2", PROTOCOL)) as websocket:
            assert websocket.subprotocol == PROTOCOL
        assert list(server.proposed) == ["v2", PROTOCOL]
        async with open_websocket(network, ENDPOINT, "/control", subprotocols=("v2",)) as websocket:
            assert websocket.subprotocol is None
        async with open_websocket(network, ENDPOINT, "/control") as websocket:
            assert websocket.subprotocol is None
        assert not server.proposed


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (PROTOCOL, TypeError, "sequence of strings"),
        ((1,), TypeError, "sequence of strings"),
        (("a b",), ValueError, "'a b'"),
        (("a\r\nX: y",), ValueError, "letters"),
        (("",), ValueError, "letters"),
        (("a", "a"), ValueError, "twice"),
    ],
)
async def test_a_subprotocol_that_no_handshake_can_carry_is_refused_unsent(
    wrong: object, error: type[Exception], words: str, autojump_clock: MockClock
) -> None:
    async with MemoryNetwork(handler=Server()) as network:
        with pytest.raises(error, match=words):
            async with open_websocket(network, ENDPOINT, "/control", subprotocols=wrong):  # type: ignore[arg-type]  # illegal on purpose
                pass
        assert network.connects == 0


async def test_concurrent_senders_keep_the_order_of_their_calls(autojump_clock: MockClock) -> None:
    server = Server()
    async with MemoryNetwork(handler=server) as network, open_websocket(network, ENDPOINT, "/control") as websocket:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(websocket.send, f"{number} {MUCH[: 10_000 * (number % 3)]}")
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
    assert [int(str(text).split()[0]) for text in server.received] == list(range(100))


async def test_a_cancelled_sender_leaves_a_whole_message_or_none(autojump_clock: MockClock) -> None:
    """Cancelled at each of its checkpoints: the connection stays usable, and the next message arrives."""
    fates = set[bool]()
    for turns in range(12):
        server = Server()
        async with MemoryNetwork(handler=server) as network, open_websocket(network, ENDPOINT, "/") as websocket:
            async with trio.open_nursery() as nursery:
                scope = nursery.cancel_scope
                nursery.start_soon(websocket.send, MUCH)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
            await websocket.send("next")
            await trio.testing.wait_all_tasks_blocked()
            assert server.received in (["next"], [MUCH, "next"])
            fates.add(len(server.received) == 2)
    assert fates == {True, False}


async def test_a_sender_that_waits_for_its_turn_and_is_cancelled_has_sent_nothing(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=deaf) as network:
        with trio.move_on_after(50) as whole:
            async with (
                open_websocket(network, ENDPOINT, "/", limits=LIMITS) as websocket,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(websocket.send, MUCH)
                await trio.testing.wait_all_tasks_blocked()
                with trio.move_on_after(1) as scope:
                    await websocket.send("second")
                assert scope.cancelled_caught
                nursery.cancel_scope.cancel()
        assert not whole.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert network.open_connections == 0


async def test_senders_end_with_the_connection_and_report_whether_bytes_may_have_left(
    autojump_clock: MockClock,
) -> None:
    """The peer reads nothing: the close takes bounded time and ends every sender, also those outside the block."""
    failures: list[bool] = []

    async def send(websocket: WebSocket, text: str) -> None:
        with pytest.raises(ConnectionFailed) as caught:
            await websocket.send(text)
        failures.append(caught.value.nothing_sent)

    async with MemoryNetwork(handler=deaf) as network, trio.open_nursery() as outside:
        async with open_websocket(network, ENDPOINT, "/", limits=LIMITS) as websocket:
            outside.start_soon(send, websocket, MUCH)  # noqa: ASYNC111 - the connection is left first, on purpose
            await trio.testing.wait_all_tasks_blocked()
            outside.start_soon(send, websocket, "second")  # noqa: ASYNC111 - the connection is left first, on purpose
            await trio.testing.wait_all_tasks_blocked()
            left_at = trio.current_time()
        assert trio.current_time() - left_at <= 1.5
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(failures) == [False, True]
        await send(websocket, "after the end")
        assert sorted(failures) == [False, True, True]


async def test_cancelling_the_connection_ends_senders_outside_it(autojump_clock: MockClock) -> None:
    failures: list[bool] = []

    async def send(websocket: WebSocket) -> None:
        with pytest.raises(ConnectionFailed) as caught:
            await websocket.send(MUCH)
        failures.append(caught.value.nothing_sent)

    async with MemoryNetwork(handler=deaf) as network, trio.open_nursery() as outside:
        with trio.CancelScope() as scope:
            async with open_websocket(network, ENDPOINT, "/", limits=LIMITS) as websocket:
                outside.start_soon(send, websocket)  # noqa: ASYNC111 - the connection is left first, on purpose
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                await trio.sleep_forever()
        await trio.testing.wait_all_tasks_blocked()
        assert failures == [False]


async def test_a_send_after_the_peers_close_names_the_close(autojump_clock: MockClock) -> None:
    async def close(connection: trio_websocket.WebSocketConnection) -> None:
        await connection.aclose(1013, "later")

    async with MemoryNetwork(handler=Server(close)) as network, open_websocket(network, ENDPOINT, "/") as websocket:
        with pytest.raises(ConnectionFailed, match="1013"):
            await websocket.receive()
        with pytest.raises(ConnectionFailed, match="1013") as caught:
            await websocket.send("too late")
        assert caught.value.nothing_sent
        assert caught.value.close_code == 1013


async def test_a_lost_connection_fails_the_sender_and_the_receiver(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=deaf) as network, open_websocket(network, ENDPOINT, "/") as websocket:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _send() -> None:
                with pytest.raises(ConnectionFailed):
                    await websocket.send(MUCH)

            @nursery.start_soon
            async def _receive() -> None:
                with pytest.raises(ConnectionFailed, match="no pong"):
                    await websocket.receive()

        assert trio.current_time() == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize(("text", "error"), [(b"bytes", TypeError), (1, TypeError), ("\ud800", ValueError)])
async def test_a_message_that_is_no_text_is_refused_and_the_connection_stays(
    text: object, error: type[Exception], autojump_clock: MockClock
) -> None:
    server = Server()
    async with MemoryNetwork(handler=server) as network, open_websocket(network, ENDPOINT, "/") as websocket:
        with pytest.raises(error, match="text has to be") as caught:
            await websocket.send(text)  # type: ignore[arg-type]  # illegal on purpose
        assert not isinstance(caught.value, UnicodeError)
        await websocket.send("good")
        await trio.testing.wait_all_tasks_blocked()
        assert server.received == ["good"]


async def test_a_sent_message_comes_before_the_close_frame(autojump_clock: MockClock) -> None:
    server = Server()
    async with MemoryNetwork(handler=server) as network, open_websocket(network, ENDPOINT, "/") as websocket:
        await websocket.send("last")
    assert (server.received, server.closed_with) == (["last"], 1000)


class Mute(WrappedStream):
    """A stream whose sends fail from a moment on, while reads work: the peer has shut down one direction."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.is_mute = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_mute:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError
        await self._stream.send_all(data)


async def test_a_send_that_fails_ends_the_receiver_as_well(autojump_clock: MockClock) -> None:
    """trio-websocket is closed then, so nobody pings, and a receiver would wait forever."""
    streams: list[Mute] = []

    class Muting:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            streams.append(Mute(await network.connect(host, port)))
            return streams[-1]

    async with MemoryNetwork(handler=Server()) as network, open_websocket(Muting(), ENDPOINT, "/") as websocket:
        streams[0].is_mute = True
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _receive() -> None:
                with trio.fail_after(1), pytest.raises(ConnectionFailed, match="lost"):
                    await websocket.receive()

            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ConnectionFailed, match="lost") as caught:
                await websocket.send("unsent")
            assert not caught.value.nothing_sent


async def test_half_a_frame_that_came_before_the_close_is_not_lost(autojump_clock: MockClock) -> None:
    """Bytes that were read and not parsed go to trio-websocket first: otherwise it takes the rest for a frame."""
    done_at: list[float] = []

    async def halves(peer: Peer) -> None:
        data = text_frame(b"x" * 100)
        await peer.send(data[:50])
        await trio.sleep(0.3)
        await peer.send(data[50:])
        await trio.sleep(0.3)
        await peer.serve()
        done_at.append(trio.current_time())

    async with MemoryNetwork(handler=peer_websocket(halves)) as network:
        async with open_websocket(network, ENDPOINT, "/") as websocket:
            with trio.move_on_after(0.1):
                await websocket.receive()
        assert trio.current_time() == pytest.approx(0.6, abs=0.01)
        await trio.testing.wait_all_tasks_blocked()
    assert done_at == [pytest.approx(0.6, abs=0.01)]


async def test_sending_is_a_checkpoint_that_can_be_cancelled(autojump_clock: MockClock) -> None:
    server = Server()
    async with MemoryNetwork(handler=server) as network, open_websocket(network, ENDPOINT, "/") as websocket:
        with trio.CancelScope() as scope:
            scope.cancel()
            await websocket.send("never")
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert server.received == []


async def test_answers_come_without_the_signatures_that_they_repeat(autojump_clock: MockClock) -> None:
    signature, redactor = bytes(range(100, 164)), Redactor()
    redactor.tell_signature(signature)

    async def answer(connection: trio_websocket.WebSocketConnection) -> None:
        await connection.send_message(f'{{"was":{list(signature)},"x":"{signature.hex()}"}}')
        await connection.send_message(b"binary")
        await echo(connection)

    async with (
        MemoryNetwork(handler=Server(answer)) as network,
        open_websocket(network, ENDPOINT, "/", redactor=redactor) as websocket,
    ):
        assert await websocket.receive_answers() == ['{"was":[],"x":"[…]"}'.encode()]
        (bad,) = await websocket.receive_answers()
        assert isinstance(bad, BinaryMessage)
