"""What should arrive, and whether that is what arrived.

What a tape says is read straight from its text, past the client's decoders: what is compared was come by in two ways.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

from tplus_trio.book.local import LocalBook
from tplus_trio.cli.show import describe
from tplus_trio.errors import SequenceGap
from tplus_trio.models import AssetIdentifier, KlineUpdate, OrderBook, OrderBookDiff, PriceLevel, Trade
from tplus_trio.testing import Exchange, Tape, TapeAnswer, TapeFrame

__all__ = ["DEPTH", "KLINES", "TRADES", "Check", "DepthCheck", "MirrorCheck", "RecordedCheck", "checks_of"]

DEPTH: Final = "/marketdepth/diff/"
KLINES: Final = "/klines/diff/"
TRADES: Final = "/trades"
_SNAPSHOT: Final = "/marketdepth/"
_CONTROL: Final = frozenset({"subscriptions", "ping", "pong"})

_Levels: TypeAlias = tuple[tuple[Decimal, Decimal], ...]


class Check:
    """What is known of a feed's events, and whether those that came are the ones that should have."""

    def __init__(self, feed: str) -> None:
        self.feed = feed
        #: The first thing that was wrong.
        self.problem: str | None = None

    def fail(self, problem: str) -> None:
        """Note what was wrong, if nothing was before."""
        self.problem = self.problem or f"{self.feed}: {problem}"

    @abstractmethod
    def take(self, event: object) -> None:
        """Look at what has come."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether there is nothing more to wait for."""

    @abstractmethod
    def conclude(self) -> None:
        """Look at the whole, after the last event."""


class RecordedCheck(Check):
    """Events, compared one by one with those that should come."""

    #: The markets that the events name.
    markets: frozenset[object] = frozenset()

    def __init__(self, feed: str, expected: Sequence[object], passed_over: int = 0) -> None:
        super().__init__(feed)
        self.matched: int = 0
        #: How many recorded events repeat others, or are older than the snapshot: they are not to come.
        self.passed_over = passed_over
        self._expected = expected

    @property
    def count(self) -> int:
        """How many events should come."""
        return len(self._expected)

    @property
    def complete(self) -> bool:
        """Whether all have come, or one that should not have."""
        return self.problem is not None or self.matched == self.count

    def take(self, event: object) -> None:
        """Compare what has come with what should."""
        plain = self._plain(event)
        if self.problem is not None or plain is None:
            return
        if self.complete or plain != self._expected[self.matched]:
            self.fail(f"this was not to come as number {self.matched + 1}: {describe(event)}")
        else:
            self.matched += 1

    def conclude(self) -> None:
        """See that nothing is missing."""
        if not self.complete:
            self.fail(f"only {self.matched} of {self.count} came")

    @abstractmethod
    def _plain(self, event: object) -> object | None:
        """An event in the form of the expected ones; None for one that is not compared."""


class EventsCheck(RecordedCheck):
    """A feed whose events stand for themselves: trades, candles."""

    def _plain(self, event: object) -> object:
        match event:
            case Trade():
                numbers = (event.price, event.quantity)
                return (event.asset_id, event.trade_id, *numbers, event.timestamp_ns, event.buyer_is_maker)
            case KlineUpdate():
                times = (event.open_timestamp_ns, event.close_timestamp_ns)
                return (*times, event.open, event.high, event.low, event.close, event.volume)
            case _:
                return ()  # fits nothing


class DepthCheck(RecordedCheck):
    """A book's feed: the snapshot once, then each diff, and the book that they make."""

    def __init__(self, feed: str, snapshot: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None:
        self._number = int(snapshot["sequence_number"])
        self._bids, self._asks = dict(_levels(snapshot["bids"])), dict(_levels(snapshot["asks"]))
        last, diffs = self._number, list[tuple[int, _Levels, _Levels]]()
        for frame in frames:
            number, bids, asks = int(frame["sequence_number"]), _levels(frame["bids"]), _levels(frame["asks"])
            if number > last:
                last = number
                diffs.append((number, bids, asks))
        super().__init__(feed, diffs, len(frames) - len(diffs))
        self._diffs = diffs
        self.book: LocalBook | None = None

    def _plain(self, event: object) -> object | None:
        match event:
            case OrderBook() if self.book is None:
                self.book = LocalBook(event)
                if event.sequence_number != self._number:
                    self.fail(f"the snapshot is number {event.sequence_number}, not {self._number}")
                return None
            case OrderBookDiff() if self.book is not None:
                try:
                    self.book.apply(event)
                except SequenceGap as exc:
                    self.fail(str(exc))
                return (event.sequence_number, event.bids, event.asks)
            case _:
                return ()

    def conclude(self) -> None:
        """See that nothing is missing, and that the books are equal."""
        super().conclude()
        if self.problem is None and not self._equal():
            self.fail("the book differs from the one built from the file")

    def _equal(self) -> bool:
        """Whether the book made of what came is the one that the file makes."""
        for _, changed_bids, changed_asks in self._diffs:
            self._bids.update(changed_bids)
            self._asks.update(changed_asks)
        bids = sorted(((price, rest) for price, rest in self._bids.items() if rest), reverse=True)
        asks = sorted((price, rest) for price, rest in self._asks.items() if rest)
        book = self.book
        return book is not None and list[object](book.bids()) == bids and list[object](book.asks()) == asks


class MirrorCheck(Check):
    """A book's feed, compared with the book of an exchange in this process once that stands still."""

    def __init__(self, feed: str, exchange: Exchange, asset: AssetIdentifier) -> None:
        super().__init__(feed)
        self._exchange = exchange
        self._asset = asset
        self._book: LocalBook | None = None

    def take(self, event: object) -> None:
        """Keep the book."""
        if isinstance(event, OrderBook):
            self._book = LocalBook(event)
        elif isinstance(event, OrderBookDiff) and self._book is not None:
            try:
                self._book.apply(event)
            except SequenceGap as exc:
                self.fail(str(exc))

    @property
    def complete(self) -> bool:
        """Whether the book is as far as the exchange's."""
        book = self._book
        return book is not None and book.sequence_number == self._exchange.book(self._asset).sequence_number

    def conclude(self) -> None:
        """See that the books are equal."""
        if self._book is None or self._book.snapshot() != self._exchange.book(self._asset):
            self.fail("the book differs from the exchange's")


def checks_of(tape: Tape) -> dict[str, RecordedCheck]:
    """A check for each depth, trade and candle feed on a tape, by its path.

    Raises:
        ValueError: a text on the tape is not what its path says, or a market's snapshot is missing.
    """
    snapshots: dict[str, Any] = {}
    frames: dict[str, list[Any]] = {}
    for entry in tape:
        if isinstance(entry, TapeAnswer):
            if entry.path not in snapshots and entry.path.startswith(_SNAPSHOT):
                snapshots[entry.path] = _json(entry.body)
        elif (frame := _data(entry)) is not None:
            frames.setdefault(entry.path, []).append(frame)
    checks: dict[str, RecordedCheck] = {}
    for path, texts in frames.items():
        try:
            if (check := _check(path, texts, snapshots)) is not None:
                checks[path] = check
        except (LookupError, TypeError, ArithmeticError) as exc:
            raise ValueError(f"a frame of {path}, or its snapshot, is not of that feed ({exc!r})") from exc
    return checks


def _check(path: str, frames: list[Any], snapshots: Mapping[str, Any]) -> RecordedCheck | None:
    if path == TRADES:
        trades: dict[object, tuple[object, ...]] = {}
        for frame in frames:
            asset, number, *rest = _trade(frame)
            trades.setdefault((asset, number), (asset, number, *rest))  # a trade is delivered once
        check = EventsCheck("trades", list(trades.values()), len(frames) - len(trades))
        check.markets = frozenset(asset for asset, *_ in trades.values())
        return check
    if path.startswith(KLINES):
        lists: list[list[Any]] = [frame if isinstance(frame, list) else [frame] for frame in frames]
        candles = [_candle(candle) for candles in lists for candle in candles]
        return EventsCheck(f"klines {path.removeprefix(KLINES)}", candles)
    if path.startswith(DEPTH):
        asset = path.removeprefix(DEPTH)
        if (snapshot := snapshots.get(_SNAPSHOT + asset)) is None:
            raise ValueError(f"there is no snapshot of market {asset}, an answer to GET {_SNAPSHOT}{asset}")
        return DepthCheck(f"depth {asset}", snapshot, frames)
    return None


def _data(entry: TapeFrame) -> Any:
    """What a frame holds; None for a control message."""
    data: Any = _json(entry.frame)
    kind: object = cast("dict[str, Any]", data).get("type") if isinstance(data, dict) else None
    return None if isinstance(kind, str) and kind in _CONTROL else cast("Any", data)


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise ValueError(f"a frame or an answer is not JSON: {text:.60}") from None


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _levels(pairs: Any) -> _Levels:
    return tuple(PriceLevel(_decimal(price), _decimal(quantity)) for price, quantity in pairs)


def _trade(frame: Mapping[str, Any]) -> tuple[object, ...]:
    numbers = (_decimal(frame["price"]), _decimal(frame["quantity"]))
    asset = AssetIdentifier(frame["asset_id"])
    return (asset, frame["trade_id"], *numbers, frame["timestamp_ns"], frame["buyer_is_maker"])


def _candle(frame: Mapping[str, Any]) -> tuple[object, ...]:
    times = (frame["open_timestamp_ns"], frame["close_timestamp_ns"])
    return (*times, *(_decimal(frame[name]) for name in ("open", "high", "low", "close", "volume")))
