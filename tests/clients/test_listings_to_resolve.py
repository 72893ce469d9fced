"""The pages of a user's orders that are read to find out about an order: which of them may be the last one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import ServerError
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.testing import Response

FULL = 1000


async def row_of(world: World) -> dict[str, Any]:
    """A row as the exchange lists it."""
    world.exchange.place(world.user, ASSET, "Buy", 900, 5, order_id="a")
    path = f"/orders/user/{world.user.public_key}/{ASSET}"
    body = await world.oms._service.request("GET", path, user=world.user, required=True)
    (row,) = json.loads(bytes(body))
    return dict(row)


@pytest.mark.parametrize(
    ("good", "bad", "about", "follows"),
    [
        (3, 0, {}, False),
        (3, 0, {"has_next_page": False}, False),
        (3, 0, {"has_next_page": True}, True),
        (FULL, 0, {}, True),
        (FULL, 0, {"has_next_page": False}, True),  # some services say so although another one follows
        (FULL - 1, 0, {}, False),
        (FULL - 1, 1, {}, True),
        (0, 3, {"has_next_page": True}, True),
        (0, 0, {"has_next_page": True}, False),
        (0, 0, {}, False),
    ],
)
async def test_a_full_page_may_not_be_the_last_one(
    good: int, bad: int, about: dict[str, Any], follows: bool, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        row = await row_of(world)
        rows = [row | {"order_id": f"o{number}"} for number in range(good)] + [{"order_id": "bad"}] * bad
        answer = Response(200, json.dumps({"orders": rows, **about}).encode())
        world.exchange.faults.answer_requests(f"/orders/user/{world.user.public_key}/{ASSET}", answer)
        reader = UserOrdersReader(world.oms._service)
        listed, another = await reader.read_to_resolve(world.user, ASSET, 0)
        assert (len(listed), len(listed.bad), another) == (good, bad, follows)


async def test_ended_orders_are_listed_too(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await row_of(world)
        world.exchange.cancel(world.user, "a")
        listed, another = await UserOrdersReader(world.oms._service).read_to_resolve(world.user, ASSET, 0)
        assert [(one.order_id, one.is_done) for one in listed] == [("a", True)]
        assert not another


async def test_a_page_that_cannot_be_read_is_no_empty_page(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await row_of(world)
        world.exchange.faults.fail_requests("/orders/user", 503)
        with pytest.raises(ServerError):
            await UserOrdersReader(world.oms._service).read_to_resolve(world.user, ASSET, 0)
