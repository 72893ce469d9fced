"""What can be made to go wrong with what the exchange says: old answers, bad rows, trades told late or twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.testing.exchange.faults.pending import PendingFaults, path_prefix
from tplus_trio.testing.exchange.feeds import Hub
from tplus_trio.testing.exchange.http_messages import Response, as_list, as_object
from tplus_trio.testing.exchange.trade_history import TradeIds

__all__ = ["DataFaults"]

_TRADES: Final = "/trades"
#: How many rows of a listing are kept in its object, by the name that the service gives them.
_ROWS: Final = ("items", "orders", "positions", "markets", "results")

_Change: TypeAlias = tuple[int, dict[str, Any], tuple[str, ...]]


class DataFaults:
    """The faults of what is said, apart from how it is sent; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, hub: Hub, now_ns: Callable[[], int], trade_ids: TradeIds) -> None:
        self._trades_hub = hub
        self._trade_ids = trade_ids
        self._lags: PendingFaults[Iterator[float]] = PendingFaults(now_ns)
        self._last_lag: dict[str, float] = {}
        self._shifts: PendingFaults[int] = PendingFaults(now_ns)
        self._last_shift: dict[str, int] = {}
        self._reversed: PendingFaults[bool] = PendingFaults(now_ns)
        self._rows: PendingFaults[_Change] = PendingFaults(now_ns)
        self._messages: PendingFaults[_Change] = PendingFaults(now_ns)
        self._replaced: PendingFaults[Response] = PendingFaults(now_ns)
        self._withheld: PendingFaults[bool] = PendingFaults(now_ns)
        self._replays: PendingFaults[int] = PendingFaults(now_ns)
        self._kept: list[bytes] = []

    # REST

    def lag_requests(
        self, path: str = "", behind: float | Sequence[float] = 2.0, n: int = 1, *, seconds: float | None = None
    ) -> None:
        """Answer the next ``n`` requests for market data from a replica that is behind the feeds.

        Depth, trades and candles are answered as they were ``behind`` seconds before. Page 0 of a listing chooses the
        replica; its later pages come from the same one. Orders and positions are never behind.

        Args:
            path: The paths' prefix.
            behind: How many seconds the replica is behind; of a sequence, one replica after the other answers.
            n: How many requests.
            seconds: For so long, in place of ``n`` times.
        """
        each = (behind,) if isinstance(behind, int | float) else tuple(behind)
        if not each:
            raise ValueError("behind is a number of seconds or several of them, not an empty sequence")
        checked = [check_number("behind", one, finite=True) for one in each]
        self._lags.add("lag_requests", path_prefix(path), n, itertools.cycle(checked), seconds)

    def shift_pages(self, path: str = "", by: int = 1, n: int = 1, *, seconds: float | None = None) -> None:
        """Let the next ``n`` pages after a first one begin ``by`` rows earlier, as if rows had come in between.

        The later pages of the same listing begin earlier too; its next page 0 is as it was.

        Args:
            path: The paths' prefix.
            by: How many rows of the page before are repeated.
            n: How many pages.
            seconds: For so long, in place of ``n`` times.
        """
        self._shifts.add("shift_pages", path_prefix(path), n, check_count("by", by), seconds)

    def reverse_pages(self, path: str = "", n: int = 1, *, seconds: float | None = None) -> None:
        """Turn the rows of the next ``n`` pages around: oldest first where it should be newest first.

        Args:
            path: The paths' prefix.
            n: How many pages.
            seconds: For so long, in place of ``n`` times.
        """
        self._reversed.add("reverse_pages", path_prefix(path), n, True, seconds)

    def spoil_rows(
        self,
        path: str = "",
        n: int = 1,
        *,
        change: Mapping[str, Any] | None = None,
        missing: Sequence[str] = (),
        row: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Make one row of each of the next ``n`` answers with rows bad; an answer that is one object is its own row.

        Args:
            path: The paths' prefix.
            n: How many answers.
            change: Fields and what stands in them, ``{"status": "Settled"}`` or ``{"price": None}``.
            missing: Fields that are left out.
            row: Which row, from 0; the last one where there are not as many.
            seconds: For so long, in place of ``n`` times.

        Raises:
            ValueError: Nothing is to be changed and nothing missing.
        """
        check_count("row", row, least=0)
        self._rows.add("spoil_rows", path_prefix(path), n, (row, *_change(change, missing)), seconds)

    def replace_answers(
        self, path: str = "", response: Response | None = None, n: int = 1, *, seconds: float | None = None
    ) -> None:
        """Carry out the next ``n`` requests, and answer something else than what came of them.

        Args:
            path: The paths' prefix.
            response: What is answered; None is a 204 without a body.
            n: How many requests.
            seconds: For so long, in place of ``n`` times.
        """
        answer = Response(204, b"", ()) if response is None else check_instance("response", response, Response)
        self._replaced.add("replace_answers", path_prefix(path), n, answer, seconds)

    # Feeds

    def spoil_messages(
        self,
        path: str = "",
        n: int = 1,
        *,
        change: Mapping[str, Any] | None = None,
        missing: Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        """Make the row of each of the next ``n`` messages on paths that begin with ``path`` bad.

        Of a message with several rows it is the first, of an order event what the variant's name stands for.

        Args:
            path: The paths' prefix.
            n: How many messages.
            change: Fields and what stands in them, ``{"status": "Settled"}`` or ``{"price": None}``.
            missing: Fields that are left out.
            seconds: For so long, in place of ``n`` times.

        Raises:
            ValueError: Nothing is to be changed and nothing missing.
        """
        self._messages.add("spoil_messages", path_prefix(path), n, (0, *_change(change, missing)), seconds)

    def withhold_trades(self, n: int = 1, *, seconds: float | None = None) -> None:
        """Keep the next ``n`` messages of ``/trades`` back; REST has the trades all the same.

        :meth:`release_trades` sends them after all, late. Without it, or once the fault is withdrawn, the feed never
        tells of them.
        """
        self._withheld.add("withhold_trades", _TRADES, n, True, seconds)

    def release_trades(self) -> None:
        """Send everyone on ``/trades`` what :meth:`withhold_trades` kept back, in order."""
        kept, self._kept = self._kept, []
        for message in kept:
            self._trades_hub.publish(_TRADES, message)

    def replay_trades(self, n: int = 1, count: int = 20, *, seconds: float | None = None) -> None:
        """Let the next ``n`` subscriptions to ``/trades`` begin with the last ``count`` trades once more.

        Args:
            n: How many subscriptions.
            count: How many trades; all of them where there are not as many.
            seconds: For so long, in place of ``n`` times.
        """
        self._replays.add("replay_trades", _TRADES, n, check_count("count", count), seconds)

    def restart_trade_ids(self) -> None:
        """Number trades from 1 again, as a service does that was set up afresh."""
        self._trade_ids.restart()

    # What the exchange asks

    def take_lag(self, target: str, path: str) -> float:
        """How many seconds behind the answer to a request for market data is to be."""
        if _page(target):
            return self._last_lag.get(path, 0.0)
        lags = self._lags.take(path)
        lag = 0.0 if lags is None else next(lags)
        if lag:
            self._last_lag[path] = lag
        else:
            self._last_lag.pop(path, None)
        return lag

    def take_shift(self, target: str, path: str) -> int:
        """How many rows too early a page is to begin."""
        if not _page(target):
            self._last_shift.pop(path, None)
            return 0
        shift = self._last_shift.get(path, 0) + (self._shifts.take(path) or 0)
        if shift:
            self._last_shift[path] = shift
        return shift

    def on_answer(self, path: str, response: Response) -> Response:
        """What is to be answered in place of an answer."""
        replaced = self._replaced.take(path)
        if replaced is not None:
            return replaced
        if response.status != 200 or not _may_have_rows(response.body):
            return response
        if self._reversed.take(path):
            body = json.loads(response.body)
            rows = _rows_of(body)
            if rows is not None:
                rows.reverse()
                response = attrs.evolve(response, body=_dumps(body))
        change = self._rows.take(path)
        return response if change is None else attrs.evolve(response, body=_spoiled(response.body, change))

    def on_message(self, path: str, message: bytes) -> bytes:
        """What is to be sent in place of a message."""
        change = self._messages.take(path)
        return message if change is None else _spoiled(message, change)

    def on_trade(self, message: bytes) -> list[bytes]:
        """What is to be sent in place of one message of ``/trades``."""
        if self._withheld.take(_TRADES):
            self._kept.append(message)
            return []
        return [message]

    def take_replay(self, path: str) -> int:
        """With how many old trades a subscription is to begin."""
        return (self._replays.take(path) or 0) if path == _TRADES else 0

    def _withdraw_data(self, method: str | None) -> None:
        for orders in (
            self._lags,
            self._shifts,
            self._reversed,
            self._rows,
            self._messages,
            self._replaced,
            self._withheld,
            self._replays,
        ):
            orders.withdraw(method)
        if method in (None, "withhold_trades"):
            self._kept.clear()
        if method in (None, "lag_requests"):
            self._last_lag.clear()
        if method in (None, "shift_pages"):
            self._last_shift.clear()


def _change(change: Mapping[str, Any] | None, missing: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is to be done to a row.

    Raises:
        TypeError: ``missing`` is a text, or ``change`` no mapping.
        ValueError: Nothing is to be done.
    """
    if isinstance(missing, str):
        raise TypeError("missing is a sequence of field names, not a str")
    if not change and not missing:
        raise ValueError("say which fields to change, or which are missing")
    return dict(change or {}), tuple(missing)


def _page(target: str) -> bool:
    """Whether a request is for another page than the first."""
    return dict(parse_qsl(urlsplit(target).query)).get("page", "0") != "0" if "page=" in target else False


def _may_have_rows(body: bytes) -> bool:
    return body[:1] in (b"[", b"{") and body != b"[]"


def _rows_of(body: Any) -> list[Any] | None:
    """The rows of an answer, None where it has none."""
    if isinstance(body, list):
        return as_list(cast("object", body))
    fields = as_object(body)
    return next((as_list(fields[name]) for name in _ROWS if isinstance(fields.get(name), list)), None)


def _row_of(body: Any, row: int) -> dict[str, Any]:
    """One row of a message or an answer, which may be its own row; empty where there is none."""
    rows = _rows_of(body)
    if rows is not None:
        return as_object(rows[min(row, len(rows) - 1)]) if rows else {}
    fields = as_object(body)
    # An order event is what its variant's name stands for.
    return (as_object(next(iter(fields.values()))) if len(fields) == 1 else {}) or fields


def _spoiled(text: bytes, change: _Change) -> bytes:
    """A message or an answer with one row changed; as it was where it has no row."""
    row, fields, missing = change
    body: Any = json.loads(text)
    spoiled = _row_of(body, row)
    if not spoiled:
        return text
    spoiled.update(fields)
    for name in missing:
        spoiled.pop(name, None)
    return _dumps(body)


def _dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
