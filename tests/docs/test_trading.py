"""What the pages on orders show runs as it stands."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.pages import define
from tests.helpers.world import ASSET, URL, World, open_world
from tplus_trio import BookNotSynced, LimitOrderDetails, OrderLimitExceeded, User

OTHER = User().public_key
SHOWN = define(
    "howto/place_orders.md",
    "howto/trade_safely.md",
    "howto/missing_answers.md",
    "howto/survive_a_kill.md",
    "reference/exceptions.md",
)


def resting(world: World) -> dict[str, tuple[int, int]]:
    """The user's open orders as the record shows them: price and quantity, in units of the book."""
    orders = {order.order_id: order.details for order in world.exchange.resting(world.user)}
    return {
        name: (terms.limit_price, terms.quantity)
        for name, terms in orders.items()
        if isinstance(terms, LimitOrderDetails)
    }


async def test_the_first_order(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        event = await SHOWN["buy"](world.oms, ASSET)
        assert event.order_id == "first"
        assert resting(world) == {"first": (900, 5)}


async def test_a_market_order(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.place(OTHER, ASSET, "Sell", 1000, 50)
        await SHOWN["buy_at_once"](world.oms, ASSET)
        assert (await world.oms.exposure(ASSET)).position == Decimal("0.005")


async def test_a_price_is_rounded(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with pytest.raises(ValueError, match="no multiple"):
            await world.oms.create_limit_order(1, Decimal("9.129"), "Buy", asset_id=ASSET)
        await SHOWN["bid"](world.oms, ASSET, Decimal("9.129"), Decimal("0.0059"))
        assert list(resting(world).values()) == [(912, 5)]


async def test_a_batch(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_world() as world:
        batch = await SHOWN["ladder"](world.oms, ASSET, [Decimal("9.00"), Decimal("9.01")])
        assert resting(world).keys() == {result.order_id for result in batch.batch_order_status}
        assert capsys.readouterr().out == ""
        world.exchange.faults.omit_from_batch(1)
        batch = await SHOWN["ladder"](world.oms, ASSET, [Decimal("9.02"), Decimal("9.03")])
        assert capsys.readouterr().out == ""  # the one without an answer was seen
        world.exchange.faults.fail_requests("/orders", 503)
        batch = await SHOWN["ladder"](world.oms, ASSET, [Decimal("9.04")])
        (lost,) = [result.order_id for result in batch.batch_order_status if result.error]
        assert capsys.readouterr().out == f"in doubt {lost}\n"


async def test_an_order_is_moved(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.place(world.user, ASSET, "Buy", 900, 5, order_id="mine")
        await SHOWN["move"](world.oms, ASSET, "mine")
        assert resting(world) == {"mine": (910, 4)}


async def test_all_orders_are_cancelled(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for price in range(900, 930):
            world.exchange.place(world.user, ASSET, "Buy", price, 5)
        assert await SHOWN["clear"](world.oms) == []
        assert resting(world) == {}


async def test_what_is_sent_is_bounded(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book:
        world.exchange.publish_diff(ASSET, bids=[(10, 1)], asks=[(11, 1)])
        options = {"connector": world.network, "now_ns": world.exchange.now_ns}
        async with SHOWN["open_bounded"](URL, world.user, book, **options) as orders:
            buy = partial(orders.create_limit_order, 5, side="Buy", asset_id=ASSET)
            await book.wait_synced()
            middle = book.mid
            assert middle is not None
            await buy(Decimal(int(middle)))
            with pytest.raises(OrderLimitExceeded, match="max_deviation"):
                await buy(Decimal(int(middle * 2)))
            world.network.reset_connections()
            world.network.partition(1)
            await trio.sleep(0.1)
            with pytest.raises(BookNotSynced):
                await buy(Decimal(int(middle)))
        assert len(resting(world)) == 1


async def test_both_sides_are_quoted(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        options = {"connector": world.network, "now_ns": world.exchange.now_ns}
        statistics = await SHOWN["quote_both_sides"](URL, world.user, ASSET, **options)
        assert sorted(resting(world).values()) == [(900, 5), (1100, 5)]
        assert (statistics.connects, statistics.answered, statistics.in_flight) == (1, 2, 0)


async def test_three_cases_are_told_apart(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        place = partial(SHOWN["place"], world.oms, ASSET, Decimal("9.00"))
        assert await place("taken") == "taken"
        world.exchange.faults.fail_requests("/orders/create", 429)
        assert (await place("refused")).startswith("nothing happened: [RATE_LIMITED]")
        world.exchange.faults.act_then_answer(503)
        assert await place("seen") == "taken"
        world.exchange.faults.fail_requests("/orders/create", 503)
        assert (await place("lost")).startswith("in doubt: the service failed")
        assert resting(world).keys() == {"taken", "seen"}


async def test_an_order_in_doubt_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.hold_requests(30, path="/orders/create")
        assert (await SHOWN["place"](world.oms, ASSET, Decimal("9.00"), "late")).startswith("in doubt")
        assert [doubt.order_id for doubt in world.oms.orders_in_doubt] == ["late"]
        await SHOWN["wait_until_known"](world.oms, "late")
        assert "create" in [effect.kind for effect in world.exchange.effects_of(world.user, "late")]
        assert resting(world) == {}


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_call_is_bounded(arrives: bool, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        place = partial(SHOWN["place_in_time"], world.oms, ASSET, Decimal("9.00"))
        assert await place("taken") is False
        world.exchange.faults.hold_requests(3 if arrives else 20, path="/orders/create")
        start = trio.current_time()
        assert await place("late") is arrives
        assert trio.current_time() - start <= 6.0
        assert resting(world).keys() == {"taken"}
        await trio.sleep(30)
        assert resting(world).keys() == {"taken"}
        assert world.oms.orders_in_doubt == ()


async def test_with_a_rule_a_lost_order_never_took_effect(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.place(OTHER, ASSET, "Sell", 1000, 50)
        options = {"connector": world.network, "now_ns": world.exchange.now_ns}
        async with SHOWN["open_with_rules"](URL, world.user, **options) as orders:
            world.exchange.faults.fail_requests("/orders/create", 503)
            answer = await SHOWN["place"](orders, ASSET, Decimal("9.00"), "lost")
            assert answer.startswith("nothing happened: [NEVER_TOOK_EFFECT]")


async def test_room_to_buy(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.place(world.user, ASSET, "Buy", 900, 5)
        assert await SHOWN["room_to_buy"](world.oms, ASSET, Decimal("0.020")) == Decimal("0.015")
        assert await SHOWN["room_to_buy"](world.oms, ASSET, Decimal("0.001")) == 0


async def test_orders_are_read_page_by_page(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        since_ns = world.exchange.now_ns() + 30 * 10**9
        for number in range(250):
            world.exchange.place(world.user, ASSET, "Buy", 900, 5, order_id=str(number))
            await trio.sleep(1)
        found = await SHOWN["orders_since"](world.oms, since_ns)
        assert [order.order_id for order in found] == [str(number) for number in reversed(range(30, 250))]


async def test_a_journal(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    async with open_world() as world:
        for _ in range(2):
            (order,) = await SHOWN["quote_again"](world.oms, ASSET, tmp_path / "journal")
            assert (order.key, resting(world)) == ("bid", {})


async def test_an_order_is_kept_with_a_lease_and_a_journal(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_world() as world:
        with trio.move_on_after(60):
            await SHOWN["quote_with_both"](world.oms, ASSET, tmp_path / "journal")
        assert (tmp_path / "journal").exists()
        assert [effect.kind for effect in world.exchange.effects].count("create") > 2  # renewed each 15 s
        assert resting(world) == {}


async def test_exceptions_are_told_apart(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        buy = partial(SHOWN["try_to_buy"], world.oms, ASSET)
        assert await buy(Decimal("9.00")) == "taken"
        world.exchange.faults.fail_requests("/orders/create", 429, retry_after=3)
        assert await buy(Decimal("9.00")) == "too many requests: wait 3 s"
        await trio.sleep(5)
        world.exchange.faults.fail_requests("/orders/create", 503)
        assert (await buy(Decimal("9.00"))).startswith("in doubt: ")
