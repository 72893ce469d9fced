"""Additional signers of a request: accounts may need more than one signature."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from attrs.validators import in_, instance_of

from tplus_trio.arguments import check_instance
from tplus_trio.models.order import signature_bytes

__all__ = ["AdditionalSigner", "SignerKey"]


@attrs.frozen
class SignerKey:
    """The public key of a signer. In JSON it is ``{"Ed25519": [32 bytes]}``."""

    #: ``Ed25519``, ``Secp256k1`` or ``P256``.
    variant: str = attrs.field(validator=in_(("Ed25519", "Secp256k1", "P256")))
    key_bytes: tuple[int, ...] = attrs.field(converter=signature_bytes)

    @classmethod
    def ed25519(cls, key_bytes: bytes | Iterable[int]) -> SignerKey:
        """Return the key of an Ed25519 signer, from its 32 bytes."""
        return cls("Ed25519", key_bytes)


@attrs.frozen
class AdditionalSigner:
    """The signature of one more signer of the same text. The signature is not in the repr."""

    signer: SignerKey = attrs.field(validator=instance_of(SignerKey))
    #: The bytes of the signature.
    signature: tuple[int, ...] = attrs.field(converter=signature_bytes, repr=False)


def signers(values: Iterable[AdditionalSigner]) -> tuple[AdditionalSigner, ...]:
    """Make a tuple of additional signers (an attrs converter).

    Raises:
        TypeError: a value is not an `AdditionalSigner`.
    """
    given = tuple(values)
    for value in given:
        check_instance("additional_signers", value, AdditionalSigner)
    return given
