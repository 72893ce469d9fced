"""Requests about one order: sending them, and checking that the answer states what became of the order."""

from __future__ import annotations

from typing import Final, Literal

from tplus_trio import codec
from tplus_trio.errors import ApiError, ConnectionFailed, DecodeError, OrderFateUnknown, ServerError, may_exist
from tplus_trio.models import OperationStatus, OrderOperationResponse
from tplus_trio.secret import SecretBytes
from tplus_trio.service import Service
from tplus_trio.transport.pacing import Dispatch, Priority
from tplus_trio.users import User

__all__ = ["ORDER", "operate"]

#: The dispatch of the reads that order requests wait for: they are sent before other requests.
ORDER: Final = Dispatch(Priority.ORDER_READ)

#: The HTTP method and path of each operation.
_REQUESTS: Final = {"create": ("POST", "/orders/create"), "cancel": ("DELETE", "/orders/cancel")}


async def operate(
    service: Service, operation: Literal["create", "cancel"], order_id: str, request: object, owner: User
) -> OrderOperationResponse:
    """Send a signed request about one order.

    Args:
        service: The order book service.
        operation: ``"create"`` or ``"cancel"``.
        order_id: The order; the answer must name it.
        request: The body of the request, as a model.
        owner: The user to sign in as.

    Returns:
        The answer. It names the order and has a known status, which may be ``REJECTED``.

    Raises:
        OrderFateUnknown: the request was sent, but the answer does not state what became of the order.
        ConnectionFailed: there was no answer. Unless no connection was made, the message says that the request may
            have been carried out.
        ApiError: the service refused the sign-in or the request, or failed.

    A cancelled request may have been carried out.

    ``POST /orders/create`` or ``DELETE /orders/cancel``.
    """
    # The sign-in comes first, so that every later failure is about the order.
    await service.sign_in(owner)
    body = SecretBytes(codec.encode(request))
    observer, fate, was_sent = service.observer, "unknown", False

    def sent() -> None:
        nonlocal was_sent
        if not was_sent:  # a second time after a sign-in, where the service refused the token of the first
            was_sent = True
            observer.order_sent(operation, order_id)

    priority = Priority.CANCEL if operation == "cancel" else Priority.ORDER
    try:
        answer = await _exchange(service, operation, order_id, body, owner, Dispatch(priority, sent))
        fate = "rejected" if answer.status is OperationStatus.REJECTED else "done"
        return answer  # noqa: TRY300 - `fate` is for the observer
    except ConnectionFailed as exc:
        fate = "unsent" if exc.nothing_sent else "unknown"
        raise
    except ServerError:
        raise
    except ApiError:
        fate = "rejected"
        raise
    finally:
        if was_sent:
            observer.order_fate(operation, order_id, fate)


async def _exchange(
    service: Service, operation: str, order_id: str, body: bytes, owner: User, dispatch: Dispatch
) -> OrderOperationResponse:
    """Send the request and check that its answer is about the order."""
    method, path = _REQUESTS[operation]
    sent_at_ns = service.now_ns()
    try:
        data = await service.request(method, path, body=body, user=owner, required=True, dispatch=dispatch)
        answer = codec.decode(data, OrderOperationResponse)
    except DecodeError as exc:
        why = f"its answer cannot be read ({exc})"
        raise OrderFateUnknown(order_id, operation, sent_at_ns, why) from exc
    except ConnectionFailed as exc:
        if exc.nothing_sent:
            raise
        raise ConnectionFailed(f"{exc}; {may_exist(order_id, operation)}") from exc.__cause__
    if answer.order_id != order_id:
        why = f"its answer names another order, {answer.order_id[:40]!r}"
        raise OrderFateUnknown(order_id, operation, sent_at_ns, why)
    if not answer.status.is_known:
        why = f"its answer has an unknown status, {str(answer.status)[:40]!r}"
        raise OrderFateUnknown(order_id, operation, sent_at_ns, why)
    return answer
