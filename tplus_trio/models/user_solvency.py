"""Solvency: how far each sub-account of a user is from its liquidation."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import attrs

from tplus_trio.models.numbers import signed_number

__all__ = ["AccountSolvency", "UserSolvency"]


@attrs.frozen
class AccountSolvency:
    """The solvency of one sub-account."""

    is_solvent: bool
    #: By how much the equity may fall before the account is liquidated, in quote units.
    distance_from_liquidation: Decimal = attrs.field(converter=signed_number)


@attrs.frozen
class UserSolvency:
    """The solvency of a user's sub-accounts (``GET /solvency/user/{key}``). It is not hashable."""

    #: By the index of the sub-account: 0 is the main account, 1 the first margin account.
    accounts: Mapping[int, AccountSolvency]
