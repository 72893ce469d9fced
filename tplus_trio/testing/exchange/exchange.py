"""The embedded exchange: a T+ server's logic, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
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
    OrderOperationResponse,
    Side,
    TimeInForce,
    Trade,
    new_order_id,
)
from tplus_trio.models.numbers import to_decimal
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.clock import WallClock
from tplus_trio.testing.exchange.accounts import Accounts, public_key_of
from tplus_trio.testing.exchange.crash_log import CrashLog
from tplus_trio.testing.exchange.depth_book import Level
from tplus_trio.testing.exchange.endpoints.order_gate import OrderGate
from tplus_trio.testing.exchange.endpoints.rest import MarketData, Router
from tplus_trio.testing.exchange.endpoints.rest_account import AccountEndpoints
from tplus_trio.testing.exchange.endpoints.rest_order_entry import log_refusal, order_entry_routes
from tplus_trio.testing.exchange.endpoints.rest_orders import OrderRequests, order_routes
from tplus_trio.testing.exchange.endpoints.subscription_router import SubscriptionRouter
from tplus_trio.testing.exchange.exchange_accounts import ExchangeAccounts
from tplus_trio.testing.exchange.feeds import Subscription
from tplus_trio.testing.exchange.http_messages import Rejection, Request, Response
from tplus_trio.testing.exchange.market_state import dumps
from tplus_trio.testing.exchange.order_records import Details, unsigned_order
from tplus_trio.testing.exchange.replay_player import ReplayPlayer
from tplus_trio.testing.replay.tape import Tape, TapeEntry
from tplus_trio.users.user import User

__all__ = ["Exchange"]

DEFAULT_TOKEN_TTL: Final = 3600.0


class Exchange(ExchangeAccounts):
    """A T+ exchange in memory: market data and orders side by side on one origin.

    It holds state and does no I/O. :func:`~tplus_trio.testing.serve` serves it over TCP,
    :class:`~tplus_trio.testing.MemoryNetwork` in memory; a test may also call :meth:`handle` and :meth:`subscribe`
    directly. Signatures are verified, each nonce is valid once, tokens expire. Use it from one thread only.

    An argument ``asset`` is a market's :class:`~tplus_trio.AssetIdentifier`, or its text or number. An argument
    ``user`` is a :class:`~tplus_trio.User`, or a public key.

    Args:
        now_ns: The clock, in nanoseconds since the Unix epoch. The default starts at the wall clock's time and then
            follows trio's clock, real or virtual.
        token_ttl: The lifetime of a token in seconds, more than 0.
        seed: The seed of the nonces. Tokens are always random.

    Raises:
        ValueError: ``token_ttl`` is not more than 0.
    """

    def __init__(
        self, *, now_ns: Callable[[], int] | None = None, token_ttl: float = DEFAULT_TOKEN_TTL, seed: int = 0
    ) -> None:
        if not token_ttl > 0:
            raise ValueError(f"token_ttl must be more than 0 seconds, got {token_ttl!r}")
        #: The unexpected exceptions of the exchange: its bugs, not requested faults. Under pytest they fail the test,
        #: unless the test expects and removes them (``exchange.crashes.clear()``).
        self.crashes: list[Exception] = CrashLog()
        accounts = Accounts(now_ns or WallClock(), token_ttl, seed)
        super().__init__(accounts)
        self._replay_player = ReplayPlayer(self._market_state)
        requests = OrderRequests(self._market_state, self._order_manager)
        gate = OrderGate(self._market_state, requests)
        self.faults.on_change_decimals = self.change_decimals
        self._subscription_router = SubscriptionRouter(self._market_state, gate, self._order_manager.trades)
        account_endpoints = AccountEndpoints(
            self._market_state,
            self._order_manager,
            self._balances,
            self._margin,
            self._subscription_router.market_makers,
        )
        self._router = Router(
            self._market_state,
            [
                *account_endpoints.routes(),
                *MarketData(self._market_state).routes(),
                *order_entry_routes(gate),
                *order_routes(self._market_state, self._order_manager),
            ],
            partial(log_refusal, gate),
        )

    def add_market(
        self,
        asset: AssetIdentifier | str | int,
        book_price_decimals: int = 2,
        book_quantity_decimals: int = 3,
    ) -> Market:
        """List a market, with an empty book at sequence number 1000; a market that is listed already stays as it is.

        Args:
            asset: The market's asset.
            book_price_decimals: The number of decimals of a price: one unit of price is 10 to the minus this power.
            book_quantity_decimals: The number of decimals of a quantity.

        Returns:
            The market as it is listed.

        Raises:
            TypeError: ``asset`` has the wrong type.
            ValueError: ``asset`` is not an asset.
        """
        listing = self._market_state.add_market(AssetIdentifier(asset), book_price_decimals, book_quantity_decimals)
        return listing.market

    def change_decimals(
        self, asset: AssetIdentifier | str | int, book_price_decimals: int, book_quantity_decimals: int
    ) -> Market:
        """Change the decimals of a market, and return it. Its open orders keep their prices and quantities.

        Orders and replacements that still name the old decimals are refused with ``INVALID_ORDER_DECIMALS``.

        Args:
            asset: The market.
            book_price_decimals: The new number of decimals of a price.
            book_quantity_decimals: The new number of decimals of a quantity.

        Raises:
            ValueError: The market is not listed, or an open order cannot be expressed with so few decimals.
        """
        listing = self._market_state.listing(asset)
        self._order_manager.change_decimals(listing, book_price_decimals, book_quantity_decimals)
        return listing.market

    def add_market_maker(self, user: User | str) -> None:
        """Allow a user to subscribe to ``/intent/ws``."""
        self._subscription_router.market_makers.add(public_key_of(user))

    # Serving

    def handle(self, request: Request) -> Response:
        """Carry out a REST request and return its answer; an error is an answer too, never an exception."""
        self.expire_orders()
        return self._router.handle(request)

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        """Open a feed, as a WebSocket handshake does.

        Args:
            path: The feed's path, such as ``/marketdepth/diff/200``.
            headers: The handshake's headers, with names in lower case.

        Raises:
            Rejection: The exchange refuses the handshake; ``response`` is the HTTP answer.
        """
        self._order_manager.expire()
        return self._subscription_router.subscribe(path, headers or {})

    # Acting for a user: without a signature, otherwise as over the network

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
        reduce_only: bool = False,
    ) -> OrderOperationResponse:
        """Place an order for a user.

        Args:
            user: The user, or the user's public key.
            asset: The market.
            side: ``Buy`` or ``Sell``.
            price_units: The limit in units of the book; None places a market order.
            quantity_units: The quantity in units of the book.
            order_id: The order's id; None generates one.
            time_in_force: The time in force of a limit order; None is :class:`~tplus_trio.GTC`.
            reduce_only: Whether the order may only reduce the user's position in sub-account 1, where it trades.

        Returns:
            The answer of the exchange: ``Received``, or ``Rejected`` with the reason.

        Raises:
            ValueError: The market is not listed, ``side`` is not a side, or the user has used the id before.
        """
        listing = self._market_state.listing(asset)
        details: Details
        if price_units is None:
            details = MarketOrderDetails(MarketQuantity(base_asset=MarketBaseQuantity(quantity_units)))
        else:
            details = LimitOrderDetails(price_units, quantity_units, time_in_force or GTC())
        order = unsigned_order(
            public_key_of(user),
            order_id or new_order_id(),
            listing.market,
            check_choice("side", side, Side),
            details,
            now_ns=self.now_ns(),
            reduce_only=reduce_only,
        )
        key = public_key_of(user)
        with (
            _rejections_as_value_errors(),
            self._market_state.effects.refusals("create", key, order.order_id, listing.asset),
        ):
            answer = self._order_manager.create(listing, key, order)
        return OrderOperationResponse(**answer)

    def cancel(self, user: User | str, order_id: str) -> OrderOperationResponse:
        """Cancel a user's order, and return the answer of the exchange.

        Raises:
            ValueError: The user has no open order with this id.
        """
        key = public_key_of(user)
        with _rejections_as_value_errors(), self._market_state.effects.refusals("cancel", key, order_id, None):
            return OrderOperationResponse(**self._order_manager.cancel(key, order_id))

    def expire_orders(self) -> None:
        """Remove the orders that have expired by now, and settle the trades whose time has come.

        Everything that shows or changes orders does this first. A server or network of the exchange does it when the
        time comes. Requests that a fault holds are carried out when their time has come.
        """
        self._order_manager.expire()
        self._market_state.schedule.run_due()

    @property
    def next_expiry_ns(self) -> int | None:
        """The time at which the next order expires or the next trade settles, in ns since the Unix epoch, or None."""
        return self._order_manager.next_expiry_ns

    @property
    def next_due_ns(self) -> int | None:
        """The time at which :meth:`expire_orders` has something to do next, in ns since the Unix epoch, or None.

        That is :attr:`next_expiry_ns`, the end of a session whose feed is open, or the time of a held request.
        """
        times = (self._order_manager.next_expiry_ns, self._market_state.schedule.next_ns)
        return min((time for time in times if time is not None), default=None)

    def watch_expiries(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` each time that :attr:`next_due_ns` changes."""
        self._order_manager.expiry_watchers.append(watcher)
        self._market_state.schedule.watchers.append(watcher)

    def unwatch_expiries(self, watcher: Callable[[], None]) -> None:
        """Stop calling ``watcher``."""
        self._order_manager.expiry_watchers.remove(watcher)
        self._market_state.schedule.watchers.remove(watcher)

    def publish_diff(
        self,
        asset: AssetIdentifier | str | int,
        bids: Iterable[tuple[Decimal | int | str, Decimal | int | str]] = (),
        asks: Iterable[tuple[Decimal | int | str, Decimal | int | str]] = (),
    ) -> int:
        """Change a market's public depth and send the diff on ``/marketdepth/diff/{asset}``, past the matching engine.

        Args:
            asset: The market.
            bids: Pairs of price (quote units) and new total quantity (base units); 0 removes a level.
            asks: The same for the other side.

        Returns:
            The diff's sequence number.

        Raises:
            ValueError: The market is not listed, or a number is not one.
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
        """Record a trade and send it on ``/trades``, past the matching engine.

        Args:
            asset: The market.
            price: The price in quote units.
            quantity: The quantity in base units.
            buyer_is_maker: Whether the buyer's order was the resting one.
            timestamp_ns: The time of the trade, in nanoseconds since the Unix epoch; None is now.
            status: The first status; :meth:`change_trade` changes it.

        Returns:
            The trade.

        Raises:
            TypeError: ``status`` is not a string.
            ValueError: The market is not listed, or a number is not one.
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
        """Change the status of a trade, and send it on the feeds of trades, candles, tickers and of its two users.

        A trade that is ``Rollbacked`` no longer counts for its candle, whose volume falls, nor for positions.

        Args:
            trade: The trade as it is now.
            status: ``Pending``, ``Confirmed`` or ``Rollbacked``, or a status that clients do not know.

        Returns:
            The changed trade.

        Raises:
            TypeError: ``status`` is not a string.
            ValueError: The exchange has no trade like ``trade``, or not any more.
        """
        check_instance("status", status, str)
        return self._order_manager.change_trade(trade, status)

    def publish(self, path: str, message: Mapping[str, Any] | list[Any] | str) -> None:
        """Send a message to all subscribers of a feed: a string unchanged, anything else as JSON."""
        text = message.encode() if isinstance(message, str) else dumps(message)
        self._market_state.broadcast(path, text)

    # Tapes

    def load_tape(self, tape: Tape) -> None:
        """Give the feeds on a tape to it alone: the exchange itself no longer publishes on them.

        The markets on the tape are listed, and the first answer of each path is served. Play the tape with
        :func:`~tplus_trio.testing.play`.
        """
        self._replay_player.load(tape)

    def has_tape(self, tape: Tape) -> bool:
        """Return whether a tape was loaded."""
        return self._replay_player.has(tape)

    def play_entry(self, entry: TapeEntry) -> None:
        """Play one entry of a tape now: send a frame, or serve an answer from now on."""
        self._replay_player.play(entry)


def _levels(pairs: Iterable[tuple[Decimal | int | str, Decimal | int | str]]) -> list[Level]:
    return [(to_decimal(price), to_decimal(quantity)) for price, quantity in pairs]


@contextmanager
def _rejections_as_value_errors() -> Generator[None]:
    """Turn a refusal into a ValueError, for a caller that is not on the other side of a network."""
    try:
        yield
    except Rejection as rejection:
        raise ValueError(str(rejection.error.get("message"))) from None
