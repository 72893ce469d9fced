"""How each feed becomes complete again after a loss: pure machines, without I/O and without a clock."""

from tplus_trio.streams.recovery.backfill import CONFIRM_TIMEOUT
from tplus_trio.streams.recovery.conflation import conflate_depth, exact_depth
from tplus_trio.streams.recovery.depth_recovery import Depth, DepthRecovery
from tplus_trio.streams.recovery.gap_marking import GapMarking
from tplus_trio.streams.recovery.interface import Recovery
from tplus_trio.streams.recovery.kline_backfill import KlinesBackfill
from tplus_trio.streams.recovery.order_listing import OrdersRecovery, OrdersUpdate
from tplus_trio.streams.recovery.sequencing import Sequencing, check_sequencing
from tplus_trio.streams.recovery.trade_backfill import TradesBackfill

__all__ = [
    "CONFIRM_TIMEOUT",
    "Depth",
    "DepthRecovery",
    "GapMarking",
    "KlinesBackfill",
    "OrdersRecovery",
    "OrdersUpdate",
    "Recovery",
    "Sequencing",
    "TradesBackfill",
    "check_sequencing",
    "conflate_depth",
    "exact_depth",
]
