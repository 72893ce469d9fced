"""Faults of REST answers: late, stale, shifted, reversed, spoiled or replaced."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults, path_prefix
from tplus_trio.testing.exchange.faults.spoiled_rows import (
    Spoiling,
    checked_spoiling,
    compact_json,
    json_of,
    rows_of,
    spoil,
)
from tplus_trio.testing.exchange.http_messages import Response

__all__ = ["AnswerFaults"]


class AnswerFaults(FaultGroup):
    """Faults of the answers to requests that are carried out; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        # One queue for each kind of fault.
        self._delays: PendingFaults[float] = self._pending("delay_requests")
        self._stale: PendingFaults[int] = self._pending("stale_snapshots")
        self._lags: PendingFaults[Iterator[float]] = self._pending("lag_requests")
        self._shifts: PendingFaults[int] = self._pending("shift_pages")
        self._reversed: PendingFaults[bool] = self._pending("reverse_pages")
        self._rows: PendingFaults[Spoiling] = self._pending("spoil_rows")
        self._replaced: PendingFaults[Response] = self._pending("replace_answers")
        #: The lag of each listing's page 0 in seconds, by path; its later pages have the same lag.
        self._last_lag: dict[str, float] = {}
        self._on_clear("lag_requests", self._last_lag.clear)
        #: The number of rows that each listing's pages are shifted by, by path.
        self._last_shift: dict[str, int] = {}
        self._on_clear("shift_pages", self._last_shift.clear)

    def delay_requests(self, path: str, seconds: float, n: int = 1, *, lasting: float | None = None) -> None:
        """Delay the answers of the next ``n`` REST requests on paths that begin with ``path``.

        The answer is made when the request arrives, and is ``seconds`` out of date when the client receives it.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            seconds: The delay of each answer, 0 or more.
            n: The number of requests, 0 or more.
            lasting: Delay every answer for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        check_number("seconds", seconds, finite=True)
        self._delays.add("delay_requests", path_prefix(path), n, seconds, lasting)

    def stale_snapshots(
        self, n: int = 1, behind: int = 10, *, asset: str | int | None = None, seconds: float | None = None
    ) -> None:
        """Answer the next ``n`` depth snapshots with the book as it was ``behind`` changes before.

        Args:
            n: The number of snapshots, 0 or more.
            behind: The number of changes, 0 or more; the oldest known state if there are fewer.
            asset: The market; None is all markets.
            seconds: Answer every snapshot so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: The market is not listed, or a number is out of range.
        """
        market = "" if asset is None else self._targets.listed(asset)
        self._stale.add("stale_snapshots", market, n, check_count("behind", behind, least=0), seconds)

    def lag_requests(
        self, path: str = "", behind: float | Sequence[float] = 2.0, n: int = 1, *, seconds: float | None = None
    ) -> None:
        """Answer the next ``n`` requests for market data from a replica that is behind the feeds.

        Depth, trades and candles are answered as they were ``behind`` seconds before. Page 0 of a listing chooses the
        replica; its later pages come from the same one. Orders and positions are never behind.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            behind: The replica's lag in seconds, 0 or more; with a sequence, its replicas answer in turn.
            n: The number of requests, 0 or more.
            seconds: Answer every request so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``behind`` is an empty sequence, or a number is out of range.
        """
        each = (behind,) if isinstance(behind, int | float) else tuple(behind)
        if not each:
            raise ValueError("behind is a number of seconds or several of them, not an empty sequence")
        checked = [check_number("behind", one, finite=True) for one in each]
        self._lags.add("lag_requests", path_prefix(path), n, itertools.cycle(checked), seconds)

    def shift_pages(self, path: str = "", by: int = 1, n: int = 1, *, seconds: float | None = None) -> None:
        """Begin the next ``n`` pages after a first one ``by`` rows earlier, as if rows had come in between.

        The later pages of the same listing begin earlier too; its next page 0 is not shifted.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            by: The number of rows of the page before that are repeated, 1 or more.
            n: The number of pages, 0 or more.
            seconds: Shift every page for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._shifts.add("shift_pages", path_prefix(path), n, check_count("by", by), seconds)

    def reverse_pages(self, path: str = "", n: int = 1, *, seconds: float | None = None) -> None:
        """Reverse the rows of the next ``n`` pages: oldest first instead of newest first.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            n: The number of pages, 0 or more.
            seconds: Reverse every page for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
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
            path: The prefix of the paths; ``""`` is all paths.
            n: The number of answers, 0 or more.
            change: Fields and their new values, ``{"status": "Settled"}`` or ``{"price": None}``.
            missing: The names of fields to leave out.
            row: The index of the row, from 0; the last row if there are fewer.
            seconds: Spoil every answer for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``change`` and ``missing`` are both empty, or a number is out of range.
        """
        check_count("row", row, least=0)
        self._rows.add("spoil_rows", path_prefix(path), n, checked_spoiling(change, missing, row), seconds)

    def replace_answers(
        self, path: str = "", response: Response | None = None, n: int = 1, *, seconds: float | None = None
    ) -> None:
        """Carry out the next ``n`` requests, and send another answer in place of their own.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            response: The answer; None is a 204 without a body.
            n: The number of requests, 0 or more.
            seconds: Replace every answer for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        answer = Response(204, b"", ()) if response is None else check_instance("response", response, Response)
        self._replaced.add("replace_answers", path_prefix(path), n, answer, seconds)

    # Called by the exchange

    def take_delay(self, path: str) -> float:
        """Return how long to delay an answer, in seconds."""
        return self._delays.take(path) or 0.0

    def take_staleness(self, asset: str, least: int = 0) -> int:
        """Return how many changes old a snapshot is; ``least`` is how far its replica is behind already."""
        return max(self._stale.take(asset) or 0, least)

    def take_lag(self, target: str, path: str) -> float:
        """Return how many seconds the answer to a request for market data is behind."""
        if _is_later_page(target):
            return self._last_lag.get(path, 0.0)
        lags = self._lags.take(path)
        lag = 0.0 if lags is None else next(lags)
        if lag:
            self._last_lag[path] = lag
        else:
            self._last_lag.pop(path, None)
        return lag

    def take_shift(self, target: str, path: str) -> int:
        """Return how many rows too early a page begins."""
        if not _is_later_page(target):
            self._last_shift.pop(path, None)
            return 0
        shift = self._last_shift.get(path, 0) + (self._shifts.take(path) or 0)
        if shift:
            self._last_shift[path] = shift
        return shift

    def take_replacement(self, path: str) -> Response | None:
        """Return the answer that is sent in place of the exchange's own; None sends its own."""
        return self._replaced.take(path)

    def on_answer(self, path: str, response: Response) -> Response:
        """Return the answer to send in place of the exchange's own, rows spoiled or reversed as faults request."""
        if response.status != 200 or not _may_have_rows(response.body):
            return response
        if self._reversed.take(path):
            body = json_of(response.body)
            rows = rows_of(body)
            if rows is not None:
                rows.reverse()
                response = attrs.evolve(response, body=compact_json(body))
        spoiling = self._rows.take(path)
        return response if spoiling is None else attrs.evolve(response, body=spoil(response.body, spoiling))


def _is_later_page(target: str) -> bool:
    """Return whether a request is for another page than the first."""
    return dict(parse_qsl(urlsplit(target).query)).get("page", "0") != "0" if "page=" in target else False


def _may_have_rows(body: bytes) -> bool:
    return body[:1] in (b"[", b"{") and body != b"[]"
