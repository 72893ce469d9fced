"""What is said of a request that failed: that nothing was sent is true, and is said wherever it can be known."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import answer
from tests.helpers.world import URL
from tests.helpers.wrapped_streams import WrappedStream
from tplus_trio import ConnectionFailed, MarketDataClient
from tplus_trio.service import Service
from tplus_trio.testing import MemoryNetwork
from tplus_trio.transport.pacing import Dispatch, Priority

BODY = b'{"order":"' + b"x" * 50 + b'"}'
ANSWER = answer(200, b"{}")


class Line(WrappedStream):
    """A connection that counts what a client sends, and passes on no more than so many bytes."""

    def __init__(self, stream: trio.abc.Stream, limit: int | None) -> None:
        super().__init__(stream)
        self._limit = limit
        self.sent = 0
        self.writes = 0
        #: Whether the peer's end of the connection has arrived.
        self.is_over = False
        #: Whether something was sent after that.
        self.was_late = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.writes += 1
        self.was_late = self.was_late or self.is_over
        passed = bytes(data) if self._limit is None else bytes(data)[: self._limit - self.sent]
        self.sent += len(passed)
        if passed:
            await self._stream.send_all(passed)
        if len(passed) < len(data):
            await trio.aclose_forcefully(self._stream)
            raise trio.BrokenResourceError("cut")

    def is_readable(self) -> bool:
        return self.is_over


class Lines:
    """A network whose connections are cut after so many bytes of the client's."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.limit: int | None = None
        self.opened: list[Line] = []

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        line = Line(await self._network.connect(host, port), self.limit)
        self.opened.append(line)
        return line


async def serve(stream: trio.abc.Stream) -> None:
    """Answer each request when its body is complete."""
    data = b""
    while more := await stream.receive_some():
        data += more
        if data.endswith(BODY) or (data.startswith(b"GET") and data.endswith(b"\r\n\r\n")):
            data = b""
            await stream.send_all(ANSWER)


@asynccontextmanager
async def lines() -> AsyncGenerator[tuple[Lines, Service]]:
    async with MemoryNetwork(handler=serve) as network:
        opened = Lines(network)
        async with MarketDataClient(URL, connector=opened, timeout=5.0) as md:
            yield opened, md._service


class Sent:
    """The moments at which a request said that its first byte may leave: how many bytes had left before."""

    def __init__(self, opened: Lines) -> None:
        self._opened = opened
        self.before: list[int] = []

    def __call__(self) -> None:
        self.before.append(self._opened.opened[-1].sent)


async def post(service: Service, on_sent: Callable[[], object] | None = None, method: str = "POST") -> bytes:
    return await service.request(method, "/orders/create", body=BODY, dispatch=Dispatch(Priority.ORDER, on_sent))


async def length_of_a_request() -> int:
    async with lines() as (opened, service):
        await post(service)
        assert opened.opened[0].writes == 1, "head and body go together"
        return opened.opened[0].sent


async def test_nothing_was_sent_is_true_at_each_byte(autojump_clock: MockClock) -> None:
    length = await length_of_a_request()
    assert length > 200
    for limit in range(length):
        async with lines() as (opened, service):
            opened.limit, sent = limit, Sent(opened)
            with pytest.raises(ConnectionFailed) as caught:
                await post(service, sent)
            assert opened.opened[0].sent == limit
            assert caught.value.nothing_sent is False
            assert sent.before == [0]
            assert len(opened.opened) == 1, "it is not sent twice"


async def test_a_kept_connection_that_is_cut_at_each_byte(autojump_clock: MockClock) -> None:
    length = await length_of_a_request()
    for limit in range(0, length, 7):
        async with lines() as (opened, service):
            opened.limit, sent = length + limit, Sent(opened)
            await post(service)
            with pytest.raises(ConnectionFailed) as caught:
                await post(service, sent)
            assert opened.opened[0].sent == length + limit
            assert caught.value.nothing_sent is False
            assert sent.before == [length]
            assert len(opened.opened) == 1, "it is not sent twice"


@pytest.mark.parametrize("how", ["refused", "hangs"])
async def test_what_found_no_connection_says_so(how: str, autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=serve) as network:
        opened = Lines(network)
        network.partition(60.0, refuse=how == "refused")
        async with MarketDataClient(URL, connector=opened, timeout=5.0) as md:
            sent = Sent(opened)
            with pytest.raises(ConnectionFailed) as caught:
                await post(md._service, sent)
            assert caught.value.nothing_sent
            assert sent.before == []


@pytest.mark.parametrize("kept", [False, True])
async def test_a_cancelled_request_has_said_that_it_was_sent_if_a_byte_left(
    kept: bool, autojump_clock: MockClock
) -> None:
    """Cancel at each turn of the loop: the caller knows of each request whether the service may have seen it."""
    outcomes: set[bool] = set()
    for turns in range(40):
        async with lines() as (opened, service):
            if kept:
                await post(service)
            before = sum(line.sent for line in opened.opened)
            sent = Sent(opened)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post, service, sent)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            has_left = sum(line.sent for line in opened.opened) > before
            assert bool(sent.before) == has_left
            outcomes.add(has_left)
    assert outcomes == {False, True}


async def end_after(turns: int, line: Line) -> None:
    """Let the peer's end of a connection arrive after so many turns of the loop."""
    for _ in range(turns):
        await trio.lowlevel.checkpoint()
    line.is_over = True


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
async def test_a_kept_connection_that_ends_at_any_moment_before_the_first_byte(
    method: str, autojump_clock: MockClock
) -> None:
    new_ones: set[int] = set()
    for turns in range(20):
        async with lines() as (opened, service):
            await post(service)
            sent = Sent(opened)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end_after, turns, opened.opened[0])
                await trio.lowlevel.checkpoint()
                await post(service, sent, method)
            assert not opened.opened[0].was_late
            assert len(sent.before) == 1, "it was sent once"
            new_ones.add(len(opened.opened) - 1)
    assert new_ones == {0, 1}


async def test_a_kept_connection_that_ends_and_no_other_can_be_made(autojump_clock: MockClock) -> None:
    outcomes: set[bool] = set()
    for turns in range(20):
        async with MemoryNetwork(handler=serve) as network:
            opened = Lines(network)
            async with MarketDataClient(URL, connector=opened, timeout=5.0) as md:
                await post(md._service)
                network.refuse()
                sent, nothing_sent = Sent(opened), False
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(end_after, turns, opened.opened[0])
                    await trio.lowlevel.checkpoint()
                    try:
                        await post(md._service, sent)
                    except ConnectionFailed as exc:
                        nothing_sent = exc.nothing_sent
                assert nothing_sent == (not sent.before)
                outcomes.add(nothing_sent)
    assert outcomes == {False, True}


async def test_a_read_that_is_repeated_says_that_it_was_sent_again(autojump_clock: MockClock) -> None:
    async with lines() as (opened, service):
        opened.limit = 400
        sent = Sent(opened)
        for _ in range(5):
            await service.request("GET", "/market/200", dispatch=Dispatch(on_sent=sent))
        assert len(opened.opened) > 1
        assert len(sent.before) == 5 + len(opened.opened) - 1
