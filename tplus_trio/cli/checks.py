"""Compares the events that arrive with those that should.

The expected events are parsed from the tape's text without the client's decoders, so that a decoder's bug shows as a
difference.
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
    """Compares the events of one feed with the expected ones."""

    def __init__(self, feed: str) -> None:
        self.feed = feed
        #: The first failure; None while there is none.
        self.problem: str | None = None

    def fail(self, problem: str) -> None:
        """Record a failure, unless one is recorded already."""
        self.problem = self.problem or f"{self.feed}: {problem}"

    @abstractmethod
    def take(self, event: object) -> None:
        """Check the next event."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether no further event is expected."""

    @abstractmethod
    def conclude(self) -> None:
        """Check the result after the last event."""


class RecordedCheck(Check):
    """Compares each event with the recorded one at the same position."""

    #: The markets that the events name.
    markets: frozenset[object] = frozenset()

    def __init__(self, feed: str, expected: Sequence[object], skipped: int = 0) -> None:
        super().__init__(feed)
        #: How many events arrived as expected.
        self.matched: int = 0
        #: How many recorded events repeat others, or are older than the snapshot; a stream does not deliver these.
        self.skipped = skipped
        self._expected = expected

    @property
    def count(self) -> int:
        """How many events are expected."""
        return len(self._expected)

    @property
    def complete(self) -> bool:
        """Whether all expected events have arrived, or the check has failed."""
        return self.problem is not None or self.matched == self.count

    def take(self, event: object) -> None:
        """Compare an event with the next expected one."""
        plain = self._plain(event)
        if self.problem is not None or plain is None:
            return
        if self.complete or plain != self._expected[self.matched]:
            self.fail(f"event {self.matched + 1} was not expected: {describe(event)}")
        else:
            self.matched += 1

    def conclude(self) -> None:
        """Fail if expected events are missing."""
        if not self.complete:
            self.fail(f"only {self.matched} of {self.count} events arrived")

    @abstractmethod
    def _plain(self, event: object) -> object | None:
        """Convert an event to the form of the expected ones; None for an event that is not compared."""


class EventsCheck(RecordedCheck):
    """Checks a feed of independent events: trades or candles."""

    def _plain(self, event: object) -> object:
        match event:
            case Trade():
                numbers = (event.price, event.quantity)
                return (event.asset_id, event.trade_id, *numbers, event.timestamp_ns, event.buyer_is_maker)
            case KlineUpdate():
                times = (event.open_timestamp_ns, event.close_timestamp_ns)
                return (*times, event.open, event.high, event.low, event.close, event.volume)
            case _:
                return ()  # equals no expected event


class DepthCheck(RecordedCheck):
    """Checks a depth feed: one snapshot, then each diff, and the resulting book."""

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
        """Fail if diffs are missing, or if the two books differ."""
        super().conclude()
        if self.problem is None and not self._equal():
            self.fail("the book differs from the one built from the file")

    def _equal(self) -> bool:
        """Whether the book built from the events equals the one built from the file."""
        for _, changed_bids, changed_asks in self._diffs:
            self._bids.update(changed_bids)
            self._asks.update(changed_asks)
        bids = sorted(((price, rest) for price, rest in self._bids.items() if rest), reverse=True)
        asks = sorted((price, rest) for price, rest in self._asks.items() if rest)
        book = self.book
        return book is not None and list[object](book.bids()) == bids and list[object](book.asks()) == asks


class MirrorCheck(Check):
    """Checks a depth feed against the book of an exchange in this process, after that book has stopped changing."""

    def __init__(self, feed: str, exchange: Exchange, asset: AssetIdentifier) -> None:
        super().__init__(feed)
        self._exchange = exchange
        self._asset = asset
        self._book: LocalBook | None = None

    def take(self, event: object) -> None:
        """Update the book."""
        if isinstance(event, OrderBook):
            self._book = LocalBook(event)
        elif isinstance(event, OrderBookDiff) and self._book is not None:
            try:
                self._book.apply(event)
            except SequenceGap as exc:
                self.fail(str(exc))

    @property
    def complete(self) -> bool:
        """Whether the book has the sequence number of the exchange's book."""
        book = self._book
        return book is not None and book.sequence_number == self._exchange.book(self._asset).sequence_number

    def conclude(self) -> None:
        """Fail if the two books differ."""
        if self._book is None or self._book.snapshot() != self._exchange.book(self._asset):
            self.fail("the book differs from the exchange's")


def checks_of(tape: Tape) -> dict[str, RecordedCheck]:
    """Make a check for each depth, trade and candle feed on a tape.

    Returns:
        The checks by path.

    Raises:
        ValueError: A text on the tape is not valid for its path, or a market's snapshot is missing.
    """
    snapshots: dict[str, Any] = {}
    frames: dict[str, list[Any]] = {}
    for entry in tape:
        if isinstance(entry, TapeAnswer):
            if entry.path not in snapshots and entry.path.startswith(_SNAPSHOT):
                snapshots[entry.path] = _json(entry.body)
        elif isinstance(entry, TapeFrame) and (frame := _data(entry)) is not None:
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
            trades.setdefault((asset, number), (asset, number, *rest))  # a stream delivers each trade once
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
    """Parse a frame; None for a control message."""
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
