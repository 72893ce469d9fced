"""What the pages on scopes show runs as it stands, and their arithmetic is that of `keep`."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.docs.test_trading import OTHER, SHOWN, resting
from tests.helpers.pages import define, text_of
from tests.helpers.world import ASSET, URL, World, open_world
from tplus_trio import (
    OrderBookClient,
    OrderFateUnknown,
    OrderHandle,
    OrderRejected,
    OrderScope,
    OrdersLeftResting,
    ServiceRules,
)

#: The rows of the example: what is asked for, and the total, what traded and what rests.
ARITHMETIC = [
    [cell.strip() for cell in line.split("|")[2:-1]]
    for line in text_of("howto/trade_safely.md").splitlines()
    if re.match(r"\| \d \|", line)
]


async def test_an_order_is_bought_for_a_while(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        assert not await SHOWN["buy_for_a_while"](world.oms, ASSET, Decimal("9.00"), 1.0)
        assert resting(world) == {}
        world.exchange.place(OTHER, ASSET, "Sell", 900, 5)
        assert await SHOWN["buy_for_a_while"](world.oms, ASSET, Decimal("9.00"), 1.0)


async def test_what_is_left_resting_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_world() as world:

        async def trade(scope: OrderScope) -> None:
            await scope.create_limit_order(5, 900, "Buy")
            world.network.partition(20)

        await SHOWN["trade_and_clear"](world.oms, ASSET, trade)
        assert trio.current_time() > 20
        assert resting(world) == {}


async def test_both_sides_are_kept(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.order_scope(ASSET) as scope:
        await SHOWN["quote_both"](scope, Decimal("9.00"), Decimal("10.00"), Decimal("0.010"))
        assert sorted(resting(world).values()) == [(900, 10), (1000, 10)]


async def test_the_arithmetic(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.order_scope(ASSET) as scope:

        async def keep(price: str, *, refill: bool = False) -> OrderHandle:
            handle = await scope.keep("bid", "Buy", Decimal(price), Decimal("0.010"), refill=refill)
            assert handle is not None
            await trio.sleep(1)
            return handle

        async def trade(quantity: int, price: int) -> None:
            world.exchange.place(OTHER, ASSET, "Sell", price, quantity)

        found = []

        def note(handle: OrderHandle) -> None:
            (order,) = world.exchange.resting(world.user)
            total = Decimal(order.matched + order.remaining) / 1000
            found.append([total, handle.filled_quantity, handle.remaining_quantity])

        handle = await keep("9.00")
        note(handle)
        await trade(4, 900)
        await trio.sleep(1)
        note(handle)
        for price, refill in (("9.00", False), ("9.00", True), ("9.01", False)):
            assert await keep(price, refill=refill) is handle
            note(handle)
        world.exchange.faults.hold_requests(0.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep, "9.02")
            await trio.sleep(0.1)
            await trade(3, 901)
        await trio.sleep(1)
        note(handle)
        assert [[Decimal(cell) for cell in row[1:]] for row in ARITHMETIC] == found


UNTIL_SIGNAL = define("howto/ctrl_c.md")["until_signal"]


async def test_a_bid_is_kept_while_the_book_is_in_sync(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        nursery.start_soon(SHOWN["quote"], book, world.oms, ASSET)
        await trio.sleep(5)
        (bid,) = world.exchange.resting(world.user)
        assert bid.side == "Buy"
        book.reconnect()
        await trio.sleep(0.5)
        assert world.exchange.effects_of(world.user, bid.order_id)[-1].kind == "cancel"
        assert capsys.readouterr().out == "out of sync: the bid was taken back; () are in doubt\n"
        await trio.sleep(5)
        assert len(world.exchange.resting(world.user)) == 1
        nursery.cancel_scope.cancel()
    assert world.exchange.resting(world.user) == ()


async def test_a_program_ends_when_its_function_does(autojump_clock: MockClock) -> None:
    with trio.fail_after(5):
        await UNTIL_SIGNAL(trio.sleep, 1)


async def test_a_signal_ends_a_program(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        options: dict[str, Any] = {"connector": world.network, "now_ns": world.exchange.now_ns}

        async def quote() -> None:
            client = OrderBookClient(URL, default_user=world.user, **options)
            async with client as orders, orders.order_scope(ASSET) as scope:
                await scope.create_limit_order(5, 900, "Buy")
                assert len(resting(world)) == 1
                signal.raise_signal(signal.SIGTERM)
                await trio.sleep_forever()

        with trio.fail_after(20):
            await UNTIL_SIGNAL(quote)
        assert resting(world) == {}


async def test_a_lost_create_stops_its_side_until_the_lease_has_passed_if_a_rule_says_so(
    autojump_clock: MockClock,
) -> None:
    for rules, is_quoted in ((ServiceRules(), False), (ServiceRules(clock_bound=1.0, listings_current=True), True)):
        async with open_world(orders={"rules": rules}) as world:
            world.exchange.place(OTHER, ASSET, "Sell", 1000, 50)

            async def quote_after_a_loss(world: World) -> bool:
                async with world.oms.order_scope(ASSET, lease=4.0) as scope:
                    await scope.keep("ask", "Sell", 1010, 5)
                    world.exchange.faults.fail_requests("/orders/create", 503)
                    with suppress(OrderFateUnknown, OrderRejected):  # its expiry may have settled it by then
                        await scope.keep("bid", "Buy", 900, 5)
                    with trio.move_on_after(20):
                        await scope.keep("bid", "Buy", 900, 5)
                    return any(order.side == "Buy" for order in world.exchange.resting(world.user))

            if is_quoted:
                assert await quote_after_a_loss(world)
            else:
                with pytest.raises(OrdersLeftResting):
                    await quote_after_a_loss(world)
                assert resting(world) == {}


async def test_a_second_signal_waits_for_the_cleanup(autojump_clock: MockClock) -> None:
    ends: list[str] = []

    async def clean_up_slowly() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(5, shield=True):
                signal.raise_signal(signal.SIGINT)
                await trio.sleep(1)
                ends.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        await UNTIL_SIGNAL(clean_up_slowly)
    assert ends == ["cleaned up"]
