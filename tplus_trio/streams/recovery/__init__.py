"""How each feed is made whole again after a loss: pure machines, without I/O and without a clock."""

from tplus_trio.streams.recovery.backfill import KlinesBackfill, TradesBackfill
from tplus_trio.streams.recovery.base import Marked, Recovery
from tplus_trio.streams.recovery.depth import (
    Depth,
    DepthRecovery,
    Sequencing,
    check_sequencing,
    conflate_depth,
)
from tplus_trio.streams.recovery.orders import OrdersRecovery, OrdersUpdate

__all__ = [
    "Depth",
    "DepthRecovery",
    "KlinesBackfill",
    "Marked",
    "OrdersRecovery",
    "OrdersUpdate",
    "Recovery",
    "Sequencing",
    "TradesBackfill",
    "check_sequencing",
    "conflate_depth",
]
