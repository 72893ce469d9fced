"""Bugs to plant, one at a time, to show that the worlds find them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from unittest import mock

import attrs
import trio

from tplus_trio import ApiError, ConnectionFailed, OrderFateUnknown
from tplus_trio.clients.order_fates import OrderFates
from tplus_trio.models import OperationStatus, OrderOperationResponse
from tplus_trio.orders import operations, outcomes
from tplus_trio.orders.control_frames import Acknowledgement, ControlFrame
from tplus_trio.orders.control_requests import ControlRequest, ControlRequests
from tplus_trio.orders.control_sender import ControlSender
from tplus_trio.orders.evidence import OrderEvidence, never
from tplus_trio.orders.fences import Fences
from tplus_trio.orders.listings import Listing, ListingReader
from tplus_trio.orders.operations import OrderOperations
from tplus_trio.orders.resolution import OrderResolver
from tplus_trio.orders.sending import Delivery, OrderAnswers, RestSender
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.shared_reads import Progress
from tplus_trio.orders.unsettled import UnsettledOrder
from tplus_trio.users import User

__all__ = ["FATE_BUGS"]

# The functions below read private attributes of what they break.


@contextmanager
def _resend_after_a_lost_answer() -> Generator[None]:
    """A request that was not answered is sent again."""

    def twice(send: Callable[[Any, Delivery], Awaitable[OrderAnswers]]) -> Callable[[Any, Delivery], Any]:
        async def sent(self: Any, delivery: Delivery) -> OrderAnswers:
            try:
                return await send(self, delivery)
            except ConnectionFailed as exc:
                if exc.nothing_sent:
                    raise
                return await send(self, delivery)

        return sent

    with (
        mock.patch.object(RestSender, "send", twice(RestSender.send)),
        mock.patch.object(ControlSender, "send", twice(ControlSender.send)),
    ):
        yield


@contextmanager
def _stale_listing() -> Generator[None]:
    """A listing is taken for the present state, although the program declares no such rule, and it may be old."""
    proper = OrderFates.__init__

    def init(self: OrderFates, *arguments: Any, **options: Any) -> None:
        rules = attrs.evolve(options["rules"], listings_current=True)
        proper(self, *arguments, **{**options, "rules": rules})

    with mock.patch.object(OrderFates, "__init__", init):
        yield


@contextmanager
def _listing_without_fence() -> Generator[None]:
    """An order is taken for absent because a complete listing lacks it, although its request may still arrive."""

    def is_absent(self: OrderEvidence, order: UnsettledOrder) -> bool:
        listing = order.listing
        return listing is not None and listing.is_complete and order.target.order_id not in listing.orders

    def wants_listing(_: Fences, order: UnsettledOrder) -> bool:
        return order.fate == "unknown"

    with (
        mock.patch.object(Fences, "wants_listing", wants_listing),
        mock.patch.object(OrderEvidence, "_is_absent", is_absent),
    ):
        yield


@contextmanager
def _first_page() -> Generator[None]:
    """The first page of a listing is taken for the whole."""
    proper = ListingReader._read

    async def read(self: ListingReader, owner: User, asset_id: Any, pages: int, on_page: Any) -> Listing:
        return attrs.evolve(await proper(self, owner, asset_id, min(pages, 1), on_page), is_complete=True)

    with mock.patch.object(ListingReader, "_read", read):
        yield


@contextmanager
def _acknowledgement_is_an_answer() -> Generator[None]:
    """An acknowledgement on the control channel is taken for the answer."""
    proper = ControlRequests.receive

    def receive(self: ControlRequests, frame: ControlFrame, *, named: bool) -> bool:
        request: ControlRequest | None = self._owner(frame, named)
        if isinstance(frame, Acknowledgement) and request is not None:
            for _, order_id in request.request.orders:
                request.answers[order_id] = OrderOperationResponse(order_id, OperationStatus.RECEIVED)
            self._finish(request, None)
            return True
        return proper(self, frame, named=named)

    with mock.patch.object(ControlRequests, "receive", receive):
        yield


@contextmanager
def _refused_burn_proves() -> Generator[None]:
    """A burn that is refused is taken for a proof that no order has the id."""
    proper = Fences._burn

    async def burn(self: Fences, order: UnsettledOrder, on_answer: Progress) -> None:
        try:
            await proper(self, order, on_answer)
        except ApiError:
            order.settle("rejected", never(order, "its id is used up"))

    with mock.patch.object(Fences, "_burn", burn):
        yield


@contextmanager
def _answer_of_another() -> Generator[None]:
    """An answer that names another order is taken for that of the request."""
    proper = outcomes.outcome_of

    def item_of(order_id: str, answers: OrderAnswers, operation: str) -> Any:
        if order_id not in answers.by_id and answers.by_id:
            answers = OrderAnswers({order_id: next(iter(answers.by_id.values()))})
        return proper(order_id, answers, operation)

    with mock.patch.object(operations, "outcome_of", item_of):
        yield


@contextmanager
def _cancelled_create_forgotten() -> Generator[None]:
    """Nobody looks for the order of a call that was cancelled."""
    proper = OrderOperations._after_cancel

    async def after_cancel(self: OrderOperations, call: Any) -> None:
        if not call.request.operation.endswith("create"):
            await proper(self, call)

    with mock.patch.object(OrderOperations, "_after_cancel", after_cancel):
        yield


@contextmanager
def _rules_that_are_off() -> Generator[None]:
    """All rules are used, whatever the program declared."""
    proper = OrderFates.__init__
    everything = ServiceRules(
        order_ids_remembered=True,
        control_keeps_order=True,
        clock_bound=0.0,
        listings_current=True,
        unauthorized_does_nothing=True,
    )

    def init(self: OrderFates, *arguments: Any, **options: Any) -> None:
        proper(self, *arguments, **{**options, "rules": everything})

    with mock.patch.object(OrderFates, "__init__", init):
        yield


@contextmanager
def _received_is_gone() -> Generator[None]:
    """An order is taken for gone because its cancel was answered ``Received``."""
    proper = OrderResolver._cancel

    async def cancel(self: OrderResolver, order: UnsettledOrder, on_page: Any) -> None:
        await proper(self, order, on_page)
        if order.operation == "create" and order.on_cancel == "cancel":
            order.settle("done")
            order.is_gone = True

    with mock.patch.object(OrderResolver, "_cancel", cancel):
        yield


@contextmanager
def _cancelled_replaced() -> Generator[None]:
    """A call that was cancelled raises what it found out."""
    proper = OrderOperations._run

    async def run(self: OrderOperations, request: Any, on_cancel: Any) -> Any:
        try:
            return await proper(self, request, on_cancel)
        except trio.Cancelled:
            order_id = request.orders[0].order_id
            raise OrderFateUnknown(order_id, request.operation, 0, "") from None  # noqa: ASYNC104 - the planted bug

    with mock.patch.object(OrderOperations, "_run", run):
        yield


#: The bugs by name.
FATE_BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "resend-after-a-lost-answer": _resend_after_a_lost_answer,
    "stale-listing": _stale_listing,
    "listing-without-fence": _listing_without_fence,
    "first-page": _first_page,
    "acknowledgement-is-an-answer": _acknowledgement_is_an_answer,
    "refused-burn-proves": _refused_burn_proves,
    "answer-of-another": _answer_of_another,
    "cancelled-create-forgotten": _cancelled_create_forgotten,
    "rules-that-are-off": _rules_that_are_off,
    "received-is-gone": _received_is_gone,
    "cancelled-replaced": _cancelled_replaced,
}
