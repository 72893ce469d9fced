"""A client refuses orders beyond its limits before it sends them."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import (
    IOC,
    ConnectionFailed,
    KeyfileError,
    OrderFateUnknown,
    OrderLimitExceeded,
    OrderLimits,
    OrderRejected,
    TplusError,
    User,
)
from tplus_trio.testing import Response


def _refuse(_: object) -> bytes:
    raise KeyfileError("the password is wrong")


async def buy(world: World, price: Any = 9_900, quantity: Any = 5, **options: Any) -> None:
    await world.oms.create_limit_order(quantity, price, "Buy", asset_id=ASSET, **options)


def sent(world: World) -> int:
    return world.exchange.requests["POST", "/orders/create"]


def limited(**limits: Any) -> Any:
    return open_world(orders={"limits": OrderLimits(**limits)})


# Quantity.


async def test_the_quantity_of_every_kind_of_order_is_limited(autojump_clock: MockClock) -> None:
    async with limited(max_quantity=Decimal("0.005"), reference_price=lambda _: Decimal(100)) as world:
        await buy(world, quantity=5, order_id="a")
        before = sent(world)
        with pytest.raises(OrderLimitExceeded, match=r"at most 0.005 \(max_quantity\), not 0.006"):
            await buy(world, quantity=6)
        with pytest.raises(ValueError, match="max_quantity"):
            await world.oms.create_market_order("Buy", base_quantity=6, asset_id=ASSET)
        with pytest.raises(OrderLimitExceeded, match="max_quantity"):
            await world.oms.create_market_order("Buy", quote_quantity=Decimal("0.51"), asset_id=ASSET)
        with pytest.raises(OrderLimitExceeded, match="max_quantity"):
            await world.oms.replace_order("a", ASSET, 6, 9_900)
        _, good = await world.oms.prepare_limit_order_request(ASSET, 9_900, 5, "Buy", None, None)
        _, bad = await world.oms.prepare_limit_order_request(ASSET, 9_900, 6, "Buy", None, None)
        with pytest.raises(OrderLimitExceeded, match="max_quantity"):
            await world.oms.send_multiple_orders([good, bad])
        assert sent(world) == before
        assert world.exchange.requests["PATCH", "/orders/replace"] == 0
        assert world.exchange.requests["POST", "/orders/batch-create"] == 0


# Price.


async def test_a_price_far_from_the_reference_is_refused(autojump_clock: MockClock) -> None:
    async with limited(max_deviation=Decimal("0.05"), reference_price=lambda _: Decimal(100)) as world:
        await buy(world, price=9_500, order_id="a")
        for price in (9_499, 10_501):
            with pytest.raises(OrderLimitExceeded, match=r"at most 5\.?0*% from the reference 100"):
                await buy(world, price=price)
        with pytest.raises(OrderLimitExceeded, match="max_deviation"):
            await world.oms.replace_order("a", ASSET, 5, 20_000)
        assert sent(world) == 1


async def test_without_a_function_the_public_book_is_read_once_a_second(autojump_clock: MockClock) -> None:
    async with limited(max_deviation=Decimal("0.05")) as world:
        best = world.exchange.book(ASSET)
        middle = (best.bids[0].price + best.asks[0].price) / 2
        for _ in range(3):
            await buy(world, price=int(middle * 98))
        with pytest.raises(OrderLimitExceeded, match="max_deviation"):
            await buy(world, price=int(middle * 90))
        assert world.exchange.requests["GET", f"/marketdepth/{ASSET}"] == 1


@pytest.mark.parametrize("price", [None, *map(Decimal, ("0", "-1", "NaN", "sNaN", "Infinity"))])
async def test_no_reference_is_no_permission(price: Decimal | None, autojump_clock: MockClock) -> None:
    async with limited(max_deviation=Decimal("0.05"), reference_price=lambda _: price) as world:
        with pytest.raises(OrderLimitExceeded, match="pass reference_price"):
            await buy(world)
        assert sent(world) == 0


async def test_the_context_of_decimals_changes_no_limit(autojump_clock: MockClock) -> None:
    limits = {"max_deviation": Decimal("0.0001"), "max_quantity": Decimal("0.0051")}
    async with limited(**limits, reference_price=lambda _: Decimal("100.15")) as world:
        with localcontext(Context(prec=2, traps=[])):
            await buy(world, price=10_016)
            for price in (10_013, 10_017):
                with pytest.raises(OrderLimitExceeded, match="max_deviation"):
                    await buy(world, price=price)
            with pytest.raises(OrderLimitExceeded, match="max_quantity"):
                await world.oms.create_market_order("Buy", quote_quantity=Decimal("0.51077"), asset_id=ASSET)
            await world.oms.create_market_order("Buy", quote_quantity=Decimal("0.51076"), asset_id=ASSET)


async def test_a_reference_that_is_a_float_is_refused(autojump_clock: MockClock) -> None:
    price: Any = 99.5
    async with limited(max_deviation=Decimal("0.05"), reference_price=lambda _: price) as world:
        with pytest.raises(TypeError, match=r"^reference_price returns a Decimal or None, not float$"):
            await buy(world)
        assert sent(world) == 0


# Number of open orders.


async def test_the_number_of_open_orders_is_limited(autojump_clock: MockClock) -> None:
    async with limited(max_open=2) as world:
        await buy(world, order_id="a")
        await buy(world, order_id="b")
        with pytest.raises(OrderLimitExceeded, match=r"at most 2 orders may be open \(max_open\): 2 are"):
            await buy(world, order_id="c")
        assert sent(world) == 2
        await world.oms.cancel_order("a", ASSET)
        await buy(world, order_id="c")


async def test_orders_of_before_count_and_immediate_ones_do_not(autojump_clock: MockClock) -> None:
    async with limited(max_open=2) as world:
        world.exchange.place(world.user, ASSET, "Buy", 9_000, 5)
        await buy(world, order_id="a")
        await buy(world, time_in_force=IOC())
        with pytest.raises(OrderLimitExceeded, match="max_open"):
            await buy(world)


async def test_a_refused_order_is_not_open_and_one_in_doubt_is(autojump_clock: MockClock) -> None:
    async with limited(max_open=1) as world:
        world.exchange.faults.answer_requests("/orders/create", Response(400, b'{"error":{"code":"ORDER_REJECTED"}}'))
        with pytest.raises(OrderRejected):
            await buy(world)
        world.exchange.faults.answer_requests("/orders/create", Response(500, b""))
        with pytest.raises(TplusError):
            await buy(world, order_id="doubt")
        with pytest.raises(OrderLimitExceeded, match="max_open"):
            await buy(world)


async def test_an_order_that_was_not_sent_is_not_open(autojump_clock: MockClock) -> None:
    async with limited(max_open=1) as world:
        await world.oms.get_market(ASSET)
        await world.oms.get_user_orders()
        world.exchange.faults.answer_requests("/orders/create", Response(400, b'{"error":{"code":"ORDER_REJECTED"}}'))
        with pytest.raises(OrderRejected):
            await buy(world)
        world.network.reset_connections()
        world.network.refuse()
        with pytest.raises(ConnectionFailed):
            await buy(world)
        await buy(world)


async def test_an_order_that_could_not_be_signed_is_not_open(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(max_open=1) as world:
        cosigner = User()
        with monkeypatch.context() as patch:
            patch.setattr(cosigner, "sign", _refuse)
            with pytest.raises(KeyfileError):
                await buy(world, additional_signers=[cosigner])
        assert sent(world) == 0
        await buy(world, additional_signers=[cosigner])


async def test_a_refused_repetition_does_not_end_the_order_of_before(autojump_clock: MockClock) -> None:
    async with limited(max_open=2) as world:
        await buy(world, order_id="a")
        for time_in_force in (None, IOC()):
            with pytest.raises(OrderFateUnknown, match="DUPLICATE_ORDER"):
                await buy(world, order_id="a", time_in_force=time_in_force)
        await buy(world, order_id="b")
        world.exchange.faults.answer_requests("/orders/user", Response(200, b'{"orders":[]}'))
        with pytest.raises(OrderLimitExceeded, match="2 are"):
            await buy(world, order_id="c")


async def test_a_replacement_changes_no_count(autojump_clock: MockClock) -> None:
    async with limited(max_open=1) as world:
        await buy(world, order_id="a")
        await world.oms.replace_order("a", ASSET, 4, 9_800)
        with pytest.raises(OrderLimitExceeded, match="1 are"):
            await buy(world, order_id="b")
        world.exchange.cancel(world.user, "a")
        await buy(world, order_id="b")
        with pytest.raises(OrderFateUnknown, match="DUPLICATE_ORDER"):
            await buy(world, order_id="b")
        with pytest.raises(OrderLimitExceeded, match="1 are"):
            await buy(world, order_id="c")


async def test_a_listed_order_stays_open_when_its_id_is_refused(autojump_clock: MockClock) -> None:
    async with limited(max_open=2) as world:
        world.exchange.place(world.user, ASSET, "Buy", 9_000, 5, order_id="a")
        await buy(world, order_id="b")
        with pytest.raises(OrderLimitExceeded, match="2 are"):
            await buy(world, order_id="c")
        with pytest.raises(OrderFateUnknown, match="DUPLICATE_ORDER"):
            await buy(world, order_id="a")
        world.exchange.faults.answer_requests("/orders/user", Response(200, b'{"orders":[]}'))
        with pytest.raises(OrderLimitExceeded, match="2 are"):
            await buy(world, order_id="c")


async def test_an_order_in_doubt_may_be_sent_again(autojump_clock: MockClock) -> None:
    async with limited(max_open=1) as world:
        world.exchange.faults.answer_requests("/orders/create", Response(500, b""))
        with pytest.raises(TplusError):
            await buy(world, order_id="a")
        await buy(world, order_id="a")
        with pytest.raises(OrderLimitExceeded, match="1 are"):
            await buy(world, order_id="b")


async def test_a_batch_counts_each_of_its_orders(autojump_clock: MockClock) -> None:
    async with limited(max_open=2) as world:
        requests = [
            (await world.oms.prepare_limit_order_request(ASSET, 9_000, 5, "Buy", None, None))[1] for _ in range(3)
        ]
        with pytest.raises(OrderLimitExceeded, match="the request has 3"):
            await world.oms.send_multiple_orders(requests)
        await world.oms.send_multiple_orders(requests[:2])


async def test_each_user_has_a_number(autojump_clock: MockClock) -> None:
    async with limited(max_open=1) as world:
        await buy(world)
        await buy(world, user=User())


@pytest.mark.parametrize(
    "limits",
    [
        {"max_quantity": 0},
        {"max_quantity": 0.5},
        {"max_quantity": "much"},
        {"max_open": 0},
        {"max_deviation": Decimal("NaN")},
        {"max_deviation": 0.5},
        {"reference_price": 5},
    ],
)
def test_limits_are_checked(limits: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{next(iter(limits))} "):
        OrderLimits(**limits)
