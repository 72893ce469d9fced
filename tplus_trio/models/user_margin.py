"""Margin of a user's sub-accounts: as it is, and as it would be after a trade. Amounts are in quote units.

The margin of an opening position is checked against the initial requirement, that of a held one against the lower
maintenance requirement. The service values positions at the lower of the oracle's price and the last traded price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

from tplus_trio.models.enums import OpenEnum
from tplus_trio.models.numbers import maybe_decimal, maybe_finite, signed_number

__all__ = [
    "AccountMarginInfo",
    "AssetNettingInfo",
    "MarginCallInfo",
    "MarginSide",
    "MarginWarning",
    "PositionMarginInfo",
    "SimulatedPositionMarginInfo",
    "UserMarginInfo",
    "UserSimulatedMargin",
]


class MarginSide(OpenEnum):
    """The direction of a position in a margin report, in any case. Decoding keeps an unknown one as text."""

    LONG = "Long"
    SHORT = "Short"

    @classmethod
    def _known(cls, text: str) -> MarginSide | None:
        return next((side for side in cls if side.lower() == text.strip().lower()), None)


@attrs.frozen(kw_only=True)
class PositionMarginInfo:
    """One position in the margin report of a sub-account."""

    #: The asset as the service names it.
    asset_id: str
    side: MarginSide = attrs.field(converter=MarginSide)
    #: In base units.
    size: Decimal = attrs.field(converter=signed_number)
    #: The size times the mark price, in quote units.
    notional_value: Decimal = attrs.field(converter=signed_number)
    #: The maintenance margin that the position requires, in quote units.
    margin: Decimal = attrs.field(converter=signed_number)


@attrs.frozen(kw_only=True)
class SimulatedPositionMarginInfo:
    """One position in the report of a simulated trade."""

    #: The asset as the service names it.
    asset_id: str
    side: MarginSide = attrs.field(converter=MarginSide)
    #: In base units.
    size: Decimal = attrs.field(converter=signed_number)
    #: The size times the mark price, in quote units.
    notional_value: Decimal = attrs.field(converter=signed_number)
    #: The margin that the position requires, in quote units.
    margin: Decimal = attrs.field(converter=signed_number)


@attrs.frozen(kw_only=True)
class MarginWarning:
    """A part of a margin report that the service could not compute."""

    #: The index of the sub-account.
    sub_account: int
    code: str
    message: str
    #: The asset that the warning is about; None if it is about no single one.
    asset: str | None = None


@attrs.frozen(kw_only=True)
class AssetNettingInfo:
    """How positions of one asset are netted against each other, in base units."""

    #: The asset as the service names it.
    asset_id: str
    gross_long: Decimal = attrs.field(converter=signed_number)
    gross_short: Decimal = attrs.field(converter=signed_number)
    offset_long: Decimal = attrs.field(converter=signed_number)
    offset_short: Decimal = attrs.field(converter=signed_number)
    residual_long: Decimal = attrs.field(converter=signed_number)
    residual_short: Decimal = attrs.field(converter=signed_number)
    #: What closing the pairs is charged, in quote units.
    closeout: Decimal = attrs.field(converter=signed_number)
    #: In parts per million.
    residual_ppm: int | None = None
    #: In parts per million.
    cost_ppm: int | None = None


@attrs.frozen(kw_only=True)
class MarginCallInfo:
    """A margin call that is open: collateral must arrive before its deadline."""

    #: The venue whose offsets are called.
    venue: int
    #: When the call was recorded first, in nanoseconds since the Unix epoch, UTC.
    started_at_ns: int
    #: When the venue's offsets end, in nanoseconds since the Unix epoch, UTC.
    deadline_ns: int


def _calls(calls: Iterable[MarginCallInfo]) -> tuple[MarginCallInfo, ...]:
    return tuple(calls)


def _netting(rows: Iterable[AssetNettingInfo] | None) -> tuple[AssetNettingInfo, ...] | None:
    return None if rows is None else tuple(rows)


def _positions(rows: Iterable[PositionMarginInfo] | None) -> tuple[PositionMarginInfo, ...] | None:
    return None if rows is None else tuple(rows)


@attrs.frozen(kw_only=True)
class AccountMarginInfo:
    """The margin of one sub-account. Amounts are in quote units; one that the service does not know is None."""

    #: What the account is worth at mark prices.
    account_equity: Decimal = attrs.field(converter=signed_number)
    #: The margin that new positions may use. It is negative if the account fails the initial requirement.
    available_margin: Decimal = attrs.field(converter=signed_number)
    #: The margin that the present positions use.
    utilized_margin: Decimal = attrs.field(converter=signed_number)
    #: By how much the equity may fall before the account is liquidated.
    maintenance_margin_surplus: Decimal = attrs.field(converter=signed_number)
    #: The maintenance margin that all positions require.
    mm_requirement: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: All notional values over the equity, without a unit; None if the equity is not positive.
    account_leverage: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: Whether the account meets the initial requirement.
    is_solvent: bool
    #: Whether the service may liquidate the account.
    is_liquidatable: bool
    #: The profit of all positions if they were closed at their mark prices; a loss is negative.
    total_upnl: Decimal = attrs.field(converter=signed_number)
    #: By how much the account exceeds the initial requirement.
    im_surplus: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: As the service sends it; the service does not say in which unit.
    net_apy: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The open margin calls, one for each venue that is called.
    margin_calls: tuple[MarginCallInfo, ...] = attrs.field(default=(), converter=_calls)
    #: The netting by asset; None if nothing is netted.
    netting: tuple[AssetNettingInfo, ...] | None = attrs.field(default=None, converter=_netting)
    #: The positions; None unless they were asked for.
    positions: tuple[PositionMarginInfo, ...] | None = attrs.field(default=None, converter=_positions)


def _warnings(warnings: Iterable[MarginWarning]) -> tuple[MarginWarning, ...]:
    return tuple(warnings)


@attrs.frozen
class UserMarginInfo:
    """The margin of a user's sub-accounts (``GET /margin/user/{key}``). It is not hashable."""

    #: By the index of the sub-account: 0 is the main account, 1 the first margin account.
    accounts: Mapping[int, AccountMarginInfo]
    #: What the service could not compute; empty if the report is complete.
    warnings: tuple[MarginWarning, ...] = attrs.field(factory=tuple, converter=_warnings)


def _simulated(rows: Iterable[SimulatedPositionMarginInfo]) -> tuple[SimulatedPositionMarginInfo, ...]:
    return tuple(rows)


@attrs.frozen(kw_only=True)
class UserSimulatedMargin:
    """The margin of a sub-account as it would be after a trade (``POST /account/simulate/{key}``), in quote units."""

    #: What the account would be worth at mark prices.
    account_equity: Decimal = attrs.field(converter=signed_number)
    #: The margin that further positions could use.
    available_margin: Decimal = attrs.field(converter=signed_number)
    #: By how much the equity could fall before the account is liquidated.
    mm_surplus: Decimal = attrs.field(converter=signed_number)
    #: All notional values over the equity, without a unit; None if the equity is not positive.
    account_leverage: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The margin that all positions would use.
    utilized_margin: Decimal = attrs.field(converter=signed_number)
    #: The margin that the trade requires.
    margin_required: Decimal = attrs.field(converter=signed_number)
    #: By how much the trade changes the margin that is used.
    margin_impact: Decimal = attrs.field(converter=signed_number)
    #: Whether the account would meet the initial requirement.
    is_solvent: bool
    #: Whether the service would accept the trade.
    trade_accepted: bool
    #: The price at which the service would liquidate the position, in quote units; None if there is none.
    liquidation_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    positions: tuple[SimulatedPositionMarginInfo, ...] = attrs.field(factory=tuple, converter=_simulated)
