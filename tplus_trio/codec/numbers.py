"""The numbers of decoded models, checked as the models' constructors do, which decoding does not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Any, Final, cast

from tplus_trio.models import KlinesPage, Timebar, Trade, UserTrade
from tplus_trio.models.numbers import check_decimal, in_limits

__all__ = ["check_all", "check_bars", "check_trades", "check_user_trades"]

_ZERO: Final = Decimal(0)
_INFINITY: Final = Decimal("Infinity")

# Each looks at all numbers as quickly as can be, and where one is not right, once more for the one that is not.
# NaN compares with nothing: that raises, or is False.


def check_trades(trades: Sequence[Trade]) -> None:
    """Look at the numbers of trades.

    Raises:
        ValueError: If one is none that a trade may have.
    """
    try:
        for trade in trades:
            if not (_ZERO <= in_limits(trade.price) < _INFINITY and _ZERO <= in_limits(trade.quantity) < _INFINITY):
                break
        else:
            return
    except DecimalException:
        pass
    for trade in trades:
        check_decimal(trade.price, "price")
        check_decimal(trade.quantity, "quantity")


def check_user_trades(trades: Sequence[UserTrade]) -> None:
    """Look at the numbers of a user's trades; raises as :func:`check_trades`."""
    try:
        for trade in trades:
            if not (
                _ZERO <= in_limits(trade.price) < _INFINITY
                and _ZERO <= in_limits(trade.quantity) < _INFINITY
                and -_INFINITY < in_limits(trade.trading_fee) < _INFINITY
            ):
                break
        else:
            return
    except DecimalException:
        pass
    for trade in trades:
        check_decimal(trade.price, "price")
        check_decimal(trade.quantity, "quantity")
        check_decimal(trade.trading_fee, "trading_fee", signed=True)


def check_bars(bars: Sequence[Timebar]) -> None:
    """Look at the numbers of candles; raises as :func:`check_trades`."""
    try:
        for bar in bars:
            if not (
                _ZERO <= in_limits(bar.open) < _INFINITY
                and _ZERO <= in_limits(bar.close) < _INFINITY
                and _ZERO <= in_limits(bar.low) < _INFINITY
                and _ZERO <= in_limits(bar.high) < _INFINITY
                and _ZERO <= in_limits(bar.volume) < _INFINITY
            ):
                break
        else:
            return
    except DecimalException:
        pass
    for bar in bars:
        for name in ("open", "close", "low", "high", "volume"):
            check_decimal(getattr(bar, name), name)


def check_all(value: Any) -> None:
    """Look at the numbers of whatever a REST answer was decoded to; raises as :func:`check_trades`."""
    match value:
        case Trade():
            check_trades((value,))
        case UserTrade():
            check_user_trades((value,))
        case Timebar():
            check_bars((value,))
        case KlinesPage():
            check_bars(value.items)
        case list() | tuple():
            for item in cast("Sequence[Any]", value):
                check_all(item)
        case dict():
            for item in cast("Mapping[Any, Any]", value).values():
                check_all(item)
        case _:
            pass
