"""The counterexamples of the guarantees page: which false fate follows from each rule that the service breaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import GTD, AuthError, OrderRejected, ServiceRules, User

OTHER = User().public_key


@asynccontextmanager
async def world_with(rules: ServiceRules, **options: Any) -> AsyncGenerator[World]:
    """Open a market with an ask at 10.00, and a client that declares rules and follows its feeds."""
    async with open_world(orders={"rules": rules, **options}) as world:
        world.exchange.place(OTHER, ASSET, "Sell", 1000, 50)
        await world.oms.create_limit_order(5, 700, "Buy", asset_id=ASSET, order_id="older")
        await trio.sleep(1)
        yield world


async def rejected(world: World, price: int = 900, time_in_force: GTD | None = None) -> OrderRejected:
    """Create an order of which the client says that it never took effect."""
    with pytest.raises(OrderRejected) as caught:
        await world.oms.create_limit_order(5, price, "Buy", time_in_force, asset_id=ASSET, order_id="mine")
    assert caught.value.code == "NEVER_TOOK_EFFECT"
    assert world.oms.orders_in_doubt == ()
    await trio.sleep(60)
    return caught.value


def kinds(world: World) -> list[str]:
    return [effect.kind for effect in world.exchange.effects_of(world.user, "mine")]


async def test_an_id_is_forgotten_and_the_order_comes_later(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules(order_ids_remembered=True)) as world:
        world.exchange.faults.forget_ids(0)
        world.exchange.faults.hold_requests(30, path="/orders/create")
        await rejected(world)
        assert kinds(world)[:4] == ["create", "remove", "create", "cancel"]  # the client saw it, and took it back


async def test_an_id_is_forgotten_and_the_order_had_filled(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules(order_ids_remembered=True)) as world:
        world.exchange.faults.forget_ids(0)
        world.exchange.faults.act_then_answer("nothing", drop=True)
        world.exchange.faults.lose_events(world.user, 4)
        world.exchange.faults.lag_listings(60, 100)
        await rejected(world, price=1000)
        assert kinds(world)[:4] == ["create", "fill", "remove", "create"]


async def test_with_ids_that_are_remembered_the_order_does_not_come(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules(order_ids_remembered=True)) as world:
        world.exchange.faults.hold_requests(30, path="/orders/create")
        await rejected(world)
        assert kinds(world) == ["create", "remove", "refuse"]


@pytest.mark.parametrize("listings_current", [False, True])
async def test_a_control_channel_does_not_keep_the_order(listings_current: bool, autojump_clock: MockClock) -> None:
    rules = ServiceRules(control_keeps_order=True, listings_current=listings_current)
    async with world_with(rules, use_ws_control=True) as world:
        world.exchange.faults.hold_requests(30, path="/control")
        await rejected(world)
        assert kinds(world)[:2] == ["create", "cancel"]  # as above


async def test_the_clock_of_expiries_is_further_behind_than_its_bound(autojump_clock: MockClock) -> None:
    rules = ServiceRules(clock_bound=0.5, listings_current=True)
    async with world_with(rules, timeout=1.0) as world:
        for _ in range(20):
            await world.oms.get_markets()  # each answer narrows the estimate of the service's clock
            await trio.sleep(0.17)
        world.exchange.faults.hold_requests(6, path="/orders/create")
        world.exchange.faults.skew_expiry(-30)
        expiry_ns = world.exchange.now_ns() + 3 * 10**9
        start = trio.current_time()
        with pytest.raises(OrderRejected, match="NEVER_TOOK_EFFECT"):
            await world.oms.create_limit_order(
                5, 900, "Buy", GTD(post_only=False, timestamp_ns=expiry_ns), asset_id=ASSET, order_id="mine"
            )
        await trio.sleep(start + 7 - trio.current_time())
        assert kinds(world)[:2] == ["create", "cancel"]  # as above


async def test_a_listing_lags(autojump_clock: MockClock) -> None:
    rules = ServiceRules(control_keeps_order=True, listings_current=True)
    async with world_with(rules, use_ws_control=True) as world:
        world.exchange.faults.act_then_answer("nothing", path="/control")
        world.exchange.faults.lose_events(world.user)
        world.exchange.faults.lag_listings(60, 50)
        await rejected(world)
        assert world.exchange.is_open(world.user, "mine")


async def test_a_listing_that_lags_shows_no_marker_either(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules(control_keeps_order=True), use_ws_control=True, resolve_timeout=70.0) as world:
        world.exchange.faults.act_then_answer("nothing", path="/control")
        world.exchange.faults.lose_events(world.user)
        world.exchange.faults.lag_listings(30, 10_000)
        await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id="mine")
        assert world.exchange.is_open(world.user, "mine")


async def test_a_401_follows_an_order_that_rests(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules()) as world:
        world.exchange.faults.act_then_answer(401, 2, path="/orders/create")
        with pytest.raises(AuthError):
            await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET, order_id="mine")
        assert world.oms.orders_in_doubt == ()
        assert world.exchange.is_open(world.user, "mine")


async def test_a_401_follows_an_order_that_filled(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules()) as world:
        world.exchange.faults.forget_ids(0)
        world.exchange.faults.act_then_answer(401, path="/orders/create")
        await world.oms.create_market_order("Buy", 5, asset_id=ASSET, order_id="mine")
        assert kinds(world).count("fill") == 2


async def test_without_the_rule_a_401_is_not_repeated(autojump_clock: MockClock) -> None:
    async with world_with(ServiceRules(unauthorized_does_nothing=False)) as world:
        world.exchange.faults.forget_ids(0)
        world.exchange.faults.act_then_answer(401, path="/orders/create")
        await world.oms.create_market_order("Buy", 5, asset_id=ASSET, order_id="mine")
        assert kinds(world).count("fill") == 1
