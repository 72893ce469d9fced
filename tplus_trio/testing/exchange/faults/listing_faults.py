"""Faults of what the exchange keeps: old or short listings, forgotten ids, new decimals, another clock of expiries."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Final

from tplus_trio.arguments import check_count, check_number
from tplus_trio.models import AssetIdentifier
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults, path_prefix

__all__ = ["LONGEST_LAG", "ListingFaults"]

#: The longest time that a listing may be behind, in seconds.
LONGEST_LAG: Final = 120.0


class ListingFaults(FaultGroup):
    """Faults of listings and of ended orders; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._old: PendingFaults[float] = self._pending("lag_listings")
        self._cuts: PendingFaults[int] = self._pending("cut_listing")
        #: The number of rows at which each listing ends, by path; its later pages end there too.
        self._last_cut: dict[str, int] = {}
        self._on_clear("cut_listing", self._last_cut.clear)
        self._forget_after: float | None = None
        self._on_clear("forget_ids", lambda: self.forget_ids(None))
        #: How far the clock of expiries is ahead, in nanoseconds.
        self.expiry_skew_ns: int = 0
        #: Called when :attr:`expiry_skew_ns` changes; the order manager sets it.
        self.on_expiry_skew: Callable[[], object] = lambda: None
        #: Changes a market's decimals; the exchange sets it.
        self.on_change_decimals: Callable[[AssetIdentifier, int, int], object] = lambda _, __, ___: None
        self._on_clear("skew_expiry", lambda: self.skew_expiry(0))

    def lag_listings(self, behind: float, n: int = 1, *, path: str = "", seconds: float | None = None) -> None:
        """Answer the next ``n`` listings of orders, trades or positions as they were ``behind`` seconds before.

        Args:
            behind: The age of the listing in seconds, from 0 to 120.
            n: The number of requests, 0 or more.
            path: The prefix of the paths, such as ``/orders/user``; ``""`` is all listings of a user.
            seconds: Answer every listing so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        if check_number("behind", behind, finite=True) > LONGEST_LAG:
            raise ValueError(f"behind is at most {LONGEST_LAG:g} seconds, not {behind}")
        self._old.add("lag_listings", path_prefix(path), n, behind, seconds)

    def cut_listing(self, rows: int, n: int = 1, *, path: str = "", seconds: float | None = None) -> None:
        """End the next ``n`` listings of a user's orders, trades or positions after ``rows`` rows.

        The last page says that there is no next one, although there is. Later pages of the same listing end there too.

        Args:
            rows: The number of rows, 0 or more.
            n: The number of listings, 0 or more.
            path: The prefix of the paths, such as ``/orders/user``; ``""`` is all listings of a user.
            seconds: Cut every listing for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._cuts.add("cut_listing", path_prefix(path), n, check_count("rows", rows, least=0), seconds)

    def forget_ids(self, after: float | None = 0.0) -> None:
        """Let ids of ended orders be used again: ``DUPLICATE_ORDER`` is answered for open orders only, or for a time.

        Args:
            after: How long after its order's end an id is still refused, in seconds, 0 or more; None ends the fault.

        Raises:
            TypeError: ``after`` has the wrong type.
            ValueError: ``after`` is negative or infinite.
        """
        self._forget_after = None if after is None else check_number("after", after, finite=True)

    def skew_expiry(self, seconds: float) -> None:
        """Let orders expire by a clock that differs from the exchange's own.

        Args:
            seconds: How far that clock is ahead, in seconds; negative is behind, 0 ends the fault. Orders that have
                expired stay expired.

        Raises:
            TypeError: ``seconds`` has the wrong type.
            ValueError: ``seconds`` is not finite.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"seconds is a number, not {type(seconds).__name__}")
        if not isfinite(seconds):
            raise ValueError(f"seconds is a finite number, not {seconds}")
        self.expiry_skew_ns = round(seconds * 1e9)
        self.on_expiry_skew()

    def change_decimals(self, asset: str | int, book_price_decimals: int, book_quantity_decimals: int) -> None:
        """Change the decimals of a market now; its open orders keep their prices and quantities.

        Orders and replacements that still name the old decimals are refused with ``INVALID_ORDER_DECIMALS``.

        Args:
            asset: The market.
            book_price_decimals: The new number of decimals of a price, 0 or more.
            book_quantity_decimals: The new number of decimals of a quantity, 0 or more.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: The market is not listed, a number is negative, or an open order cannot be expressed with so few
                decimals.
        """
        check_count("book_price_decimals", book_price_decimals, least=0)
        check_count("book_quantity_decimals", book_quantity_decimals, least=0)
        self.on_change_decimals(self._targets.listed(asset), book_price_decimals, book_quantity_decimals)

    # Called by the exchange

    def take_behind(self, path: str) -> float:
        """Return how many seconds a listing is behind."""
        return self._old.take(path) or 0.0

    def take_cut(self, path: str, *, is_first_page: bool) -> int | None:
        """Return the number of rows after which a listing ends; None does not cut it."""
        if is_first_page:
            cut = self._cuts.take(path)
            if cut is None:
                self._last_cut.pop(path, None)
            else:
                self._last_cut[path] = cut
        return self._last_cut.get(path)

    def forgets(self, age_ns: int) -> bool:
        """Return whether the id of an order that ended so long ago may be used again."""
        return self._forget_after is not None and age_ns >= self._forget_after * 1e9
