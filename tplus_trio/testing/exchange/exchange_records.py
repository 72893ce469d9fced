"""What an exchange has recorded: books, orders, trades and counts, for a test to read."""

from __future__ import annotations

from collections import Counter

from tplus_trio.models import AssetIdentifier, Market, OrderBook, OrderResponse, Trade, UserTrade
from tplus_trio.testing.exchange.accounts import Accounts, public_key_of
from tplus_trio.testing.exchange.answer_log import SentAnswer
from tplus_trio.testing.exchange.effects import Effect, RecordedOrder
from tplus_trio.testing.exchange.faults.faults import Faults
from tplus_trio.testing.exchange.market_state import MarketState
from tplus_trio.testing.exchange.order_manager import OrderManager
from tplus_trio.testing.exchange.order_records import order_response
from tplus_trio.users.user import User

__all__ = ["ExchangeRecords"]


class ExchangeRecords:
    """The state of an exchange, and the methods that read it; the base of :class:`~tplus_trio.testing.Exchange`.

    Args:
        accounts: The users' tokens, and the clock.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._market_state = MarketState(accounts)
        self._order_manager = OrderManager(self._market_state)

    @property
    def faults(self) -> Faults:
        """The faults that a test can request of this exchange."""
        return self._market_state.faults

    def now_ns(self) -> int:
        """Return the exchange's time, in nanoseconds since the Unix epoch, UTC."""
        return self._market_state.now_ns()

    def book(self, asset: AssetIdentifier | str | int) -> OrderBook:
        """Return a market's public depth as it is now: prices in quote units, quantities in base units.

        Raises:
            ValueError: The market is not listed.
        """
        self._order_manager.expire()
        return self._market_state.listing(asset).depth.snapshot()

    def orders(self, user: User | str) -> tuple[OrderResponse, ...]:
        """Return all orders of a user, newest first; prices and quantities are in units of the book."""
        self._order_manager.expire()
        return tuple(order_response(record) for record in reversed(self._order_manager.orders(public_key_of(user))))

    def is_open(self, user: User | str, order_id: str) -> bool:
        """Return whether a user's order rests in the book or waits for its trigger."""
        self._order_manager.expire()
        return self._order_manager.is_open(public_key_of(user), order_id)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What happened to each order, oldest first: the newest 200,000 effects.

        The matching step writes this record, apart from answers, feeds and listings: no fault changes it.
        """
        self._order_manager.expire()
        return self._market_state.effects.all

    @property
    def answers(self) -> tuple[SentAnswer, ...]:
        """What the exchange answered to requests about orders, oldest first: the newest 200,000 answers."""
        return self._market_state.answers.all

    def effects_of(self, user: User | str, order_id: str) -> tuple[Effect, ...]:
        """Return the effects on one order of a user, and the refusals of requests that name it, oldest first."""
        self._order_manager.expire()
        return self._market_state.effects.of(public_key_of(user), order_id)

    def resting(self, user: User | str) -> tuple[RecordedOrder, ...]:
        """Return a user's open orders, waiting triggers included, as the record of effects shows them, oldest first."""
        self._order_manager.expire()
        return self._market_state.effects.open_orders(public_key_of(user))

    def trades(self, asset: AssetIdentifier | str | int | None = None) -> tuple[Trade, ...]:
        """Return all trades, or those of one market, oldest first.

        Raises:
            ValueError: The market is not listed.
        """
        return tuple(self._market_state.trades if asset is None else self._market_state.listing(asset).trades)

    def trade_history(self, start: int = 0) -> list[tuple[int, Trade]]:
        """Return every state that each trade of every market had, in order, each with its time of recording in ns.

        Args:
            start: The number of first states to leave out.
        """
        return self._market_state.revisions.since(start)

    def user_trades(self, user: User | str) -> tuple[UserTrade, ...]:
        """Return all trades of a user, oldest first. A user never trades with himself."""
        return tuple(self._order_manager.trades.of(public_key_of(user)))

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets, in the order in which they were listed."""
        return tuple(listing.market for listing in self._market_state.listings.values())

    @property
    def connections(self) -> int:
        """The number of open subscriptions."""
        return len(self._market_state.hub)

    def subscribers(self, path: str) -> int:
        """Return the number of open subscriptions to one feed."""
        return sum(subscription.path == path for subscription in self._market_state.hub.matching(path))

    @property
    def backlog(self) -> int:
        """The number of messages that the slowest subscriber has not fetched."""
        return self._market_state.hub.backlog

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """The number of REST requests, by ``(method, path)``."""
        return self._market_state.requests

    @property
    def snapshot_requests(self) -> int:
        """The number of requests for a depth snapshot."""
        return sum(n for (_, path), n in self.requests.items() if path.startswith("/marketdepth/"))

    @property
    def refused(self) -> int:
        """The number of requests and handshakes that :meth:`Faults.limit_rate` refused."""
        return self.faults.refused

    @property
    def sign_ins(self) -> int:
        """The number of tokens issued."""
        return self._market_state.accounts.sign_ins
