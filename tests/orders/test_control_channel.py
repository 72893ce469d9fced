"""The control channel against a scripted service: matching, order, time, losses, and the end."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.control_server import ControlServer, open_control, order_request, result, told
from tests.helpers.peers import answer
from tests.helpers.world import URL
from tplus_trio import (
    ApiError,
    AuthError,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    OrderBookClient,
    OrderRejected,
    RateLimitError,
    RestartLimitExceeded,
    RestartPolicy,
    ServerError,
    StreamState,
)
from tplus_trio.orders.control_sender import ControlSender
from tplus_trio.orders.sending import Delivery
from tplus_trio.testing import MemoryNetwork


async def test_a_request_is_sent_signed_in_and_its_answer_comes_back(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        seen = await peer.next()
        assert (seen.kind, seen.body) == ("CreateOrderRequest", {"orders": ["a"]})
        assert b"sec-websocket-protocol: tplus.ws.v1" in world.server.heads[0].lower()
        assert world.user.public_key.encode() in world.server.heads[0]
        await peer.send(told(seen.request_id, result("a", processed_at_ns=5)))
        answers = await call.result()
        assert answers.failure is None
        assert answers.by_id["a"].processed_at_ns == 5
        assert len(call.sent_at) == 1
        (statistics,) = world.sender.statistics()
        assert (statistics.connects, statistics.answered, statistics.in_flight) == (1, 1, 0)
        assert statistics.state is StreamState.LIVE


async def test_acknowledgements_and_heartbeats_are_no_answers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        seen = await peer.next()
        await peer.send(
            {"type": "ack", "request_id": seen.request_id},
            told(seen.request_id, {"request": {"status": "submitted"}}),
            {"type": "subscriptions"},
            {"type": "ping", "request_id": seen.request_id},
            {"type": "pong"},
        )
        await trio.sleep(1)
        assert not call.done.is_set()
        await peer.send(told(seen.request_id, result("a")))
        assert (await call.result()).by_id.keys() == {"a"}
        (statistics,) = world.sender.statistics()
        assert (statistics.strays, statistics.malformed, caplog.records) == (0, 0, [])


async def test_each_of_500_requests_gets_its_own_answer_in_any_order(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        calls = [world.start(order_request(world.user, f"order-{n}")) for n in range(500)]
        peer = await world.server.peer()
        requests = await peer.take(500)
        (statistics,) = world.sender.statistics()
        assert (statistics.in_flight, statistics.waiting) == (500, 0)
        await peer.send(*(told(seen.request_id, result(seen.body["orders"][0])) for seen in reversed(requests)))
        for n, call in enumerate(calls):
            assert (await call.result()).by_id.keys() == {f"order-{n}"}


async def test_a_batch_gets_an_answer_for_each_order_in_any_order(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a", "b", "c", operation="batch-replace"))
        peer = await world.server.peer()
        seen = await peer.next()
        kind = "ReplaceOrderResponse"
        await peer.send(told(seen.request_id, result("c", kind)), told(seen.request_id, result("a", kind)))
        await peer.send(told(seen.request_id, result("a", kind, status="Rejected")))  # a repeat
        await peer.send(told(seen.request_id, result("d", kind)))  # an order of another request
        await peer.send(told(seen.request_id, result("b", kind, asset="7")))  # and one of another market
        await trio.sleep(1)
        assert not call.done.is_set()
        await peer.send(told(seen.request_id, result("b", kind, asset={"Index": 200})))
        answers = (await call.result()).by_id
        assert {order_id: str(each.status) for order_id, each in answers.items()} == dict.fromkeys("abc", "Received")
        (statistics,) = world.sender.statistics()
        assert (statistics.repeats, statistics.strays) == (1, 2)


@pytest.mark.parametrize("end", ["time", "drop", "error", "undecodable"])
async def test_a_batch_keeps_the_answers_that_it_got(end: str, autojump_clock: MockClock) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a", "b", "c", operation="batch-create"))
        peer = await world.server.peer()
        seen = await peer.next()
        await peer.send(told(seen.request_id, result("a")))
        await trio.sleep(0.1)
        match end:
            case "drop":
                world.network.reset_connections()
            case "error":
                await peer.send({"request_id": seen.request_id, "error": {"code": "SERVER_BUSY", "message": "no"}})
            case "undecodable":
                await peer.send(told(seen.request_id, {"CreateOrderResponse": {}}), told(seen.request_id, result("b")))
            case _:
                pass
        answers = await call.result()
        assert answers.by_id.keys() == ({"a", "b"} if end == "undecodable" else {"a"})
        kinds = {"time": ConnectionFailed, "drop": ConnectionFailed, "error": ServerError, "undecodable": DecodeError}
        assert type(answers.failure) is kinds[end]


@pytest.mark.parametrize(
    ("error", "kind", "status", "retry_after"),
    [
        ({"code": "RATE_LIMITED", "message": "slow", "retry_after": 1.5}, RateLimitError, 429, 1.5),
        ({"code": "SERVER_BUSY", "message": "", "retry_after": "2"}, ApiError, 503, 2.0),
        ({"code": "INVALID_SIGNATURE", "message": ""}, AuthError, 400, None),
        ({"code": "DUPLICATE_ORDER", "retry_after": "soon"}, OrderRejected, 400, None),
        ("text", ApiError, 400, None),
        ([1], ApiError, 400, None),
    ],
)
async def test_a_refused_request_raises_the_error(
    error: object, kind: type[ApiError], status: int, retry_after: float | None, autojump_clock: MockClock
) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        seen = await peer.next()
        await peer.send({"request_id": seen.request_id, "error": error})
        with pytest.raises(kind) as caught:
            await call.result()
        assert (caught.value.status, caught.value.retry_after) == (status, retry_after)


async def test_an_answer_that_names_another_order_goes_to_the_request_of_its_id(autojump_clock: MockClock) -> None:
    async with open_control() as world:
        first, second = (world.start(order_request(world.user, name)) for name in "ab")
        peer = await world.server.peer()
        one, two = await peer.take(2)
        await peer.send(told(one.request_id, result("b")))
        assert (await first.result()).by_id.keys() == {"b"}
        assert not second.done.is_set()
        await peer.send(told(two.request_id, result("b")))
        assert (await second.result()).by_id.keys() == {"b"}


@pytest.mark.parametrize(
    "content",
    [
        {"CancelOrderResponse": {"response": {"order_id": "a", "status": "Received"}, "asset_id": "200"}},
        {"CreateOrderResponse": {"response": {"status": "Received"}, "asset_id": "200"}},
        {"CreateOrderResponse": {"asset_id": "200"}},
        {"CreateOrderResponse": 1},
        {"CreateOrderResponse": {"response": {"order_id": "a", "status": "Received"}, "asset_id": "ETH"}},
        {},
        [],
        "text",
    ],
)
async def test_an_answer_that_cannot_be_decoded_ends_its_request_in_doubt(
    content: object, autojump_clock: MockClock
) -> None:
    async with open_control() as world:
        call, other = world.start(order_request(world.user, "a")), world.start(order_request(world.user, "b"))
        peer = await world.server.peer()
        one, two = await peer.take(2)
        await peer.send(told(one.request_id, content))
        with pytest.raises(DecodeError):
            await call.result()
        await peer.send(told(two.request_id, result("b")))
        await other.result()


async def test_what_belongs_to_nobody_resolves_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_control() as world:
        call = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        seen = await peer.next()
        strays: list[object] = [
            told("f" * 32, result("a")),
            {"request_id": None, "data": result("a")},
            {"request_id": 7, "data": result("a")},
            {"data": result("a")},
            result("a"),
            {"error": {"code": "SERVER_BUSY", "message": ""}},
            {"request_id": "f" * 32, "error": {"code": "SERVER_BUSY", "message": ""}},
        ]
        bad: list[object] = ["", "{", "[]", "1", '{"a":1}', '{"data":{}}', json.dumps({"data": [[[]]]})]
        await peer.send(*strays, *bad)
        await trio.sleep(1)
        assert not call.done.is_set()
        (statistics,) = world.sender.statistics()
        assert (statistics.strays, statistics.malformed) == (len(strays), len(bad))
        assert len([record for record in caplog.records if "frame is" in record.getMessage()]) == 2
        await peer.send(told(seen.request_id, result("a")))
        await call.result()
        await peer.send(told(seen.request_id, result("a")))
        await trio.sleep(1)
        assert world.sender.statistics()[0].repeats == 1


# Older services.


async def test_an_older_service_answers_without_ids(autojump_clock: MockClock) -> None:
    async with open_control(ControlServer(named=False)) as world:
        names = ("a", "b")
        creates = [world.start(order_request(world.user, name)) for name in names]
        cancels = [world.start(order_request(world.user, name, operation="cancel")) for name in names]
        batch = world.start(order_request(world.user, "c", "d", operation="batch-create"))
        peer = await world.server.peer()
        await peer.take(5)
        await peer.send(result("b"), result("c"), {"data": result("a")}, result("a", "CancelOrderResponse"))
        await peer.send(result("b", "CancelOrderResponse", reason="x"), result("d"))
        assert [list((await call.result()).by_id) for call in (*creates, *cancels)] == [["a"], ["b"], ["a"], ["b"]]
        assert (await batch.result()).by_id.keys() == {"c", "d"}


async def test_an_answer_without_id_that_may_be_anothers_belongs_to_nobody(autojump_clock: MockClock) -> None:
    async with open_control(ControlServer(named=False)) as world:
        first = world.start(order_request(world.user, "a", operation="cancel"))
        peer = await world.server.peer()
        await peer.next()
        first.scope.cancel()
        second = world.start(order_request(world.user, "a", operation="cancel"))
        await peer.next()
        wrong = [result("a"), result("a", "CancelOrderResponse", asset="7"), result("b", "CancelOrderResponse")]
        await peer.send(result("a", "CancelOrderResponse"), *wrong)
        await trio.sleep(1)
        assert not second.done.is_set()
        assert world.sender.statistics()[0].strays == 4
        with pytest.raises(ConnectionFailed) as caught:
            await second.result()
        assert not caught.value.nothing_sent


# Order, and how many are in flight.


async def test_requests_wait_for_their_turn_and_cancels_go_first(autojump_clock: MockClock) -> None:
    async with open_control(max_in_flight=2) as world:
        calls = []
        plan = [("a", "create"), ("b", "create"), ("c", "create"), ("d", "amend"), ("b", "cancel"), ("c", "cancel")]
        for name, operation in plan:
            calls.append(world.start(order_request(world.user, name, operation=operation)))  # type: ignore[arg-type]  # literals of the plan
            await trio.sleep(0.01)
        peer = await world.server.peer()
        await trio.sleep(1)
        assert len(peer.seen) == 2
        assert world.sender.statistics()[0].waiting == 4
        calls[3].scope.cancel()
        for n in range(5):
            seen = await peer.next()
            await peer.send(told(seen.request_id, result("x", seen.kind.replace("Request", "Response"))))
            await trio.sleep(0.01)
            assert world.sender.statistics()[0].in_flight <= 2, n
        sent = [(seen.body["orders"][0], seen.kind[:6].lower()) for seen in peer.seen]
        # The cancel of b overtakes; that of c does not overtake the request that creates c.
        assert sent == [("a", "create"), ("b", "create"), ("b", "cancel"), ("c", "create"), ("c", "cancel")]
        assert world.sender.statistics()[0].peak_in_flight == 2
        assert not calls[3].sent_at


# Time.


async def test_without_an_answer_a_request_times_out_in_doubt(autojump_clock: MockClock) -> None:
    async with open_control(timeout=3.0) as world:
        call = world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        seen = await peer.next()
        with pytest.raises(ConnectionFailed, match="within 3 s") as caught:
            await call.result()
        assert (caught.value.nothing_sent, call.ended_at) == (False, 3.0)
        await peer.send(told(seen.request_id, result("a")))
        await trio.sleep(1)
        (statistics,) = world.sender.statistics()
        assert (statistics.strays, statistics.in_flight, statistics.state) == (0, 0, StreamState.LIVE)


async def test_a_request_that_waits_for_its_turn_times_out_unsent(autojump_clock: MockClock) -> None:
    async with open_control(timeout=3.0, max_in_flight=1) as world:
        world.start(order_request(world.user, "a"))
        peer = await world.server.peer()
        seen = await peer.next()
        await trio.sleep(0.5)
        late = world.start(order_request(world.user, "b"))
        await trio.sleep(0.5)
        world.start(order_request(world.user, "c", operation="cancel"))
        await trio.sleep(0.5)
        await peer.send(told(seen.request_id, result("a")))
        with pytest.raises(ConnectionFailed, match="1 are in flight") as caught:
            await late.result()
        assert caught.value.nothing_sent
        assert not late.sent_at
        await trio.sleep(5)
        assert [each.body["orders"][0] for each in peer.seen] == ["a", "c"]


async def test_without_a_connection_a_request_times_out_unsent(autojump_clock: MockClock) -> None:
    async with open_control(timeout=3.0) as world:
        world.server.refusals = [answer(503, b"busy")] * 1000
        call = world.start(order_request(world.user, "a"))
        with pytest.raises(ConnectionFailed, match=r"no connection to /control within 3 s.*503") as caught:
            await call.result()
        assert caught.value.nothing_sent
        assert isinstance(caught.value.__cause__, HandshakeRejected)
        assert not call.sent_at
        world.server.refusals = []
        again = world.start(order_request(world.user, "b"))
        peer = await world.server.peer()
        await peer.send(told((await peer.next()).request_id, result("b")))
        await again.result()
        assert [seen.body["orders"] for seen in peer.seen] == [["b"]]


async def test_a_service_that_asks_for_a_pause_is_given_it(autojump_clock: MockClock) -> None:
    async with open_control(timeout=3.0) as world:
        world.server.refusals = [answer(429, b"", "Retry-After: 20")]
        call = world.start(order_request(world.user, "a"))
        with pytest.raises(RateLimitError) as caught:
            await call.result()
        assert caught.value.retry_after == 20
        await trio.sleep(25)
        assert len(world.server.heads) == 2


# Not entered, and refused for good.


async def test_a_client_that_was_not_entered_has_no_channel(autojump_clock: MockClock) -> None:
    async with open_control() as world, MemoryNetwork() as network:
        oms = OrderBookClient(URL, connector=network, default_user=world.user)
        sender = ControlSender(oms._service, oms._client_scope, limits=oms._service.limits, restart=None)
        with pytest.raises(RuntimeError, match=r"enter the client: .*; its channel lives in its nursery"):
            await sender.send(Delivery(order_request(world.user, "a")))
        async with oms:
            pass
        with pytest.raises(RuntimeError, match="has been left"):
            await sender.send(Delivery(order_request(world.user, "a")))
    with pytest.raises(ValueError, match="max_in_flight is at least 1"):
        ControlSender(oms._service, oms._client_scope, limits=oms._service.limits, restart=None, max_in_flight=0)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_for_good_fails_those_that_wait_and_the_next_tries_again(
    status: int, autojump_clock: MockClock
) -> None:
    async with open_control() as world:
        world.server.refusals = [answer(status, b"no")] * (2 if status in {401, 403} else 1)
        calls = [world.start(order_request(world.user, name)) for name in "ab"]
        errors = []
        for call in calls:
            with pytest.raises(HandshakeRejected) as caught:
                await call.result()
            errors.append(caught.value)
            assert caught.value.status == status
            assert not call.sent_at
        assert errors[0] is not errors[1]
        assert world.sender.statistics() == ()
        again = world.start(order_request(world.user, "c"))
        peer = await world.server.peer()
        await peer.send(told((await peer.next()).request_id, result("c")))
        await again.result()


@pytest.mark.parametrize("restart", [None, RestartPolicy(max_restarts=0)])
async def test_a_policy_without_restarts_opens_a_channel_for_the_next_request(
    restart: RestartPolicy | None, autojump_clock: MockClock
) -> None:
    async with open_control(restart=restart) as world:
        world.network.refuse(10)
        call = world.start(order_request(world.user, "a"))
        with pytest.raises(ConnectionFailed if restart is None else RestartLimitExceeded) as caught:
            await call.result()
        assert getattr(caught.value, "nothing_sent", True)
        await trio.sleep(1)
        world.network.refuse(0)
        again = world.start(order_request(world.user, "c"))
        peer = await world.server.peer()
        await peer.send(told((await peer.next()).request_id, result("c")))
        await again.result()
