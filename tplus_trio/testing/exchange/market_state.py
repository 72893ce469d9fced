"""The exchange's markets and what is told about them: the state under REST, trading and tapes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import attrs

from tplus_trio.models import AssetIdentifier, Market, Trade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.exchange.accounts import Accounts
from tplus_trio.testing.exchange.candles import Candles, candle_json
from tplus_trio.testing.exchange.depth_book import DepthBook, Level, encode_diff, encode_snapshot, number_text
from tplus_trio.testing.exchange.faults.faults import Faults
from tplus_trio.testing.exchange.feeds import Hub
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.market_ticker import ticker_json
from tplus_trio.testing.exchange.trade_history import Revisions, TradeIds, append_bounded
from tplus_trio.testing.matching.engine import Engine

__all__ = ["Listing", "MarketState", "dumps", "trade_json"]

_SECOND_NS: Final = 10**9


def dumps(value: Any) -> bytes:
    """Compact JSON, as the service writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@attrs.define(eq=False)
class Listing:
    """One market: its units, its matching engine, its public depth, its trades."""

    market: Market
    engine: Engine
    depth: DepthBook = attrs.field(factory=DepthBook)
    trades: list[Trade] = attrs.field(factory=list[Trade])
    candles: Candles = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.candles = Candles(self.trades)

    @property
    def asset(self) -> AssetIdentifier:
        """Whose market it is."""
        return self.market.asset_id

    def price(self, units: int) -> Decimal:
        """A price in units of the book as a decimal."""
        return Decimal(units).scaleb(-self.market.book_price_decimals)

    def quantity(self, units: int) -> Decimal:
        """A quantity in units of the book as a decimal."""
        return Decimal(units).scaleb(-self.market.book_quantity_decimals)


class MarketState:
    """Markets, public feeds, and the record of all trades."""

    def __init__(self, accounts: Accounts) -> None:
        self.now_ns: Callable[[], int] = accounts.now_ns
        self.hub: Hub = Hub()
        self.accounts = accounts
        self._trade_ids = TradeIds()
        self.faults: Faults = Faults(self.hub, self.accounts, lambda asset: self.listing(asset).depth, self._trade_ids)
        self.listings: dict[str, Listing] = {}
        self.trades: list[Trade] = []
        self.requests: Counter[tuple[str, str]] = Counter()
        #: Feeds that a tape alone plays on.
        self.taped_feeds: set[str] = set()
        #: Answers that stand on a tape, by path.
        self.taped_answers: dict[str, bytes] = {}
        #: Every state of every trade.
        self.revisions: Revisions = Revisions()

    def add_market(self, asset: AssetIdentifier, price_decimals: int = 2, quantity_decimals: int = 3) -> Listing:
        """List a market; one that is listed already stays as it is."""
        if asset not in self.listings:
            market = Market(asset, price_decimals, quantity_decimals)
            self.listings[asset] = Listing(market, Engine(asset, trade_ids=self._trade_ids))
        return self.listings[asset]

    def listing(self, asset: AssetIdentifier | str | int) -> Listing:
        """The market of an asset.

        Raises:
            ValueError: There is none, or ``asset`` is no asset.
        """
        asset = AssetIdentifier(asset)
        if asset not in self.listings:
            raise ValueError(f"there is no market for asset {asset}; add_market() makes one")
        return self.listings[asset]

    def asset(self, value: Any) -> AssetIdentifier:
        """The asset that a request names.

        Raises:
            Rejection: (400) It names none.
        """
        try:
            return AssetIdentifier(value)
        except (TypeError, ValueError) as exc:
            raise error(400, "INVALID_ASSET", str(exc)) from None

    def find(self, value: Any) -> Listing:
        """The market that a request names.

        Raises:
            Rejection: (400) It names no asset; (404) there is no such market.
        """
        asset = self.asset(value)
        if asset not in self.listings:
            raise error(404, "MARKET_NOT_FOUND", f"there is no market for asset {asset}")
        return self.listings[asset]

    # Publishing

    def send(self, path: str, message: bytes, *, user: str | None = None) -> None:
        """Publish on a feed, unless a tape plays there."""
        if path not in self.taped_feeds:
            self.broadcast(path, message, user=user)

    def broadcast(self, path: str, message: bytes, *, user: str | None = None) -> None:
        """Publish on a feed."""
        if self.hub.listens(path):
            self.hub.publish(path, self.faults.apply_faults(path, message), user=user)

    def send_json(self, path: str, value: Any, *, user: str | None = None) -> None:
        """Publish a JSON value on a feed; nothing is encoded where nobody listens."""
        if self.hub.listens(path):
            self.send(path, dumps(value), user=user)

    def publish_diff(self, listing: Listing, bids: Iterable[Level], asks: Iterable[Level]) -> int:
        """Change a market's depth and tell everyone; the number that the change got."""
        bids, asks = list(bids), list(asks)
        number = self.faults.next_number(listing.asset, listing.depth.sequence_number)
        listing.depth.apply(bids, asks, number, self.now_ns())
        path = f"/marketdepth/diff/{listing.asset}"
        for message in self.faults.on_diff(listing.asset, encode_diff(bids, asks, number)):
            self.send(path, message)
        return number

    def publish_trade(
        self,
        listing: Listing,
        price: Decimal,
        quantity: Decimal,
        *,
        buyer_is_maker: bool,
        timestamp_ns: int | None = None,
        trade_id: int | None = None,
        status: TradeStatus = "Confirmed",
    ) -> Trade:
        """Record a trade and tell everyone."""
        trade = Trade(
            asset_id=listing.asset,
            trade_id=next(self._trade_ids) if trade_id is None else trade_id,
            price=price,
            quantity=quantity,
            timestamp_ns=self.now_ns() if timestamp_ns is None else timestamp_ns,
            buyer_is_maker=buyer_is_maker,
            status=status,
        )
        self.record_trade(listing, trade)
        self._send_trade(trade)
        return trade

    def change_trade(self, trade: Trade, status: TradeStatus) -> Trade:
        """Give a trade another status and tell everyone; the trade as it is then.

        Raises:
            ValueError: There is no such trade (any more).
        """
        listing = self.listing(trade.asset_id)
        changed = attrs.evolve(trade, status=status)
        before = _replace(listing.trades, trade, changed)
        _replace(self.trades, trade, changed)
        self.revisions.add(self.now_ns(), before, changed)
        listing.candles.change(changed)
        self._send_trade(changed)
        self._publish_candle_and_ticker(listing, changed)
        return changed

    def _send_trade(self, trade: Trade) -> None:
        for message in self.faults.on_trade(dumps(trade_json(trade))):
            self.send("/trades", message)

    def record_trade(self, listing: Listing, trade: Trade) -> None:
        """Take a trade into the history, the candles and the ticker."""
        self._trade_ids.skip_used(trade.trade_id)
        append_bounded(self.trades, trade)
        append_bounded(listing.trades, trade)
        self.revisions.add(self.now_ns(), None, trade)
        listing.candles.add(trade)
        self._publish_candle_and_ticker(listing, trade)

    def _publish_candle_and_ticker(self, listing: Listing, trade: Trade) -> None:
        """Tell what a trade has changed in its market's candle and ticker."""
        candles, when_ns = listing.candles, trade.timestamp_ns
        self.send_json_from(f"/klines/diff/{listing.asset}", lambda: [candle_json(candles.at(when_ns))])
        self.send_json_from(f"/ticker/ws/{listing.asset}", lambda: self.ticker(listing))
        self.send_json_from("/tickers/ws", lambda: [self.ticker(listing)])

    def send_json_from(self, path: str, make: Callable[[], Any]) -> None:
        """Publish what ``make`` makes, which is not called where nobody listens."""
        if self.hub.listens(path):
            self.send(path, dumps(make()))

    # Answers

    def snapshot(self, listing: Listing, behind: float = 0.0) -> bytes:
        """A market's depth as it is answered: the truth, or as old as was ordered, in seconds or in changes."""
        least = listing.depth.changes_since(self.before(behind)) if behind else 0
        return encode_snapshot(listing.depth.snapshot(self.faults.take_staleness(listing.asset, least)))

    def before(self, seconds: float) -> int:
        """What time it was so many seconds ago, in nanoseconds."""
        return self.now_ns() - round(seconds * _SECOND_NS)

    def trades_as_of(self, trades: Sequence[Trade], behind: float) -> Sequence[Trade]:
        """Trades as they were so many seconds ago."""
        return self.revisions.as_of(trades, self.before(behind)) if behind else trades

    def ticker(self, listing: Listing) -> Mapping[str, Any]:
        """A market's ticker."""
        return ticker_json(listing.asset, listing.trades, listing.depth.best(), self.now_ns())


def _replace(history: list[Trade], trade: Trade, changed: Trade) -> Trade:
    """Put a changed trade in the place of one in a history; the one that was there."""
    for index in range(len(history) - 1, -1, -1):
        if history[index] == trade:
            before, history[index] = history[index], changed
            return before
    raise ValueError(f"there is no {trade}; change_trade() takes a trade as it is now")


def trade_json(trade: Trade) -> dict[str, Any]:
    """A public trade as it is sent."""
    return {
        "asset_id": trade.asset_id,
        "trade_id": trade.trade_id,
        "price": number_text(trade.price),
        "quantity": number_text(trade.quantity),
        "timestamp_ns": trade.timestamp_ns,
        "buyer_is_maker": trade.buyer_is_maker,
        "status": trade.status,
    }
