"""The signatures of additional signers are verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import call, sign_in
from tests.helpers.signed_bodies import limit_order, replacement
from tplus_trio.testing import Exchange


@pytest.mark.parametrize(
    ("signers", "message"),
    [
        (lambda good: None, None),
        (lambda good: [], None),
        (lambda good: [good], None),
        (lambda good: [good, good], "twice"),
        (lambda good: [{**good, "signature": [0] * 64}], "does not fit"),
        (lambda good: [{**good, "signer": {"Secp256k1": [1] * 33}}], "Ed25519"),
        (lambda good: [{**good, "signer": {"Ed25519": [300] * 32}}], "Ed25519"),
        (lambda good: [5], "Ed25519"),
        (lambda good: 5, "list"),
    ],
)
@pytest.mark.parametrize("what", ["create", "replace"])
def test_each_signature_counts(
    exchange: Exchange, what: str, signers: Callable[[dict[str, Any]], Any], message: str | None
) -> None:
    if what == "create":
        method, body = "POST", limit_order(ALICE, "a", "Buy", 1000, 5)
        text = body["order"]
    else:
        exchange.place(ALICE, 200, "Buy", 1000, 5, order_id="a")
        method, body = "PATCH", replacement(ALICE, "a", 900, 5)
        text = body["request"]
    signature = list(BOB.sign(json.dumps(text, separators=(",", ":"))))
    good = {"signer": {"Ed25519": list(bytes.fromhex(BOB.public_key))}, "signature": signature}
    body["additional_signers"] = signers(good)
    status, answer = call(exchange, method, f"/orders/{what}", body, sign_in(exchange, ALICE))
    if message is None:
        assert answer["status"] == "Received"
    else:
        assert (status, answer["error"]["code"]) == (401, "INVALID_SIGNATURE")
        assert message in answer["error"]["message"]
