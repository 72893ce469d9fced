"""A request about one or several orders, and how it is sent: over REST here, over ``/control`` in its own module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import attrs
import trio

from tplus_trio import codec
from tplus_trio.errors import DecodeError, TplusError
from tplus_trio.models import (
    AmendOrder,
    AssetIdentifier,
    BatchResults,
    CancelOrder,
    Order,
    OrderOperationResponse,
    ReplaceOrderDetails,
)
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.secret import SecretBytes
from tplus_trio.service import Service
from tplus_trio.transport.pacing import Dispatch, Priority
from tplus_trio.users import User

__all__ = [
    "ORDER",
    "Delivery",
    "Operation",
    "OrderAnswers",
    "OrderRequest",
    "OrderSender",
    "OrderTarget",
    "RestSender",
    "Terms",
    "UnsentOrders",
]

Operation: TypeAlias = Literal["create", "cancel", "replace", "amend", "batch-create", "batch-replace"]
#: What is asked for one order.
Terms: TypeAlias = Order | ReplaceOrderDetails | AmendOrder | CancelOrder

#: The dispatch of the reads that order requests wait for: they are sent before other requests.
ORDER: Final = Dispatch(Priority.ORDER_READ)

#: The HTTP method and path of each operation.
_ROUTES: Final[Mapping[Operation, tuple[str, str]]] = {
    "create": ("POST", "/orders/create"),
    "cancel": ("DELETE", "/orders/cancel"),
    "replace": ("PATCH", "/orders/replace"),
    "amend": ("PATCH", "/orders/amend"),
    "batch-create": ("POST", "/orders/batch-create"),
    "batch-replace": ("PATCH", "/orders/batch-replace"),
}


class OrderTarget(NamedTuple):
    """One order that a request is about."""

    asset_id: AssetIdentifier
    order_id: str


@attrs.frozen
class OrderRequest:
    """A request that is complete and signed: it can be sent over REST or the control channel, unchanged."""

    operation: Operation
    #: The orders that it is about: one, or up to 50 with an order id once each in a batch.
    orders: tuple[OrderTarget, ...]
    #: The body: compact JSON.
    body: SecretBytes = attrs.field(repr=False)
    #: The user to sign in as.
    owner: User
    #: What is asked for each of `orders`.
    terms: tuple[Terms, ...] = ()

    @property
    def is_batch(self) -> bool:
        """Whether the service answers each order of the request for itself."""
        return self.operation.startswith("batch-")

    def terms_of(self, order_id: str) -> Terms:
        """Return what is asked for one of its orders."""
        for terms in self.terms:
            if terms.order_id == order_id:
                return terms
        raise KeyError(order_id)


class UnsentOrders:
    """The orders of waiting requests that are no cancels.

    Cancels are sent before other requests, but a create that came after its cancel would leave the order resting.
    """

    def __init__(self) -> None:
        self._orders: Counter[OrderTarget] = Counter()

    def __len__(self) -> int:
        return len(self._orders)

    def goes_first(self, request: OrderRequest) -> bool:
        """Whether a request is a cancel that may be sent before all that is waiting."""
        return request.operation == "cancel" and self._orders.keys().isdisjoint(request.orders)

    def add(self, request: OrderRequest) -> None:
        """Note a request that waits."""
        if request.operation != "cancel":
            self._orders.update(request.orders)

    def remove(self, request: OrderRequest) -> None:
        """Note that a request of `add` waits no longer."""
        if request.operation != "cancel":
            self._orders.subtract(request.orders)
            for order in request.orders:
                if not self._orders[order]:
                    del self._orders[order]


@attrs.frozen
class OrderAnswers:
    """What the service answered about the orders of one request."""

    #: The answers by order id. An order without one is missing.
    by_id: Mapping[str, OrderOperationResponse]
    #: Why answers are missing; None if the service sent no reason, or if none is missing.
    failure: TplusError | None = None


def _at_once(_: Delivery) -> float:
    return 0.0


@attrs.define(eq=False)
class Delivery:
    """What a sender is given for one request, and what it notes there. Every request gets one of its own."""

    # Ten attributes: six are given, and four are notes.
    request: OrderRequest
    #: Called in the step before the request's first byte may leave; again if it is sent again.
    on_sent: Callable[[], object] | None = None
    #: Called once, in the step in which the sender begins to wait. A request that can leave at once has left then: what
    #: is done here does not delay it.
    on_begun: Callable[[], object] | None = None
    #: Returns until when, on trio's clock, the sender waits for the answer although its caller was cancelled. It is
    #: called with the delivery, if the caller is cancelled when a byte of the request may have left.
    patience: Callable[[Delivery], float] = _at_once
    #: Whether the request may be sent again after a 401 or 403.
    may_repeat: bool = True
    #: The number of the only control connection that the request may be sent over; None is any.
    only_on: int | None = None
    #: How often the request's first byte may have left.
    sends: int = 0
    #: How often the request was answered with 401 or 403.
    refusals: int = 0
    #: The number of the control connection over which the request was sent last; None over REST.
    connection: int | None = None
    #: The outcome that came after the caller was cancelled; None if none did.
    late: OrderAnswers | TplusError | None = None

    def begun(self) -> None:
        """Note that the sender begins to wait."""
        if (on_begun := self.on_begun) is not None:
            self.on_begun = None
            on_begun()

    def sent(self) -> None:
        """Note that the request's first byte may leave now."""
        self.sends += 1
        if self.on_sent is not None:
            self.on_sent()

    def refused(self) -> bool:
        """Note that the request was answered with 401 or 403. Return whether it may be sent again."""
        self.refusals += 1
        return self.may_repeat


class OrderSender(Protocol):
    """A way to send order requests."""

    async def prepare(self, owner: User) -> None:
        """Sign in, so that every later failure is about the order.

        Raises:
            RuntimeError: this way needs an entered client.
            TplusError: the sign-in failed.
        """
        ...

    async def send(self, delivery: Delivery) -> OrderAnswers:
        """Send a request, and wait for the answers.

        Returns:
            The answers. A request about one order may get an answer that names another order; the caller checks that.

        Raises:
            ConnectionFailed: there was no answer. ``nothing_sent`` says whether no byte of the request has left.
            DecodeError: the answer cannot be decoded.
            ApiError: the service refused the sign-in or the whole request, or failed.

        If it is cancelled before a byte has left, nothing is sent. If it is cancelled later, it goes on waiting for the
        answer for as long as ``delivery.patience`` says; ``delivery.late`` then has the outcome.
        """
        ...


class RestSender:
    """Sends order requests over REST.

    Args:
        service: The order book service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._unsent = UnsentOrders()

    async def prepare(self, owner: User) -> None:
        """Sign in; see `OrderSender`."""
        await self._service.sign_in(owner)

    async def send(self, delivery: Delivery) -> OrderAnswers:
        """Send a request, and wait for the answers; see `OrderSender`.

        A cancel is sent before other requests that wait, but not before one about its own order.
        """
        delivery.begun()
        request = delivery.request
        priority = Priority.CANCEL if self._unsent.goes_first(request) else Priority.ORDER

        def sent() -> None:
            if not delivery.sends:
                self._unsent.remove(request)
            delivery.sent()

        self._unsent.add(request)
        try:
            return await _in_its_own_task(
                delivery, lambda: self._send(request, Dispatch(priority, sent, delivery.refused))
            )
        finally:
            if not delivery.sends:
                self._unsent.remove(request)

    async def _send(self, request: OrderRequest, dispatch: Dispatch) -> OrderAnswers:
        method, path = _ROUTES[request.operation]
        body = await self._service.request(
            method,
            path,
            body=request.body,
            user=request.owner,
            required=True,
            dispatch=dispatch,
        )
        if request.is_batch:
            return _batch_answers(codec.decode(body, BatchResults).results)
        answer = codec.decode(body, OrderOperationResponse)
        return OrderAnswers({answer.order_id: answer})


async def _in_its_own_task(delivery: Delivery, send: Callable[[], Awaitable[OrderAnswers]]) -> OrderAnswers:
    """Let a task send a request and read its answer, so that a caller who is cancelled can still wait for the answer.

    An HTTP request that is cancelled closes its connection, and its answer is lost.
    """
    outcome: OrderAnswers | Exception | None = None
    shield, has_ended = trio.CancelScope(shield=True), trio.Event()

    async def run() -> None:
        nonlocal outcome
        with shield:
            try:
                outcome = await send()
            except Exception as exc:  # noqa: BLE001 - raised in the caller's task
                outcome = exc
        has_ended.set()

    try:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(run)
            try:
                await has_ended.wait()
            except trio.Cancelled:
                if not delivery.sends:
                    shield.cancel()
                else:
                    shield.deadline = delivery.patience(delivery)
                raise
        return _answers_of(outcome)
    except trio.Cancelled:
        if isinstance(outcome, OrderAnswers | TplusError):
            delivery.late = outcome
        raise
    finally:
        outcome = None  # an error's traceback leads to this frame


def _answers_of(outcome: OrderAnswers | Exception | None) -> OrderAnswers:
    """Return the answers, or raise why there are none."""
    if isinstance(outcome, OrderAnswers):
        return outcome
    try:
        raise outcome or RuntimeError("the task that sends a request ended without an outcome")
    finally:
        del outcome  # whose traceback leads to this frame


def _batch_answers(results: Iterable[OrderOperationResponse]) -> OrderAnswers:
    """Return the answers to a batch, without those that contradict each other."""
    found: dict[str, OrderOperationResponse] = {}
    failure: DecodeError | None = None
    disputed: set[str] = set()
    for answer in results:
        if found.setdefault(answer.order_id, answer).status != answer.status:
            disputed.add(answer.order_id)
            failure = DecodeError("the answer to the batch has two different results for one order")
    return OrderAnswers({name: answer for name, answer in found.items() if name not in disputed}, failure)
