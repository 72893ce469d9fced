"""Margin: a simple model of what a sub-account is worth, and what its positions bind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import attrs

from tplus_trio.models import LimitOrderDetails, Side
from tplus_trio.testing.exchange.balances import Balances
from tplus_trio.testing.exchange.depth_book import number_text
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.market_state import MarketState
from tplus_trio.testing.exchange.order_manager import OrderManager
from tplus_trio.testing.exchange.order_records import OrderRecord

__all__ = ["INITIAL_RATE", "MAINTENANCE_RATE", "AccountMargin", "Holding", "MarginModel"]

#: The part of its value that a position binds: 10 %, so that the highest leverage is 10.
INITIAL_RATE: Final = Decimal("0.1")
#: The part of its value below which the equity must not fall: 5 %.
MAINTENANCE_RATE: Final = Decimal("0.05")
_NOTHING: Final = Decimal(0)


@attrs.frozen
class Holding:
    """An open position at its mark.

    Attributes:
        asset: The market.
        size: In base units; negative if it is short.
        mark: In quote units.
        unrealized_pnl: In quote units.
    """

    asset: str
    size: Decimal
    mark: Decimal
    unrealized_pnl: Decimal = _NOTHING

    @property
    def notional(self) -> Decimal:
        """The value of the position, in quote units, 0 or more."""
        return abs(self.size) * self.mark

    def to_json(self) -> dict[str, Any]:
        """Return the position as the margin endpoints show it."""
        return {
            "asset_id": self.asset,
            "side": "Long" if self.size > 0 else "Short",
            "size": number_text(abs(self.size)),
            "notional_value": number_text(self.notional),
            "margin": number_text(self.notional * MAINTENANCE_RATE),
        }


@attrs.frozen
class AccountMargin:
    """One sub-account: its balances at their value, the cash of its trades, and its open positions.

    Attributes:
        cash: Balances, and what trades received less what they paid, in quote units.
        holdings: The open positions.
    """

    cash: Decimal
    holdings: tuple[Holding, ...]

    @property
    def equity(self) -> Decimal:
        """The cash, and the positions at their marks."""
        return self.cash + sum((one.size * one.mark for one in self.holdings), _NOTHING)

    @property
    def notional(self) -> Decimal:
        """The value of all positions."""
        return sum((one.notional for one in self.holdings), _NOTHING)

    @property
    def utilized(self) -> Decimal:
        """What the positions bind."""
        return self.notional * INITIAL_RATE

    @property
    def available(self) -> Decimal:
        """The equity that the positions do not bind."""
        return self.equity - self.utilized

    @property
    def maintenance_surplus(self) -> Decimal:
        """How far the equity may fall before the sub-account is liquidated."""
        return self.equity - self.notional * MAINTENANCE_RATE

    @property
    def leverage(self) -> Decimal | None:
        """The value of all positions over the equity; None if the equity is not above 0."""
        return self.notional / self.equity if self.equity > 0 else None

    def size(self, asset: str) -> Decimal:
        """Return the position in a market, in base units."""
        return next((one.size for one in self.holdings if one.asset == asset), _NOTHING)

    def after_trade(self, asset: str, change: Decimal, price: Decimal, mark: Decimal) -> AccountMargin:
        """Return the sub-account after a trade of ``change`` base units, negative for a sale."""
        others = tuple(one for one in self.holdings if one.asset != asset)
        size = self.size(asset) + change
        changed = (*others, Holding(asset, size, mark)) if size else others
        return AccountMargin(self.cash - change * price, changed)

    def liquidation_price(self, asset: str) -> Decimal | None:
        """Return the price at which one position, the others unchanged, has used up the maintenance surplus."""
        holding = next((one for one in self.holdings if one.asset == asset), None)
        if holding is None:
            return None
        move = self.maintenance_surplus / (holding.size - abs(holding.size) * MAINTENANCE_RATE)
        price = holding.mark - move
        return price if price > 0 else None


class MarginModel:
    """The margin of each sub-account.

    Args:
        market_state: The markets and their last prices.
        order_manager: The orders and positions.
        balances: The balances.
    """

    def __init__(self, market_state: MarketState, order_manager: OrderManager, balances: Balances) -> None:
        self._market_state = market_state
        self._order_manager = order_manager
        self._balances = balances
        #: Whether an order is refused if its sub-account lacks the margin for it.
        self.is_required = False

    def accounts(self, user: str) -> list[int]:
        """Return the indices of a user's sub-accounts, 0 and 1 always among them."""
        traded = (account for _, account in self._order_manager.trades.position_sums(user))
        return sorted({0, 1, *self._balances.accounts(user), *traded})

    def of(self, user: str, account: int) -> AccountMargin:
        """Return the margin of a sub-account."""
        cash = sum((self.value(asset) * one for asset, one in self._balances.of(user, account).items()), _NOTHING)
        holdings: list[Holding] = []
        for (asset, _), one in self._order_manager.trades.position_sums(user, account).items():
            cash += one.cash
            if one.size:
                mark = self._market_state.listing(asset).last_price
                holdings.append(Holding(asset, one.size, mark, one.unrealized_pnl(mark)))
        return AccountMargin(cash, tuple(holdings))

    def value(self, asset: str) -> Decimal:
        """Return the value of one unit of an asset, in quote units: its market's last price; 1 without a market."""
        listing = self._market_state.listings.get(asset)
        return Decimal(1) if listing is None else listing.last_price

    def admit(self, record: OrderRecord) -> None:
        """Check that a sub-account has the margin for a new order, besides that for its open orders.

        Raises:
            Rejection: (400) It lacks the margin, and margin is required.
        """
        if not self.is_required:
            return
        margin = self.of(record.user, record.account)
        need = self._need(margin, record)
        opened = (
            other
            for other in self._order_manager.orders(record.user)
            if other.is_open and other.account == record.account
        )
        bound = sum((self._need(margin, other) for other in opened), _NOTHING)
        if need and margin.available - bound < need:
            raise error(
                400,
                "INSUFFICIENT_MARGIN",
                f"the order needs a margin of {number_text(need)}; "
                f"{number_text(margin.available - bound)} is available",
                details={"order_id": record.order_id},
            )

    def _need(self, margin: AccountMargin, record: OrderRecord) -> Decimal:
        """Return the margin that an order binds: that of the part that increases its position."""
        listing = record.listing
        quantity, price = _open_part(record)
        size = margin.size(listing.asset)
        against = size < 0 if record.side is Side.BUY else size > 0
        increase = max(quantity - abs(size), _NOTHING) if against else quantity
        return increase * price * INITIAL_RATE


def _open_part(record: OrderRecord) -> tuple[Decimal, Decimal]:
    """Return the quantity that an order may still trade, and its price: that of the market for a market order."""
    listing, details = record.listing, record.details
    if isinstance(details, LimitOrderDetails):
        return listing.quantity(record.state.remaining), listing.price(details.limit_price)
    last = listing.last_price
    if (by_base := details.quantity.base_asset) is not None:
        return listing.quantity(by_base.quantity), last
    by_amount = details.quantity.quote_asset
    assert by_amount is not None
    amount = listing.price(1) * listing.quantity(1) * by_amount.quantity
    return (amount / last if last else _NOTHING), last
