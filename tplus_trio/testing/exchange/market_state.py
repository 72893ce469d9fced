"""The state of the exchange's markets, and the messages that report it: used by REST, orders and tapes."""

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
from tplus_trio.testing.exchange.answer_log import AnswerLog
from tplus_trio.testing.exchange.candles import Candles, candle_json
from tplus_trio.testing.exchange.depth_book import DepthBook, Level, encode_diff, encode_snapshot, number_text
from tplus_trio.testing.exchange.effects import Effects
from tplus_trio.testing.exchange.faults.faults import Faults
from tplus_trio.testing.exchange.feeds import Hub
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.market_ticker import ticker_json
from tplus_trio.testing.exchange.schedule import Schedule
from tplus_trio.testing.exchange.trade_history import Revisions, TradeIds, append_bounded
from tplus_trio.testing.matching.engine import Engine, EngineOrder

__all__ = ["Listing", "MarketState", "dumps", "last_price_of", "trade_json"]

_SECOND_NS: Final = 10**9


def dumps(value: Any) -> bytes:
    """Return a value as compact JSON, as the service writes it."""
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
        """The market's asset."""
        return self.market.asset_id

    def price(self, units: int) -> Decimal:
        """Return a price in quote units; ``units`` are units of the book."""
        return Decimal(units).scaleb(-self.market.book_price_decimals)

    def quantity(self, units: int) -> Decimal:
        """Return a quantity in base units; ``units`` are units of the book."""
        return Decimal(units).scaleb(-self.market.book_quantity_decimals)

    def price_units(self, price: Decimal) -> int:
        """Return a price in units of the book; ``price`` is in quote units."""
        return int(price.scaleb(self.market.book_price_decimals))

    def quantity_units(self, quantity: Decimal) -> int:
        """Return a quantity in units of the book; ``quantity`` is in base units."""
        return int(quantity.scaleb(self.market.book_quantity_decimals))

    def amount_units(self, amount: Decimal) -> int:
        """Return an amount in price units times quantity units of the book; ``amount`` is in quote units."""
        return int(amount.scaleb(self.market.book_price_decimals + self.market.book_quantity_decimals))

    @property
    def last_price(self) -> Decimal:
        """The price of the last trade that is not rolled back, in quote units; 0 without one."""
        return last_price_of(self.trades)


def last_price_of(trades: Sequence[Trade]) -> Decimal:
    """Return the price of the last trade that is not rolled back, in quote units; 0 without one."""
    return next((trade.price for trade in reversed(trades) if trade.status != "Rollbacked"), Decimal(0))


class MarketState:
    """The markets, the public feeds, and the history of all trades."""

    def __init__(self, accounts: Accounts) -> None:
        # Eighteen attributes: the parts of the exchange that every request needs, at one place.
        self.now_ns: Callable[[], int] = accounts.now_ns
        self.hub: Hub = Hub()
        self.accounts = accounts
        self._trade_ids = TradeIds()
        self.faults: Faults = Faults(self.hub, self.accounts, lambda asset: self.listing(asset).depth, self._trade_ids)
        self.listings: dict[str, Listing] = {}
        self.trades: list[Trade] = []
        self.requests: Counter[tuple[str, str]] = Counter()
        #: The feeds that only a tape publishes on.
        self.taped_feeds: set[str] = set()
        #: The answers of loaded tapes, by path.
        self.taped_answers: dict[str, bytes] = {}
        #: The trades that ``/trades`` lists after a tape has lost some; None lists all.
        self.taped_trades: list[Trade] | None = None
        #: Every state that each trade had.
        self.revisions: Revisions = Revisions()
        #: Market and id of each match that ``/trades`` did not show at once: it shows the match once it is confirmed.
        self._unannounced: set[tuple[str, int]] = set()
        #: Returns the position of an order's sub-account in a market, in units of the book; the order manager sets it.
        self.position_of: Callable[[AssetIdentifier, EngineOrder], int] = lambda _, __: 0
        #: What happened to each order.
        self.effects: Effects = Effects(self.now_ns)
        #: Which answers were sent to requests about orders.
        self.answers: AnswerLog = AnswerLog()
        #: What the exchange does later.
        self.schedule: Schedule = Schedule(self.now_ns)
        self.hub.on_remove = self.schedule.notify

    def add_market(self, asset: AssetIdentifier, price_decimals: int = 2, quantity_decimals: int = 3) -> Listing:
        """List a market; a market that is listed already stays as it is."""
        if asset not in self.listings:
            market = Market(asset, price_decimals, quantity_decimals)
            engine = Engine(asset, trade_ids=self._trade_ids, position=lambda order: self.position_of(asset, order))
            self.listings[asset] = Listing(market, engine)
        return self.listings[asset]

    def listing(self, asset: AssetIdentifier | str | int) -> Listing:
        """Return the market of an asset.

        Raises:
            ValueError: The market is not listed, or ``asset`` is not an asset.
        """
        asset = AssetIdentifier(asset)
        if asset not in self.listings:
            raise ValueError(f"there is no market for asset {asset}; add_market() makes one")
        return self.listings[asset]

    def asset(self, value: Any) -> AssetIdentifier:
        """Return the asset that a request names.

        Raises:
            Rejection: (400) The value is not an asset.
        """
        try:
            return AssetIdentifier(value)
        except (TypeError, ValueError) as exc:
            raise error(400, "INVALID_ASSET", str(exc)) from None

    def find(self, value: Any) -> Listing:
        """Return the market that a request names.

        Raises:
            Rejection: (400) The value is not an asset; (404) the market is not listed.
        """
        asset = self.asset(value)
        if asset not in self.listings:
            raise error(404, "MARKET_NOT_FOUND", f"there is no market for asset {asset}")
        return self.listings[asset]

    # Publishing

    def send(self, path: str, message: bytes, *, user: str | None = None) -> None:
        """Publish a message on a feed, unless only a tape publishes there."""
        if path not in self.taped_feeds:
            self.broadcast(path, message, user=user)

    def broadcast(self, path: str, message: bytes, *, user: str | None = None) -> None:
        """Publish a message on a feed, with its pending faults."""
        if self.hub.listens(path):
            for event in self.faults.on_user_event(path, message, user):
                self.hub.publish(path, self.faults.apply_faults(path, event), user=user)

    def send_json(self, path: str, value: Any, *, user: str | None = None) -> None:
        """Publish a JSON value on a feed; it is not encoded if nobody subscribes."""
        if self.hub.listens(path):
            self.send(path, dumps(value), user=user)

    def publish_diff(self, listing: Listing, bids: Iterable[Level], asks: Iterable[Level]) -> int:
        """Change a market's depth, publish the diff, and return its sequence number."""
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
        is_final: bool = True,
    ) -> Trade:
        """Record a trade, publish it, and return it; ``/trades`` does not show it until it is final."""
        trade = Trade(
            asset_id=listing.asset,
            trade_id=next(self._trade_ids) if trade_id is None else trade_id,
            price=price,
            quantity=quantity,
            timestamp_ns=self.now_ns() if timestamp_ns is None else timestamp_ns,
            buyer_is_maker=buyer_is_maker,
            status=status,
        )
        if not is_final:
            self._unannounced.add((trade.asset_id, trade.trade_id))
        self.record_trade(listing, trade)
        if is_final:
            self._send_trade(trade)
        return trade

    def change_trade(self, trade: Trade, status: TradeStatus) -> Trade:
        """Change the status of a trade, publish it, and return the changed trade.

        Raises:
            ValueError: No recorded trade equals ``trade``.
        """
        listing = self.listing(trade.asset_id)
        changed = attrs.evolve(trade, status=status)
        before = _replace(listing.trades, trade, changed)
        _replace(self.trades, trade, changed)
        self.revisions.add(self.now_ns(), before, changed)
        listing.candles.change(changed)
        if before.status == "Confirmed":
            self._unannounced.discard((changed.asset_id, changed.trade_id))
        if self._is_public(changed):
            self._send_trade(changed)
        self._publish_candle_and_ticker(listing, changed)
        return changed

    def _send_trade(self, trade: Trade) -> None:
        for message in self.faults.on_trade(dumps(trade_json(trade))):
            self.send("/trades", message)

    def record_trade(self, listing: Listing, trade: Trade) -> None:
        """Add a trade to the history, the candles and the ticker."""
        self._trade_ids.skip_used(trade.trade_id)
        append_bounded(self.trades, trade)
        append_bounded(listing.trades, trade)
        self.revisions.add(self.now_ns(), None, trade)
        listing.candles.add(trade)
        self._publish_candle_and_ticker(listing, trade)

    def _publish_candle_and_ticker(self, listing: Listing, trade: Trade) -> None:
        """Publish the candle and the ticker that a trade changed."""
        candles, when_ns = listing.candles, trade.timestamp_ns
        self.send_json_from(f"/klines/diff/{listing.asset}", lambda: [candle_json(candles.at(when_ns))])
        self.send_json_from(f"/ticker/ws/{listing.asset}", lambda: self.ticker(listing))
        self.send_json_from("/tickers/ws", lambda: [self.ticker(listing)])

    def send_json_from(self, path: str, make: Callable[[], Any]) -> None:
        """Publish the value that ``make`` returns; it is not called if nobody subscribes."""
        if self.hub.listens(path):
            self.send(path, dumps(make()))

    # Answers

    def snapshot(self, listing: Listing, behind: float = 0.0) -> bytes:
        """Return the answer with a market's depth: current, or as old as a fault requests, in seconds or changes."""
        least = listing.depth.changes_since(self.before(behind)) if behind else 0
        return encode_snapshot(listing.depth.snapshot(self.faults.take_staleness(listing.asset, least)))

    def before(self, seconds: float) -> int:
        """Return the time ``seconds`` ago, in nanoseconds since the Unix epoch."""
        return self.now_ns() - round(seconds * _SECOND_NS)

    def trades_as_of(self, trades: Sequence[Trade], behind: float) -> Sequence[Trade]:
        """Return trades as they were ``behind`` seconds ago."""
        return self.revisions.as_of(trades, self.before(behind)) if behind else trades

    def public_trades(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Return the trades that ``/trades`` shows: without matches that are pending or were rolled back."""
        return [trade for trade in trades if self._is_public(trade)] if self._unannounced else trades

    def listed_trades(self, asset: AssetIdentifier | None = None) -> Sequence[Trade]:
        """Return the trades of all markets or of one, oldest first, that REST may list."""
        if self.taped_trades is None:
            return self.trades if asset is None else self.listing(asset).trades
        return [trade for trade in self.taped_trades if asset in (None, trade.asset_id)]

    def next_trade_id(self) -> int:
        """Return the id of a new trade."""
        return next(self._trade_ids)

    def _is_public(self, trade: Trade) -> bool:
        return trade.status == "Confirmed" or (trade.asset_id, trade.trade_id) not in self._unannounced

    def ticker(self, listing: Listing) -> Mapping[str, Any]:
        """Return a market's ticker as JSON."""
        return ticker_json(listing.asset, listing.trades, listing.depth.best(), self.now_ns())


def _replace(history: list[Trade], trade: Trade, changed: Trade) -> Trade:
    """Replace a trade in a history by its changed state, and return the trade that it replaced."""
    for index in range(len(history) - 1, -1, -1):
        if history[index] == trade:
            before, history[index] = history[index], changed
            return before
    raise ValueError(f"there is no {trade}; change_trade() takes a trade as it is now")


def trade_json(trade: Trade) -> dict[str, Any]:
    """Return a public trade as JSON."""
    return {
        "asset_id": trade.asset_id,
        "trade_id": trade.trade_id,
        "price": number_text(trade.price),
        "quantity": number_text(trade.quantity),
        "timestamp_ns": trade.timestamp_ns,
        "buyer_is_maker": trade.buyer_is_maker,
        "status": trade.status,
    }
