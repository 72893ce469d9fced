"""The embedded exchange: a T+ server's logic, without I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from tplus_trio.arguments import check_choice, check_instance
from tplus_trio.models import (
    GTC,
    AssetIdentifier,
    LimitOrderDetails,
    Market,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    OrderBook,
    OrderOperationResponse,
    OrderResponse,
    Side,
    TimeInForce,
    Trade,
    UserTrade,
    new_order_id,
)
from tplus_trio.models.numbers import to_decimal
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.clock import WallClock
from tplus_trio.testing.exchange.accounts import Accounts
from tplus_trio.testing.exchange.crash_log import CrashLog
from tplus_trio.testing.exchange.depth_book import Level
from tplus_trio.testing.exchange.endpoints.rest import MarketData, Router
from tplus_trio.testing.exchange.endpoints.rest_orders import OrderRequests, order_routes
from tplus_trio.testing.exchange.endpoints.subscription_router import SubscriptionRouter
from tplus_trio.testing.exchange.faults.faults import Faults
from tplus_trio.testing.exchange.feeds import Subscription
from tplus_trio.testing.exchange.http_messages import Rejection, Request, Response
from tplus_trio.testing.exchange.market_state import MarketState, dumps
from tplus_trio.testing.exchange.order_manager import OrderManager
from tplus_trio.testing.exchange.order_records import Details, order_response, unsigned_order
from tplus_trio.testing.exchange.replay_player import ReplayPlayer
from tplus_trio.testing.replay.tape import Tape, TapeEntry
from tplus_trio.users.user import User

__all__ = ["Exchange"]

DEFAULT_TOKEN_TTL: Final = 3600.0


class Exchange:
    """A T+ exchange in memory: market data and orders side by side on one origin.

    It is plain state and plain functions. :func:`~tplus_trio.testing.serve` puts it on TCP,
    :class:`~tplus_trio.testing.MemoryNetwork` in memory; a test may also call :meth:`handle` and
    :meth:`subscribe` itself. Signatures are verified, nonces are good once, tokens expire. All of it belongs
    to one thread.

    Args:
        now_ns: The clock, in nanoseconds since the Unix epoch. By default the wall clock at the beginning,
            which then
            follows trio's clock, virtual ones included.
        token_ttl: How long a token is good, in seconds.
        seed: Of the nonces; tokens are not for guessing, in a test neither.
    """

    def __init__(
        self, *, now_ns: Callable[[], int] | None = None, token_ttl: float = DEFAULT_TOKEN_TTL, seed: int = 0
    ) -> None:
        if not token_ttl > 0:
            raise ValueError(f"token_ttl must be more than 0 seconds, got {token_ttl!r}")
        #: Failures of the exchange itself: bugs, not faults to order. Under pytest they fail the test, unless it
        #: expects them and takes them out (``exchange.crashes.clear()``).
        self.crashes: list[Exception] = CrashLog()
        accounts = Accounts(now_ns or WallClock(), token_ttl, seed)
        self._market_state = MarketState(accounts)
        self._order_manager = OrderManager(self._market_state)
        self._replay_player = ReplayPlayer(self._market_state)
        requests = OrderRequests(self._market_state, self._order_manager)
        self._subscription_router = SubscriptionRouter(self._market_state, requests, self._order_manager.trades)
        self._router = Router(
            self._market_state,
            [
                *MarketData(self._market_state).routes(),
                *order_routes(self._market_state, self._order_manager, requests),
            ],
        )

    @property
    def faults(self) -> Faults:
        """What can be made to go wrong."""
        return self._market_state.faults

    def now_ns(self) -> int:
        """The exchange's time, in nanoseconds since the Unix epoch, UTC."""
        return self._market_state.now_ns()

    def add_market(
        self,
        asset: AssetIdentifier | str | int,
        book_price_decimals: int = 2,
        book_quantity_decimals: int = 3,
    ) -> Market:
        """List a market, with an empty book at sequence number 1000; one that is listed stays as it is.

        Raises:
            ValueError: ``asset`` is not an asset.
        """
        listing = self._market_state.add_market(AssetIdentifier(asset), book_price_decimals, book_quantity_decimals)
        return listing.market

    def add_market_maker(self, user: User | str) -> None:
        """Let a user listen to ``/intent/ws``."""
        self._subscription_router.market_makers.add(_key(user))

    # Serving

    def handle(self, request: Request) -> Response:
        """Answer a REST request."""
        self._order_manager.expire()
        return self._router.handle(request)

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        """Open a feed, as a WebSocket handshake does.

        Args:
            path: The feed.
            headers: The handshake's, with names in lower case.

        Raises:
            Rejection: It is refused; ``response`` is the HTTP answer.
        """
        return self._subscription_router.subscribe(path, headers or {})

    # Looking

    def book(self, asset: AssetIdentifier | str | int) -> OrderBook:
        """A market's public depth as it is now, exactly."""
        return self._market_state.listing(asset).depth.snapshot()

    def orders(self, user: User | str) -> tuple[OrderResponse, ...]:
        """All orders of a user, newest first."""
        return tuple(order_response(record) for record in reversed(self._order_manager.orders(_key(user))))

    def is_open(self, user: User | str, order_id: str) -> bool:
        """Whether a user's order rests in the book, or waits for its trigger."""
        return self._order_manager.is_open(_key(user), order_id)

    def trades(self, asset: AssetIdentifier | str | int | None = None) -> tuple[Trade, ...]:
        """All trades, or those of one market, oldest first."""
        return tuple(self._market_state.trades if asset is None else self._market_state.listing(asset).trades)

    def trade_history(self, start: int = 0) -> list[tuple[int, Trade]]:
        """Every state that each trade of every market had, in order, and when it was recorded (ns).

        Args:
            start: How many of the first states to leave out.
        """
        return self._market_state.revisions.since(start)

    def user_trades(self, user: User | str) -> tuple[UserTrade, ...]:
        """All trades of a user, oldest first; one of a user with himself does not happen."""
        return tuple(self._order_manager.trades.of(_key(user)))

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets, in the order in which they were listed."""
        return tuple(listing.market for listing in self._market_state.listings.values())

    @property
    def connections(self) -> int:
        """How many feeds are being listened to."""
        return len(self._market_state.hub)

    @property
    def backlog(self) -> int:
        """How many messages the slowest listener has yet to fetch."""
        return self._market_state.hub.backlog

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """How often each ``(method, path)`` was requested over REST."""
        return self._market_state.requests

    @property
    def snapshot_requests(self) -> int:
        """How often a depth snapshot was requested."""
        return sum(n for (_, path), n in self.requests.items() if path.startswith("/marketdepth/"))

    @property
    def refused(self) -> int:
        """How many requests and handshakes a rate limit refused (:meth:`Faults.limit_rate`)."""
        return self.faults.refused

    @property
    def sign_ins(self) -> int:
        """How many tokens were handed out."""
        return self._market_state.accounts.sign_ins

    # Acting for tests: nobody signs, everything else is as if they had

    def place(
        self,
        user: User | str,
        asset: AssetIdentifier | str | int,
        side: Side | str,
        price_units: int | None,
        quantity_units: int,
        *,
        order_id: str | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> OrderOperationResponse:
        """Place an order for a user.

        Args:
            user: Who, or the public key of who.
            asset: The market.
            side: ``Buy`` or ``Sell``.
            price_units: The limit in units of the book; None makes it a market order.
            quantity_units: The quantity in units of the book.
            order_id: Its id; None makes one.
            time_in_force: Of a limit order; None is :class:`~tplus_trio.GTC`.

        Raises:
            ValueError: There is no such market, or the id was used before.
        """
        listing = self._market_state.listing(asset)
        details: Details
        if price_units is None:
            details = MarketOrderDetails(MarketQuantity(base_asset=MarketBaseQuantity(quantity_units)))
        else:
            details = LimitOrderDetails(price_units, quantity_units, time_in_force or GTC())
        order = unsigned_order(
            _key(user),
            order_id or new_order_id(),
            listing.market,
            check_choice("side", side, Side),
            details,
            now_ns=self.now_ns(),
        )
        with _rejections_as_value_errors():
            answer = self._order_manager.create(listing, _key(user), order)
        return OrderOperationResponse(**answer)

    def cancel(self, user: User | str, order_id: str) -> OrderOperationResponse:
        """Cancel a user's order.

        Raises:
            ValueError: The user has no such order open.
        """
        with _rejections_as_value_errors():
            return OrderOperationResponse(**self._order_manager.cancel(_key(user), order_id))

    def expire_orders(self) -> None:
        """Remove the orders that have expired by now.

        Every request and order does so too, and so does whatever serves the exchange, at each order's time.
        """
        self._order_manager.expire()

    @property
    def next_expiry_ns(self) -> int | None:
        """When the next order expires, in nanoseconds since the Unix epoch; None while none will."""
        return self._order_manager.next_expiry_ns

    def watch_expiries(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` each time that :attr:`next_expiry_ns` changes."""
        self._order_manager.expiry_watchers.append(watcher)

    def unwatch_expiries(self, watcher: Callable[[], None]) -> None:
        """Call it no longer."""
        self._order_manager.expiry_watchers.remove(watcher)

    def publish_diff(
        self,
        asset: AssetIdentifier | str | int,
        bids: Iterable[tuple[Decimal | int | str, Decimal | int | str]] = (),
        asks: Iterable[tuple[Decimal | int | str, Decimal | int | str]] = (),
    ) -> int:
        """Change a market's public depth and send the diff; the matching engine knows nothing of it.

        Args:
            asset: The market.
            bids: New totals by price; 0 removes a level.
            asks: The same.

        Returns:
            The diff's sequence number.
        """
        return self._market_state.publish_diff(self._market_state.listing(asset), _levels(bids), _levels(asks))

    def publish_trade(
        self,
        asset: AssetIdentifier | str | int,
        price: Decimal | int | str,
        quantity: Decimal | int | str,
        *,
        buyer_is_maker: bool = False,
        timestamp_ns: int | None = None,
        status: TradeStatus | str = "Confirmed",
    ) -> Trade:
        """Record and send a trade, past the matching engine.

        Args:
            asset: The market.
            price: The price.
            quantity: The quantity.
            buyer_is_maker: Whether the buyer's order was the resting one.
            timestamp_ns: When it was; None is now.
            status: What it is at first; :meth:`change_trade` gives it another.
        """
        return self._market_state.publish_trade(
            self._market_state.listing(asset),
            to_decimal(price),
            to_decimal(quantity),
            buyer_is_maker=buyer_is_maker,
            timestamp_ns=timestamp_ns,
            status=check_instance("status", status, str),
        )

    def change_trade(self, trade: Trade, status: TradeStatus | str) -> Trade:
        """Give a trade another status, and tell everyone: its feed, its candle's, and those of its two users.

        A trade that is ``Rollbacked`` no longer counts for its candle, whose volume falls, nor for positions.

        Args:
            trade: The trade as it is now.
            status: ``Pending``, ``Confirmed`` or ``Rollbacked``, or one that no client knows yet.

        Returns:
            The trade as it is from now on.

        Raises:
            TypeError: ``status`` is no text.
            ValueError: There is no such trade.
        """
        check_instance("status", status, str)
        changed = self._market_state.change_trade(trade, status)
        self._order_manager.trades.change(trade, status)
        return changed

    def publish(self, path: str, message: Mapping[str, Any] | list[Any] | str) -> None:
        """Send everyone on a feed a message: text as it is, anything else as JSON."""
        text = message.encode() if isinstance(message, str) else dumps(message)
        self._market_state.broadcast(path, text)

    # Tapes

    def load_tape(self, tape: Tape) -> None:
        """Give the feeds on a tape over to it: the exchange itself publishes nothing on them any more.

        The markets on the tape are listed, and its first answers are served. :func:`~tplus_trio.testing.play`
        plays it.
        """
        self._replay_player.load(tape)

    def has_tape(self, tape: Tape) -> bool:
        """Whether a tape was loaded."""
        return self._replay_player.has(tape)

    def play_entry(self, entry: TapeEntry) -> None:
        """Let one entry of a tape happen now."""
        self._replay_player.play(entry)


def _key(user: User | str) -> str:
    return user if isinstance(user, str) else user.public_key


def _levels(pairs: Iterable[tuple[Decimal | int | str, Decimal | int | str]]) -> list[Level]:
    return [(to_decimal(price), to_decimal(quantity)) for price, quantity in pairs]


@contextmanager
def _rejections_as_value_errors() -> Generator[None]:
    """Turn a refusal into a ValueError for who is not on the other side of a network."""
    try:
        yield
    except Rejection as rejection:
        raise ValueError(str(rejection.error.get("message"))) from None
