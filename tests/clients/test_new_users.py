"""A user whose first order the book refuses: the service took it, and has nothing to list."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, open_world
from tplus_trio import NotFoundError, OrdersSnapshot, ServiceRules


@pytest.mark.parametrize(("rules", "patience"), [(ServiceRules(), 20.0), (ServiceRules(listings_current=True), 1.0)])
async def test_its_order_stream_begins(rules: ServiceRules, patience: float, autojump_clock: MockClock) -> None:
    """A lagging replica may answer "not found" right after an answer. Later, the service has nothing to list."""
    async with open_world(orders={"rules": rules}) as world:
        world.exchange.faults.refuse_later()
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        begun = trio.current_time()
        with trio.fail_after(60):
            async with world.oms.stream_orders(snapshot=True) as orders:
                snapshot = await orders.receive()
        assert isinstance(snapshot, OrdersSnapshot)
        assert snapshot.orders == ()
        assert trio.current_time() - begun <= patience


async def test_a_listing_is_missing_only_for_a_while(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.refuse_later()
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        with pytest.raises(NotFoundError):
            await world.oms.get_open_orders_for_book(ASSET)
        await trio.sleep(10.0)
        assert list(await world.oms.get_open_orders_for_book(ASSET)) == []
