"""A request about one or several orders, and how it is sent: over REST here, over ``/control`` in its own module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import attrs

from tplus_trio import codec
from tplus_trio.errors import DecodeError, TplusError
from tplus_trio.models import AssetIdentifier, BatchResults, OrderOperationResponse
from tplus_trio.secret import SecretBytes
from tplus_trio.service import Service
from tplus_trio.transport.pacing import Dispatch, Priority
from tplus_trio.users import User

__all__ = [
    "ORDER",
    "Operation",
    "OrderAnswers",
    "OrderRequest",
    "OrderSender",
    "OrderTarget",
    "RestSender",
    "UnsentOrders",
]

Operation: TypeAlias = Literal["create", "cancel", "replace", "amend", "batch-create", "batch-replace"]

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

    @property
    def is_batch(self) -> bool:
        """Whether the service answers each order of the request for itself."""
        return self.operation.startswith("batch-")


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


class OrderSender(Protocol):
    """A way to send order requests."""

    async def prepare(self, owner: User) -> None:
        """Sign in, so that every later failure is about the order.

        Raises:
            RuntimeError: this way needs an entered client.
            TplusError: the sign-in failed.
        """
        ...

    async def send(self, request: OrderRequest, on_sent: Callable[[], object]) -> OrderAnswers:
        """Send a request, and wait for the answers.

        Args:
            request: The request.
            on_sent: Called in the step before the request's first byte may leave; again if it is repeated.

        Returns:
            The answers. A request about one order may get an answer that names another order; the caller checks that.

        Raises:
            ConnectionFailed: there was no answer. ``nothing_sent`` says whether no byte of the request has left.
            DecodeError: the answer cannot be decoded.
            ApiError: the service refused the sign-in or the whole request, or failed.

        A cancelled request may have been carried out.
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

    async def send(self, request: OrderRequest, on_sent: Callable[[], object]) -> OrderAnswers:
        """Send a request, and wait for the answers; see `OrderSender`.

        A cancel is sent before other requests that wait, but not before one about its own order.
        """
        priority = Priority.CANCEL if self._unsent.goes_first(request) else Priority.ORDER
        was_sent = False

        def sent() -> None:
            nonlocal was_sent
            if not was_sent:
                was_sent = True
                self._unsent.remove(request)
            on_sent()

        self._unsent.add(request)
        try:
            return await self._send(request, Dispatch(priority, sent))
        finally:
            if not was_sent:
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
