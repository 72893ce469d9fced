"""Sends requests about orders, and reads from the answers what became of each order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from tplus_trio.errors import (
    ApiError,
    ConnectionFailed,
    DecodeError,
    HandshakeRejected,
    OrderFateUnknown,
    OrderRejected,
    RestartLimitExceeded,
    ServerError,
    TplusError,
    may_exist,
    order_rejected,
)
from tplus_trio.models import OperationStatus, OrderOperationResponse
from tplus_trio.orders.batch_results import SingleOrderStatusFromBatch
from tplus_trio.orders.sending import OrderAnswers, OrderRequest, OrderSender
from tplus_trio.service import Service

__all__ = ["Fate", "OrderOperations"]

#: What became of an order's request: ``done``, ``rejected``, ``unsent`` (no byte has left), or ``unknown``.
Fate: TypeAlias = Literal["done", "rejected", "unsent", "unknown"]


class OrderOperations:
    """Sends requests about orders.

    Args:
        service: The order book service.
        sender: The way to send.
        on_fate: Called with the fate of each order of each request.
    """

    def __init__(
        self, service: Service, sender: OrderSender, on_fate: Callable[[OrderRequest, str, Fate], object] | None = None
    ) -> None:
        self._service = service
        self._sender = sender
        self._on_fate = on_fate

    async def send(self, request: OrderRequest) -> OrderOperationResponse:
        """Send a request about one order.

        Returns:
            The answer. It names the order, and its status is ``RECEIVED``.

        Raises:
            OrderRejected: the service refused the request.
            OrderFateUnknown: the request was sent, but the answer does not state what became of the order.
            ConnectionFailed: there was no answer. Unless no connection was made, the message says that the request may
                have been carried out.
            ApiError: the service refused the sign-in or the request for another reason, or failed.

        A cancelled request may have been carried out.
        """
        sending = _Sending(self._service, request, self._on_fate)
        fates: list[Fate] = ["unknown"]
        try:
            await self._sender.prepare(request.owner)
            answer = await self._send(request, sending)
            fates = ["done"]
            return answer  # noqa: TRY300 - `fates` is read below
        except ConnectionFailed as exc:
            fates = ["unsent" if exc.nothing_sent else "unknown"]
            raise
        except (HandshakeRejected, RestartLimitExceeded):
            fates = ["unsent"]
            raise
        except (ServerError, OrderFateUnknown):
            raise
        except ApiError:
            fates = ["rejected"]
            raise
        finally:
            sending.ended(fates)

    async def _send(self, request: OrderRequest, sending: _Sending) -> OrderOperationResponse:
        ((_, order_id),) = request.orders
        try:
            answers = await self._sender.send(request, sending.sent)
        except DecodeError as exc:
            raise sending.unknown(order_id, f"its answer cannot be read ({exc})") from exc
        except OrderRejected as exc:
            if exc.order_id is not None:
                raise
            details = {**(exc.details or {}), "order_id": order_id}
            raise OrderRejected(
                exc.code, exc.message, exc.status, details, exc.retryable, exc.retry_after
            ) from exc.__cause__
        except ConnectionFailed as exc:
            if exc.nothing_sent:
                raise
            raise ConnectionFailed(f"{exc}; {may_exist(order_id, request.operation)}") from exc.__cause__
        answer = answers.by_id.get(order_id)
        if answer is None:
            others = ", ".join(repr(other[:40]) for other in answers.by_id)
            raise sending.unknown(order_id, f"its answer names another order, {others}") from answers.failure
        return _accepted(answer, sending)

    async def send_batch(self, request: OrderRequest) -> tuple[SingleOrderStatusFromBatch, ...]:
        """Send a request about several orders.

        Returns:
            What became of each order, in the order of the request. An item whose fate is not known has an
            `OrderFateUnknown` as its ``error``, also if there was no answer at all.

        Raises:
            ConnectionFailed: no byte of the request was sent.
            ApiError: the service refused the sign-in or the whole request.

        A cancelled request may have been carried out.
        """
        sending = _Sending(self._service, request, self._on_fate)
        fates: list[Fate] = ["unknown"] * len(request.orders)
        try:
            await self._sender.prepare(request.owner)
            answers = await self._send_batch(request, sending)
            results = tuple(_result(order_id, answers, sending) for _, order_id in request.orders)
            fates = [_FATES.get(type(result.error), "unknown") for result in results]
            return results  # noqa: TRY300 - `fates` is read below
        except (ConnectionFailed, HandshakeRejected, RestartLimitExceeded):
            fates = ["unsent"] * len(request.orders)
            raise
        except ApiError:
            fates = ["rejected"] * len(request.orders)
            raise
        finally:
            sending.ended(fates)

    async def _send_batch(self, request: OrderRequest, sending: _Sending) -> OrderAnswers:
        try:
            return await self._sender.send(request, sending.sent)
        except ConnectionFailed as exc:
            if exc.nothing_sent:
                raise
            return OrderAnswers({}, exc)
        except (DecodeError, ServerError) as exc:
            return OrderAnswers({}, exc)


@attrs.define
class _Sending:
    """One request on its way, and what the observer hears of it."""

    _service: Service
    _request: OrderRequest
    _on_fate: Callable[[OrderRequest, str, Fate], object] | None
    #: When its first byte may have left, in nanoseconds since the Unix epoch; None if none has.
    _sent_at_ns: int | None = None

    def sent(self) -> None:
        """Note that the first byte may leave now."""
        if self._sent_at_ns is None:  # a second time after a sign-in, where the service refused the token of the first
            self._sent_at_ns = self._service.now_ns()
            for _, order_id in self._request.orders:
                self._service.observer.order_sent(self._request.operation, order_id)

    def ended(self, fates: Sequence[Fate]) -> None:
        """Report the fate of each order: to the observer only if the request was sent or found no connection."""
        if "unsent" in fates:
            self.sent()
        for (_, order_id), fate in zip(self._request.orders, fates, strict=True):
            if self._on_fate is not None:
                self._on_fate(self._request, order_id, "unsent" if self._sent_at_ns is None else fate)
            if self._sent_at_ns is not None:
                self._service.observer.order_fate(self._request.operation, order_id, fate)

    def unknown(self, order_id: str, why: str) -> OrderFateUnknown:
        """Return the error for an order whose fate is not known."""
        sent_at_ns = self._service.now_ns() if self._sent_at_ns is None else self._sent_at_ns
        return OrderFateUnknown(order_id, self._request.operation, sent_at_ns, why)


#: The fate of an order by the error of its result.
_FATES: Final[Mapping[type, Fate]] = {type(None): "done", OrderRejected: "rejected"}


def _accepted(answer: OrderOperationResponse, sending: _Sending) -> OrderOperationResponse:
    """Return an answer if it says that the service took the request.

    Raises:
        OrderRejected: it says that the service refused it.
        OrderFateUnknown: its status is not known.
    """
    if answer.status is OperationStatus.REJECTED:
        raise order_rejected(answer.order_id, answer.reason)
    if not answer.status.is_known:
        raise sending.unknown(answer.order_id, f"its answer has an unknown status, {str(answer.status)[:40]!r}")
    return answer


def _result(order_id: str, answers: OrderAnswers, sending: _Sending) -> SingleOrderStatusFromBatch:
    answer = answers.by_id.get(order_id)
    if answer is None:
        failure = answers.failure
        why = "there was no answer about it" if failure is None else f"there was no answer about it ({failure})"
        error: TplusError = sending.unknown(order_id, why)
        error.__cause__ = failure
        return SingleOrderStatusFromBatch(order_id, None, None, error)
    try:
        _accepted(answer, sending)
    except (OrderRejected, OrderFateUnknown) as exc:
        return SingleOrderStatusFromBatch(order_id, answer.status, answer.reason, exc)
    return SingleOrderStatusFromBatch(order_id, answer.status, answer.reason)
