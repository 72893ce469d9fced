"""The rounds in which the client finds out about orders: what is tried, how often, and what is taken back."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE
from tests.helpers.order_messages import ASSET, ORDER_ID, order, replacement
from tests.helpers.unsettled_orders import NOT_FOUND, unsettled_order
from tplus_trio import AssetIdentifier, ConnectionFailed, OrderBookClient, TplusError
from tplus_trio.models import CancelOrder, OperationStatus, OrderOperationResponse
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.listings import Listing
from tplus_trio.orders.resolution import OrderResolver
from tplus_trio.orders.sending import Delivery, OrderAnswers
from tplus_trio.orders.unsettled import OnCancel, UnsettledOrder, UnsettledOrders

MINE = order()
CANCEL = CancelOrder(ORDER_ID, ASSET, ALICE.public_key)


@attrs.define(eq=False)
class Desk:
    """A resolver whose sender, listings, fences and evidence a test controls."""

    # Sixteen attributes: what a test sets, and what it reads.
    answer: OrderOperationResponse | TplusError | None = None
    #: Seconds for a page, or a failure; and how many pages a whole listing has.
    reading: TplusError | float = 0.0
    pages: int = 1
    fence_helps: bool = False
    #: Seconds for each read that a fence needs.
    fence_reads: tuple[float, ...] = ()
    wants_all: bool = False
    others: tuple[AssetIdentifier, ...] = ()
    #: Called by `conclude`.
    concludes: Callable[[UnsettledOrder], object] = lambda _: None
    start: float = attrs.field(factory=trio.current_time)
    sent: list[Delivery] = attrs.field(factory=list[Delivery])
    #: When each step was taken, in seconds since the start.
    steps: list[tuple[str, float]] = attrs.field(factory=list[tuple[str, float]])
    fences_passed: list[float] = attrs.field(factory=list[float])
    tasks: list[Callable[[], Awaitable[object]]] = attrs.field(factory=list[Callable[[], Awaitable[object]]])
    unsettled: UnsettledOrders = attrs.field(factory=UnsettledOrders)
    resolver: OrderResolver = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        me: Any = self
        builder = RequestBuilder(OrderBookClient("http://exchange")._service)
        self.resolver = OrderResolver(me, builder, me, me, me, self.unsettled, self.tasks.append, lambda: False)

    def _note(self, step: str) -> None:
        self.steps.append((step, trio.current_time() - self.start))

    async def send(self, delivery: Delivery) -> OrderAnswers:
        self._note("cancel")
        await trio.lowlevel.checkpoint()
        self.sent.append(delivery)
        delivery.sent()
        if isinstance(self.answer, TplusError):
            raise self.answer
        return OrderAnswers({} if self.answer is None else {self.answer.order_id: self.answer})

    async def read(
        self, _: object, market: AssetIdentifier, *, complete: bool, on_page: Callable[[], object]
    ) -> Listing:
        self._note(("read all" if complete else "read") if market == ASSET else f"read {market}")
        if isinstance(self.reading, TplusError):
            raise self.reading
        for _page in range(self.pages if complete else 1):
            await trio.sleep(self.reading)
            on_page()
        return Listing({}, is_complete=complete)

    def may_help(self, _: UnsettledOrder) -> bool:
        return self.fence_helps

    def wants_listing(self, _: UnsettledOrder) -> bool:
        return self.wants_all

    async def pass_one(self, _: UnsettledOrder, on_answer: Callable[[], object]) -> None:
        self._note("fence")
        for seconds in self.fence_reads:
            await trio.sleep(seconds)
            on_answer()
        await trio.lowlevel.checkpoint()
        self.fences_passed.append(trio.current_time() - self.start)

    def conclude(self, unsettled: UnsettledOrder) -> None:
        self.concludes(unsettled)

    def other_markets(self, _: UnsettledOrder) -> tuple[AssetIdentifier, ...]:
        return self.others

    async def settle_for(self, seconds: float, unsettled: UnsettledOrder) -> None:
        self.unsettled.add(unsettled)
        with trio.move_on_after(seconds):
            await self.resolver.settle(unsettled)

    def times(self, step: str) -> list[float]:
        return [time for name, time in self.steps if name == step]


def response(status: str, reason: str | None = None) -> OrderOperationResponse:
    return OrderOperationResponse(ORDER_ID, OperationStatus.read(status), reason)


# Rounds.


async def test_a_round_looks_passes_a_fence_and_reads_all_after_it(autojump_clock: MockClock) -> None:
    desk = Desk(wants_all=True)
    unsettled = unsettled_order(MINE)
    await desk.settle_for(0.01, unsettled)
    assert [step for step, _ in desk.steps] == ["read", "fence", "read all"]
    assert unsettled.listing is not None
    assert unsettled.listing.is_complete


async def test_the_markets_of_other_orders_under_the_id_are_looked_at_too(autojump_clock: MockClock) -> None:
    desk = Desk(others=(AssetIdentifier(7),))
    await desk.settle_for(0.01, unsettled_order(MINE))
    assert [step for step, _ in desk.steps] == ["read", "read 7", "fence"]


async def test_a_listing_takes_as_long_as_its_pages_come(autojump_clock: MockClock) -> None:
    # At 0.3 s one way, a few pages take longer than a round waits for one request.
    desk = Desk(wants_all=True, reading=1.5, pages=4)
    unsettled = unsettled_order(MINE)
    await desk.settle_for(8.0, unsettled)
    assert desk.times("read all") == [1.5]
    assert unsettled.listing is not None
    desk = Desk(wants_all=True, reading=2.5, pages=4)
    unsettled = unsettled_order(MINE)
    await desk.settle_for(6.0, unsettled)
    assert desk.times("read all")[:1] == [2.0]
    assert unsettled.listing is None


async def test_each_read_of_a_fence_has_the_time_of_a_request(autojump_clock: MockClock) -> None:
    desk = Desk(fence_reads=(1.5, 1.5))
    await desk.settle_for(3.5, unsettled_order(MINE))
    assert desk.fences_passed == [3.0]
    desk = Desk(fence_reads=(1.5, 2.5))
    await desk.settle_for(4.0, unsettled_order(MINE))
    assert desk.fences_passed == []


async def test_a_whole_listing_that_would_show_nothing_is_read_in_every_fourth_round(autojump_clock: MockClock) -> None:
    # A service may have small pages, or another program may have placed many orders since.
    desk = Desk()
    unsettled = unsettled_order(MINE)
    await desk.settle_for(100, unsettled)
    assert desk.times("read all") == [time for number, time in enumerate(desk.times("read")) if number % 4 == 3]
    assert unsettled.listing is None  # it was begun before any fence


async def test_a_whole_listing_is_read_for_an_order_whose_id_is_taken(autojump_clock: MockClock) -> None:
    desk = Desk()
    unsettled = unsettled_order(MINE)
    unsettled.is_taken = True
    await desk.settle_for(0.01, unsettled)
    assert [step for step, _ in desk.steps] == ["read", "fence", "read all"]
    assert unsettled.listing is None


async def test_rounds_become_rarer_while_only_time_can_help(autojump_clock: MockClock) -> None:
    desk = Desk()
    await desk.settle_for(200, unsettled_order(MINE))
    times = desk.times("read")
    waits = [round(later - time, 6) for time, later in pairwise(times)]
    assert waits[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert set(waits[10:]) == {30.0}


@pytest.mark.parametrize("reason", ["a fence may help", "the service cannot be reached"])
async def test_rounds_stay_frequent_while_something_can_be_found_out(reason: str, autojump_clock: MockClock) -> None:
    desk = Desk(fence_helps=reason == "a fence may help")
    if not desk.fence_helps:
        desk.reading = ConnectionFailed("no")
    unsettled = unsettled_order(MINE)
    await desk.settle_for(10, unsettled)
    times = desk.times("read")
    assert max(later - time for time, later in pairwise(times)) == pytest.approx(0.5)
    assert (unsettled.last_error is None) is desk.fence_helps


async def test_a_step_that_fails_does_not_keep_others_from_being_taken(autojump_clock: MockClock) -> None:
    desk = Desk(reading=ConnectionFailed("no"))
    await desk.settle_for(0.01, unsettled_order(MINE))
    assert [step for step, _ in desk.steps] == ["read", "fence"]


async def test_a_step_that_hangs_is_given_up_and_has_more_time_in_some_rounds(autojump_clock: MockClock) -> None:
    desk = Desk(reading=math.inf)
    await desk.settle_for(45, unsettled_order(MINE))
    ends = [fence - read for read, fence in zip(desk.times("read"), desk.times("fence"), strict=False)]
    assert ends[:4] == pytest.approx([2, 2, 2, 10])


async def test_what_is_seen_ends_the_wait_at_once(autojump_clock: MockClock) -> None:
    desk = Desk()
    unsettled = unsettled_order(MINE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.settle_for, 1000, unsettled)
        await trio.sleep(60)
        desk.concludes = lambda one: one.settle("done")
        unsettled.wake()
    assert trio.current_time() - desk.start == pytest.approx(60)
    assert unsettled.fate == "done"
    assert len(desk.unsettled) == 0


async def test_a_step_that_settles_is_the_last_one(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.concludes = lambda one: one.settle("done") if desk.steps else None
    await desk.settle_for(100, unsettled_order(MINE))
    assert [step for step, _ in desk.steps] == ["read"]


# Cancels.


@pytest.mark.parametrize(
    ("on_cancel", "fate", "cancels"),
    [
        ("cancel", "done", 1),
        ("cancel", "unknown", 0),  # the id may be another order's
        ("cancel", "rejected", 0),
        ("resolve", "done", 0),
        ("leave", "done", 0),
        ("leave", "unknown", 0),
    ],
)
async def test_only_an_order_that_exists_and_is_not_wanted_is_cancelled(
    on_cancel: OnCancel, fate: str, cancels: int, autojump_clock: MockClock
) -> None:
    desk = Desk()
    await desk.settle_for(0.01, unsettled_order(MINE, on_cancel=on_cancel, fate=fate))
    assert len(desk.sent) == cancels


async def test_an_order_that_is_not_wanted_is_cancelled_until_it_is_gone(autojump_clock: MockClock) -> None:
    desk = Desk(answer=response("Received"))
    unsettled = unsettled_order(MINE, on_cancel="cancel", fate="done")
    await desk.settle_for(1, unsettled)
    assert len(desk.sent) > 1, "that the service took the cancel does not prove it"
    assert unsettled.response is None
    unsettled.is_gone = True
    before = len(desk.sent)
    await desk.settle_for(10, unsettled)
    assert len(desk.sent) == before
    assert len(desk.unsettled) == 0


async def test_an_order_that_ended_in_the_meantime_is_not_cancelled(autojump_clock: MockClock) -> None:
    desk = Desk(answer=response("Received"))
    unsettled = unsettled_order(CANCEL, is_gone=True)
    await desk.settle_for(10, unsettled)
    assert desk.sent == [], "only what became of the first cancel is to be found out"


async def test_a_replacement_in_doubt_cancels_nothing(autojump_clock: MockClock) -> None:
    desk = Desk()
    await desk.settle_for(100, unsettled_order(replacement(1010, 12, 500), on_cancel="cancel"))
    assert desk.sent == []


async def test_a_cancel_in_doubt_is_sent_again_until_it_is_taken(autojump_clock: MockClock) -> None:
    desk = Desk(answer=ConnectionFailed("no"))
    unsettled = unsettled_order(CANCEL, on_cancel="cancel")
    await desk.settle_for(3, unsettled)
    assert len(desk.sent) > 3
    desk.answer = response("Received")
    await desk.settle_for(3, unsettled)
    assert unsettled.fate == "done"
    assert unsettled.response == desk.answer


@pytest.mark.parametrize("answer", [NOT_FOUND, response("Rejected", "ORDER_NOT_FOUND")])
async def test_a_cancel_that_found_no_order_is_not_sent_again(
    answer: OrderOperationResponse | TplusError, autojump_clock: MockClock
) -> None:
    desk = Desk(answer=answer)
    unsettled = unsettled_order(CANCEL, on_cancel="cancel")
    await desk.settle_for(10, unsettled)
    assert len(desk.sent) == 1
    assert unsettled.fate == "unknown", "a copy of it may have been carried out"
    assert getattr(unsettled.refusal, "code", None) == "ORDER_NOT_FOUND"
    unsettled.is_open = True  # a later listing shows it
    await desk.settle_for(0.01, unsettled)
    assert len(desk.sent) == 2


@pytest.mark.parametrize("answer", [response("Rejected", "TIMEOUT"), response("Queued")])
async def test_an_answer_to_a_cancel_that_states_nothing_settles_nothing(
    answer: OrderOperationResponse, autojump_clock: MockClock
) -> None:
    desk = Desk(answer=answer)
    unsettled = unsettled_order(CANCEL, on_cancel="cancel")
    await desk.settle_for(1, unsettled)
    assert (unsettled.fate, unsettled.refusal) == ("unknown", None)
    assert len(desk.sent) > 1


# Several orders, and tasks of the client.


@pytest.mark.parametrize("number", [1, 3])
async def test_a_cancellation_is_raised_plainly_and_leaves_the_orders_in_doubt(
    number: int, autojump_clock: MockClock
) -> None:
    desk, orders = Desk(), [unsettled_order(MINE) for _ in range(number)]
    with trio.CancelScope() as scope, pytest.raises(trio.Cancelled):  # noqa: PT012 - a block that is cancelled
        scope.deadline = trio.current_time() + 1
        await desk.resolver.settle_all(orders)
    assert len(desk.unsettled) == number


@pytest.mark.parametrize("number", [1, 3])
async def test_orders_are_settled_all_at_once(number: int, autojump_clock: MockClock) -> None:
    desk, orders = Desk(reading=1.0), [unsettled_order(MINE) for _ in range(number)]
    desk.concludes = lambda one: one.settle("done") if trio.current_time() >= desk.start + 1 else None
    await desk.resolver.settle_all(orders)
    assert trio.current_time() == desk.start + 1
    assert [one.fate for one in orders] == ["done"] * number
    assert len(desk.unsettled) == 0


async def test_what_is_known_already_is_settled_without_a_request() -> None:
    desk = Desk()
    desk.concludes = lambda one: one.settle("done")
    await desk.resolver.settle_all([unsettled_order(MINE), unsettled_order(MINE)])
    assert desk.steps == []


async def test_orders_that_are_not_settled_are_watched_by_tasks_of_the_client(autojump_clock: MockClock) -> None:
    desk = Desk()
    settled, doubtful = unsettled_order(MINE, fate="done"), unsettled_order(MINE)
    desk.resolver.watch([settled, doubtful])
    assert len(desk.unsettled) == len(desk.tasks) == 1
    with trio.move_on_after(0.01):
        await desk.tasks[0]()
    assert desk.times("read") == [0.0]
