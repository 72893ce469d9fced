"""Multisig: whose signatures a request of an account needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

__all__ = ["MultisigConfig", "MultisigThresholds"]


@attrs.frozen
class MultisigThresholds:
    """The weight that the signatures of a request need together, by the kind of request."""

    low: int = 1
    medium: int = 1
    high: int = 1


def _signers(signers: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(signers)


@attrs.frozen
class MultisigConfig:
    """Whose signatures an account needs (``GET /multisig/config/{key}``). It is not hashable if it has signers.

    The defaults are those of an account with one signer.
    """

    #: The weight of the account's own key.
    master_weight: int = 1
    #: The other signers, each as the service describes it.
    signers: tuple[Mapping[str, Any], ...] = attrs.field(default=(), converter=_signers)
    thresholds: MultisigThresholds = attrs.field(factory=MultisigThresholds)
