"""Settlement: each match is pending at first, and is then confirmed or rolled back."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

import attrs

from tplus_trio.models import AssetIdentifier, Side, Trade, UserTrade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.exchange.order_records import OrderRecord
from tplus_trio.testing.exchange.user_trades import DEFAULT_REASON, UserTrades

__all__ = ["FEE_UNITS", "FeeRates", "Settlement"]

#: An order's ``max_trading_fees_rate`` counts parts of this: its default of 50,000 is 5 %.
FEE_UNITS: Final = 1_000_000


@attrs.frozen
class FeeRates:
    """The fees of a trade, as fractions of its amount; a rebate is negative.

    Attributes:
        maker: For the order that rested.
        taker: For the order that came.
    """

    maker: Decimal = Decimal(0)
    taker: Decimal = Decimal(0)


@attrs.frozen(eq=False)
class _PendingTrade:
    """A match that is not settled yet.

    Attributes:
        trade: The public trade.
        users: The public keys of its two users.
        due_ns: The time at which it settles, in nanoseconds since the Unix epoch.
    """

    trade: Trade
    users: tuple[str, str]
    due_ns: int


class Settlement:
    """Settles the matches of all markets.

    A match counts for books, candles, last prices, orders and positions at once, as ``Pending``. After the delay that
    ``exchange.faults.confirm_after`` sets, by default in the same step, it is ``Confirmed``, and the feed ``/trades``
    and its listings show it; or it is ``Rollbacked``, if ``exchange.faults.roll_back`` requests that, and it counts no
    longer. A rollback returns nothing to the book.

    Args:
        market_state: The markets, the feeds and the faults.
        user_trades: The trades of each user.
    """

    def __init__(self, market_state: MarketState, user_trades: UserTrades) -> None:
        self._market_state = market_state
        self._user_trades = user_trades
        self.fee_rates: FeeRates = FeeRates()
        #: The pending trades, those that settle first at the left.
        self._pending: deque[_PendingTrade] = deque()

    @property
    def next_ns(self) -> int | None:
        """The time at which the next trade settles, in nanoseconds since the Unix epoch; None if none is pending."""
        return self._pending[0].due_ns if self._pending else None

    def is_pending(self, trade_id: int) -> bool:
        """Return whether a trade is pending."""
        return any(one.trade.trade_id == trade_id for one in self._pending)

    def match(
        self, listing: Listing, trade_id: int, price: Decimal, quantity: Decimal, maker: OrderRecord, taker: OrderRecord
    ) -> None:
        """Record a match of two orders. It is confirmed already, or :meth:`settle_due` settles it.

        Args:
            listing: The market.
            trade_id: The trade's id.
            price: In quote units.
            quantity: In base units.
            maker: The order that rested.
            taker: The order that came.
        """
        faults = self._market_state.faults
        at_once = not faults.confirm_delay_ns and not faults.rolls_back(trade_id)
        status: TradeStatus = "Confirmed" if at_once else "Pending"
        now_ns = self._market_state.now_ns()
        trade = self._market_state.publish_trade(
            listing,
            price,
            quantity,
            buyer_is_maker=maker.side is Side.BUY,
            timestamp_ns=now_ns,
            trade_id=trade_id,
            status=status,
            is_final=at_once,
        )
        for record, is_maker in ((maker, True), (taker, False)):
            rate = self.fee_rates.maker if is_maker else self.fee_rates.taker
            mine = UserTrade(
                asset_id=listing.asset,
                trade_id=trade_id,
                order_id=record.order_id,
                price=price,
                quantity=quantity,
                timestamp_ns=now_ns,
                is_maker=is_maker,
                is_buyer=record.side is Side.BUY,
                status=status,
                is_liquidation=record.is_liquidation,
                sub_account=record.account,
                trading_fee=price * quantity * rate,
            )
            self._user_trades.add(record.user, mine)
        if not at_once:
            self._add(_PendingTrade(trade, (maker.user, taker.user), now_ns + faults.confirm_delay_ns))

    def settle_due(self) -> set[AssetIdentifier]:
        """Confirm or roll back the trades whose time has come, and return the markets in which one was rolled back."""
        now_ns = self._market_state.now_ns()
        rolled_back: set[AssetIdentifier] = set()
        while self._pending and self._pending[0].due_ns <= now_ns:
            pending = self._pending.popleft()
            reason = self._market_state.faults.take_rollback(pending.trade.trade_id)
            self._change(pending.trade, "Confirmed" if reason is None else "Rollbacked", reason, pending.users)
            if reason is not None:
                rolled_back.add(pending.trade.asset_id)
        return rolled_back

    def change(self, trade: Trade, status: TradeStatus) -> Trade:
        """Change the status of a trade by hand; a pending trade is then no longer settled by the clock.

        Raises:
            ValueError: No recorded trade equals ``trade``.
        """
        pending = next((one for one in self._pending if one.trade == trade), None)
        changed = self._change(trade, status, None, None if pending is None else pending.users)
        if pending is not None:
            self._pending.remove(pending)
        return changed

    def _change(self, trade: Trade, status: TradeStatus, reason: str | None, users: tuple[str, str] | None) -> Trade:
        changed = self._market_state.change_trade(trade, status)
        self._user_trades.change(trade, status, reason or DEFAULT_REASON, users)
        return changed

    def _add(self, pending: _PendingTrade) -> None:
        """Add a pending trade behind all that settle before it; the delay may have become shorter."""
        place = len(self._pending)
        while place and self._pending[place - 1].due_ns > pending.due_ns:
            place -= 1
        self._pending.insert(place, pending)
