"""Batches of signed orders and replacements, and their answers: a result for each order."""

from __future__ import annotations

from typing import Final

import attrs

from tplus_trio.models.order_change import ReplaceOrderRequestPayload
from tplus_trio.models.order_request import CreateOrderRequest
from tplus_trio.models.order_response import OrderOperationResponse

__all__ = ["MAX_BATCH", "BatchCreateOrderRequest", "BatchReplaceOrderRequest", "BatchResults"]

#: The most orders in a batch.
MAX_BATCH: Final = 50


@attrs.frozen
class BatchCreateOrderRequest:
    """The body of ``POST /orders/batch-create``: 1 to 50 signed orders, each id once."""

    orders: tuple[CreateOrderRequest, ...]


@attrs.frozen
class BatchReplaceOrderRequest:
    """The body of ``PATCH /orders/batch-replace``: 1 to 50 signed replacements, each id once."""

    replaces: tuple[ReplaceOrderRequestPayload, ...]


@attrs.frozen
class BatchResults:
    """The answer to a batch over REST: one result for each order."""

    results: tuple[OrderOperationResponse, ...]
