"""The rows of a tape's table: one for each level of a snapshot or change, each trade, and each loss. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import OrderBook, OrderBookDiff, Trade
from tplus_trio.testing import TapeAnswer, TapeEntry, TapeFrame, TapeLoss
from tplus_trio.testing.exchange.tape_outlook import DEPTH_FEED, TRADES, feed_of

__all__ = ["Row", "TapeTable"]


class Row(NamedTuple):
    """One row. What a row of its kind does not have is None."""

    #: When the entry was received, in nanoseconds since the Unix epoch.
    received: int
    #: ``snapshot``, ``change``, ``trade``, ``lost`` (a connection), ``gap`` (over a connection), or ``undecodable``.
    kind: str
    #: The path of the feed.
    feed: str
    asset_id: str | None = None
    sequence_number: int | None = None
    #: ``bid`` or ``ask``.
    side: str | None = None
    #: In quote units.
    price: Decimal | None = None
    #: In base units; of a change, the new total at the price, and 0 if the level is gone.
    quantity: Decimal | None = None
    trade_id: int | None = None
    #: When the trade was made, in nanoseconds since the Unix epoch.
    traded: int | None = None
    buyer_is_maker: bool | None = None
    status: str | None = None
    #: Why something was lost or could not be decoded.
    reason: str | None = None


class TapeTable:
    """Makes the rows of a tape, in the order of its entries.

    Each trade of an answer that no frame brought is a row too: the recorder asked for it after a loss. Frames of other
    feeds are counted in `skipped`.

    Args:
        entries: The entries, read once: the trades that frames brought have to be known before the first answer.
    """

    def __init__(self, entries: Iterable[TapeEntry]) -> None:
        #: The number of frames and answers that have no rows, by feed.
        self.skipped: Counter[str] = Counter()
        #: The number of rows by kind.
        self.counts: Counter[str] = Counter()
        self._known: set[tuple[str, int]] = set()
        for entry in entries:
            if isinstance(entry, TapeFrame) and entry.path == TRADES:
                self._known.update(_key(row) for row in _frame_rows(entry) if row.kind == "trade")

    def rows(self, entries: Iterable[TapeEntry]) -> Iterator[Row]:
        """Return the rows of the entries, which are the same ones again."""
        for entry in entries:
            for row in self._rows(entry):
                self.counts[row.kind] += 1
                yield row

    def _rows(self, entry: TapeEntry) -> Iterable[Row]:
        match entry:
            case TapeLoss():
                kind = "lost" if entry.connection else "gap"
                return (Row(entry.t_ns, kind, entry.path, _asset_of(entry.path), reason=entry.reason),)
            case TapeFrame() if entry.path == TRADES or entry.path.startswith(DEPTH_FEED):
                return _frame_rows(entry)
            case TapeAnswer() if feed_of(entry.path) == TRADES:
                return self._new_trades(entry)
            case TapeAnswer() if feed_of(entry.path).startswith(DEPTH_FEED):
                return _snapshot_rows(entry)
            case _:
                self.skipped[entry.path if isinstance(entry, TapeFrame) else feed_of(entry.path)] += 1
                return ()

    def _new_trades(self, answer: TapeAnswer) -> Iterator[Row]:
        """Return the rows of the trades of a page that no frame and no other page brought, oldest first."""
        try:
            trades = codec.decode_rows(answer.body, Trade)
        except DecodeError as exc:
            yield Row(answer.t_ns, "undecodable", TRADES, reason=str(exc))
            return
        for trade in reversed(trades):
            row = _trade_row(answer.t_ns, trade)
            if _key(row) not in self._known:
                self._known.add(_key(row))
                yield row


def _key(row: Row) -> tuple[str, int]:
    """Return what a trade is known by."""
    return row.asset_id or "", row.trade_id or 0


def _frame_rows(entry: TapeFrame) -> list[Row]:
    """Return the rows of a frame of a depth feed or of the trades."""
    try:
        if entry.path == TRADES:
            return [_trade_row(entry.t_ns, trade) for trade in codec.decode_trade_frame(entry.frame)]
        diffs = codec.decode_depth_frame(entry.frame)
        return [row for diff in diffs for row in _level_rows(entry.t_ns, "change", entry.path, diff)]
    except DecodeError as exc:
        return [Row(entry.t_ns, "undecodable", entry.path, _asset_of(entry.path), reason=str(exc))]


def _snapshot_rows(answer: TapeAnswer) -> list[Row]:
    feed = feed_of(answer.path)
    try:
        return _level_rows(answer.t_ns, "snapshot", feed, codec.decode(answer.body, OrderBook))
    except DecodeError as exc:
        return [Row(answer.t_ns, "undecodable", feed, _asset_of(feed), reason=str(exc))]


def _level_rows(t_ns: int, kind: str, feed: str, book: OrderBook | OrderBookDiff) -> list[Row]:
    """Return a row for each level; one without a level if there is none, so that no sequence number is missing."""
    asset, number = _asset_of(feed), book.sequence_number
    rows = [
        Row(t_ns, kind, feed, asset, number, side, price, quantity)
        for side, levels in (("bid", book.bids), ("ask", book.asks))
        for price, quantity in levels
    ]
    return rows or [Row(t_ns, kind, feed, asset, number)]


def _trade_row(t_ns: int, trade: Trade) -> Row:
    return Row(
        t_ns,
        "trade",
        TRADES,
        trade.asset_id,
        price=trade.price,
        quantity=trade.quantity,
        trade_id=trade.trade_id,
        traded=trade.timestamp_ns,
        buyer_is_maker=trade.buyer_is_maker,
        status=trade.status,
    )


def _asset_of(feed: str) -> str | None:
    """Return the market that a feed's path names; None if it names none."""
    return None if feed.count("/") < 2 or feed == "/tickers/ws" else feed.rpartition("/")[2]


_MOST_DIGITS: Final = 38


class DecimalType:
    """The least precise ``decimal128`` that holds numbers exactly.

    An Arrow decimal has 38 digits, of which a fixed number is behind the point.
    """

    def __init__(self) -> None:
        #: The digits behind the point.
        self.scale: int = 0
        #: The digits before it.
        self.digits: int = 0

    def add(self, value: Decimal) -> None:
        """Make room for a number."""
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)  # noqa: S101 - for the type checker: a decoded number is finite
        text = "".join(map(str, digits)).lstrip("0")
        if not text:
            return
        zeros = len(text) - len(text.rstrip("0"))
        self.scale = max(self.scale, -exponent - zeros)
        self.digits = max(self.digits, len(text) + exponent)

    @property
    def fits(self) -> bool:
        """Whether an Arrow decimal can hold all the numbers."""
        return self.scale + self.digits <= _MOST_DIGITS

    @property
    def precision(self) -> int:
        """The number of all digits."""
        return _MOST_DIGITS
