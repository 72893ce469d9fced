"""Events of an account outside the order book (feed ``/account/events/{key}``).

Amounts count units of ``10**-18`` of the asset. Fields that end in ``_ns`` are nanoseconds since the Unix epoch, UTC.
Sub-account 0 is the main account, 1 the first margin account.
"""

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
    """A deposit from a chain arrived in the account."""

    user: str
    asset: str
    #: In units of ``10**-18`` of the asset.
    amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    chain_id: str
    deposit_nonce: int
    timestamp_ns: int


@attrs.frozen
class WithdrawalCompleted:
    """A withdrawal from the account to a chain is complete."""

    user: str
    asset: str
    #: In units of ``10**-18`` of the asset.
    amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    chain_id: str
    withdrawal_nonce: int
    timestamp_ns: int


@attrs.frozen
class PositionCleared:
    """A margin position was closed, and its profit or loss went to the spot balance."""

    user: str
    sub_account_index: int
    asset: str
    timestamp_ns: int


@attrs.frozen
class SubAccountAssetTransferred:
    """The user moved an asset between two sub-accounts."""

    user: str
    source_sub_account_index: int
    target_sub_account_index: int
    asset: str
    #: In units of ``10**-18`` of the asset.
    amount: Decimal = attrs.field(converter=to_decimal, validator=finite)
    timestamp_ns: int


@attrs.frozen
class CalledVenue:
    """A venue that was called, and the end of its own grace period."""

    venue: int
    #: When the grace period ends, in nanoseconds since the Unix epoch, UTC.
    deadline_ns: int


def _venues(venues: Iterable[CalledVenue]) -> tuple[CalledVenue, ...]:
    return tuple(venues)


@attrs.frozen(kw_only=True)
class MarginCallUpdated:
    """A margin call on a sub-account was opened, continued or cleared."""

    user: str
    sub_account_index: int
    #: The venues that are called; empty if the call was cleared.
    called_venues: tuple[CalledVenue, ...] = attrs.field(default=(), converter=_venues)
    timestamp_ns: int


UserActivityEvent: TypeAlias = (
    DepositLanded | WithdrawalCompleted | PositionCleared | SubAccountAssetTransferred | MarginCallUpdated
)
