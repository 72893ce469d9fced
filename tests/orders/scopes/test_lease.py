"""With a lease, what rests expires in the time of the service unless it is renewed, at half of the lease."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import open_orders_world
from tests.helpers.world import ASSET, World
from tplus_trio import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LeaseRefused,
    LimitOrderDetails,
    OrderTrigger,
    TriggerAbove,
    User,
)
from tplus_trio.orders.scopes.lease import Lease
from tplus_trio.transport.service_clock import ClockOffset

SECOND = 1_000_000_000


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


@attrs.define
class Clock:
    """A clock that shows 1000 s; each request tells the next of its offsets."""

    offsets: list[ClockOffset | None]
    asked: int = 0

    def now_ns(self) -> int:
        return 1000 * SECOND

    def clock_offset(self) -> ClockOffset | None:
        return self.offsets[min(self.asked, len(self.offsets) - 1)]

    async def ask(self, _: AssetIdentifier) -> None:
        await trio.lowlevel.checkpoint()
        self.asked += 1


def offset(seconds: float, bound: float) -> ClockOffset:
    return ClockOffset(offset_ns=round(seconds * SECOND), bound_ns=round(bound * SECOND))


async def test_an_expiry_is_in_the_time_of_the_service() -> None:
    clock = Clock([offset(-30, 0.5)])
    assert await Lease(2.0, clock, clock.ask).expiry_ns(ASSET) == (1000 - 30 + 2) * SECOND
    assert clock.asked == 0


async def test_a_clock_that_is_not_known_well_is_asked_for_once() -> None:
    clock = Clock([None, offset(5, 1.0)])
    assert await Lease(4.0, clock, clock.ask).expiry_ns(ASSET) == 1009 * SECOND
    assert clock.asked == 1


@pytest.mark.parametrize("known", [None, offset(0, 1.01)])
async def test_a_lease_is_refused_while_the_bound_is_over_a_quarter_of_it(known: ClockOffset | None) -> None:
    clock = Clock([known])
    with pytest.raises(LeaseRefused, match="Nothing was sent"):
        await Lease(4.0, clock, clock.ask).expiry_ns(ASSET)
    assert clock.asked == 1


def expiry_ns(world: World, order_id: str) -> int:
    (order,) = [one for one in world.exchange.resting(world.user) if one.order_id == order_id]
    assert isinstance(order.details, LimitOrderDetails)
    assert isinstance(order.details.time_in_force, GTD)
    return order.details.time_in_force.timestamp_ns


async def test_what_rests_expires_with_its_lease_or_earlier(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, lease=60.0) as orders:
        now = world.exchange.now_ns()
        plain = await orders.create_limit_order(5, 900, "Buy", GTC(post_only=True))
        early = await orders.create_limit_order(5, 905, "Buy", GTD(post_only=False, timestamp_ns=now + 9 * SECOND))
        late = await orders.create_limit_order(5, 910, "Buy", GTD(post_only=False, timestamp_ns=now + 90 * SECOND))
        kept = await orders.keep("ask", "Sell", 1100, 5)
        assert kept is not None
        lasts = [(expiry_ns(world, one.order_id) - now) / SECOND for one in (plain, early, late, kept)]
        assert lasts == pytest.approx([60, 9, 60, 60], abs=1)
        await orders.create_limit_order(1, 890, "Sell", IOC())
        with pytest.raises(ValueError, match="trigger"):
            await orders.create_market_order("Buy", 1, trigger=OrderTrigger(None, TriggerAbove(2000)))


async def test_an_order_is_renewed_at_half_of_its_lease(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, lease=10.0) as orders:
        handle = await orders.create_limit_order(5, 900, "Buy")
        waiting = await orders.create_limit_order(5, 910, "Sell", trigger=OrderTrigger(None, TriggerAbove(2000)))
        await trio.sleep(4.9)
        assert len(handle.order_id) > 0
        first = {handle.order_id, waiting.order_id}
        await trio.sleep(0.2)
        assert first.isdisjoint({handle.order_id, waiting.order_id})
        world.exchange.place(User(), ASSET, "Sell", 900, 2)
        await orders.replace_order(handle, 5, 895)
        await trio.sleep(60)
        (resting,) = [one for one in world.exchange.resting(world.user) if one.rests]
        assert isinstance(resting.details, LimitOrderDetails)
        assert (resting.order_id, resting.details.limit_price, resting.remaining) == (handle.order_id, 895, 3)
        assert waiting.state.value == "waiting"
    assert world.exchange.resting(world.user) == ()


async def test_nothing_outlives_its_lease_if_the_network_fails(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, lease=4.0) as orders:
        await orders.keep("bid", "Buy", 900, 5)
        await orders.create_limit_order(5, 905, "Buy")
        world.network.partition(20)
        await trio.sleep(4.0 + 1.0 + 0.1)  # the lease, and the most by which the clock of the service may be off
        world.exchange.expire_orders()
        assert world.exchange.resting(world.user) == ()
        await trio.sleep(40)
        assert len(world.exchange.resting(world.user)) == len(orders.open)


async def test_a_renewal_that_the_service_refuses_is_logged(
    way: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, lease=10.0) as orders:
        handle = await orders.create_limit_order(5, 900, "Buy", GTC(post_only=True))
        await trio.sleep(4)
        world.network.delay(0.05)
        with trio.fail_after(2):
            while world.exchange.resting(world.user):  # noqa: ASYNC110 - the exchange has no such event
                await trio.sleep(0.01)
        world.exchange.place(User(), ASSET, "Sell", 890, 5)  # the post-only order would trade
        await trio.sleep(5)
        (record,) = [one for one in caplog.records if getattr(one, "event", "") == "order_not_renewed"]
        assert handle.order_id in record.getMessage()
        assert handle.is_done
        assert orders.open == ()
        kept = await orders.keep("bid", "Buy", 880, 5)
        assert kept is not None


async def test_a_renewal_survives_a_listing_that_cannot_be_read(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET, lease=10.0) as orders:
        handle = await orders.create_limit_order(5, 900, "Buy")
        first = handle.order_id
        asked = 0

        async def fail(*_: object, **__: object) -> None:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise LeaseRefused("the listing cannot be read")
            await trio.lowlevel.checkpoint()

        orders._requests._desk.look = fail  # type: ignore[method-assign] # no fault makes one reading fail
        known = type(handle)._are_fills_known
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(handle), "_are_fills_known", property(lambda one: asked > 1 and known.fget(one)))  # type: ignore[attr-defined] # a property
            await trio.sleep(9)
            assert handle.order_id != first
        assert [one.order_id for one in world.exchange.resting(world.user)] == [handle.order_id]
