"""What a live book is like at one moment, for a screen or a line of text."""

from __future__ import annotations

import time
from collections import deque
from decimal import Decimal
from typing import Final

import attrs
import trio

from tplus_trio.book.live import LiveBook
from tplus_trio.cli.ladder import describe_spread
from tplus_trio.errors import TplusError
from tplus_trio.models import AssetIdentifier, BookLost, Gap, OrderBook, PriceLevel, Trade
from tplus_trio.streams.stats import FeedLag, StreamState, StreamStats
from tplus_trio.streams.stream import Stream

__all__ = ["BookMonitor", "BookView", "describe_state"]

#: Seconds over which the rate of messages is measured.
_WINDOW: Final = 1.0
#: Trades that are kept: as many as the largest terminal shows.
_TRADES: Final = 100


# Eleven attributes: all that a screen shows of a book.
@attrs.frozen(kw_only=True)
class BookView:
    """A live book at one moment.

    Attributes:
        asset: The market.
        state: Where its feed is in its life.
        book: The best levels; None while the book is out of sync.
        lost: The loss; None while the book is in sync, and before it was in sync for the first time.
        error: Why there is no connection; empty without a reason.
        stats: The counts of its feed.
        rate: Messages a second, in the last second.
        silence: Seconds since the last message; None before the first.
        lag: Of the last trade: how long after its time it arrived. None before the first; books carry no time.
        trades: The newest trades of the market, newest first.
        now_ns: The time, in nanoseconds since the Unix epoch.
    """

    asset: AssetIdentifier
    state: StreamState
    book: OrderBook | None = None
    lost: BookLost | None = None
    error: str = ""
    stats: StreamStats = attrs.field(factory=StreamStats)
    rate: float = 0.0
    silence: float | None = None
    lag: FeedLag | None = None
    trades: tuple[Trade, ...] = ()
    now_ns: int = 0

    @property
    def word(self) -> str:
        """``LIVE`` if the book can be read, ``LOST`` if it no longer can, ``CONNECTING`` if it could not yet."""
        if self.book is not None:
            return "LIVE"
        return "CONNECTING" if self.lost is None else "LOST"

    @property
    def lost_for(self) -> float:
        """Seconds since the loss."""
        return 0.0 if self.lost is None else max(0.0, (self.now_ns - self.lost.since_ns) / 1e9)


class BookMonitor:
    """Reads a live book when it is asked to: the changes in between cost nothing.

    Args:
        book: The book, entered.
        trades: The trades of all markets, entered.
    """

    def __init__(self, book: LiveBook, trades: Stream[Trade | Gap]) -> None:
        self.book = book
        self._trades = trades
        self._newest: deque[Trade] = deque(maxlen=_TRADES)
        self._counts: deque[tuple[float, int]] = deque([(trio.current_time(), 0)])
        #: The present loss; None while the book is in sync, and before it was in sync.
        self.lost: BookLost | None = None

    async def follow(self) -> None:
        """Note each loss and each trade, until cancelled.

        Raises:
            TplusError: The book failed for good.
        """
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            nursery.start_soon(self._follow_losses)
            nursery.start_soon(self._follow_trades)

    async def _follow_losses(self) -> None:
        while True:
            async with self.book.while_synced() as session:
                self.lost = None
                await trio.sleep_forever()
            self.lost = session.lost

    async def _follow_trades(self) -> None:
        asset = self.book.asset_id
        try:
            async for trade in self._trades:
                if isinstance(trade, Trade) and trade.asset_id == asset:
                    self._newest.appendleft(trade)
        except TplusError:  # the service may not offer this feed; the book is shown without it
            await trio.sleep_forever()

    def add_trades(self, trades: tuple[Trade, ...]) -> None:
        """Show earlier trades too; newest first."""
        known = {trade.trade_id for trade in self._newest}
        self._newest.extend(trade for trade in trades if trade.trade_id not in known)

    def view(self, levels: int | None) -> BookView:
        """Return what the book is like now.

        Args:
            levels: The most levels of a side that are read; None for all.
        """
        book, stats = self.book, self.book.stats
        now = trio.current_time()
        shown = (
            OrderBook(asks=book.asks(levels), bids=book.bids(levels), sequence_number=book.sequence_number)
            if book.is_synced
            else None
        )
        return BookView(
            asset=book.asset_id,
            state=book.state,
            book=shown,
            lost=None if shown is not None else self.lost,
            error="" if book.last_error is None else str(book.last_error),
            stats=stats,
            rate=self._rate(now, stats.messages),
            silence=None if stats.last_message_at is None else max(0.0, now - stats.last_message_at),
            lag=self._trades.statistics().lag,
            trades=tuple(self._newest),
            now_ns=time.time_ns(),
        )

    def _rate(self, now: float, messages: int) -> float:
        """Return the messages a second since the oldest count that is kept."""
        counts = self._counts
        counts.append((now, messages))
        while len(counts) > 2 and counts[1][0] <= now - _WINDOW:
            counts.popleft()
        began, first = counts[0]
        return (messages - first) / (now - began) if now > began else 0.0


def describe_state(view: BookView) -> str:
    """Format a view as one line of text."""
    stats = view.stats
    counts = f"{view.rate:.0f} messages/s  gaps {stats.gaps}  resyncs {stats.resyncs}  connects {stats.connects}"
    if view.book is None:
        why = view.error if view.lost is None else view.lost.reason
        return "  ".join(part for part in (view.word, why, f"({view.state.value})", counts) if part)
    best = (
        f"bid {_level(view.book.bids)}  ask {_level(view.book.asks)}  {describe_spread(view.book).replace(' · ', '  ')}"
    )
    return f"LIVE  #{view.book.sequence_number}  {best}  {counts}"


def _level(levels: tuple[PriceLevel, ...]) -> str:
    if not levels:
        return "-"
    price, quantity = levels[0]
    return f"{_plain(price)} x {_plain(quantity)}"


def _plain(value: Decimal) -> str:
    return f"{value:f}"
