"""Records every state of each trade and candle, and what REST has listed of it."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

import attrs
import trio

from tplus_trio.models import AssetIdentifier, KlineUpdate, Trade
from tplus_trio.testing import Exchange, Response
from tplus_trio.testing.exchange.candles import Candles

__all__ = ["CandleRecord", "Identity", "TradeRecord", "TradeReference", "identity"]

#: The identity of a trade: asset, id, time, price, quantity.
Identity: TypeAlias = "tuple[str, int, int, str, str]"

_TRADES: Final = "/trades"
_KLINES: Final = "/klines/"
#: Seconds after a data fault in which a `Gap` may be correct.
_DOUBT: Final = 400.0


def identity(trade: Trade) -> Identity:
    """Return the identity of a trade, which does not depend on its status."""
    return (
        trade.asset_id,
        trade.trade_id,
        trade.timestamp_ns,
        str(trade.price.normalize()),
        str(trade.quantity.normalize()),
    )


@attrs.define(eq=False)
class TradeRecord:
    """One trade: its states in order."""

    index: int
    trade: Trade
    statuses: list[str]
    changed_ns: int
    #: Whether the feed sent the first state in its turn; whether it has sent it by now, and the latest.
    in_turn: bool = True
    first_told: bool = True
    latest_told: bool = True


@attrs.define(eq=False)
class CandleRecord:
    """The states of one candle in order, and the cause of the latest."""

    states: list[KlineUpdate]
    changed_ns: int
    last_trade_ns: int
    by_status: bool = False


class TradeReference:
    """Follows the trades of an exchange before its faults apply.

    It wraps hooks of the exchange, so it must be made before anything happens.

    Args:
        exchange: The exchange.
        follows: Whether to record; memory grows with each trade.
    """

    def __init__(self, exchange: Exchange, *, follows: bool) -> None:
        self._exchange = exchange
        self._read = 0
        self.records: dict[Identity, TradeRecord] = {}
        self.candles: dict[AssetIdentifier, dict[int, CandleRecord]] = defaultdict(dict)
        self._trades: dict[AssetIdentifier, list[Trade]] = {}
        self._series: dict[AssetIdentifier, Candles] = {}
        #: The rows that REST listed since the last request for page 0, and the time of that request in ns.
        self.listed: set[tuple[Identity, str]] = set()
        self.listed_ns = -1
        self.listed_candles: dict[str, dict[int, str]] = {}
        self.candles_listed_ns: dict[str, int] = {}
        self._target = ""
        #: The time until which a `Gap` may be correct, on trio's clock.
        self.doubted_until = -1.0
        self._latest: TradeRecord | None = None
        self._withheld: list[TradeRecord] = []
        if not follows:
            return
        faults = exchange.faults
        self._on_trade, self._take_lag, self._on_answer = faults.on_trade, faults.take_lag, faults.on_answer
        faults.on_trade = self._trade_sent  # type: ignore[method-assign]  # this is how one listens in
        faults.take_lag = self._asked  # type: ignore[method-assign]  # the same
        faults.on_answer = self._answered  # type: ignore[method-assign]  # the same

    def doubt(self, seconds: float = _DOUBT) -> None:
        """Note that data is wrong or missing: for a while, a client may not be able to prove completeness."""
        self.doubted_until = max(self.doubted_until, trio.current_time() + seconds)

    def update(self) -> None:
        """Read the trades that were recorded since the last call."""
        for now_ns, trade in self._exchange.trade_history(self._read):
            self._read += 1
            self._take(now_ns, trade)

    def released(self) -> None:
        """Note that the feed sends the latest state, which it had held back."""
        for record in self._withheld:
            record.first_told = record.latest_told = True
        self._withheld.clear()

    def forgotten(self) -> None:
        """Note that the feed never sends what it had held back."""
        self._withheld.clear()

    def _take(self, now_ns: int, trade: Trade) -> None:
        key = identity(trade)
        trades = self._trades.setdefault(trade.asset_id, [])
        series = self._series.setdefault(trade.asset_id, Candles(trades))
        record = self.records.get(key)
        is_new = record is None
        if record is None:
            self.records[key] = record = TradeRecord(len(self.records), trade, [trade.status], now_ns)
            trades.append(trade)
            series.add(trade)
        else:
            trades[trades.index(record.trade)] = trade
            record.trade, record.changed_ns = trade, now_ns
            record.statuses.append(trade.status)
            series.change(trade)
        self._latest = record
        state = KlineUpdate.of(trade.asset_id, series.at(trade.timestamp_ns))
        candles = self.candles[trade.asset_id]
        candle = candles.setdefault(state.open_timestamp_ns, CandleRecord([], now_ns, trade.timestamp_ns))
        if not candle.states or candle.states[-1] != state:
            candle.states.append(state)
            candle.changed_ns, candle.by_status = now_ns, not is_new
        candle.last_trade_ns = max(candle.last_trade_ns, trade.timestamp_ns)

    def _trade_sent(self, message: bytes) -> list[bytes]:
        self.update()
        sent = self._on_trade(message)
        record = self._latest
        assert record is not None
        record.latest_told = bool(sent)
        if not sent:
            self._withheld.append(record)
        if len(record.statuses) == 1:
            record.first_told = record.in_turn = bool(sent)
        return sent

    def _asked(self, target: str, path: str) -> float:
        self._target = target
        return self._take_lag(target, path)

    def _answered(self, path: str, response: Response) -> Response:
        answer = self._on_answer(path, response)
        query = parse_qs(urlsplit(self._target).query)
        if answer.status != 200 or ("interval" in query and query["interval"] != ["1"]):
            return answer
        if path == _TRADES:
            if query.get("page", ["0"]) == ["0"]:
                self.listed.clear()
                self.listed_ns = self._exchange.now_ns()
            self.listed.update(
                (key, str(row.get("status"))) for row in _rows(answer.body) if (key := _identity_of(row))
            )
        elif path.startswith(_KLINES):
            asset = path.removeprefix(_KLINES)
            self.candles_listed_ns[asset] = self._exchange.now_ns()
            self.listed_candles[asset] = {
                row["open_timestamp_ns"]: f"{row.get('close')} {row.get('volume')}" for row in _rows(answer.body)
            }
        return answer


def _rows(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of an answer; none if it is no listing."""
    try:
        value = json.loads(body)
    except ValueError:
        return []
    found: object = value
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value).get("items")
    return cast("list[dict[str, Any]]", found) if isinstance(found, list) else []


def _identity_of(row: dict[str, Any]) -> Identity | None:
    """Return the identity of a row's trade, as `identity` does; None for a bad row."""
    price, quantity = row.get("price"), row.get("quantity")
    if price is None or quantity is None:
        return None
    numbers = (str(Decimal(number).normalize()) for number in (price, quantity))
    return (row["asset_id"], row["trade_id"], row["timestamp_ns"], *numbers)
