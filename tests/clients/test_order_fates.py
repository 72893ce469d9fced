"""An order call states what became of its order, whatever the answer was, or says that it is not known."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import (
    ALL_RULES,
    NO_RULES,
    kinds,
    open_orders_world,
    outcome_of,
    place,
    times_sent,
)
from tests.helpers.world import ASSET, URL, World
from tplus_trio import (
    GTC,
    IOC,
    ConnectionFailed,
    LimitOrderDetails,
    NotFoundError,
    OrderBookClient,
    OrderFateUnknown,
    OrderRejected,
    ServerError,
    User,
)
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.testing import Response


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def act_then(answer: int | str) -> Callable[[World], None]:
    return lambda world: world.exchange.faults.act_then_answer(answer)  # type: ignore[arg-type] # a status or a word


def drop(world: World) -> None:
    world.exchange.faults.drop_after_request()


#: What hides the answer to a request that was carried out.
LOST: dict[str, Callable[[World], None]] = {
    **{str(answer): act_then(answer) for answer in (408, 409, 500, 502, 503, 504, "garbage", "nothing")},
    "dropped": drop,
}
CALLS: dict[str, tuple[str, Callable[[World], Awaitable[object]]]] = {
    "create": ("create", lambda world: place(world, "a")),
    "cancel": ("cancel", lambda world: world.oms.cancel_order("a", ASSET)),
    "replace": ("replace", lambda world: world.oms.replace_order("a", ASSET, 7, 905)),
    "amend": ("amend", lambda world: world.oms.amend_order("a", ASSET, 3)),
}


# The answer is lost, and the request was carried out.


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("call", ["create", "cancel", "replace"])
async def test_a_lost_answer_is_found_out(way: str, call: str, lost: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        if call != "create":
            await place(world, "a")
        kind, run = CALLS[call]
        LOST[lost](world)
        assert await outcome_of(lambda: run(world)) == "done"
        assert kinds(world, "a").count(kind) == 1
        assert world.oms.orders_in_doubt == ()
        if call != "cancel":  # a cancel may be repeated
            assert times_sent(world, call, "a") == 1


@pytest.mark.parametrize("lost", LOST)
async def test_an_amendment_that_can_be_seen_is_found_out(way: str, lost: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        await place(world, "a")
        _, revision = await world.oms.replace_order("a", ASSET, 7, 905)
        LOST[lost](world)
        assert await outcome_of(lambda: world.oms.amend_order("a", ASSET, 3, revision)) == "done"
        assert kinds(world, "a") == ["create", "replace", "amend"]


async def test_an_answer_that_names_another_order_states_nothing_of_this_one(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest", resolve_timeout=0.5) as world:
        answer = Response(200, json.dumps({"order_id": "b", "status": "Received"}).encode())
        world.exchange.faults.replace_answers("/orders/create", answer)
        assert (await outcome_of(lambda: place(world, "a")), kinds(world, "a")) == ("done", ["create"])
        world.exchange.faults.answer_requests("/orders/create", answer)  # and carries nothing out
        with pytest.raises(OrderFateUnknown, match="its answer names another order, 'b'"):
            await place(world, "c")
        assert kinds(world, "c") == []


async def test_an_unknown_status_states_nothing(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest", resolve_timeout=0.5) as world:
        answer = Response(200, json.dumps({"order_id": "a", "status": "Queued"}).encode())
        world.exchange.faults.answer_requests("/orders/create", answer)
        with pytest.raises(OrderFateUnknown, match="unknown status, 'Queued'"):
            await place(world, "a")


@pytest.mark.parametrize("code", ["CE_COMMUNICATION_ERROR", "TIMEOUT_UNKNOWN_STATE", "A_NEW_CODE", "DUPLICATE_ORDER"])
async def test_a_code_that_states_nothing_is_no_refusal(code: str, autojump_clock: MockClock) -> None:
    async with open_orders_world("rest", resolve_timeout=0.5) as world:
        error = Response(400, json.dumps({"error": {"code": code, "message": "no"}}).encode())
        world.exchange.faults.replace_answers("/orders/create", error)
        assert await outcome_of(lambda: place(world, "a")) == "done"
        world.exchange.faults.answer_requests("/orders/create", error)
        assert await outcome_of(lambda: place(world, "b")) == "unknown"
        assert (kinds(world, "a"), kinds(world, "b")) == (["create"], [])


async def test_a_refusal_is_raised_at_once(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        start = trio.current_time()
        world.exchange.place(User(), ASSET, "Sell", 1000, 5)
        from_now = len(world.exchange.answers)
        with pytest.raises(OrderRejected) as caught:
            await world.oms.create_limit_order(5, 1000, "Buy", GTC(post_only=True), ASSET, "a")
        assert (caught.value.order_id, caught.value.code) == ("a", "POST_ONLY_WOULD_CROSS")
        assert trio.current_time() == start
        assert len(world.exchange.answers) == from_now + 1
        assert world.oms.orders_in_doubt == ()


# 401 and 403.


@pytest.mark.parametrize("call", ["create", "cancel"])
async def test_a_401_after_acting_is_no_refusal_of_the_order(way: str, call: str, autojump_clock: MockClock) -> None:
    """The request is sent again under the rule that a 401 does nothing, which this exchange breaks."""
    async with open_orders_world(way) as world:
        if call != "create":
            await place(world, "a")
        kind, run = CALLS[call]
        world.exchange.faults.act_then_answer(401)
        assert await outcome_of(lambda: run(world)) == "done"
        assert kind in kinds(world, "a")


@pytest.mark.parametrize("call", ["create", "replace", "amend"])
async def test_a_401_is_repeated_once_under_a_rule_and_never_without_one(
    way: str, call: str, autojump_clock: MockClock
) -> None:
    rules = {
        ServiceRules(): 2,
        attrs.evolve(NO_RULES, order_ids_remembered=True): 2,
        NO_RULES: 1,
    }
    for rule, times in rules.items():
        async with open_orders_world(way, rule, resolve_timeout=0.5) as world:
            if call != "create":
                await place(world, "a")
            before = times_sent(world, call, "a")
            world.exchange.faults.act_then_answer(401, path="/orders" if way == "rest" else "/control/orders")
            await outcome_of(lambda: CALLS[call][1](world))
            assert times_sent(world, call, "a") - before == times, rule


async def test_a_401_without_a_rule_is_in_doubt(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        world.exchange.faults.expire_tokens()
        assert await outcome_of(lambda: place(world, "a")) == ("done" if way == "control" else "unknown")


# The answer says nothing, and the request was not carried out.


async def test_what_nothing_shows_is_unknown(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        world.exchange.faults.hold_requests(60.0)
        start, sent_ns = trio.current_time(), world.exchange.now_ns()
        with pytest.raises(OrderFateUnknown) as caught:
            await place(world, "a")
        error = caught.value
        assert (error.order_id, error.operation, error.sent_at_ns) == ("a", "create", sent_ns)
        assert error.why.startswith("there was no answer (")
        assert isinstance(error.__cause__, ConnectionFailed)
        assert str(error).startswith(f"the create request was sent, but {error.why}; order 'a' may exist: see ")
        assert trio.current_time() - start == pytest.approx(15.0)  # 10 s for the answer, 5 s to find out
        (doubt,) = world.oms.orders_in_doubt
        assert attrs.asdict(doubt) == {
            "order_id": "a",
            "asset_id": ASSET,
            "user": world.user.public_key,
            "operation": "create",
            "sent_at_ns": sent_ns,
            "why": error.why,
            "on_cancel": "cancel",
        }


async def test_the_error_that_began_the_doubt_is_the_cause(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest", resolve_timeout=0.5) as world:
        world.exchange.faults.fail_requests("/orders/create", 504)
        with pytest.raises(OrderFateUnknown, match="the service failed") as caught:
            await place(world, "a")
        assert isinstance(caught.value.__cause__, ServerError)


@pytest.mark.parametrize("call", CALLS)
async def test_nothing_is_concluded_without_a_rule(way: str, call: str, autojump_clock: MockClock) -> None:
    """The request waits inside the exchange: whatever is listed meanwhile, it may be carried out later."""
    async with open_orders_world(way, NO_RULES) as world:
        if call != "create":
            await place(world, "a")
        path = "" if way == "rest" else "/control"
        world.exchange.faults.hold_requests(60.0, 100, path=f"{path}/orders/{call}")
        assert await outcome_of(lambda: CALLS[call][1](world)) == "unknown"
        assert {doubt.order_id for doubt in world.oms.orders_in_doubt} == {"a"}


async def test_an_unreachable_service_leaves_it_unknown_with_all_rules_too(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, ALL_RULES) as world, trio.open_nursery() as nursery:
        world.exchange.faults.hold_requests(1.0)

        async def cut_the_network() -> None:
            await trio.sleep(0.5)
            world.network.partition(40.0)

        nursery.start_soon(cut_the_network)
        assert await outcome_of(lambda: place(world, "a")) == "unknown"
        await trio.sleep(30)
        assert world.oms.orders_in_doubt == (), "it is settled once the service is reached again"
        assert kinds(world, "a") == ["create", "cancel"]


# By which evidence.


async def test_the_feed_alone_is_enough(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        world.exchange.faults.fail_requests("/orders/user", 503, seconds=100)
        world.exchange.faults.act_then_answer(504)
        start = trio.current_time()
        assert await outcome_of(lambda: place(world, "a")) == "done"
        assert trio.current_time() - start < 0.1


async def test_a_listing_alone_is_enough(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        world.exchange.faults.stall_feed("/orders", 100)
        world.exchange.faults.stall_feed("/trades", 100)
        world.exchange.faults.act_then_answer(504)
        assert await outcome_of(lambda: place(world, "a")) == "done"
        assert await outcome_of(lambda: world.oms.cancel_order("a", ASSET)) == "done"


async def test_a_listing_that_lags_says_nothing_until_it_has_caught_up(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, attrs.evolve(ALL_RULES, listings_current=False)) as world:
        world.exchange.faults.stall_feed("/orders", 100)
        world.exchange.faults.lag_listings(2.0, seconds=100)
        world.exchange.faults.act_then_answer(504)
        assert await outcome_of(lambda: place(world, "a")) == "done"
        assert kinds(world, "a") == ["create"]


async def test_a_client_that_was_not_entered_finds_out_by_listings(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        oms = OrderBookClient(URL, connector=world.network, default_user=world.user, now_ns=world.exchange.now_ns)
        world.exchange.faults.act_then_answer(504)
        await oms.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id="a")
        world.exchange.faults.fail_requests("/orders/create", 504)
        with pytest.raises(OrderFateUnknown):
            await oms.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id="b")
        assert [doubt.order_id for doubt in oms.orders_in_doubt] == ["b"]
        await oms.aclose()
        assert [doubt.order_id for doubt in oms.orders_in_doubt] == ["b"]


# By which fence.


async def test_a_used_up_id_shows_that_an_order_never_will_be(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, attrs.evolve(NO_RULES, order_ids_remembered=True)) as world:
        world.exchange.faults.hold_requests(40.0)
        with pytest.raises(OrderRejected) as caught:
            await place(world, "a")
        assert (caught.value.code, caught.value.order_id) == ("NEVER_TOOK_EFFECT", "a")
        await trio.sleep(60)
        assert kinds(world, "a") == ["create", "remove"]
        created = world.exchange.effects_of(world.user, "a")[0].details
        assert isinstance(created, LimitOrderDetails)
        assert (created.limit_price, created.quantity, created.time_in_force) == (1, 1, IOC(fill_or_kill=False))


FOLLOWED = ServiceRules(control_keeps_order=True, listings_current=True, unauthorized_does_nothing=False)


@pytest.mark.parametrize("rules", [FOLLOWED, attrs.evolve(FOLLOWED, listings_current=False), NO_RULES])
async def test_a_later_request_on_the_channel_shows_what_was_not_carried_out(
    rules: ServiceRules, autojump_clock: MockClock
) -> None:
    """The exchange refuses the request, and its answer is lost."""
    async with open_orders_world("control", rules, resolve_timeout=0.5) as world:
        for name in ("replaced", "amended"):
            await place(world, name)
        await trio.sleep(1)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "created": lambda: place(world, "created", 15_000, time_in_force=GTC(post_only=True)),
            "amended": lambda: world.oms.amend_order("amended", ASSET, 51),  # an amendment may only reduce
        }
        world.exchange.place(User(), ASSET, "Sell", 15_000, 5)
        world.exchange.faults.stall_feed("/orders", 100)
        for name, call in calls.items():
            world.exchange.faults.act_then_answer(504)
            by_marker = name == "created" and rules.control_keeps_order
            is_proved = rules is FOLLOWED or by_marker
            assert await outcome_of(call) == ("NEVER_TOOK_EFFECT" if is_proved else "unknown"), name
            assert kinds(world, name, refusals=True)[-1] == "refuse"


async def test_a_cancel_of_an_unknown_order_needs_a_current_listing(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, attrs.evolve(NO_RULES, listings_current=True)) as world:
        with pytest.raises(NotFoundError):
            await world.oms.cancel_order("nobody", ASSET)
    async with open_orders_world(way, attrs.evolve(ALL_RULES, listings_current=False)) as world:
        assert await outcome_of(lambda: world.oms.cancel_order("nobody", ASSET)) == "unknown"


async def test_an_order_that_was_seen_to_end_is_not_found(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await place(world, "a")
        await world.oms.cancel_order("a", ASSET)
        await trio.sleep(1)
        for call in ("cancel", "replace", "amend"):
            assert await outcome_of(partial(CALLS[call][1], world)) == "ORDER_NOT_FOUND"
