"""Each fence: what it sends where its rule is declared, what passes it, and that nothing is sent where it is not."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE
from tests.helpers.order_messages import ASSET, PRICE_DECIMALS, QUANTITY_DECIMALS, amendment, order, replacement
from tests.helpers.unsettled_orders import ALL_RULES, DUPLICATE, NOT_FOUND, unsettled_order
from tplus_trio import GTD, IOC, AssetIdentifier, ConnectionFailed, Market, OrderBookClient, TplusError
from tplus_trio.models import CancelOrder, LimitOrderDetails, Order, Side
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.fences import Fences
from tplus_trio.orders.sending import Delivery, OrderAnswers
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.unsettled import Fence, UnsettledOrder
from tplus_trio.transport.service_clock import ClockOffset

MINE = order(made_ns=1000, side=Side.SELL)
NO_RULES = ServiceRules(unauthorized_does_nothing=False)
BURNS = attrs.evolve(NO_RULES, order_ids_remembered=True)
FOLLOWS = attrs.evolve(NO_RULES, control_keeps_order=True, listings_current=True)
MARKS = attrs.evolve(NO_RULES, control_keeps_order=True)
EXPIRES = attrs.evolve(NO_RULES, clock_bound=2.0, listings_current=True)
SECOND = 10**9
GTD_ORDER = order(made_ns=1000, time_in_force=GTD(post_only=False, timestamp_ns=5 * SECOND))
CHANNEL = 7


@attrs.define
class Desk:
    """Fences, with a service, a sender and a market that a test controls."""

    # Eleven attributes: what a test sets, and what it reads.
    rules: ServiceRules = NO_RULES
    ask: Decimal | None = Decimal(100)
    units: Market = attrs.field(factory=lambda: Market(ASSET, PRICE_DECIMALS, QUANTITY_DECIMALS))
    offset: ClockOffset | None = None
    now: int = 2000
    #: The control connection over which requests leave; None over REST.
    connection: int | None = CHANNEL
    failure: TplusError | None = None
    #: Seconds for reading the units or the best ask, and when each was asked for.
    reading: float = 0.0
    reads: list[tuple[str, float]] = attrs.field(factory=list[tuple[str, float]])
    sent: list[Delivery] = attrs.field(factory=list[Delivery])
    burns: list[Order] = attrs.field(factory=list[Order])

    @property
    def fences(self) -> Fences:
        service: Any = self
        builder = RequestBuilder(OrderBookClient("http://exchange")._service)
        sender: Any = self
        return Fences(self.rules, service, sender, builder, self.best_ask, self.units_of, self.on_burn)

    def now_ns(self) -> int:
        return self.now

    def clock_offset(self) -> ClockOffset | None:
        return self.offset

    async def best_ask(self, _: AssetIdentifier) -> Decimal | None:
        await self._read("ask")
        return self.ask

    async def units_of(self, _: AssetIdentifier, __: bool) -> Market:
        await self._read("units")
        return self.units

    async def _read(self, what: str) -> None:
        self.reads.append((what, trio.current_time()))
        await trio.sleep(self.reading)

    def on_burn(self, owner: str, burn: Order) -> None:
        assert owner == ALICE.public_key
        assert not self.sent or self.sent[-1].request.terms != (burn,), "it is known before it is sent"
        self.burns.append(burn)

    async def send(self, delivery: Delivery) -> OrderAnswers:
        await trio.lowlevel.checkpoint()
        self.sent.append(delivery)
        delivery.sent()
        delivery.connection = self.connection
        if self.failure is not None:
            raise self.failure
        return OrderAnswers({})

    async def passes(self, unsettled: UnsettledOrder) -> bool:
        """Try to pass a fence once."""
        await self.fences.pass_one(unsettled)
        return unsettled.fence is not None


def on_channel(terms: Any, **changes: Any) -> UnsettledOrder:
    """An order whose request was sent once, over a control channel."""
    unsettled = unsettled_order(terms, **changes)
    unsettled.delivery.connection = CHANNEL
    return unsettled


ALL_TERMS = [MINE, GTD_ORDER, CancelOrder("o-1", ASSET, ALICE.public_key), replacement(1, 2, 9), amendment(1, 9)]


# Rules that are off.


@pytest.mark.parametrize("terms", ALL_TERMS, ids=lambda terms: type(terms).__name__)
async def test_without_rules_no_request_leaves(terms: Any) -> None:
    for rules in (NO_RULES, ServiceRules(), attrs.evolve(NO_RULES, listings_current=True)):
        desk = Desk(rules, now=99 * SECOND, offset=ClockOffset(0, 0))
        unsettled = on_channel(terms)
        assert not await desk.passes(unsettled)
        assert (desk.sent, desk.burns) == ([], [])
        assert not desk.fences.may_help(unsettled)
        assert not desk.fences.wants_listing(unsettled)


async def test_each_fence_is_its_rules_alone() -> None:
    """With every other rule on, a fence whose rule is off is not tried."""
    desk = Desk(attrs.evolve(ALL_RULES, order_ids_remembered=False, control_keeps_order=False, clock_bound=None))
    assert not await desk.passes(on_channel(GTD_ORDER))
    desk.rules = attrs.evolve(ALL_RULES, order_ids_remembered=False)
    assert await desk.passes(on_channel(MINE))
    assert desk.burns == []
    desk = Desk(attrs.evolve(ALL_RULES, control_keeps_order=False))
    assert not await desk.passes(on_channel(replacement(1, 2, 9)))
    assert desk.sent == []


async def test_a_fate_that_is_known_needs_no_fence() -> None:
    for unsettled in (on_channel(MINE, fate="done"), on_channel(MINE, fence=Fence())):
        desk = Desk(ALL_RULES)
        await desk.passes(unsettled)
        assert desk.sent == []


# Using up the id.


async def test_a_burn_cannot_trade_and_has_the_same_id() -> None:
    wish = order(made_ns=1000, side=Side.SELL, trigger=True, reduce_only=True)
    desk, unsettled = Desk(BURNS), unsettled_order(wish)
    await desk.passes(unsettled)
    (burn,) = desk.burns
    assert burn.details == LimitOrderDetails(1, 1, IOC(fill_or_kill=False))
    assert (burn.order_id, burn.side, burn.trigger, burn.reduce_only) == (MINE.order_id, Side.BUY, None, False)
    assert burn.creation_timestamp_ns > MINE.creation_timestamp_ns
    assert unsettled.burns == (burn,)
    assert [delivery.request.terms for delivery in desk.sent] == [(burn,)]
    assert unsettled.fence is None, "its answer proves nothing"


@pytest.mark.parametrize("failure", [None, DUPLICATE, ConnectionFailed("lost")])
async def test_no_answer_to_a_burn_proves_anything(failure: TplusError | None) -> None:
    desk, unsettled = Desk(BURNS, failure=failure), unsettled_order(MINE)
    with contextlib.suppress(TplusError):
        assert not await desk.passes(unsettled)
    assert len(desk.sent) == 1
    assert (unsettled.fate, unsettled.fence) == ("unknown", None)


async def test_an_id_that_is_taken_is_not_burnt_again() -> None:
    desk, unsettled = Desk(BURNS, failure=DUPLICATE), unsettled_order(MINE)
    with pytest.raises(TplusError):
        await desk.passes(unsettled)
    desk.failure = None
    await desk.passes(unsettled)
    assert len(desk.sent) == 1
    assert desk.fences.may_help(unsettled), "a listing may show who has it"


@pytest.mark.parametrize(
    ("ask", "burns"), [(None, 0), (Decimal("0.1"), 0), (Decimal("0.11"), 1), (Decimal("0.2"), 1), (Decimal("inf"), 1)]
)
async def test_a_burn_needs_a_best_ask_above_one_tick(ask: Decimal | None, burns: int) -> None:
    desk = Desk(BURNS, ask=ask)
    await desk.passes(unsettled_order(MINE))
    assert len(desk.sent) == len(desk.burns) == burns


async def test_a_burn_has_the_present_units_of_the_market() -> None:
    desk, unsettled = Desk(BURNS, units=Market(ASSET, 3, 4), ask=Decimal("0.002")), unsettled_order(MINE)
    await desk.passes(unsettled)
    assert (desk.burns[0].book_price_decimals, desk.burns[0].book_quantity_decimals) == (3, 4)
    assert unsettled.has_new_units


async def test_each_burn_is_another_order_and_their_number_is_limited() -> None:
    desk, unsettled = Desk(BURNS, now=0), unsettled_order(MINE)
    for _ in range(50):
        await desk.passes(unsettled)
    times = [burn.creation_timestamp_ns for burn in desk.burns]
    assert len(times) == len(set(times)) == 20
    assert min(times) > MINE.creation_timestamp_ns
    assert not desk.fences.may_help(unsettled)


@pytest.mark.parametrize("terms", ALL_TERMS[2:], ids=lambda terms: type(terms).__name__)
async def test_only_the_id_of_a_create_is_used_up(terms: Any) -> None:
    desk = Desk(BURNS)
    await desk.passes(unsettled_order(terms))
    assert desk.sent == []


async def test_orders_of_a_market_share_the_reads_that_their_fences_need(autojump_clock: MockClock) -> None:
    desk, answers = Desk(BURNS, reading=1.0), list[float]()
    fences, start = desk.fences, trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(10):
            unsettled = unsettled_order(attrs.evolve(MINE, order_id=f"o-{number}"))
            nursery.start_soon(fences.pass_one, unsettled, lambda: answers.append(trio.current_time() - start))
    # All asked for the units before they were read. The best ask was being read when nine of them asked for it.
    assert [(what, time - start) for what, time in desk.reads] == [("units", 0.0), ("ask", 1.0), ("ask", 2.0)]
    assert len(desk.sent) == len(desk.burns) == 10
    assert sorted(set(answers)) == [1.0, 2.0, 3.0], "who waits for another order's read hears of its answer"


# Following on the channel.


@pytest.mark.parametrize("terms", [MINE, replacement(1, 2, 9), amendment(1, 9)])
async def test_an_answer_to_a_later_request_on_the_connection_is_a_fence(terms: Any) -> None:
    for failure in (None, NOT_FOUND):
        desk, unsettled = Desk(FOLLOWS, failure=failure), on_channel(terms)
        assert await desk.passes(unsettled)
        (delivery,) = desk.sent
        assert (delivery.only_on, delivery.may_repeat) == (CHANNEL, False)
        assert delivery.request.operation == "cancel"
        assert delivery.request.orders[0].order_id != terms.order_id
        assert desk.fences.wants_listing(unsettled)


async def test_a_later_request_that_was_not_answered_is_no_fence() -> None:
    unsettled = on_channel(MINE)
    with pytest.raises(ConnectionFailed):
        await Desk(FOLLOWS, failure=ConnectionFailed("lost")).passes(unsettled)
    assert unsettled.fence is None


@pytest.mark.parametrize("connection", [CHANNEL + 1, None])
@pytest.mark.parametrize("rules", [FOLLOWS, MARKS])
async def test_an_answer_over_another_connection_is_no_fence(rules: ServiceRules, connection: int | None) -> None:
    assert not await Desk(rules, connection=connection).passes(on_channel(MINE))


@pytest.mark.parametrize("rules", [FOLLOWS, MARKS])
async def test_a_request_over_rest_or_sent_twice_cannot_be_followed(rules: ServiceRules) -> None:
    twice = on_channel(MINE)
    twice.delivery.sends = 2
    for unsettled in (unsettled_order(MINE), twice):
        desk = Desk(rules)
        assert not await desk.passes(unsettled)
        assert desk.sent == []


async def test_without_current_listings_a_marker_has_to_be_listed() -> None:
    desk, unsettled = Desk(MARKS), on_channel(MINE)
    assert await desk.passes(unsettled)
    (delivery,) = desk.sent
    (marker,) = delivery.request.terms
    assert isinstance(marker, Order)
    assert marker.order_id != MINE.order_id
    assert marker.details == LimitOrderDetails(1, 1, IOC(fill_or_kill=False))
    assert unsettled.fence == Fence(marker.order_id)
    assert delivery.only_on == CHANNEL
    assert desk.burns == []
    assert desk.fences.wants_listing(unsettled)


@pytest.mark.parametrize("ask", [None, Decimal("0.1")])
async def test_a_marker_needs_a_best_ask_above_one_tick(ask: Decimal | None) -> None:
    desk = Desk(MARKS, ask=ask)
    assert not await desk.passes(on_channel(MINE))
    assert desk.sent == []


async def test_a_change_is_not_followed_without_current_listings() -> None:
    for terms in (replacement(1, 2, 9), amendment(1, 9)):
        desk, unsettled = Desk(MARKS), on_channel(terms)
        assert not await desk.passes(unsettled)
        assert desk.sent == []
        assert not desk.fences.may_help(unsettled)


# Expiry.


@pytest.mark.parametrize(
    ("now", "offset_ns", "bound_ns", "has_passed"),
    [
        (7, 0, 0, False),  # the bound of the rule is 2 s
        (8, 0, 0, True),
        (8, 0, 2, False),
        (8, -2, 0, False),
        (5, 3, 0, True),
    ],
)
async def test_an_expiry_is_a_fence_once_it_has_passed_by_every_clock(
    now: int, offset_ns: int, bound_ns: int, has_passed: bool
) -> None:
    desk = Desk(EXPIRES, now=now * SECOND, offset=ClockOffset(offset_ns * SECOND, bound_ns * SECOND))
    unsettled = unsettled_order(GTD_ORDER)
    assert desk.fences.may_help(unsettled)
    assert await desk.passes(unsettled) is has_passed
    assert desk.sent == []


async def test_an_expiry_needs_the_clock_of_the_service_and_an_order_that_expires() -> None:
    assert not await Desk(EXPIRES, now=99 * SECOND).passes(unsettled_order(GTD_ORDER))
    desk = Desk(EXPIRES, now=99 * SECOND, offset=ClockOffset(0, 0))
    assert not await desk.passes(unsettled_order(MINE))
    desk = Desk(attrs.evolve(EXPIRES, clock_bound=None), now=99 * SECOND, offset=ClockOffset(0, 0))
    assert not await desk.passes(unsettled_order(GTD_ORDER))


async def test_an_expiry_without_current_listings_needs_a_marker() -> None:
    desk = Desk(
        attrs.evolve(EXPIRES, listings_current=False), now=99 * SECOND, offset=ClockOffset(0, 0), connection=None
    )
    unsettled = unsettled_order(GTD_ORDER)
    assert await desk.passes(unsettled)
    assert unsettled.fence == Fence(desk.sent[0].request.orders[0].order_id)
    desk.ask = None
    other = unsettled_order(GTD_ORDER)
    assert not await desk.passes(other)
