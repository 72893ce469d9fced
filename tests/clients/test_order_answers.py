"""What an order call says of answers that cannot be read, and when a listing says that there is none."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, feeds_are_live, open_world
from tplus_trio import (
    ApiError,
    ConnectionFailed,
    DecodeError,
    NotFoundError,
    OrderCreatedEvent,
    OrderFateUnknown,
    OrderRejected,
    OrdersSnapshot,
    ServiceRules,
    StreamState,
    TplusError,
    codec,
)
from tplus_trio.testing import Response

CREATE, CANCEL = "/orders/create", "/orders/cancel"


async def operate(world: World, path: str) -> object:
    if path == CREATE:
        return await world.oms.create_limit_order(5, 9000, "Buy", asset_id=ASSET, order_id="mine")
    return await world.oms.cancel_order("mine", ASSET)


def body(**fields: object) -> bytes:
    return json.dumps({"order_id": "mine", "status": "Received", **fields}).encode()


UNREADABLE = {
    "204": Response(204, b""),
    "an empty 200": Response(200, b""),
    "HTML": Response(200, b"<html>maintenance</html>"),
    "an unknown status": Response(200, body(status="Queued")),
    "no status": Response(200, b'{"order_id":"mine"}'),
    "a null status": Response(200, body(status=None)),
    "another order": Response(200, body(order_id="yours")),
    "a list": Response(200, b"[]"),
}


@pytest.mark.parametrize("path", [CREATE, CANCEL])
@pytest.mark.parametrize("answer", UNREADABLE)
async def test_an_answer_that_says_nothing_of_the_order(answer: str, path: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.answer_requests(path, UNREADABLE[answer])
        before = world.exchange.now_ns()
        with pytest.raises(OrderFateUnknown, match=r"'mine' may .*: see orders_in_doubt") as caught:
            await operate(world, path)
        error = caught.value
        assert not isinstance(error, ValueError)
        assert (error.order_id, error.operation) == ("mine", path.rpartition("/")[2])
        assert before <= error.sent_at_ns <= world.exchange.now_ns()
        for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert (again.args, str(again)) == (error.args, str(error))
        assert [doubt.order_id for doubt in world.oms.orders_in_doubt] == ["mine"]
        if path == CREATE:
            assert world.exchange.requests["POST", path] == 1


@pytest.mark.parametrize("path", [CREATE, CANCEL])
async def test_no_answer_and_no_sign_of_the_order_leave_its_fate_unknown(path: str, autojump_clock: MockClock) -> None:
    async with open_world(timeout=3) as world:
        await world.oms.get_market(ASSET)
        await world.oms.get_user_orders()
        world.exchange.faults.delay_requests(path, 100)
        if path == CREATE:
            await operate(world, path)
            assert [order.order_id for order in world.exchange.orders(world.user)] == ["mine"]
            return
        with pytest.raises(OrderFateUnknown, match=r"not answered within 3 s.*; order 'mine' may") as caught:
            await operate(world, path)
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        assert not caught.value.__cause__.nothing_sent


async def test_a_connection_that_ends_after_the_order_was_created_is_no_failure(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.drop_after_request()
        await operate(world, CREATE)
        assert [order.order_id for order in world.exchange.orders(world.user)] == ["mine"]
        assert world.exchange.requests["POST", CREATE] == 1


async def test_a_connection_that_ends_before_the_order_is_created_leaves_its_fate_unknown(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        world.exchange.faults.hold_requests(60)
        world.exchange.faults.delay_requests(CREATE, 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reset_later, world)
            with pytest.raises(
                OrderFateUnknown, match=r"there was no answer \(the connection was lost: [^.;]+\); order"
            ):
                await operate(world, CREATE)


async def reset_later(world: World) -> None:
    await trio.sleep(1)
    world.network.reset_connections()


async def test_no_connection_says_nothing_of_the_kind(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.get_market(ASSET)
        await world.oms.get_user_orders()
        world.network.reset_connections()
        await trio.sleep(1)
        world.network.refuse(100)
        with pytest.raises(ConnectionFailed) as caught:
            await operate(world, CREATE)
        assert caught.value.nothing_sent
        assert "may exist" not in str(caught.value)
        assert world.oms.orders_in_doubt == ()


def test_decode_error_is_no_value_error() -> None:
    assert issubclass(DecodeError, TplusError)
    assert not issubclass(DecodeError, ValueError)


# A market's units.


async def test_units_are_asked_for_again_after_a_refusal(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        wrong = {"asset_id": ASSET, "book_price_decimals": 1, "book_quantity_decimals": 3}
        world.exchange.faults.answer_requests(f"/market/{ASSET}", Response(200, json.dumps(wrong).encode()))
        await world.oms.get_market(ASSET)
        with pytest.raises(OrderRejected, match="DECIMALS"):
            await operate(world, CREATE)
        assert world.exchange.requests["POST", CREATE] == 1
        assert (await world.oms.get_market(ASSET)).book_price_decimals == 2
        await operate(world, CREATE)


async def test_other_refusals_do_not_ask_again(autojump_clock: MockClock) -> None:
    async with open_world(orders={"rules": ServiceRules(order_ids_remembered=True)}) as world:
        await operate(world, CREATE)
        with pytest.raises(ApiError):
            await operate(world, CREATE)
        await world.oms.get_market(ASSET)
        assert world.exchange.requests["GET", f"/market/{ASSET}"] == 1


# None yet.

UNSEEN = json.dumps({"error": {"code": "USER_NOT_FOUND", "message": "no such user"}}).encode()
NOT_THE_SERVICE = [b"", b"<html>404</html>", b'{"error":"not found"}', b'{"error":{"code":"NOT_FOUND"}}', b"null"]


async def test_the_service_says_that_there_are_none_yet(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        path = f"/orders/user/{world.user.public_key}"
        world.exchange.faults.answer_requests(path, Response(404, UNSEEN), 2)
        assert await world.oms.get_user_orders() == ((), {})
        with pytest.raises(NotFoundError):
            await world.oms.get_user_orders(page=1)


@pytest.mark.parametrize("text", NOT_THE_SERVICE)
async def test_others_cannot_say_so(text: bytes, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.answer_requests(f"/orders/user/{world.user.public_key}", Response(404, text))
        with pytest.raises(NotFoundError):
            await world.oms.get_user_orders()


@pytest.mark.parametrize("seen", ["an order", "a listing", "an event"])
async def test_a_user_who_was_seen_has_not_none(seen: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        path = f"/orders/user/{world.user.public_key}"
        if seen == "an event":
            async with world.oms.stream_orders() as orders:
                await orders.wait_live()
                world.exchange.faults.send_text("/orders", '{"CancelFailed":{"order_id":"x","user_id":"u"}}')
                await orders.receive()
        elif seen == "an order":
            await operate(world, CREATE)
        else:
            world.exchange.faults.answer_requests(path, Response(200, b'{"orders":[]}'))
            await world.oms.get_user_orders()
        world.exchange.faults.answer_requests(f"/orders/user/{world.user.public_key}", Response(404, UNSEEN))
        with pytest.raises(NotFoundError):
            await world.oms.get_user_orders()


async def test_a_listing_with_a_bad_row_is_a_snapshot_that_is_not_complete(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.stream_orders() as orders:
        await orders.wait_live()
        await operate(world, CREATE)
        await orders.receive()
        await feeds_are_live(world)
        (order,) = (await world.oms.get_user_orders()).orders
        row = codec.unstructure(order)
        listing = json.dumps({"orders": [row, {**row, "order_id": None}], "has_next_page": False}).encode()
        # Twice: the client's own feed of its orders gets the garbage, and reads the listing, too.
        world.exchange.faults.answer_requests(f"/orders/user/{world.user.public_key}", Response(200, listing), 2)
        world.exchange.faults.send_garbage("/orders")
        with trio.fail_after(60):
            while not isinstance(item := await orders.receive(), OrdersSnapshot):
                pass
        assert [each.order_id for each in item.orders] == ["mine"]
        assert not item.is_complete


async def test_an_order_that_overtakes_a_listing_ends_no_stream(autojump_clock: MockClock) -> None:
    # The listing was made before the first order, and arrives after that order's event.
    async with open_world(latency=0.01) as world, world.oms.stream_orders() as orders:
        await orders.wait_live()
        path = f"/orders/user/{world.user.public_key}"
        world.exchange.faults.delay_requests(path, 1.0)
        orders.resync()
        await trio.sleep(0.5)
        world.exchange.place(world.user, ASSET, "Buy", 900, 1)
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        await trio.sleep(10)
        assert orders.state is StreamState.LIVE
        assert isinstance(item := await orders.receive(), OrdersSnapshot)
        assert item.orders == ()
        assert [type(await orders.receive()) for _ in range(2)] == [OrderCreatedEvent] * 2
