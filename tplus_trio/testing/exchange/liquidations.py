"""Liquidation: the exchange closes a user's position by force."""

from __future__ import annotations

from typing import Final

import attrs

from tplus_trio.models import (
    GTC,
    AssetIdentifier,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    Side,
    new_order_id,
)
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.exchange.order_manager import OrderManager
from tplus_trio.testing.exchange.order_records import Details, OrderRecord, order_key, unsigned_order
from tplus_trio.testing.matching.engine import Accepted, Done, EngineOrder, Event, Fill, OrderState

__all__ = ["LIQUIDATOR", "Liquidations"]

#: The public key of the account that takes the other side. Nobody has its private key.
LIQUIDATOR: Final = "f" * 64


class Liquidations:
    """Closes positions by force."""

    def __init__(self, market_state: MarketState, order_manager: OrderManager) -> None:
        self._market_state = market_state
        self._order_manager = order_manager

    def liquidate(self, user: str, asset: AssetIdentifier, account: int) -> None:
        """Close a position at the last price, with :data:`LIQUIDATOR` on the other side. The book does not change.

        Raises:
            ValueError: The user has no open position in this market and sub-account.
        """
        listing = self._market_state.listing(asset)
        position = self._order_manager.trades.position_sums(user).get((listing.asset, account))
        if position is None or not position.size:
            raise ValueError(f"user must have an open position in market {asset}, sub-account {account}")
        side, other = (Side.SELL, Side.BUY) if position.size > 0 else (Side.BUY, Side.SELL)
        price = max(listing.price_units(listing.last_price), 1)
        quantity = listing.quantity_units(abs(position.size))
        size = MarketOrderDetails(MarketQuantity(base_asset=MarketBaseQuantity(quantity)))
        maker = self._record(LIQUIDATOR, listing, other, LimitOrderDetails(price, quantity, GTC()), account)
        taker = self._record(user, listing, side, size, account)
        ends = [record.state.after_trade(price, quantity) for record in (maker, taker)]
        events: list[Event] = [Accepted(maker.state.order), Accepted(taker.state.order)]
        events.append(Fill(self._market_state.next_trade_id(), price, quantity, ends[0], ends[1]))
        events += [Done(end, "Completed") for end in ends]
        self._order_manager.adopt(listing, (maker, taker), events)

    def _record(self, user: str, listing: Listing, side: Side, details: Details, account: int) -> OrderRecord:
        now_ns, order_id = self._market_state.now_ns(), new_order_id()
        new = unsigned_order(user, order_id, listing.market, side, details, now_ns=now_ns)
        new = attrs.evolve(new, text={**new.text, "target": {"account": account, "is_spot": False}})
        key = order_key(user, order_id)
        return OrderRecord(
            key,
            user,
            listing,
            new,
            OrderState(EngineOrder(key, user, side, details, account)),
            now_ns,
            now_ns,
            pending_trigger=None,
            triggered=None,
            is_liquidation=user != LIQUIDATOR,
        )
