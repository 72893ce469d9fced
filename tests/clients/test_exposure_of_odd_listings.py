"""The exposure leaves out nothing in silence, whatever the listings look like."""

from __future__ import annotations

from decimal import Decimal

import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, feeds_are_live, open_world
from tplus_trio import DecodeError, TradeTarget, User


async def buy(world: World, *names: str) -> None:
    for name in names:
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id=name)
    await feeds_are_live(world)  # so that the listing that is spoiled is the one under test


async def short(world: World, quantity: int, account: int) -> None:
    world.exchange.place(User(), ASSET, "Buy", 9_000, quantity)
    await world.oms.create_limit_order(quantity, 9_000, "Sell", asset_id=ASSET, target=TradeTarget(account))


@pytest.mark.parametrize("listings", [1, 2])
async def test_an_order_that_cannot_be_decoded_is_named(listings: int, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a", "b")
        world.exchange.faults.spoil_rows("/orders/user", listings, change={"quantity": "some"})
        exposure = await world.oms.exposure(ASSET)
        read = 2 if listings == 1 else 1
        assert exposure.longest == Decimal("0.005") * read
        assert len(exposure.without_quantity) == 2 - read
        assert (await world.oms.exposure(ASSET)).without_quantity == ()


async def test_an_order_that_cannot_be_named_is_an_error(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a", "b")
        world.exchange.faults.spoil_rows("/orders/user", missing=("order_id",))
        with pytest.raises(DecodeError, match="order_id"):
            await world.oms.exposure(ASSET)


@pytest.mark.parametrize("change", [{"size": "much"}, {"side": "sideways"}])
async def test_a_position_that_cannot_be_read_is_an_error(change: dict[str, str], autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await short(world, 2, 0)
        await short(world, 3, 1)
        assert len(await world.oms.get_user_position_for_asset(ASSET)) == 2
        world.exchange.faults.spoil_rows("/positions", change=change)
        with pytest.raises(DecodeError):
            await world.oms.exposure(ASSET)
        assert (await world.oms.exposure(ASSET)).position == Decimal("-0.005")


async def test_open_orders_of_a_market_come_with_the_rows_that_cannot_be_decoded(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await buy(world, "a", "b")
        world.exchange.faults.spoil_rows("/orders/user", change={"quantity": "some"})
        found = await world.oms.get_open_orders_for_book(ASSET)
        assert (len(found), len(found.bad)) == (1, 1)
