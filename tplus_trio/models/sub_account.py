"""Sub-accounts: their names, and signed requests that move assets between them or close their positions."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tplus_trio.models.additional_signer import AdditionalSigner, signers
from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.order import public_key, signature_bytes, units

__all__ = [
    "ClosePosition",
    "ClosePositionRequest",
    "SubAccountNameEntry",
    "SubAccountNamesResponse",
    "SubAccountTransfer",
    "SubAccountTransferRequest",
]


@attrs.frozen
class SubAccountNameEntry:
    """The name of one sub-account."""

    #: 0 is the main account, 1 the first margin account.
    account_index: int
    name: str


def _names(names: Iterable[SubAccountNameEntry]) -> tuple[SubAccountNameEntry, ...]:
    return tuple(names)


@attrs.frozen
class SubAccountNamesResponse:
    """The sub-accounts that have a name, lowest index first (``GET /sub-accounts/user/{key}``)."""

    names: tuple[SubAccountNameEntry, ...] = attrs.field(default=(), converter=_names)


@attrs.frozen
class ClosePosition:
    """A request to close a position, as its user signs it."""

    #: The user's public key: 64 lower-case hex digits.
    user: str = attrs.field(converter=public_key)
    #: The index of the sub-account.
    account: int = attrs.field(validator=units)
    #: The asset of the position.
    asset_identifier: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: A number that the user has not used before.
    nonce: int = attrs.field(validator=units)


@attrs.frozen
class ClosePositionRequest:
    """A signed `ClosePosition`: the body of ``POST /account/transfer/close-position``. The signature is not shown."""

    inner: ClosePosition
    #: The 64 bytes of the user's signature.
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: The signatures of other signers of the same text.
    additional_signers: tuple[AdditionalSigner, ...] = attrs.field(default=(), converter=signers, repr=False)


@attrs.frozen
class SubAccountTransfer:
    """A request to move an asset between two sub-accounts, as its user signs it."""

    #: The user's public key: 64 lower-case hex digits.
    user: str = attrs.field(converter=public_key)
    #: The index of the sub-account that gives.
    source_index: int = attrs.field(validator=units)
    #: The index of the sub-account that receives.
    target_index: int = attrs.field(validator=units)
    transfer_asset: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The digits of a whole number, in the smallest units of the asset that the service counts.
    transfer_amount: str
    #: It is None: the service decides.
    target_account_type: None
    #: A number that the user has not used before.
    nonce: int = attrs.field(validator=units)


@attrs.frozen
class SubAccountTransferRequest:
    """A signed `SubAccountTransfer`: the body of ``POST /account/transfer/sub-account``. The signature is not shown."""

    inner: SubAccountTransfer
    #: The 64 bytes of the user's signature.
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)
    #: The signatures of other signers of the same text.
    additional_signers: tuple[AdditionalSigner, ...] = attrs.field(default=(), converter=signers, repr=False)
