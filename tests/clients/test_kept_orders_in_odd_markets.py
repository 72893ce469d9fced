"""`keep` while the market or the service changes around the order: its units, a liquidation, a failure told late."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import kinds, open_orders_world, times_sent
from tests.helpers.world import ASSET, World
from tplus_trio import LimitOrderDetails, OrderHandle, OrderRejected, OrderState, User

D = Decimal
OTHER = User()


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def resting(world: World, decimals: tuple[int, int] = (2, 3)) -> list[tuple[Decimal, Decimal]]:
    """Return the limit and the remaining quantity of each resting order, in quote and base units."""
    found: list[tuple[Decimal, Decimal]] = []
    for order in world.exchange.resting(world.user):
        assert isinstance(order.details, LimitOrderDetails)
        price, quantity = (D(units) for units in (order.details.limit_price, order.remaining))
        found.append((price.scaleb(-decimals[0]), quantity.scaleb(-decimals[1])))
    return found


def handle_of(kept: OrderHandle | None) -> OrderHandle:
    assert kept is not None
    return kept


@pytest.mark.parametrize("decimals", [(3, 3), (2, 4), (4, 5)])
async def test_units_that_change_change_no_terms(
    way: str, decimals: tuple[int, int], autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("bid", "Buy", D("9.00"), D("0.005")))
        world.exchange.place(OTHER, ASSET, "Sell", 900, 2)
        await trio.sleep(1)
        world.exchange.change_decimals(ASSET, *decimals)
        sent = len(world.exchange.answers)
        assert await orders.keep("bid", "Buy", D("9.00"), D("0.005")) is first
        assert len(world.exchange.answers) == sent
        for _ in range(2):
            with suppress(OrderRejected):  # of the old units
                await orders.keep("bid", "Buy", D("9.01"), D("0.005"))
        assert resting(world, decimals) == [(D("9.01"), D("0.005"))]
        kept = handle_of(await orders.keep("bid", "Buy", D("9.01"), D("0.006"), refill=True))
        assert resting(world, decimals) == [(D("9.01"), D("0.006"))]
        assert kept.filled_quantity in (D("0.002"), D(0))
    assert resting(world) == []


async def test_a_liquidation_is_no_trade_of_the_kept_order(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        bid = handle_of(await orders.keep("bid", "Buy", 900, 5))
        world.exchange.place(OTHER, ASSET, "Sell", 900, 2)
        await trio.sleep(1)
        world.exchange.faults.liquidate(world.user, ASSET)
        await trio.sleep(1)
        assert bid.filled_quantity == D("0.002")
        assert await orders.keep("bid", "Buy", 901, 5) is bid
        assert resting(world) == [(D("9.01"), D("0.005"))]
        assert orders.open == (bid,)
    assert resting(world) == []
    assert world.oms.orders_in_doubt == ()


async def test_a_replacement_that_the_book_refused_later_is_sent_again(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        bid = handle_of(await orders.keep("bid", "Buy", 900, 5))
        world.exchange.faults.refuse_later()
        await orders.keep("bid", "Buy", 901, 4)  # the service took it
        await trio.sleep(3)  # and reported meanwhile that the book did not
        assert resting(world) == [(D("9.00"), D("0.005"))]
        assert await orders.keep("bid", "Buy", 901, 4) is bid
        assert resting(world) == [(D("9.01"), D("0.004"))]
        assert kinds(world, bid.order_id) == ["create", "replace"]
        assert times_sent(world, "replace", bid.order_id) == 2


async def test_an_order_that_the_book_refused_later_is_made_anew_by_the_next_call(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        created = [answer for answer in world.exchange.answers if answer.operation == "create"]
        world.exchange.faults.refuse_later()
        with pytest.raises(OrderRejected):
            await orders.keep("bid", "Buy", 900, 5)
        assert not orders.open
        kept = handle_of(await orders.keep("bid", "Buy", 900, 5))
        await trio.sleep(1)
        assert kept.state is OrderState.OPEN
        assert resting(world) == [(D("9.00"), D("0.005"))]
        assert orders.open == (kept,)
        made = [answer for answer in world.exchange.answers if answer.operation == "create"][len(created) :]
        assert len(made) == 2
        assert len({answer.order_ids for answer in made}) == 2
