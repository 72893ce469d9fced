"""An order call that is cancelled does what its caller wants done, within a bounded time, and raises Cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import (
    NO_RULES,
    kinds,
    open_orders_world,
    outcome_of,
    place,
    times_sent,
)
from tests.helpers.world import ASSET, URL, World
from tplus_trio import IOC, OrderBookClient, TriggerAbove, User
from tplus_trio.models import OrderTrigger
from tplus_trio.orders.unsettled import OnCancel

Call = Callable[[], Awaitable[object]]
TRIGGER = OrderTrigger(None, TriggerAbove(99_000))


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


async def cancelled_after(seconds: float, call: Call) -> float:
    """Cancel a call, and return how long it lasted after that."""
    with trio.move_on_after(seconds) as scope:
        await call()
    assert scope.cancelled_caught
    return trio.current_time() - scope.deadline


def lose_answers(world: World, n: int = 1, *, path: str = "") -> None:
    """Carry out requests, and send no answers."""
    world.exchange.faults.act_then_answer("nothing", n, path=path)


def requests_of(world: World, order_id: str) -> list[str]:
    return [answer.operation for answer in world.exchange.answers if order_id in answer.order_ids]


# Creating.


async def test_a_created_order_is_taken_back(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        lose_answers(world)
        assert await cancelled_after(1, lambda: place(world, "a")) <= 5
        assert kinds(world, "a") == ["create", "cancel"]
        assert world.oms.orders_in_doubt == ()


@pytest.mark.parametrize("on_cancel", ["cancel", "resolve", "leave"])
async def test_an_order_gets_what_its_caller_wants(way: str, on_cancel: OnCancel, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        lose_answers(world)
        await cancelled_after(1, lambda: place(world, "a", on_cancel=on_cancel))
        expected = {"cancel": ["create", "cancel"]}.get(on_cancel, ["create"])
        assert kinds(world, "a") == expected
        assert world.oms.orders_in_doubt == (), "the feed shows it"
        before = len(world.exchange.answers)
        await trio.sleep(60)
        assert kinds(world, "a") == expected
        assert len(world.exchange.answers) == before


async def test_an_answer_that_comes_after_the_cancellation_counts(way: str, autojump_clock: MockClock) -> None:
    """The exchange takes the order half a second after the caller was cancelled: it is found and taken back at once."""
    async with open_orders_world(way) as world:
        world.exchange.faults.hold_requests(1.5)
        assert await cancelled_after(1, lambda: place(world, "a")) < 1
        assert kinds(world, "a") == ["create", "cancel"]


async def test_a_refusal_that_comes_after_the_cancellation_ends_the_call(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        world.exchange.place(User(), ASSET, "Sell", 10_000, 5)
        world.exchange.faults.hold_requests(1.5)
        create = lambda: world.oms.create_limit_order(50, 10_000, "Buy", IOC(True), ASSET, "a")  # noqa: E731 - short
        assert await cancelled_after(1, create) < 1
        assert world.oms.orders_in_doubt == ()


async def test_an_order_that_cannot_rest_is_resolved_and_not_taken_back(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        world.exchange.place(User(), ASSET, "Sell", 10_000, 5)
        calls: dict[str, Call] = {
            "ioc": lambda: world.oms.create_limit_order(1, 10_000, "Buy", IOC(), ASSET, "ioc"),
            "market": lambda: world.oms.create_market_order("Buy", 1, asset_id=ASSET, order_id="market"),
        }
        for name, call in calls.items():
            lose_answers(world)
            await cancelled_after(1, call)
            assert kinds(world, name) == ["create", "fill", "remove"]
            assert requests_of(world, name) == ["create"]
            (tracked,) = world.oms._fates.tracker.get(world.user.public_key, ASSET, name)
            assert len(tracked.trades) == 1, "its fill is on the tracker"
        assert world.oms.orders_in_doubt == ()


async def test_an_order_that_waits_for_its_trigger_is_taken_back(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        calls: dict[str, Call] = {
            "limit": lambda: place(world, "limit", trigger=TRIGGER),
            "ioc": lambda: place(world, "ioc", time_in_force=IOC(), trigger=TRIGGER),
            "market": lambda: world.oms.create_market_order(
                "Buy", 1, asset_id=ASSET, order_id="market", trigger=TRIGGER
            ),
        }
        for name, call in calls.items():
            lose_answers(world)
            await cancelled_after(1, call)
            assert kinds(world, name) == ["create", "cancel"]
        assert world.oms.orders_in_doubt == ()


@pytest.mark.parametrize("on_cancel", ["cancel", "resolve"])
async def test_each_order_of_a_batch_is_taken_back(way: str, on_cancel: OnCancel, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        names = ("a", "b", "c")
        orders = [
            (await world.oms.prepare_limit_order_request(ASSET, 900, 2, "Buy", None, None, order_id=name))[1]
            for name in names[:2]
        ]
        _, ioc = await world.oms.prepare_limit_order_request(ASSET, 900, 2, "Buy", None, IOC(), order_id="c")
        lose_answers(world)
        await cancelled_after(1, lambda: world.oms.send_multiple_orders([*orders, ioc], on_cancel=on_cancel))
        ends = ["create", "cancel"] if on_cancel == "cancel" else ["create"]
        assert [kinds(world, name) for name in names] == [ends, ends, ["create", "remove"]]
        assert world.oms.orders_in_doubt == ()


# Cancels, replacements, amendments.


async def test_a_cancel_is_completed_although_its_first_request_is_lost(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        await place(world, "a")
        world.exchange.faults.hold_requests(60.0)
        assert await cancelled_after(1, lambda: world.oms.cancel_order("a", ASSET)) <= 5
        assert kinds(world, "a") == ["create", "cancel"]
        assert world.oms.orders_in_doubt == ()


async def test_a_replacement_and_an_amendment_are_resolved_and_not_undone(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        await place(world, "a")
        lose_answers(world)
        await cancelled_after(1, lambda: world.oms.replace_order("a", ASSET, 7, 905))
        (replaced,) = world.oms._fates.tracker.get(world.user.public_key, ASSET, "a")
        lose_answers(world)
        await cancelled_after(1, lambda: world.oms.amend_order("a", ASSET, 3, replaced.view.revision))
        assert kinds(world, "a") == ["create", "replace", "amend"]
        assert requests_of(world, "a") == ["create", "replace", "amend"]
        assert world.oms.orders_in_doubt == ()


async def test_what_is_not_found_out_is_in_doubt(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        for name in ("b", "c", "d"):
            await place(world, name)
        world.exchange.faults.hold_requests(60.0, 100)
        calls: dict[str, tuple[str, Call]] = {
            "a": ("create", lambda: place(world, "a")),
            "b": ("cancel", lambda: world.oms.cancel_order("b", ASSET)),
            "c": ("replace", lambda: world.oms.replace_order("c", ASSET, 7, 905)),
            "d": ("amend", lambda: world.oms.amend_order("d", ASSET, 3)),
        }
        for _, call in calls.values():
            assert await cancelled_after(1, call) == pytest.approx(5)
        doubts = {doubt.order_id: doubt for doubt in world.oms.orders_in_doubt}
        assert {name: doubt.operation for name, doubt in doubts.items()} == {
            name: operation for name, (operation, _) in calls.items()
        }
        assert {doubt.why for doubt in doubts.values()} == {"the call was cancelled before an answer came"}


# The cancellation itself.


@pytest.mark.parametrize("call", ["create", "cancel", "replace", "amend"])
@pytest.mark.parametrize("seconds", [0.5, 11.0], ids=["before the answer", "while it finds out"])
async def test_the_cancellation_is_never_replaced(
    way: str, call: str, seconds: float, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await place(world, "a")
        world.exchange.faults.hold_requests(60.0, 100)
        calls: dict[str, Call] = {
            "create": lambda: place(world, "new"),
            "cancel": lambda: world.oms.cancel_order("a", ASSET),
            "replace": lambda: world.oms.replace_order("a", ASSET, 7, 905),
            "amend": lambda: world.oms.amend_order("a", ASSET, 3),
        }
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError), trio.fail_after(seconds):
            await calls[call]()
        assert trio.current_time() - start <= seconds + 5
        assert len(world.oms.orders_in_doubt) == 1


async def test_a_call_without_a_cancellation_has_the_whole_time_to_find_out(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way, NO_RULES, resolve_timeout=3.0) as world, trio.open_nursery() as nursery:
        world.exchange.faults.hold_requests(60.0, 100)
        start = trio.current_time()
        nursery.start_soon(cancelled_after, 8.0, lambda: place(world, "a"))
        assert await outcome_of(lambda: place(world, "b")) == "unknown"
        assert trio.current_time() - start == pytest.approx(13.0)


async def test_the_shields_of_cancelled_calls_end_together(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        world.exchange.faults.hold_requests(60.0, 100)
        start, ends = trio.current_time(), list[float]()

        async def create(number: int) -> None:
            await cancelled_after(1 + number / 3, lambda: place(world, f"o{number}"))
            ends.append(trio.current_time() - start)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(create, number)
        assert ends == pytest.approx([6.0] * 10)
        assert len(world.oms.orders_in_doubt) == 10


async def test_a_call_that_is_cancelled_before_a_byte_has_left_ends_at_once(autojump_clock: MockClock) -> None:
    async with open_orders_world("control") as world:
        world.network.drop_connections()
        world.network.partition(30.0)
        await trio.sleep(25)
        start = trio.current_time()
        with trio.move_on_after(1):
            await place(world, "a")
        assert trio.current_time() - start == pytest.approx(1.0)
        await trio.sleep(60)
        assert (kinds(world, "a"), times_sent(world, "create", "a")) == ([], 0)
        assert world.oms.orders_in_doubt == ()


async def test_a_client_that_was_not_entered_takes_back_too(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        oms = OrderBookClient(URL, connector=world.network, default_user=world.user, now_ns=world.exchange.now_ns)
        create: Call = lambda: oms.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id="a")  # noqa: E731 - short
        lose_answers(world)
        assert await cancelled_after(1, create) <= 5
        assert kinds(world, "a") == ["create", "cancel"]
        assert oms.orders_in_doubt == ()
        await oms.aclose()


@pytest.mark.parametrize("on_cancel", ["keep", None, True])
async def test_on_cancel_is_one_of_three_words(on_cancel: OnCancel, autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        with pytest.raises(ValueError, match='on_cancel is "cancel", "resolve" or "leave"'):
            await place(world, "a", on_cancel=on_cancel)
        assert times_sent(world, "create", "a") == 0
