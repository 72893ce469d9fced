"""What happens to an account outside the order book. Amounts count units of 1e-18."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

import attrs

from tplus_trio.models.numbers import finite, to_decimal

__all__ = [
    "CalledVenue",
    "DepositLanded",
    "MarginCallUpdated",
    "PositionCleared",
    "SubAccountAssetTransferred",
    "UserActivityEvent",
    "WithdrawalCompleted",
]


@attrs.frozen
class DepositLanded:
    """A deposit on a chain has arrived in the account."""

    user: str
    asset: str
    amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    chain_id: str
    deposit_nonce: int
    timestamp_ns: int


@attrs.frozen
class WithdrawalCompleted:
    """A withdrawal has left the account on a chain."""

    user: str
    asset: str
    amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    chain_id: str
    withdrawal_nonce: int
    timestamp_ns: int


@attrs.frozen
class PositionCleared:
    """A margin position was closed out: its profit or loss went to the spot balance."""

    user: str
    sub_account_index: int
    asset: str
    timestamp_ns: int


@attrs.frozen
class SubAccountAssetTransferred:
    """The user moved an asset between two of their sub-accounts."""

    user: str
    source_sub_account_index: int
    target_sub_account_index: int
    asset: str
    amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    timestamp_ns: int


@attrs.frozen
class CalledVenue:
    """A venue that was called, and when its own grace period ends (ns)."""

    venue: int
    deadline_ns: int


def _venues(venues: Iterable[CalledVenue]) -> tuple[CalledVenue, ...]:
    return tuple(venues)


@attrs.frozen(kw_only=True)
class MarginCallUpdated:
    """A margin call on a sub-account was opened, kept, or cleared (no venues)."""

    user: str
    sub_account_index: int
    called_venues: tuple[CalledVenue, ...] = attrs.field(default=(), converter=_venues)
    timestamp_ns: int


UserActivityEvent: TypeAlias = (
    DepositLanded | WithdrawalCompleted | PositionCleared | SubAccountAssetTransferred | MarginCallUpdated
)
