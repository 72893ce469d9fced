"""Balances: what each sub-account holds besides its positions, and the events of accounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tplus_trio.models import AssetIdentifier
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.market_state import MarketState

__all__ = ["MAX_ACCOUNT", "QUOTE_ASSET", "Balances"]

#: The asset in which prices are quoted.
QUOTE_ASSET: Final = AssetIdentifier(0)
#: The highest index of a sub-account.
MAX_ACCOUNT: Final = 2**32 - 1
_NOTHING: Final = Decimal(0)
#: Amounts of transfers and account events count units of 10 to the minus this power of their asset.
_AMOUNT_DECIMALS: Final = 18
#: The chain that deposits come from.
_CHAIN_ID: Final = "00000000000000a4b1"


class Balances:
    """The balances of each user's sub-accounts, by asset, in units of that asset.

    Args:
        market_state: The feeds and the clock.
    """

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        self._by_user: dict[str, dict[int, dict[AssetIdentifier, Decimal]]] = {}
        #: The nonces of signed requests that each user has used.
        self._used_nonces: dict[str, set[int]] = {}
        self._deposits = 0

    def knows(self, user: str) -> bool:
        """Return whether a user has ever had a balance."""
        return user in self._by_user

    def of(self, user: str, account: int) -> dict[AssetIdentifier, Decimal]:
        """Return the balances of a sub-account that are not 0."""
        return {asset: one for asset, one in self._by_user.get(user, {}).get(account, {}).items() if one}

    def accounts(self, user: str) -> list[int]:
        """Return the indices of a user's sub-accounts that ever had a balance."""
        return list(self._by_user.get(user, {}))

    def deposit(self, user: str, account: int, asset: AssetIdentifier, amount: Decimal) -> None:
        """Add to a balance, and send ``DepositLanded``."""
        self.add(user, account, asset, amount)
        self._deposits += 1
        fields = {
            "asset": asset,
            "amount": amount_text(amount),
            "chain_id": _CHAIN_ID,
            "deposit_nonce": self._deposits,
        }
        self.send_event(user, "DepositLanded", fields)

    def transfer(self, user: str, source: int, target: int, asset: AssetIdentifier, amount: Decimal) -> None:
        """Move a balance between two sub-accounts, and send ``SubAccountAssetTransferred``.

        Raises:
            Rejection: (400) The source holds less.
        """
        if self.of(user, source).get(asset, _NOTHING) < amount:
            raise error(400, "INSUFFICIENT_BALANCE", f"sub-account {source} holds less of asset {asset}")
        self.add(user, source, asset, -amount)
        self.add(user, target, asset, amount)
        fields = {
            "source_sub_account_index": source,
            "target_sub_account_index": target,
            "asset": asset,
            "amount": amount_text(amount),
        }
        self.send_event(user, "SubAccountAssetTransferred", fields)

    def add(self, user: str, account: int, asset: AssetIdentifier, amount: Decimal) -> None:
        """Add to a balance; a negative amount takes away."""
        balances = self._by_user.setdefault(user, {}).setdefault(account, {})
        balances[asset] = balances.get(asset, _NOTHING) + amount

    def use_nonce(self, user: str, nonce: int) -> None:
        """Mark the nonce of a signed request as used.

        Raises:
            Rejection: (400) The user has used it before.
        """
        used = self._used_nonces.setdefault(user, set())
        if nonce in used:
            raise error(400, "NONCE_ALREADY_USED", f"nonce {nonce} was used before")
        used.add(nonce)

    def send_event(self, user: str, variant: str, fields: dict[str, Any]) -> None:
        """Send an event on the user's feed ``/account/events/{key}``."""
        content = {"user": user, **fields, "timestamp_ns": self._market_state.now_ns()}
        self._market_state.send_json(f"/account/events/{user}", {variant: content})


def amount_text(amount: Decimal) -> str:
    """Return an amount in units of ``10**-18`` of its asset, as text."""
    return str(int(amount.scaleb(_AMOUNT_DECIMALS)))


def read_amount(value: object) -> Decimal:
    """Return an amount that a request gives in units of ``10**-18`` of its asset.

    Raises:
        ValueError: It is not the text of an integer above 0.
    """
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 78 or not int(value):
        raise ValueError("transfer_amount must be a positive integer as text")
    return Decimal(value).scaleb(-_AMOUNT_DECIMALS)
