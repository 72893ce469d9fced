"""What became of the orders of a request about several orders."""

from __future__ import annotations

import attrs

from tplus_trio.errors import TplusError
from tplus_trio.models import AssetIdentifier, OperationStatus

__all__ = [
    "BatchCreateOrderRequestResponse",
    "BatchReplaceOrderRequestResponse",
    "CancelResult",
    "SingleOrderStatusFromBatch",
]


@attrs.frozen
class SingleOrderStatusFromBatch:
    """What became of one order of a batch."""

    order_id: str
    #: Whether the service took the request about this order; None if there was no answer about it.
    status: OperationStatus | None
    #: Why the service refused it; None if it did not, or did not say.
    reason: str | None
    #: `OrderRejected` if the service refused it, `OrderFateUnknown` if its fate is not known, None if the service took
    #: it. It does not count in comparisons.
    error: TplusError | None = attrs.field(default=None, eq=False)


@attrs.frozen
class BatchCreateOrderRequestResponse:
    """What became of the orders of a batch, in the order of the batch."""

    batch_order_status: tuple[SingleOrderStatusFromBatch, ...]


@attrs.frozen
class BatchReplaceOrderRequestResponse:
    """What became of the replacements of a batch, in the order of the batch."""

    batch_order_status: tuple[SingleOrderStatusFromBatch, ...]


@attrs.frozen
class CancelResult:
    """What became of the cancellation of one order."""

    order_id: str
    asset_id: AssetIdentifier
    #: Why the order may still rest; None if the service took the cancellation, or has no such open order. It does not
    #: count in comparisons.
    error: TplusError | None = attrs.field(default=None, eq=False)
