"""What becomes of requests when a control channel loses its connection, its token, its sender or its client."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.control_server import (
    Call,
    ControlServer,
    World,
    open_control,
    order_request,
    result,
    sender_of,
    told,
)
from tests.helpers.peers import answer
from tests.helpers.world import URL
from tests.helpers.wrapped_streams import WrappedStream
from tplus_trio import AuthError, ConnectionFailed, OrderBookClient, RestartPolicy, StreamState
from tplus_trio.orders.sending import Delivery
from tplus_trio.testing.wire_frames import text_frame
from tplus_trio.transport.message_writer import MessageWriter


async def answered(world: World, call: Call, number: int, name: str) -> None:
    """Answer the next request of the n-th channel."""
    peer = await world.server.peer(number)
    seen = await peer.next()
    assert seen.body["orders"] == [name]
    await peer.send(told(seen.request_id, result(name)))
    assert (await call.result()).by_id.keys() == {name}


@pytest.mark.parametrize("how", ["reset", "drop", "close 1000", "close 1012"])
async def test_what_is_in_flight_is_in_doubt_at_once_and_what_waits_goes_over_the_next(
    how: str, autojump_clock: MockClock
) -> None:
    async with open_control(max_in_flight=1) as world:
        sent = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        await peer.next()
        waiting = world.start(order_request(world.user, "b"))
        await trio.sleep(1)
        match how:
            case "reset":
                world.network.reset_connections()
            case "drop":
                await peer.stream.aclose()
            case _:
                await peer.close(int(how.split()[1]))
        with pytest.raises(ConnectionFailed, match="before the request was answered") as caught:
            await sent.result()
        assert not caught.value.nothing_sent
        assert sent.ended_at == 1.0
        assert caught.value.close_code == (int(how.split()[1]) if "close" in how else None)
        await answered(world, waiting, 1, "b")
        assert [len(call.sent_at) for call in (sent, waiting)] == [1, 1]
        assert [len(each.seen) for each in world.server.peers] == [1, 1]


async def test_a_request_of_which_nothing_left_goes_over_the_next_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures = MessageWriter.write, [ConnectionFailed("the connection was lost")]
    failures[0].nothing_sent = True

    async def fail_first(self: MessageWriter, text: str) -> None:
        if failures:
            world.network.reset_connections()
            raise failures.pop()
        await write(self, text)

    monkeypatch.setattr(MessageWriter, "write", fail_first)
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        await answered(world, call, 1, "a")
        assert len(call.sent_at) == 2
        assert world.sender.statistics()[0].strays == 0


async def test_an_idle_channel_connects_again(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        await answered(world, world.start(order_request(world.user, "a")), 0, "a")
        await trio.sleep(3600)
        world.network.reset_connections()
        await trio.sleep(1)
        (statistics,) = world.sender.statistics()
        assert (statistics.connects, statistics.state) == (2, StreamState.LIVE)
        call = world.start(order_request(world.user, "b"))
        await answered(world, call, 1, "b")
        assert call.ended_at == trio.current_time()


async def test_silence_is_no_loss_but_a_peer_that_is_gone_is(autojump_clock: MockClock) -> None:
    async with open_control(idle_timeout=5.0, timeout=60.0) as world:
        await answered(world, world.start(order_request(world.user, "a")), 0, "a")
        await trio.sleep(100)
        assert world.sender.statistics()[0].connects == 1
        call = world.start(order_request(world.user, "b"))
        world.network.stall()
        with pytest.raises(ConnectionFailed) as caught:
            await call.result()
        assert not caught.value.nothing_sent
        assert call.ended_at <= 120
        world.network.resume()


async def test_a_call_does_not_wait_for_the_end_of_a_backoff(autojump_clock: MockClock) -> None:
    async with open_control(restart=RestartPolicy(initial_delay=1000.0, max_delay=1000.0)) as world:
        await answered(world, world.start(order_request(world.user, "a")), 0, "a")
        world.network.refuse(1)
        world.network.reset_connections()
        await trio.sleep(100)
        assert world.sender.statistics()[0].state is StreamState.BACKOFF
        began = trio.current_time()
        call = world.start(order_request(world.user, "b"))
        # Two calls of the application: the first finds the service still away.
        await trio.sleep(1)
        again = world.start(order_request(world.user, "c"))
        peer = await world.server.peer(1)
        for seen in await peer.take(2):
            await peer.send(told(seen.request_id, result(seen.body["orders"][0])))
        await call.result()
        await again.result()
        assert trio.current_time() - began <= 2


async def test_a_call_waits_where_the_service_named_a_time(autojump_clock: MockClock) -> None:
    async with open_control(timeout=60.0) as world:
        world.server.refusals = [answer(503, b"", "Retry-After: 20")]
        first = world.start(order_request(world.user, "a"))
        await trio.sleep(5)
        second = world.start(order_request(world.user, "b"))
        await trio.sleep(10)
        assert len(world.server.heads) == 1
        peer = await world.server.peer()
        for seen in await peer.take(2):
            await peer.send(told(seen.request_id, result(seen.body["orders"][0])))
        await first.result()
        await second.result()
        assert trio.current_time() == 20


# Every byte of a request and of an answer.


class Cut(ControlServer):
    """Ends each channel after so many bytes of what the client sends over it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.total = 0

    async def __call__(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            await super().__call__(_Cutting(stream, self))


class _Cutting(WrappedStream):
    def __init__(self, stream: trio.abc.Stream, server: Cut) -> None:
        super().__init__(stream)
        self._server = server

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._server.peers:
            return await self._stream.receive_some(max_bytes)
        left = self._server.size - self._server.total
        if left <= 0:
            await self.aclose()
            return b""
        data = await self._stream.receive_some(min(left, 10_000))
        self._server.total += len(data)
        return data

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


@pytest.mark.parametrize("size", [*range(1, 20), 60, 90, 100])
async def test_a_request_that_was_cut_off_is_in_doubt(size: int, autojump_clock: MockClock) -> None:
    async with open_control(Cut(size), restart=None) as world:
        call = world.start(order_request(world.user, "a"))
        with pytest.raises(ConnectionFailed) as caught:
            await call.result()
        assert not caught.value.nothing_sent
        assert len(call.sent_at) == 1
        assert call.ended_at == 0


async def test_an_answer_that_was_cut_off_is_none(autojump_clock: MockClock) -> None:
    size, length = 0, 1
    while size <= length:
        async with open_control(restart=None) as world:
            call = world.start(order_request(world.user, "a"))
            peer = await world.server.peer()
            seen = await peer.next()
            frame = text_frame(json.dumps(told(seen.request_id, result("a"))).encode())
            length = len(frame)
            await peer.stream.send_all(frame[:size])
            await peer.stream.aclose()
            if size < length:
                with pytest.raises(ConnectionFailed) as caught:
                    await call.result()
                assert not caught.value.nothing_sent
            else:
                assert (await call.result()).by_id.keys() == {"a"}
        size += 1


# Tokens.


async def test_a_request_with_a_refused_token_is_sent_again_when_the_answers_are_in(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        first = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        one = await peer.next()
        second = world.start(order_request(world.user, "b"))
        two = await peer.next()
        await peer.send({"request_id": one.request_id, "error": {"code": "UNAUTHORIZED", "message": "expired"}})
        await wait_all_tasks_blocked()
        third = world.start(order_request(world.user, "c"))
        await trio.sleep(1)
        assert len(peer.seen) == 2
        await peer.send(told(two.request_id, result("b")))
        await second.result()
        renewed = await world.server.peer(1)
        for again, name in zip(await renewed.take(2), "ac", strict=True):
            await renewed.send(told(again.request_id, result(name)))
        assert (await first.result()).by_id.keys() == {"a"}
        assert (await third.result()).by_id.keys() == {"c"}
        assert [each.token for each in world.server.peers] == ["token-number-1", "token-number-2"]


async def test_a_token_that_is_refused_twice_is_reported(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        for number in range(2):
            peer = await world.server.peer(number)
            seen = await peer.next()
            await peer.send({"request_id": seen.request_id, "error": {"code": "UNAUTHORIZED", "message": "no"}})
        with pytest.raises(AuthError) as caught:
            await call.result()
        assert caught.value.status == 401


async def test_a_revoking_close_signs_in_afresh(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        await answered(world, world.start(order_request(world.user, "a")), 0, "a")
        await world.server.peers[0].close(4401, "expired")
        await trio.sleep(1)
        await answered(world, world.start(order_request(world.user, "b")), 1, "b")
        assert [each.token for each in world.server.peers] == ["token-number-1", "token-number-2"]


# Senders that leave.


async def test_a_request_cancelled_before_its_turn_is_never_sent(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        world.server.refusals = [answer(503, b"")] * 5
        call = world.start(order_request(world.user, "a"))
        await trio.sleep(0.1)
        call.scope.cancel()
        await trio.lowlevel.checkpoint()
        await answered(world, world.start(order_request(world.user, "b")), 0, "b")
        assert not call.sent_at


async def test_the_answer_to_a_request_that_was_cancelled_is_dropped(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        one = await peer.next()
        call.scope.cancel()
        again = world.start(order_request(world.user, "a"))
        two = await peer.next()
        await peer.send(told(one.request_id, result("a", reason="late")))
        await trio.sleep(1)
        assert not again.done.is_set()
        await peer.send(told(two.request_id, result("a", reason="own")))
        assert (await again.result()).by_id["a"].reason == "own"
        (statistics,) = world.sender.statistics()
        assert (statistics.strays, statistics.in_flight) == (0, 0)


async def test_a_service_that_leaves_too_much_unanswered_is_given_up(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        for _ in range(11):
            calls = [world.start(order_request(world.user, "a")) for _ in range(100)]
            await trio.sleep(1)
            for call in calls:
                call.scope.cancel()
            await trio.sleep(0.1)
        peer = world.server.peers[0]
        await peer.send({"type": "ack", "request_id": "x"})
        await trio.sleep(1)
        assert world.sender.statistics()[0].connects == 2


# The end of the client.


async def test_leaving_the_client_closes_the_channel_in_order(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        await answered(world, world.start(order_request(world.user, "a")), 0, "a")
        call = world.start(order_request(world.user, "b"))
        await world.server.peers[0].next()
    assert world.server.peers[0].closed_with == 1000
    assert isinstance(call.failure, ConnectionFailed)
    assert not call.failure.nothing_sent
    assert world.sender.statistics() == ()


async def test_leaving_the_client_ends_what_waits_for_a_connection(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        world.server.refusals = [answer(503, b"")] * 1000
        call = world.start(order_request(world.user, "b"))
        await trio.sleep(1)
    assert isinstance(call.failure, ConnectionFailed)
    assert call.failure.nothing_sent
    assert call.ended_at == 1


async def test_the_shielded_cleanup_of_a_cancelled_body_can_send(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        call = Call()

        async def answer_both() -> None:
            peer = await world.server.peer()
            for name in "ab":
                seen = await peer.next()
                await trio.sleep(1)
                await peer.send(told(seen.request_id, result(name)))

        world.nursery.start_soon(answer_both)
        with trio.CancelScope() as scope:
            async with OrderBookClient(URL, connector=world.network, default_user=world.user) as oms:
                sender = sender_of(oms)
                try:
                    await sender.send(Delivery(order_request(world.user, "a")))
                    scope.cancel()
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await call.run(sender, order_request(world.user, "b"))
        assert (await call.result()).by_id.keys() == {"b"}
        assert sender.statistics() == ()
        await trio.sleep(1)
        assert world.network.open_connections == 0
