"""Inventory: what each sub-account of a user holds and owes. Amounts are in units of their asset."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.enums import OpenEnum
from tplus_trio.models.numbers import check_decimal, signed_number

__all__ = ["AccountKind", "Balance", "Margin", "MarginPosition", "Spot", "UserAccount", "UserInventory"]


class AccountKind(OpenEnum):
    """What a sub-account is for. Decoding keeps an unknown kind, whose `is_known` is False."""

    CROSS_MARGIN = "cross_margin"
    ISOLATED_MARGIN = "isolated_margin"
    SPOT = "spot"


def _finite_values(_: object, attribute: attrs.Attribute[Any], value: Mapping[AssetIdentifier, Decimal]) -> None:
    for number in value.values():
        check_decimal(number, attribute.name, signed=True)


@attrs.frozen
class Spot:
    """What a sub-account holds without margin. It is not hashable."""

    #: By asset, in units of that asset.
    spot_account_balance: Mapping[AssetIdentifier, Decimal] = attrs.field(validator=_finite_values)


@attrs.frozen
class Balance:
    """What a margin position holds and owes of one asset, in units of that asset."""

    credits: Decimal = attrs.field(converter=signed_number)
    liabilities: Decimal = attrs.field(converter=signed_number)


@attrs.frozen
class MarginPosition:
    """The two sides of a margin position."""

    #: In base units.
    base: Balance
    #: In quote units.
    quote: Balance


@attrs.frozen
class Margin:
    """The margin positions of a sub-account. It is not hashable."""

    #: By asset.
    margins: Mapping[AssetIdentifier, MarginPosition]


@attrs.frozen
class UserAccount:
    """One sub-account. It is not hashable."""

    kind: AccountKind = attrs.field(converter=AccountKind)
    spot: Spot
    margin: Margin


@attrs.frozen
class UserInventory:
    """The sub-accounts of a user (``GET /inventory/user/{key}``). It is not hashable."""

    #: By the index of the sub-account: 0 is the main account, 1 the first margin account.
    accounts: Mapping[int, UserAccount]
    #: Whether the user is a market maker.
    is_mm: bool
