"""Batches of signed orders and replacements, and their answers: a result for each order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import attrs

from tplus_trio.models.order import CreateOrderRequest
from tplus_trio.models.order_change import ReplaceOrderRequestPayload
from tplus_trio.models.order_response import OrderOperationResponse

__all__ = ["MAX_BATCH", "BatchCreateOrderRequest", "BatchReplaceOrderRequest", "BatchResults"]

T = TypeVar("T")

#: The most orders in a batch.
MAX_BATCH: Final = 50


def _tuple(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(items)


@attrs.frozen
class BatchCreateOrderRequest:
    """The body of ``POST /orders/batch-create``: 1 to 50 signed orders, each id once."""

    orders: tuple[CreateOrderRequest, ...] = attrs.field(converter=_tuple)


@attrs.frozen
class BatchReplaceOrderRequest:
    """The body of ``PATCH /orders/batch-replace``: 1 to 50 signed replacements, each id once."""

    replaces: tuple[ReplaceOrderRequestPayload, ...] = attrs.field(converter=_tuple)


@attrs.frozen
class BatchResults:
    """The answer to a batch over REST: one result for each order."""

    results: tuple[OrderOperationResponse, ...] = attrs.field(converter=_tuple)
