"""What a user may hold in a market at worst."""

from __future__ import annotations

import json
from decimal import Context, Decimal, DecimalException, Inexact, Rounded, localcontext

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, feeds_are_live, open_world
from tplus_trio import Exposure, OrderFateUnknown, OrderRejected, TplusError, User
from tplus_trio.testing import Response


async def test_open_orders_count_on_their_side(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        nothing = await world.oms.exposure(ASSET)
        assert nothing.position == nothing.longest == nothing.shortest == 0
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        await world.oms.create_limit_order(3, 12_000, "Sell", asset_id=ASSET)
        exposure = await world.oms.exposure(ASSET)
        assert (exposure.resting_buys, exposure.resting_sells) == (Decimal("0.005"), Decimal("0.003"))
        assert (exposure.longest, exposure.shortest) == (Decimal("0.005"), Decimal("-0.003"))


async def test_a_position_counts_with_its_sign(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.place(User(), ASSET, "Buy", 9_000, 5)
        await world.oms.create_limit_order(8, 9_000, "Sell", asset_id=ASSET)
        exposure = await world.oms.exposure(ASSET)
        assert exposure.position == Decimal("-0.005")
        assert exposure.resting_sells == Decimal("0.003")
        assert (exposure.longest, exposure.shortest) == (Decimal("-0.005"), Decimal("-0.008"))


async def test_an_order_in_doubt_counts_until_a_listing_shows_it(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.answer_requests("/orders/create", Response(500, b""))
        with pytest.raises(TplusError):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="doubt", on_cancel="resolve")
        exposure = await world.oms.exposure(ASSET)
        assert (exposure.in_doubt_buys, exposure.longest, exposure.shortest) == (
            Decimal("0.005"),
            Decimal("0.005"),
            Decimal(0),
        )
        world.exchange.place(world.user, ASSET, "Buy", 9_000, 5, order_id="doubt")
        exposure = await world.oms.exposure(ASSET)
        assert (exposure.in_doubt_buys, exposure.resting_buys) == (Decimal(0), Decimal("0.005"))


@pytest.mark.parametrize("status", [408, 500, 503, 521])
async def test_a_failure_of_the_service_or_a_proxy_leaves_orders_in_doubt(
    status: int, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        answer = Response(status, b"<html>try again</html>")
        world.exchange.faults.answer_requests("/orders/create", answer)
        with pytest.raises(OrderFateUnknown):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        _, order = await world.oms.prepare_limit_order_request(ASSET, 9_000, 3, "Buy", None, None)
        world.exchange.faults.answer_requests("/orders/batch-create", answer)
        (result,) = (await world.oms.send_multiple_orders([order])).batch_order_status
        assert isinstance(result.error, OrderFateUnknown)
        assert (await world.oms.exposure(ASSET)).in_doubt_buys == Decimal("0.008")


@pytest.mark.parametrize("statuses", [("Received", "Rejected"), ("Rejected", "Received")])
async def test_a_batch_answer_that_contradicts_itself_leaves_the_order_in_doubt(
    statuses: tuple[str, str], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        orders = [
            (await world.oms.prepare_limit_order_request(ASSET, 9_000, 5, "Buy", None, None, order_id=name))[1]
            for name in ("a", "b")
        ]
        results = [{"order_id": "a", "status": status} for status in statuses]
        results += [{"order_id": "b", "status": "Rejected"}] * 2
        answer = Response(200, json.dumps({"results": results}).encode())
        world.exchange.faults.answer_requests("/orders/batch-create", answer)
        first, second = (await world.oms.send_multiple_orders(orders)).batch_order_status
        assert isinstance(first.error, OrderFateUnknown)
        assert isinstance(second.error, OrderRejected)
        assert (await world.oms.exposure(ASSET)).in_doubt_buys == Decimal("0.005")


async def test_a_refused_order_is_not_in_doubt(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        refusal = Response(400, b'{"error":{"code":"INSUFFICIENT_MARGIN"}}')
        world.exchange.faults.answer_requests("/orders/create", refusal)
        with pytest.raises(OrderRejected):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        assert (await world.oms.exposure(ASSET)).longest == 0


async def test_a_market_order_by_amount_in_doubt_is_named(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.answer_requests("/orders/create", Response(500, b""))
        with pytest.raises(TplusError):
            await world.oms.create_market_order("Buy", quote_quantity=Decimal(5), asset_id=ASSET, order_id="amount")
        exposure = await world.oms.exposure(ASSET)
        assert exposure.without_quantity == ("amount",)
        assert exposure.longest == 0


async def test_another_users_orders_do_not_count(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        other = User()
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, user=other)
        assert (await world.oms.exposure(ASSET)).longest == 0
        assert (await world.oms.exposure(ASSET, other)).longest == Decimal("0.005")


async def test_a_refused_repetition_leaves_the_first_try_in_doubt(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.answer_requests("/orders/create", Response(500, b""))
        with pytest.raises(TplusError):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="a")
        for code in (b"DUPLICATE_ORDER", b"INSUFFICIENT_MARGIN"):
            refusal = Response(400, b'{"error":{"code":"%b"}}' % code)
            world.exchange.faults.answer_requests("/orders/create", refusal)
            with pytest.raises(OrderFateUnknown if code == b"DUPLICATE_ORDER" else OrderRejected):
                await world.oms.create_limit_order(3, 9_000, "Sell", asset_id=ASSET, order_id="a")
        exposure = await world.oms.exposure(ASSET)
        assert exposure.longest == Decimal("0.005")
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="a")
        exposure = await world.oms.exposure(ASSET)
        assert exposure.in_doubt_buys == exposure.in_doubt_sells == 0
        assert exposure.resting_buys == Decimal("0.005")


@pytest.mark.parametrize("begun_after", [0.5, 1.5, 2.5])
async def test_an_order_that_is_accepted_during_the_read_counts(begun_after: float, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 12_000, "Sell", asset_id=ASSET)
        await feeds_are_live(world)
        faults, read = world.exchange.faults, list[Exposure]()
        faults.delay_requests("/orders/user", 1.0, 2)
        faults.delay_requests("/positions", 1.0)

        async def expose() -> None:
            read.append(await world.oms.exposure(ASSET))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expose)
            await trio.sleep(begun_after)
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
            assert not read
        assert (read[0].longest, read[0].shortest) == (Decimal("0.005"), Decimal("-0.001"))
        after = await world.oms.exposure(ASSET)
        assert (after.in_doubt_buys, after.resting_buys) == (Decimal(0), Decimal("0.005"))


async def test_only_the_orders_of_the_user_and_the_market_count_during_the_read(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_market(900)
        await world.oms.create_limit_order(1, 12_000, "Sell", asset_id=ASSET)
        read = list[Exposure]()
        world.exchange.faults.delay_requests("/orders/user", 1.0, 2)

        async def expose() -> None:
            read.append(await world.oms.exposure(ASSET))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expose)
            await trio.sleep(0.5)
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=900)
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, user=User())
        assert read[0].longest == 0


@pytest.mark.parametrize("trap", [Inexact, Rounded])
async def test_the_context_of_decimals_changes_no_exposure(
    trap: type[DecimalException], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        rest_and_fill = [("Buy", 9_000, 123_457), ("Sell", 12_000, 234_561)]
        for side, price, quantity in rest_and_fill:
            await world.oms.create_limit_order(quantity, price, side, asset_id=ASSET)
            await world.oms.create_limit_order(1, price, side, asset_id=ASSET)
        expected = await world.oms.exposure(ASSET)
        assert (expected.longest, expected.shortest) == (Decimal("123.458"), Decimal("-234.562"))
        for context in (Context(prec=3, traps=[]), Context(prec=3, traps=[trap])):
            with localcontext(context):
                read = await world.oms.exposure(ASSET)
                assert read == expected
                assert (read.longest, read.shortest) == (Decimal("123.458"), Decimal("-234.562"))
                assert read.position == 0
