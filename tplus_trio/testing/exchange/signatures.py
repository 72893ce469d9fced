"""Verification of signatures. The signed texts are built here, not by the client under test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tplus_trio.testing.exchange.http_messages import as_list, as_object

__all__ = [
    "cancel_text",
    "close_text",
    "cosigner_fault",
    "is_public_key",
    "order_text",
    "replace_text",
    "signature_is_good",
    "transfer_text",
]

_PUBLIC_KEY: Final = re.compile(r"[0-9a-f]{64}")
_UNSIGNED: Final = str.maketrans("", "", " \r\n")


def is_public_key(text: str) -> bool:
    """Return whether ``text`` is a public key: 64 lower-case hex digits."""
    return _PUBLIC_KEY.fullmatch(text) is not None


def signature_is_good(public_key: str, text: str, signature: object) -> bool:
    """Return whether a signature (64 integers) is ``public_key``'s, over ``text`` without spaces, CR and LF."""
    if not is_public_key(public_key) or not isinstance(signature, list):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes(as_list(cast("object", signature))), text.translate(_UNSIGNED).encode())
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def cosigner_fault(text: str, signers: object) -> str | None:
    """Return what is wrong with a request's ``additional_signers``; None if each signature is its signer's.

    Args:
        text: The signed text.
        signers: A list of ``{"signer": {"Ed25519": [32 integers]}, "signature": [64 integers]}``, each signer once; or
            None.
    """
    if signers is None:
        return None
    if not isinstance(signers, list):
        return "additional_signers must be a list"
    known: set[str] = set()
    for item in as_list(cast("object", signers)):
        fields = as_object(item)
        key_bytes = as_object(fields.get("signer")).get("Ed25519")
        try:
            key = bytes(as_list(key_bytes)).hex()
        except (TypeError, ValueError):
            key = ""
        if not is_public_key(key):
            return "an additional signer must be an Ed25519 key of 32 bytes"
        if key in known:
            return "an additional signer signs twice"
        known.add(key)
        if not signature_is_good(key, text, fields.get("signature")):
            return "the signature of an additional signer does not fit"
    return None


class _Tagged(dict[str, Any]):
    """A shape with one key for each variant; only the variant that is present is written."""


_TRIGGER: Final = _Tagged(PriceAbove={"price": None}, PriceBelow={"price": None})
_ORDER: Final[dict[str, Any]] = {
    "signer": None,
    "order_id": None,
    "base_asset": None,
    "book_price_decimals": None,
    "book_quantity_decimals": None,
    "details": _Tagged(
        Limit={
            "limit_price": None,
            "quantity": None,
            "time_in_force": _Tagged(
                GTC={"post_only": None},
                GTD={"post_only": None, "timestamp_ns": None},
                IOC={"fill_or_kill": None},
            ),
        },
        Market={
            "quantity": _Tagged(
                BaseAsset={"quantity": None, "max_sellable_amount": None},
                QuoteAsset={"quantity": None, "max_sellable_quantity": None},
            ),
            "fill_or_kill": None,
        },
    ),
    "side": None,
    "trigger": {"parent_order_id": None, "condition": _TRIGGER},
    "creation_timestamp_ns": None,
    "target": {"account": None, "is_spot": None},
    "reduce_only": None,
    "max_trading_fees_rate": None,
    "protocol_version": None,
}
_REPLACE: Final[dict[str, Any]] = {
    "order_id": None,
    "base_asset": None,
    "timestamp_ns": None,
    "new_price_limit": None,
    "new_quantity": None,
    "new_trigger": _TRIGGER,
    "book_quantity_decimals": None,
    "book_price_decimals": None,
    "protocol_version": None,
}
_CANCEL: Final[dict[str, Any]] = {
    "order_id": None,
    "asset_id": None,
    "signer": None,
    "protocol_version": None,
}
_CLOSE: Final[dict[str, Any]] = {"user": None, "account": None, "asset_identifier": None, "nonce": None}
_TRANSFER: Final[dict[str, Any]] = {
    "user": None,
    "source_index": None,
    "target_index": None,
    "transfer_asset": None,
    "transfer_amount": None,
    "target_account_type": None,
    "nonce": None,
}


def _in_order(value: object, shape: dict[str, Any] | None) -> object:
    """Return ``value`` with its keys in the protocol's order."""
    if shape is None or not isinstance(value, dict):
        return value
    fields = as_object(cast("object", value))
    keys: Iterable[str] = [key for key in shape if key in fields] if isinstance(shape, _Tagged) else shape
    return {key: _in_order(fields.get(key), shape[key]) for key in keys}


def _signed_text(value: object, shape: dict[str, Any]) -> str:
    return json.dumps(_in_order(value, shape), separators=(",", ":"), ensure_ascii=False)


def order_text(order: Mapping[str, Any]) -> str:
    """Return the text that the signature of a new order covers."""
    return _signed_text(order, _ORDER)


def replace_text(request: Mapping[str, Any]) -> str:
    """Return the text that the signature of a replacement covers."""
    return _signed_text(request, _REPLACE)


def cancel_text(cancel: Mapping[str, Any]) -> str:
    """Return the text that the signature of a cancellation covers."""
    return _signed_text(cancel, _CANCEL)


def close_text(request: Mapping[str, Any]) -> str:
    """Return the text that the signature of a request to clear a position covers."""
    return _signed_text(request, _CLOSE)


def transfer_text(request: Mapping[str, Any]) -> str:
    """Return the text that the signature of a transfer between sub-accounts covers."""
    return _signed_text(request, _TRANSFER)
