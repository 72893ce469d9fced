"""The trades and positions of each user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from tplus_trio.models import Trade, UserTrade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.exchange.depth_book import number_text
from tplus_trio.testing.exchange.market_state import MarketState
from tplus_trio.testing.exchange.positions import positions_json
from tplus_trio.testing.exchange.trade_history import append_bounded

__all__ = ["UserTrades", "user_trade_json"]


class UserTrades:
    """Each user's trades, oldest first, and the messages of the user's feeds."""

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        self.by_user: dict[str, list[UserTrade]] = {}

    def of(self, user: str) -> Sequence[UserTrade]:
        """Return a user's trades, oldest first."""
        return self.by_user.get(user, ())

    def add(self, user: str, trade: UserTrade) -> None:
        """Record a trade, and send it on its user's feeds."""
        append_bounded(self.by_user.setdefault(user, []), trade)
        body = user_trade_json(trade)
        events_path = f"/trades/user/events/{user}"
        self._market_state.send_json(events_path, {**body, "status": "Pending"})
        self._market_state.send_json(events_path, body)
        self._market_state.send_json(f"/trades/user/{user}", body)
        self._publish_positions(user)

    def change(self, trade: Trade, status: TradeStatus) -> None:
        """Change the status of the two sides of a trade, and send them on their users' feeds."""
        for user, trades in self.by_user.items():
            for index in range(len(trades) - 1, -1, -1):
                if _is_side_of(trades[index], trade):
                    reason = "ordered by the test" if status == "Rollbacked" else None
                    before = trades[index]
                    trades[index] = mine = attrs.evolve(before, status=status, rollback_reason=reason)
                    if status == "Rollbacked" != before.status:
                        self._record_rollback(user, mine)
                    body = user_trade_json(mine)
                    self._market_state.send_json(f"/trades/user/events/{user}", body)
                    if status == "Confirmed":
                        self._market_state.send_json(f"/trades/user/{user}", body)
                    self._publish_positions(user)
                elif trades[index].timestamp_ns < trade.timestamp_ns:
                    break

    def _record_rollback(self, user: str, trade: UserTrade) -> None:
        """Write into the record of effects that a trade of a user no longer counts."""
        listing = self._market_state.listing(trade.asset_id)
        self._market_state.effects.roll_back(
            user,
            trade.order_id,
            quantity=int(trade.quantity.scaleb(listing.market.book_quantity_decimals)),
            price=int(trade.price.scaleb(listing.market.book_price_decimals)),
            trade_id=trade.trade_id,
        )

    def positions(self, user: str, asset: str | None = None) -> list[dict[str, Any]]:
        """Return a user's open positions as JSON, or those in one market."""
        return positions_json(self.of(user), asset)

    def position_update(self, user: str) -> dict[str, Any]:
        """Return a message of the position feed with all positions of a user."""
        return {"user_id": user, "positions": self.positions(user), "timestamp_ns": self._market_state.now_ns()}

    def _publish_positions(self, user: str) -> None:
        self._market_state.send_json_from(f"/positions/ws/{user}", lambda: self.position_update(user))


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
        "is_liquidation": False,
        "is_auto_deleverage": False,
        "sub_account": trade.sub_account,
        "trading_fee": number_text(trade.trading_fee),
    }
