"""The requests of one control channel: which is written next, and to which an answer belongs. No I/O."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from typing import Final

import attrs
import trio

from tplus_trio.errors import DecodeError, TplusError
from tplus_trio.models import OrderOperationResponse
from tplus_trio.orders.control_frames import (
    RESPONSES,
    Acknowledgement,
    Answer,
    ControlFrame,
    Refusal,
    UnreadableAnswer,
)
from tplus_trio.orders.sending import Delivery, OrderAnswers, OrderRequest, OrderTarget

__all__ = ["ControlRequest", "ControlRequests"]

#: Ids of requests that were answered, kept so that an answer that repeats is told from one that belongs to nobody.
_REMEMBERED: Final = 2048
#: Requests that nobody waits for any more, and that the service did not answer.
_MOST_UNANSWERED: Final = 1024
_KINDS: Final = frozenset(RESPONSES.values())


def _new_id() -> str:
    return os.urandom(16).hex()


@attrs.define(eq=False)
class ControlRequest:
    """One request, from its first wait to its last answer."""

    delivery: Delivery
    #: What is sent.
    request: OrderRequest = attrs.field(init=False)
    request_id: str = attrs.field(factory=_new_id)
    #: Whether a byte of it may have left.
    was_sent: bool = False
    #: The answers by order id.
    answers: dict[str, OrderOperationResponse] = attrs.field(factory=dict[str, OrderOperationResponse])
    #: Why answers are missing.
    failure: Exception | None = None
    #: Set when no other answer follows, or none came in time.
    done: trio.Event = attrs.field(factory=trio.Event)
    #: Until when its sender waits, on trio's clock, and whether that is over.
    deadline: float = math.inf
    is_late: bool = False

    def __attrs_post_init__(self) -> None:
        self.request = self.delivery.request

    @property
    def is_complete(self) -> bool:
        """Whether each order has its answer."""
        return len(self.answers) >= len(self.request.orders)

    def outcome(self) -> OrderAnswers | TplusError | None:
        """Return the answers, or why there are none; None if neither is known."""
        if not self.done.is_set():
            return None
        failure, self.failure = self.failure, None
        try:
            return failure if isinstance(failure, TplusError) and not self.answers else OrderAnswers(self.answers)
        finally:
            del failure  # whose traceback leads to this frame

    def result(self) -> OrderAnswers:
        """Return the answers.

        Raises:
            TplusError: there are none; this is why.
        """
        failure, self.failure = self.failure, None
        try:
            if failure is None or (self.answers and isinstance(failure, TplusError)):
                return OrderAnswers(self.answers, failure)
            raise failure
        finally:
            del failure  # whose traceback leads to this frame


class ControlRequests:
    """The requests of one channel: those that wait for their turn, and those that may have been sent.

    Args:
        max_in_flight: How many requests may be in flight; at least 1.
    """

    # Twelve attributes: four of them are counts for people to read.
    def __init__(self, max_in_flight: int) -> None:
        self._max_in_flight = max_in_flight
        #: Cancel requests, which are sent before others.
        self._cancels: OrderedDict[str, ControlRequest] = OrderedDict()
        self._others: OrderedDict[str, ControlRequest] = OrderedDict()
        self._in_flight: dict[str, ControlRequest] = {}
        #: Requests whose sender has left, and whose answer may still come.
        self._unanswered: dict[str, ControlRequest] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        #: Why no request is accepted any more; None while requests are.
        self._end: Callable[[], Exception] | None = None
        self.answered: int = 0
        self.repeats: int = 0
        self.strays: int = 0
        self.peak_in_flight: int = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection, or for their turn."""
        return len(self._cancels) + len(self._others)

    @property
    def in_flight(self) -> int:
        """How many requests may have been sent and wait for an answer."""
        return len(self._in_flight)

    @property
    def has_too_many_unanswered(self) -> bool:
        """Whether the connection has to be given up.

        An answer without a request id is matched only if no other request fits it. Requests whose senders have left
        are therefore never forgotten while their connection lasts.
        """
        return len(self._unanswered) > _MOST_UNANSWERED

    # The senders' side.

    def add(self, request: ControlRequest) -> None:
        """Let a request wait for its turn.

        A cancel request goes before others that wait, but not before one about the same order.
        """
        if self._end is not None:
            request.failure = self._end()
            request.done.set()
            return
        overtakes = request.request.operation == "cancel" and not self._is_waiting(request.request.orders)
        (self._cancels if overtakes else self._others)[request.request_id] = request

    def _is_waiting(self, orders: tuple[OrderTarget, ...]) -> bool:
        return any(not set(orders).isdisjoint(other.request.orders) for other in self._others.values())

    def leave(self, request: ControlRequest) -> None:
        """Note that nobody waits for a request any more. One that waits for its turn is never sent."""
        self._cancels.pop(request.request_id, None)
        self._others.pop(request.request_id, None)
        if self._in_flight.pop(request.request_id, None) is not None:
            self._unanswered[request.request_id] = request

    # The connection's side.

    def take(self) -> ControlRequest | None:
        """Return the request to send next, which is in flight from now on; None if none can be sent."""
        queue = self._cancels or self._others
        if not queue or len(self._in_flight) >= self._max_in_flight:
            return None
        request_id, request = queue.popitem(last=False)
        self._in_flight[request_id] = request
        self.peak_in_flight = max(self.peak_in_flight, len(self._in_flight))
        request.was_sent = True
        return request

    def put_back(self, request: ControlRequest) -> None:
        """Note that no byte of the request that was taken last has left: it waits again, before all others."""
        self._unanswered.pop(request.request_id, None)
        if self._in_flight.pop(request.request_id, None) is not None:
            request.was_sent = False
            self._cancels[request.request_id] = request
            self._cancels.move_to_end(request.request_id, last=False)

    def lose_connection(self, failure: Callable[[], Exception]) -> None:
        """End all requests that may have been sent: their connection is lost.

        Args:
            failure: Makes the error for each of them.
        """
        for request in tuple(self._in_flight.values()):
            self._finish(request, failure())
        for request in tuple(self._unanswered.values()):
            self._finish(request, None)

    def end(self, failure: Callable[[], Exception]) -> None:
        """End the requests that wait for their turn, and those that come later.

        Args:
            failure: Makes the error for each of them.
        """
        self._end = failure
        for queue in (self._cancels, self._others):
            while queue:
                _, request = queue.popitem(last=False)
                request.failure = failure()
                request.done.set()

    # Answers.

    def receive(self, frame: ControlFrame, *, named: bool) -> bool:
        """Give a frame to the request that it belongs to.

        Args:
            frame: What came over the connection.
            named: Whether the service of this connection names the request in each answer. If so, an answer without a
                request id belongs to nobody. If not, it belongs to the one request in flight that fits it by kind,
                asset and order id, and to nobody if several do.

        Returns:
            False if the frame belongs to nobody.
        """
        request = self._owner(frame, named)
        if isinstance(frame, Acknowledgement):
            return True
        if request is None:
            if frame.request_id in self._finished:
                self.repeats += 1
                return True
            self.strays += 1
            return False
        match frame:
            case Refusal():
                self._finish(request, frame.error)
            case UnreadableAnswer():
                self._fail_one(request, frame.error)
            case Answer():
                return self._answer(request, frame)
        return True

    def _owner(self, frame: ControlFrame, named: bool) -> ControlRequest | None:
        request_id = frame.request_id
        if request_id is not None:
            return self._in_flight.get(request_id) or self._unanswered.get(request_id)
        if named or not isinstance(frame, Answer):
            return None
        sent = chain(self._in_flight.values(), self._unanswered.values())
        fitting = [request for request in sent if _fits(request, frame)]
        return fitting[0] if len(fitting) == 1 else None

    def _answer(self, request: ControlRequest, answer: Answer) -> bool:
        expected, order_id = RESPONSES[request.request.operation], answer.response.order_id
        if answer.kind != expected and answer.kind in _KINDS:
            self._fail_one(request, DecodeError(f"the answer is of the kind {answer.kind}, not {expected}"))
            return True
        if request.request.is_batch:
            if order_id in request.answers:
                self.repeats += 1
                return True
            if not _is_about(request, answer):
                self.strays += 1
                return False
        request.answers[order_id] = answer.response
        if request.is_complete:
            self._finish(request, None)
        return True

    def _fail_one(self, request: ControlRequest, error: DecodeError) -> None:
        """Note that one answer is lost. The other answers of a batch may still come."""
        if request.request.is_batch:
            request.failure = error
        else:
            self._finish(request, error)

    def _finish(self, request: ControlRequest, failure: Exception | None) -> None:
        self._in_flight.pop(request.request_id, None)
        self._unanswered.pop(request.request_id, None)
        self._finished[request.request_id] = None
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        self.answered += failure is None
        request.failure = failure
        request.done.set()


def _fits(request: ControlRequest, answer: Answer) -> bool:
    """Return whether an answer without a request id may be one to a request."""
    return (
        answer.asset_id is not None
        and answer.kind == RESPONSES[request.request.operation]
        and answer.response.order_id not in request.answers
        and _is_about(request, answer)
    )


def _is_about(request: ControlRequest, answer: Answer) -> bool:
    """Return whether an answer names an order of a request. If it names no asset, the order id decides."""
    return any(
        target.order_id == answer.response.order_id and answer.asset_id in {None, target.asset_id}
        for target in request.request.orders
    )
