"""What the demonstration compares with the exchange's own state and record."""

from __future__ import annotations

from tplus_trio.book.changes import BookChange
from tplus_trio.book.live import LiveBook
from tplus_trio.cli.checks import Check
from tplus_trio.models import AssetIdentifier, Gap, Trade, UserTrade
from tplus_trio.testing import Exchange
from tplus_trio.users import User

__all__ = ["BookStates", "OwnTradesCheck", "TradesCheck"]


class BookStates:
    """Compares each state of a live book with the exchange's book, if that has the same sequence number then.

    A state that arrived after the next change was made cannot be compared, and is counted.
    """

    def __init__(self, book: LiveBook, exchange: Exchange) -> None:
        self._book = book
        self._exchange = exchange
        self.equal: int = 0
        self.passed_over: int = 0
        self.problem: str | None = None

    async def follow(self) -> None:
        """Compare until cancelled.

        Raises:
            TplusError: The book failed for good.
        """
        async for change in self._book.changes():
            if isinstance(change, BookChange) and self._book.is_synced:
                self.compare()

    def compare(self) -> None:
        """Compare the present state. There is no checkpoint between the two reads."""
        ours, theirs = self._book.snapshot(), self._exchange.book(self._book.asset_id)
        if ours.sequence_number != theirs.sequence_number:
            self.passed_over += 1
        elif ours == theirs:
            self.equal += 1
        else:
            self.problem = self.problem or f"state #{ours.sequence_number} of the book differs from the exchange's"


class TradesCheck(Check):
    """Compares the trades of a market with the exchange's record: each once, in order, none missing.

    Args:
        feed: The feed's name.
        exchange: The exchange. It has no trades in the market yet.
        asset: The market.
    """

    def __init__(self, feed: str, exchange: Exchange, asset: AssetIdentifier) -> None:
        super().__init__(feed)
        self._exchange = exchange
        self._asset = asset
        self.matched: int = 0

    def take(self, event: object) -> None:
        """Compare a trade with the exchange's at the same position."""
        if self.problem is not None or (isinstance(event, Trade) and event.asset_id != self._asset):
            return
        expected = self._exchange.trades(self._asset)
        if isinstance(event, Gap):
            self.fail(f"trades may be missing: {event.reason}")
        elif self.matched < len(expected) and event == expected[self.matched]:
            self.matched += 1
        else:
            self.fail(f"trade {self.matched + 1} is not the exchange's")

    @property
    def complete(self) -> bool:
        """Whether every trade of the exchange has arrived, or the check has failed."""
        return self.problem is not None or self.matched == len(self._exchange.trades(self._asset))

    def conclude(self) -> None:
        """Fail if trades are missing."""
        if not self.complete:
            self.fail(f"only {self.matched} of {len(self._exchange.trades(self._asset))} trades arrived")


class OwnTradesCheck(Check):
    """Compares a user's own trades with the exchange's record: each arrived, or lies in a gap that the feed marked."""

    def __init__(self, feed: str, exchange: Exchange, user: User) -> None:
        super().__init__(feed)
        self._exchange = exchange
        self._user = user
        self._arrived: set[tuple[int, str]] = set()
        self.gaps: list[Gap] = []

    def take(self, event: object) -> None:
        """Note a trade or a gap."""
        if isinstance(event, Gap):
            self.gaps.append(event)
        elif isinstance(event, UserTrade):
            self._arrived.add((event.trade_id, event.order_id))

    @property
    def made(self) -> int:
        """How many trades the exchange made for the user."""
        return len({_key(trade) for trade in self._exchange.user_trades(self._user)})

    @property
    def arrived(self) -> int:
        """How many of them arrived."""
        return len(self._arrived)

    def missing(self) -> list[UserTrade]:
        """Return the trades that did not arrive."""
        return [trade for trade in self._exchange.user_trades(self._user) if _key(trade) not in self._arrived]

    @property
    def complete(self) -> bool:
        """Whether every trade has arrived, or lies in a gap."""
        return all(
            any(gap.since_ns <= trade.timestamp_ns <= gap.until_ns for gap in self.gaps) for trade in self.missing()
        )

    def conclude(self) -> None:
        """Fail if a trade is missing where no gap was marked, or if one arrived that the exchange did not make."""
        if not self.complete:
            self.fail("an own trade is missing, and no gap was marked there")
        if strangers := self._arrived - {_key(trade) for trade in self._exchange.user_trades(self._user)}:
            self.fail(f"{len(strangers)} own trades arrived that the exchange did not make")


def _key(trade: UserTrade) -> tuple[int, str]:
    return (trade.trade_id, trade.order_id)
