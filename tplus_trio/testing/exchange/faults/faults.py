"""The faults that a test can request of an exchange, by name: ``exchange.faults``."""

from __future__ import annotations

from collections.abc import Callable

from tplus_trio.testing.exchange.accounts import Accounts
from tplus_trio.testing.exchange.depth_book import DepthBook
from tplus_trio.testing.exchange.faults.answer_faults import AnswerFaults
from tplus_trio.testing.exchange.faults.fault_group import FaultTargets
from tplus_trio.testing.exchange.faults.listing_faults import ListingFaults
from tplus_trio.testing.exchange.faults.message_faults import MessageFaults
from tplus_trio.testing.exchange.faults.order_faults import OrderFaults
from tplus_trio.testing.exchange.faults.refusal_faults import RefusalFaults
from tplus_trio.testing.exchange.faults.sequence_faults import SequenceFaults
from tplus_trio.testing.exchange.faults.session_faults import SessionFaults
from tplus_trio.testing.exchange.faults.settlement_faults import SettlementFaults
from tplus_trio.testing.exchange.faults.trade_faults import TradeFaults
from tplus_trio.testing.exchange.faults.user_event_faults import UserEventFaults
from tplus_trio.testing.exchange.feeds import Hub
from tplus_trio.testing.exchange.trade_history import TradeIds

__all__ = ["Faults"]


class Faults(
    RefusalFaults,
    SessionFaults,
    AnswerFaults,
    SequenceFaults,
    MessageFaults,
    TradeFaults,
    SettlementFaults,
    OrderFaults,
    UserEventFaults,
    ListingFaults,
):
    """The faults of one exchange: ``exchange.faults``.

    Each method requests one kind of fault, and most take the number of requests, messages or handshakes that it
    applies to. Paths are those of requests and feeds, such as ``/marketdepth/200`` and ``/marketdepth/diff/200``. Where
    a method says "begin with", ``path`` is a prefix and ``""`` matches all paths; elsewhere ``path`` is the whole path
    of one feed. :meth:`clear` withdraws faults that have not happened yet.

    Every method raises ValueError or TypeError for a fault that could never happen, such as a fault of a market that is
    not listed: a test must not pass because its fault never came.

    It has more than ten attributes, because each kind of pending fault has its own queue, in the class of its group.

    Args:
        hub: The exchange's subscriptions.
        accounts: The exchange's tokens and clock.
        depth_of: Returns the depth of a market; raises ValueError if the market is not listed.
        trade_ids: The source of trade ids.
    """

    def __init__(
        self, hub: Hub, accounts: Accounts, depth_of: Callable[[str | int], DepthBook], trade_ids: TradeIds
    ) -> None:
        super().__init__(FaultTargets(hub, accounts, depth_of, trade_ids))
