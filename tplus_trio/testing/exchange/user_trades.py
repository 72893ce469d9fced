"""The trades and positions of each user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import attrs

from tplus_trio.models import AssetIdentifier, Trade, UserTrade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.exchange.depth_book import number_text
from tplus_trio.testing.exchange.market_state import MarketState, last_price_of
from tplus_trio.testing.exchange.order_records import OrderRecord
from tplus_trio.testing.exchange.positions import PositionSum, position_json
from tplus_trio.testing.exchange.trade_history import append_bounded
from tplus_trio.testing.exchange.trade_states import TradeStates
from tplus_trio.testing.matching.engine import EngineOrder

__all__ = ["DEFAULT_REASON", "UserTrades", "user_trade_json"]

#: The reason of a rollback if the test gives none.
DEFAULT_REASON: Final = "ordered by the test"
_ACCOUNT_NAMES: Final = {0: "main", 1: "margin"}


class UserTrades:
    """Each user's trades, oldest first, their positions, and the messages of the user's feeds.

    Args:
        market_state: The markets and the feeds.
        record_of: Returns the order of a user and an order id; None if the exchange has forgotten it.
        on_fills: Called with an order when what it traded has changed.
    """

    def __init__(
        self,
        market_state: MarketState,
        record_of: Callable[[str, str], OrderRecord | None],
        on_fills: Callable[[OrderRecord], object],
    ) -> None:
        self._market_state = market_state
        self._record_of = record_of
        self._on_fills = on_fills
        self.by_user: dict[str, list[UserTrade]] = {}
        #: The order of each of these trades, at the same place; another order may have its id by now.
        self._orders: dict[str, list[OrderRecord | None]] = {}
        #: Each user's positions, by market and sub-account.
        self._sums: dict[str, dict[tuple[str, int], PositionSum]] = {}
        #: The states that trades and positions had in the last minutes.
        self.history: TradeStates = TradeStates(market_state.now_ns)
        #: The names that users gave to their sub-accounts.
        self.account_names: dict[tuple[str, int], str] = {}

    def of(self, user: str) -> Sequence[UserTrade]:
        """Return a user's trades, oldest first."""
        return self.by_user.get(user, ())

    def add(self, user: str, trade: UserTrade) -> None:
        """Record a trade, and send it on its user's feeds. If it is not pending, the feeds show it as pending first."""
        record = self._record_of(user, trade.order_id)
        append_bounded(self.by_user.setdefault(user, []), trade)
        append_bounded(self._orders.setdefault(user, []), record)
        key = (trade.asset_id, trade.sub_account)
        position = self._sums.setdefault(user, {}).setdefault(key, PositionSum())
        position.add(trade)
        self.history.add_position(user, key, position)
        self._count_for_order(record, trade, None)
        self._send(user, attrs.evolve(trade, status="Pending"))
        if trade.status != "Pending":
            self._send(user, trade)
        self.publish_positions(user)

    def change(
        self, trade: Trade, status: TradeStatus, reason: str = DEFAULT_REASON, users: Iterable[str] | None = None
    ) -> None:
        """Change the status of the two sides of a trade, and send them on their users' feeds.

        Args:
            trade: The public trade.
            status: The new status.
            reason: Why the trade is rolled back, if it is.
            users: The trade's users, if they are known; None searches the trades of all users.
        """
        for user in tuple(self.by_user) if users is None else users:
            trades = self.by_user[user]
            for index in range(len(trades) - 1, -1, -1):
                if _is_side_of(trades[index], trade):
                    before, record = trades[index], self._orders[user][index]
                    rollback_reason = reason if status == "Rollbacked" else None
                    trades[index] = mine = attrs.evolve(before, status=status, rollback_reason=rollback_reason)
                    self._count_for_order(record, mine, before.status)
                    self.history.add_status(user, mine, before.status)
                    self._count_for_position(user, mine, before)
                    if status == "Rollbacked" != before.status:
                        self._record_rollback(user, mine, record)
                    self._send(user, mine)
                    self.publish_positions(user)
                elif trades[index].timestamp_ns < trade.timestamp_ns:
                    break

    def position_sums(self, user: str, account: int | None = None) -> dict[tuple[str, int], PositionSum]:
        """Return a user's positions by market and sub-account, flat ones included; ``account`` is one sub-account."""
        found = self._sums.get(user, {})
        return {key: one for key, one in found.items() if account in (None, key[1])}

    def _record_rollback(self, user: str, trade: UserTrade, record: OrderRecord | None) -> None:
        """Write into the record of effects that a trade of a user no longer counts."""
        listing = self._market_state.listing(trade.asset_id)
        now = self._record_of(user, trade.order_id)
        self._market_state.effects.roll_back(
            user,
            trade.order_id,
            quantity=listing.quantity_units(trade.quantity),
            price=listing.price_units(trade.price),
            trade_id=trade.trade_id,
            is_of_earlier_order=now is not None and now is not record,
        )

    def position_units(self, asset: AssetIdentifier, order: EngineOrder) -> int:
        """Return the position of an order's sub-account in a market, in units of the book; negative if it is short."""
        position = self._sums.get(order.user_id, {}).get((asset, order.account))
        return 0 if position is None else self._market_state.listing(asset).quantity_units(position.size)

    def positions(self, user: str, asset: str | None = None, at_ns: int | None = None) -> list[dict[str, Any]]:
        """Return a user's open positions as JSON, or those in one market.

        Args:
            user: The user's public key.
            asset: The market; None is all markets.
            at_ns: The time at which they were so, in nanoseconds since the Unix epoch; None is now.
        """
        sums = self._sums.get(user, {}) if at_ns is None else self.history.positions(user, at_ns)
        return [
            position_json(market, account, self.account_name(user, account), one, self.mark_price(market, at_ns))
            for (market, account), one in sums.items()
            if one.size and asset in (None, market)
        ]

    def position_update(self, user: str) -> dict[str, Any]:
        """Return a message of the position feed with all positions of a user."""
        return {"user_id": user, "positions": self.positions(user), "timestamp_ns": self._market_state.now_ns()}

    def clear_position(self, user: str, asset: str, account: int) -> None:
        """Forget a flat position: its sums begin at 0 again."""
        self._sums[user][asset, account] = cleared = PositionSum()
        self.history.add_position(user, (asset, account), cleared)
        self.publish_positions(user)

    def has_pending(self, user: str, asset: str, account: int) -> bool:
        """Return whether a trade of a position is still pending."""
        return any(
            trade.status == "Pending" and (trade.asset_id, trade.sub_account) == (asset, account)
            for trade in self.of(user)
        )

    def account_name(self, user: str, account: int) -> str:
        """Return the name of a sub-account: its user's, or the service's."""
        default = _ACCOUNT_NAMES.get(account, f"account {account}")
        return self.account_names.get((user, account), default)

    def publish_positions(self, user: str) -> None:
        """Send all positions of a user on the user's feed."""
        self._market_state.send_json_from(f"/positions/ws/{user}", lambda: self.position_update(user))

    def mark_price(self, asset: str, at_ns: int | None = None) -> Decimal:
        """Return the last price of a market, now or at a time, in quote units: positions are valued at it."""
        listing = self._market_state.listing(asset)
        if at_ns is None:
            return listing.last_price
        return last_price_of(self._market_state.revisions.as_of(listing.trades, at_ns))

    def _send(self, user: str, trade: UserTrade) -> None:
        body = user_trade_json(trade)
        self._market_state.send_json(f"/trades/user/events/{user}", body)
        if trade.status == "Confirmed":
            self._market_state.send_json(f"/trades/user/{user}", body)

    def _count_for_order(self, record: OrderRecord | None, trade: UserTrade, before: str | None) -> None:
        if record is not None:
            amount = trade.price * trade.quantity
            record.fills = record.fills.after(trade.quantity, amount, trade.trading_fee, before, trade.status)
            self._on_fills(record)

    def _count_for_position(self, user: str, trade: UserTrade, before: UserTrade) -> None:
        counted, counts = before.status != "Rollbacked", trade.status != "Rollbacked"
        if counted == counts:
            return
        key = (trade.asset_id, trade.sub_account)
        found = self._sums[user][key]
        if counts:
            found.add(trade)
        else:
            kept = (
                one for one in self.of(user) if (one.asset_id, one.sub_account) == key and one.status != "Rollbacked"
            )
            found.take_back(trade, kept)
        self.history.add_position(user, key, found)


def _is_side_of(mine: UserTrade, trade: Trade) -> bool:
    """Return whether a user's trade is one side of a public trade."""
    return (mine.asset_id, mine.trade_id, mine.timestamp_ns, mine.price, mine.quantity) == (
        trade.asset_id,
        trade.trade_id,
        trade.timestamp_ns,
        trade.price,
        trade.quantity,
    )


def user_trade_json(trade: UserTrade) -> dict[str, Any]:
    """Return a user's trade as JSON."""
    return {
        "asset_id": trade.asset_id,
        "trade_id": trade.trade_id,
        "order_id": trade.order_id,
        "price": number_text(trade.price),
        "quantity": number_text(trade.quantity),
        "timestamp_ns": trade.timestamp_ns,
        "is_maker": trade.is_maker,
        "is_buyer": trade.is_buyer,
        "status": trade.status,
        "rollback_reason": trade.rollback_reason,
        "is_liquidation": trade.is_liquidation,
        "is_auto_deleverage": trade.is_auto_deleverage,
        "sub_account": trade.sub_account,
        "trading_fee": number_text(trade.trading_fee),
    }
