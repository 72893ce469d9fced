"""Bad orders are refused before they are sent: the message names the argument, its value and what is legal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import NotFoundError, OrderLimitExceeded, OrderLimits, User

#: Changes of the arguments of a good limit order, and what the message says about them.
LIMIT: Final[list[tuple[dict[str, Any], type[Exception], tuple[str, ...]]]] = [
    ({"side": "Hold"}, ValueError, ("side", "Hold", "Buy", "Sell")),
    ({"side": 1}, ValueError, ("side", "1", "Buy", "Sell")),
    ({"quantity": 0}, ValueError, ("quantity", "more than 0", "not 0")),
    ({"quantity": -3}, ValueError, ("quantity", "more than 0", "-3")),
    ({"quantity": 1.5}, TypeError, ("quantity", "int", "Decimal", "float")),
    ({"quantity": True}, TypeError, ("quantity", "int", "Decimal", "bool")),
    ({"quantity": "5"}, TypeError, ("quantity", "int", "Decimal", "str")),
    ({"quantity": Decimal(0)}, ValueError, ("quantity", "more than 0", "not 0")),
    ({"quantity": Decimal("NaN")}, ValueError, ("quantity", "NaN")),
    ({"quantity": Decimal("Infinity")}, ValueError, ("quantity", "Infinity")),
    ({"quantity": Decimal("0.0015")}, ValueError, ("quantity", "0.0015", "0.001")),
    ({"price": 0}, ValueError, ("price", "more than 0", "not 0")),
    ({"price": -9_000}, ValueError, ("price", "more than 0", "-9000")),
    ({"price": 90.5}, TypeError, ("price", "int", "Decimal", "float")),
    ({"price": False}, TypeError, ("price", "int", "Decimal", "bool")),
    ({"price": Decimal("90.005")}, ValueError, ("price", "90.005", "0.01")),
    ({"order_id": ""}, ValueError, ("order_id", "1 to 24")),
    ({"order_id": "x" * 25}, ValueError, ("order_id", "24", "25")),
    ({"order_id": "ü" * 13}, ValueError, ("order_id", "24", "26")),
    ({"order_id": 7}, TypeError, ("order_id", "int")),
    ({"asset_id": None}, TypeError, ("asset_id", "required")),
    ({"asset_id": "not an asset"}, ValueError, ("not an asset",)),
    ({"time_in_force": "GTC"}, TypeError, ("time_in_force", "GTC", "IOC")),
    ({"max_trading_fees_rate": -1}, ValueError, ("max_trading_fees_rate", "-1", "0")),
    ({"reduce_only": "yes"}, TypeError, ("reduce_only", "bool", "str")),
    ({"trigger": 100}, TypeError, ("trigger", "OrderTrigger", "int")),
    ({"target": (1, True)}, TypeError, ("target", "TradeTarget", "tuple")),
]
Call = Callable[[World], Awaitable[object]]
OTHERS: Final[dict[str, tuple[Call, type[Exception], tuple[str, ...]]]] = {
    "market, both quantities": (
        lambda world: world.oms.create_market_order("Buy", 1, 1, asset_id=ASSET),
        ValueError,
        ("base_quantity", "quote_quantity", "exactly one", "both"),
    ),
    "market, no quantity": (
        lambda world: world.oms.create_market_order("Buy", asset_id=ASSET),
        ValueError,
        ("base_quantity", "quote_quantity", "exactly one", "neither"),
    ),
    "market, the cap of the other size": (
        lambda world: world.oms.create_market_order("Buy", 1, asset_id=ASSET, max_sellable_quantity=1),
        ValueError,
        ("max_sellable_quantity", "quote_quantity", "max_sellable_amount"),
    ),
    "market, zero": (
        lambda world: world.oms.create_market_order("Buy", 0, asset_id=ASSET),
        ValueError,
        ("base_quantity", "more than 0", "not 0"),
    ),
    "market, float": (
        lambda world: world.oms.create_market_order("Buy", quote_quantity=1.0, asset_id=ASSET),  # type: ignore[arg-type]  # bad on purpose
        TypeError,
        ("quote_quantity", "int", "float"),
    ),
    "cancel, an empty id": (lambda world: world.oms.cancel_order("", ASSET), ValueError, ("order_id", "1 to 24")),
    "cancel, a long id": (
        lambda world: world.oms.cancel_order("x" * 25, ASSET),
        ValueError,
        ("order_id", "24", "25"),
    ),
    "replace, zero": (
        lambda world: world.oms.replace_order("a", ASSET, 0, 9_000),
        ValueError,
        ("new_quantity", "more than 0", "not 0"),
    ),
    "replace, a negative price": (
        lambda world: world.oms.replace_order("a", ASSET, 1, -1),
        ValueError,
        ("new_price", "more than 0", "-1"),
    ),
    "replace, a price off the tick": (
        lambda world: world.oms.replace_order("a", ASSET, 1, Decimal("90.001")),
        ValueError,
        ("new_price", "90.001", "0.01"),
    ),
    "replace, a trigger of a new order": (
        lambda world: world.oms.replace_order("a", ASSET, 1, 1, new_trigger=100),  # type: ignore[arg-type]  # bad on purpose
        TypeError,
        ("new_trigger", "int"),
    ),
    "amend, zero": (
        lambda world: world.oms.amend_order("a", ASSET, 0),
        ValueError,
        ("new_quantity", "more than 0", "not 0"),
    ),
    "amend, a negative revision": (
        lambda world: world.oms.amend_order("a", ASSET, 1, -5),
        ValueError,
        ("expected_authorization_revision", "-5"),
    ),
}


def sent(world: World) -> dict[tuple[str, str], int]:
    """Return the requests about orders that the exchange got, and how often the control channel was opened."""
    requests = {key: count for key, count in world.exchange.requests.items() if key[1].startswith("/orders")}
    return requests | {("control", ""): len(world.oms.statistics().control)}


def nothing(world: World) -> bool:
    return sent(world) == {("control", ""): 0}


@pytest.fixture(params=["rest", "control"])
def orders(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of a client that sends in a way."""
    return {"use_ws_control": request.param == "control"}


async def refused(world: World, call: Call, kind: type[Exception], words: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        await call(world)
    text = str(caught.value)
    for word in words:
        assert word in text, text
    assert nothing(world)


@pytest.mark.parametrize(("changes", "kind", "words"), LIMIT, ids=lambda value: f"{value!r:.40}")
async def test_a_bad_limit_order_is_not_sent(
    changes: dict[str, Any],
    kind: type[Exception],
    words: tuple[str, ...],
    orders: dict[str, Any],
    autojump_clock: MockClock,
) -> None:
    arguments: dict[str, Any] = {"quantity": 5, "price": 9_000, "side": "Buy", "asset_id": ASSET, **changes}
    async with open_world(orders=orders) as world:
        await refused(world, lambda world: world.oms.create_limit_order(**arguments), kind, words)
        arguments |= {"target": arguments.get("target"), "time_in_force": arguments.get("time_in_force")}
        if "asset_id" not in changes:
            await refused(world, lambda world: world.oms.prepare_limit_order_request(**arguments), kind, words)


@pytest.mark.parametrize("name", OTHERS)
async def test_another_bad_request_is_not_sent(name: str, orders: dict[str, Any], autojump_clock: MockClock) -> None:
    async with open_world(orders=orders) as world:
        await refused(world, *OTHERS[name])


async def test_an_order_of_a_market_that_does_not_exist_is_not_sent(
    orders: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with open_world(orders=orders) as world:
        with pytest.raises(NotFoundError, match="999"):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=999)
        with pytest.raises(NotFoundError, match="999"):
            await world.oms.replace_order("a", 999, 5, 9_000)
        assert nothing(world)


# Batches.


async def prepare(world: World, order_id: str, user: User | None = None) -> Any:
    options: dict[str, Any] = {"order_id": order_id, "user": user}
    _, order = await world.oms.prepare_limit_order_request(ASSET, 9_000, 5, "Buy", None, None, **options)
    return order


async def test_a_bad_batch_is_not_sent(orders: dict[str, Any], autojump_clock: MockClock) -> None:
    async with open_world(orders=orders) as world:
        good = [await prepare(world, f"{n}") for n in range(51)]
        other = await prepare(world, "other", User())
        for batch, kind, words in (
            ([], ValueError, ("1 to 50", "not 0")),
            (good, ValueError, ("1 to 50", "not 51")),
            ([*good[:3], good[1]], ValueError, ("each order id once", "'1'")),
            ([good[0], other], ValueError, ("'other'", "signed by")),
            ([good[0], "text"], TypeError, ("CreateOrderRequest", "str")),
        ):
            argument: Any = batch
            await refused(
                world,
                lambda world, argument=argument: world.oms.send_multiple_orders(argument),  # type: ignore[misc]  # inferred
                kind,
                ("create_order_requests", *words),
            )


async def test_a_bad_batch_of_replacements_is_not_sent(orders: dict[str, Any], autojump_clock: MockClock) -> None:
    async with open_world(orders=orders) as world:
        good = [await world.oms.prepare_replace_order_request(f"{n}", ASSET, 5, 9_000) for n in range(51)]
        other = await world.oms.prepare_replace_order_request("other", ASSET, 5, 9_000, user=User())
        for batch, kind, words in (
            ([], ValueError, ("1 to 50", "not 0")),
            (good, ValueError, ("1 to 50", "not 51")),
            ([*good[:3], good[1]], ValueError, ("each order id once", "'1'")),
            ([good[0], other], ValueError, ("'other'", "signed by")),
            ([good[0], await prepare(world, "x")], TypeError, ("ReplaceOrderRequestPayload", "CreateOrderRequest")),
        ):
            argument: Any = batch
            await refused(
                world,
                lambda world, argument=argument: world.oms.replace_multiple_orders(argument),  # type: ignore[misc]  # inferred
                kind,
                ("replace_requests", *words),
            )


async def test_an_order_beyond_the_limits_is_not_sent(orders: dict[str, Any], autojump_clock: MockClock) -> None:
    limits = OrderLimits(max_quantity=Decimal("0.004"))
    async with open_world(orders={**orders, "limits": limits}) as world:
        for call in (
            lambda world: world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET),
            lambda world: world.oms.create_market_order("Buy", 5, asset_id=ASSET),
            lambda world: world.oms.replace_order("a", ASSET, 5, 9_000),
        ):
            await refused(world, call, OrderLimitExceeded, ("0.004", "max_quantity", "0.005"))
