"""The embedded exchange: sign-in, tokens and private feeds."""

from __future__ import annotations

from typing import Any

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import Clock, call, refused, sign_in
from tplus_trio.testing import Exchange
from tplus_trio.users import User


def test_a_sign_in(exchange: Exchange, clock: Clock) -> None:
    headers = sign_in(exchange, ALICE)
    assert exchange.sign_ins == 1
    path = f"/orders/user/{ALICE.public_key}"
    assert call(exchange, "GET", path, headers=headers)[1]["error"]["code"] == "USER_NOT_FOUND"
    clock.pass_(3599)
    assert call(exchange, "GET", path, headers=headers)[0] == 404
    clock.pass_(1)
    assert call(exchange, "GET", path, headers=headers)[0] == 401
    assert call(exchange, "GET", path, headers=sign_in(exchange, ALICE))[0] == 404


def test_a_nonce_is_good_once_and_for_one(exchange: Exchange) -> None:
    _, nonce = call(exchange, "GET", f"/nonce/{ALICE.public_key}")

    def body(user: User, signer: User) -> dict[str, Any]:
        signature = list(signer.sign(nonce["value"]))
        return {"user_id": user.public_key, "nonce": nonce["value"], "signature": signature}

    _, answer = call(exchange, "POST", "/auth", body(BOB, BOB))
    assert answer["error"]["code"] == "NONCE_INVALID"
    # That try has spent it.
    assert call(exchange, "POST", "/auth", body(ALICE, ALICE))[0] == 401
    _, nonce = call(exchange, "GET", f"/market-data/nonce/{ALICE.public_key}")
    _, answer = call(exchange, "POST", "/auth", body(ALICE, BOB))
    assert answer["error"]["code"] == "INVALID_SIGNATURE"
    _, nonce = call(exchange, "GET", f"/nonce/{ALICE.public_key}")
    assert call(exchange, "POST", "/market-data/auth", body(ALICE, ALICE))[0] == 200
    assert call(exchange, "POST", "/auth", body(ALICE, ALICE))[0] == 401
    assert call(exchange, "POST", "/auth", {"user_id": 1})[0] == 400
    assert exchange.sign_ins == 1


def test_a_token_belongs_to_its_user(exchange: Exchange) -> None:
    headers = sign_in(exchange, ALICE)
    assert call(exchange, "GET", f"/orders/user/{BOB.public_key}", headers=headers)[0] == 403
    stolen = {**headers, "user-id": BOB.public_key}
    assert call(exchange, "GET", f"/orders/user/{BOB.public_key}", headers=stolen)[0] == 401
    # A bad token is refused where none is needed, too.
    assert call(exchange, "GET", "/marketdepth/200", headers=stolen)[0] == 401
    exchange.faults.expire_tokens()
    assert call(exchange, "GET", "/marketdepth/200", headers=headers)[0] == 401
    assert call(exchange, "GET", "/marketdepth/200")[0] == 200


def test_private_feeds(exchange: Exchange) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    for path in (
        "/orders",
        "/control",
        f"/trades/user/{key}",
        f"/trades/user/events/{key}",
        f"/positions/ws/{key}",
        f"/account/events/{key}",
    ):
        assert refused(exchange, path).status == 401
        exchange.subscribe(path, headers)
    assert exchange.connections == 6
    assert refused(exchange, f"/trades/user/{BOB.public_key}", headers).status == 403
    assert refused(exchange, "/intent/ws", headers).status == 403
    exchange.add_market_maker(key)
    exchange.subscribe("/intent/ws", headers)
    assert refused(exchange, "/nowhere", headers).status == 404
    assert refused(exchange, "/marketdepth/diff/201").status == 404


def test_a_closed_subscription_hears_nothing(exchange: Exchange) -> None:
    woken: list[bool] = []
    feed = exchange.subscribe("/trades?x=1")
    feed.on_ready = lambda: woken.append(feed.closed)
    exchange.publish_trade(200, 1, 1)
    feed.close()
    exchange.publish_trade(200, 2, 1)
    assert len(feed.take()) == 1
    assert woken == [False, True]
    assert exchange.connections == 0
    feed.close()
