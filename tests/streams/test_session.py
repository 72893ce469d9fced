"""Sessions of a protocol that is no feed, over real WebSockets in memory: connecting, reconnecting and ending."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.helpers.peers import Peer, read_head
from tplus_trio import (
    ConnectionFailed,
    RestartLimitExceeded,
    RestartPolicy,
    StreamState,
)
from tplus_trio.scopes import ProtectedNursery, open_plain_nursery
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.session import Session, SessionProtocol
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.websocket import WebSocket
from tplus_trio.transport.websocket_opening import open_websocket

ENDPOINT = Endpoint.from_url("http://exchange")
POLICY = RestartPolicy(initial_delay=1.0, factor=1.0)


@attrs.define(eq=False)
class Questioner:
    """A server that asks the client one question a second, and the connector that leads to it."""

    tasks: trio.Nursery
    #: The number of next connections that are refused.
    refusals: int = 0
    #: Whether connections are neither made nor refused.
    is_silent: bool = False
    #: Whether the server leaves close frames unanswered.
    ignores_close: bool = False
    peers: list[Peer] = attrs.field(factory=list[Peer])
    answered: list[str] = attrs.field(factory=list[str])

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.is_silent:
            await trio.sleep_forever()
        if self.refusals:
            self.refusals -= 1
            raise OSError("refused")
        ours, theirs = memory_stream_pair()
        self.tasks.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        peer = await Peer.upgrade(stream, await read_head(stream))
        self.peers.append(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, peer)
            with suppress(trio.ClosedResourceError):  # a test closed it
                await peer.serve(answering=not self.ignores_close)
            nursery.cancel_scope.cancel()

    async def _ask(self, peer: Peer) -> None:
        for number in range(10_000):
            await peer.text(b"question %d" % number)
            await trio.sleep(1)


class Answers(SessionProtocol):
    """Answers each question into the questioner's list."""

    def __init__(self, questioner: Questioner, session: Session) -> None:
        self.questioner = questioner
        self.session = session
        self.prepared = 0
        self.losses: list[str] = []
        self.task_failure: Exception | None = None
        #: The number of messages after which `serve` returns.
        self.max_messages = 10**6

    def connect(self) -> AbstractAsyncContextManager[WebSocket]:
        return open_websocket(self.questioner, ENDPOINT, "/control")

    async def prepare(self, tasks: ProtectedNursery) -> None:
        await trio.lowlevel.checkpoint()
        self.prepared += 1
        if self.task_failure is not None:
            tasks.start_soon(self.fail_later, self.task_failure)

    async def fail_later(self, failure: Exception) -> None:
        await trio.sleep(2.5)
        self.task_failure = None
        self.session.give_up_connection(failure)

    async def serve(self, websocket: WebSocket) -> None:
        self.session.report_caught_up()
        seen = 0
        while seen < self.max_messages:
            for message in await websocket.receive():
                text = message if isinstance(message, str) else str(message, "utf-8")
                self.questioner.answered.append(text.replace("question", "answer"))
                seen += 1

    def lost(self, reason: str) -> None:
        self.losses.append(reason)


@attrs.frozen
class World:
    tasks: trio.Nursery
    questioner: Questioner
    session: Session
    protocol: Answers

    def start(self) -> None:
        self.session.start()
        self.tasks.start_soon(self.session.run, self.protocol)


@asynccontextmanager
async def open_session(restart: RestartPolicy | None = POLICY) -> AsyncGenerator[World]:
    async with open_plain_nursery() as tasks:
        questioner = Questioner(tasks.nursery)
        session = Session("/control", restart=restart, draw=lambda: 1.0)
        yield World(tasks.nursery, questioner, session, Answers(questioner, session))


# Connecting and reconnecting.


async def test_a_session_serves_one_connection_until_close(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await world.session.wait_for(StreamState.LIVE)
        await trio.sleep(2.5)
        await world.session.close()
        assert world.questioner.answered == ["answer 0", "answer 1", "answer 2"]
        assert world.session.phase is Phase.CLOSED
        await trio.sleep(0.1)
        assert [peer.closed_with for peer in world.questioner.peers] == [1000]
        assert (world.protocol.prepared, world.protocol.losses, world.session.last_error) == (1, [], None)


async def test_a_session_reconnects_after_a_loss_and_a_refusal(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await trio.sleep(1.5)
        world.questioner.refusals = 1
        await world.questioner.peers[0].stream.aclose()
        await trio.sleep(0.5)
        assert world.session.state is StreamState.BACKOFF
        assert isinstance(world.session.last_error, ConnectionFailed)
        await world.session.wait_for(StreamState.LIVE)
        assert trio.current_time() == 3.5
        assert world.session.last_error is None
        assert (world.protocol.prepared, len(world.protocol.losses), len(world.questioner.peers)) == (3, 2, 2)


@pytest.mark.parametrize("open_for", [0.0, 1.5])
async def test_reconnect_makes_a_new_connection_at_once(open_for: float, autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await trio.sleep(open_for)
        world.session.reconnect()
        assert world.session.state is StreamState.CONNECTING
        await world.session.wait_for(StreamState.LIVE)
        assert trio.current_time() == open_for


async def test_reconnect_ends_the_delay(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.questioner.refusals = 1
        world.start()
        await trio.sleep(0.25)
        assert world.session.state is StreamState.BACKOFF
        world.session.reconnect()
        await world.session.wait_for(StreamState.LIVE)
        assert trio.current_time() == 0.25


async def test_a_failed_background_task_ends_the_connection(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.protocol.task_failure = ConnectionFailed("a task failed")
        world.start()
        await trio.sleep(3.0)
        assert (world.session.state, world.protocol.losses) == (StreamState.BACKOFF, ["a task failed"])
        await world.session.wait_for(StreamState.LIVE)


async def test_a_protocol_that_returns_is_called_again_after_a_delay(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.protocol.max_messages = 1
        world.start()
        await trio.sleep(5.5)
        assert 4 <= world.protocol.prepared <= 7


async def test_the_restart_limit_ends_a_session(autojump_clock: MockClock) -> None:
    async with open_session(RestartPolicy(initial_delay=1.0, factor=1.0, max_restarts=2)) as world:
        world.questioner.refusals = 10
        world.start()
        with pytest.raises(RestartLimitExceeded):
            await world.session.wait_for(StreamState.LIVE)
        assert (world.questioner.refusals, world.session.phase) == (7, Phase.CLOSED)
        world.session.reconnect()
        assert world.session.phase is Phase.CLOSED


async def test_without_restarts_the_first_failure_ends_a_session(autojump_clock: MockClock) -> None:
    async with open_session(None) as world:
        world.questioner.refusals = 1
        world.start()
        with pytest.raises(ConnectionFailed):
            await world.session.wait_for(StreamState.LIVE)


# Ending.


async def test_cancel_ends_a_session_at_once_without_a_close_frame(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await trio.sleep(1.5)
        world.session.cancel()
        await world.session.wait_closed()
        assert trio.current_time() == 1.5
        await trio.sleep(0.1)
        assert world.questioner.peers[0].closed_with is None
        with pytest.raises(trio.ClosedResourceError):
            await world.session.wait_for(StreamState.LIVE)


@pytest.mark.parametrize("scheduled", [False, True])
async def test_a_session_closed_before_its_first_step_does_not_connect(
    scheduled: bool, autojump_clock: MockClock
) -> None:
    async with open_session() as world:
        if scheduled:
            world.start()
        with trio.fail_after(1):
            await world.session.close()
        if not scheduled:
            await world.session.run(world.protocol)
        assert (world.session.phase, world.protocol.prepared) == (Phase.CLOSED, 0)


async def test_a_cancelled_close_ends_a_session_at_once(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await trio.sleep(1.5)
        with trio.CancelScope() as scope:
            scope.cancel()
            await world.session.close()
        await world.session.wait_closed()
        assert trio.current_time() == 1.5


async def test_a_second_close_waits_for_the_same_end(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await trio.sleep(1.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.session.close)
            nursery.start_soon(world.session.close)
        await trio.sleep(0.1)
        assert world.questioner.peers[0].closed_with == 1000


async def test_close_during_a_reconnect_sends_a_close_frame(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.start()
        await trio.sleep(1.5)
        world.session.reconnect()
        await world.session.close()
        await trio.sleep(0.1)
        assert [peer.closed_with for peer in world.questioner.peers] == [1000]


@pytest.mark.parametrize("order", ["close", "cancel"])
@pytest.mark.parametrize("phase", [Phase.CONNECTING, Phase.BACKOFF])
async def test_a_session_without_a_connection_ends_at_once(phase: Phase, order: str, autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.questioner.is_silent = phase is Phase.CONNECTING
        world.questioner.refusals = 100
        world.start()
        await trio.sleep(0.25)
        assert world.session.phase is phase
        with trio.fail_after(60):
            if order == "cancel":
                world.session.cancel()
            else:
                await world.session.close()
            await world.session.wait_closed()
        assert trio.current_time() == 0.25


async def test_reconnect_cancels_an_unanswered_attempt(autojump_clock: MockClock) -> None:
    async with open_session() as world:
        world.questioner.is_silent = True
        world.start()
        await trio.sleep(0.25)
        world.questioner.is_silent = False
        world.session.reconnect()
        await world.session.wait_for(StreamState.LIVE)
        assert trio.current_time() == 0.25


@pytest.mark.parametrize("order", ["reconnect", "cancel", "fail"])
async def test_a_second_command_does_not_wait_for_the_answer_to_a_close_frame(
    order: str, autojump_clock: MockClock
) -> None:
    async with open_session(RestartPolicy(initial_delay=0.0)) as world:
        world.questioner.ignores_close = True
        world.start()
        await trio.sleep(1.5)
        world.session.reconnect()
        await trio.sleep(0.1)
        assert world.session.phase is Phase.DISCONNECTING
        if order == "cancel":
            world.session.cancel()
            await world.session.wait_closed()
        else:
            if order == "fail":
                world.session.give_up_connection(ConnectionFailed("a task failed"))
            else:
                world.session.reconnect()
            await world.session.wait_for(StreamState.LIVE)
        assert trio.current_time() == pytest.approx(1.6, abs=0.01)


@pytest.mark.parametrize("order", ["cancel", "fail"])
async def test_a_cancel_or_a_failed_task_ends_a_close_that_waits_for_its_answer(
    order: str, autojump_clock: MockClock
) -> None:
    async with open_session() as world:
        world.questioner.ignores_close = True
        world.start()
        await trio.sleep(1.5)
        world.tasks.start_soon(world.session.close)
        await trio.sleep(0.1)
        assert world.session.phase is Phase.CLOSING
        if order == "fail":
            world.session.give_up_connection(ConnectionFailed("a task failed"))
        else:
            world.session.cancel()
        await world.session.wait_closed()
        assert trio.current_time() == pytest.approx(1.6, abs=0.01)
