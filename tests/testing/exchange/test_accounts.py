"""Accounts: balances, margin, transfers, cleared positions, and names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.exchange_users import ALICE, BOB, trade
from tests.helpers.raw_client import Clock, call, messages
from tests.helpers.signed_bodies import close_request, limit_order, signed, transfer_request
from tplus_trio.testing import Exchange

KEY = ALICE.public_key
UNIT = 10**18


def get(exchange: Exchange, headers: dict[str, str], target: str) -> Any:
    status, body = call(exchange, "GET", target, headers=headers)
    assert status == 200, body
    return body


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def numbers(body: dict[str, Any], *names: str) -> list[Decimal | None]:
    return [None if body[name] is None else Decimal(body[name]) for name in names]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/inventory/user/{}"),
        ("GET", "/margin/user/{}"),
        ("GET", "/solvency/user/{}"),
        ("GET", "/multisig/config/{}"),
        ("GET", "/positions/close-all/{}/1"),
        ("POST", "/account/simulate/{}"),
        ("PATCH", "/account/{}/sub-account/2/name"),
        ("PUT", "/account/{}/mds-export"),
    ],
)
def test_an_account_is_its_user_s_and_must_be_known(
    exchange: Exchange, alice: dict[str, str], method: str, target: str
) -> None:
    assert code(call(exchange, method, target.format(KEY), {}, alice)) == (404, "USER_NOT_FOUND")
    exchange.deposit(ALICE, 0, 5)
    assert call(exchange, method, target.format(KEY), {}, alice)[0] in (200, 400)
    assert code(call(exchange, method, target.format(BOB.public_key), {}, alice)) == (403, "FORBIDDEN")
    assert code(call(exchange, method, target.format(KEY), {})) == (401, "UNAUTHORIZED")


def test_who_has_only_ordered_is_known(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.place(ALICE, 200, "Buy", 1000, 1)
    assert set(get(exchange, alice, f"/inventory/user/{KEY}")["accounts"]) == {"0", "1"}


def test_a_deposit_lands(exchange: Exchange, alice: dict[str, str]) -> None:
    feed = exchange.subscribe(f"/account/events/{KEY}", alice)
    exchange.deposit(ALICE, exchange.quote_asset, "100.5")
    exchange.deposit(KEY, 7, 2, sub_account=3)
    first, second = [event["DepositLanded"] for event in messages(feed.take())]
    assert (first["user"], first["asset"], first["amount"]) == (KEY, "0", str(1005 * UNIT // 10))
    assert (second["asset"], second["deposit_nonce"]) == ("7", first["deposit_nonce"] + 1)
    accounts = get(exchange, alice, f"/inventory/user/{KEY}")["accounts"]
    assert {index: (one["kind"], one["spot"]) for index, one in accounts.items()} == {
        "0": ("spot", {}),
        "1": ("cross_margin", {"0": "100.5"}),
        "3": ("cross_margin", {"7": "2"}),
    }
    assert exchange.balance(ALICE, 0) == Decimal("100.5")
    assert exchange.balance(BOB, 0) == 0


@pytest.mark.parametrize("amount", [0, -1, "NaN", "Infinity"])
def test_a_deposit_is_more_than_nothing(exchange: Exchange, amount: Any) -> None:
    with pytest.raises(ValueError, match="amount"):
        exchange.deposit(ALICE, 0, amount)


def test_margin_follows_the_formula(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.add_market(7)
    exchange.publish_trade(7, 50, 1)
    exchange.deposit(ALICE, 0, 100)
    exchange.deposit(ALICE, 7, 2)
    trade(exchange, "Buy", 1000, 30_000)
    exchange.publish_trade(200, 12, 1)
    body = get(exchange, alice, f"/margin/user/{KEY}?sub_account=1&include_positions=true")
    assert set(body["accounts"]) == {"1"}
    one = body["accounts"]["1"]
    # 100 deposited, 2 at 50, and 30 bought at 10 that are worth 12: equity 260, notional 360.
    assert numbers(one, "account_equity", "utilized_margin", "available_margin") == [260, 36, 224]
    assert numbers(one, "mm_requirement", "maintenance_margin_surplus", "total_upnl") == [18, 242, 60]
    assert numbers(one, "account_leverage") == [Decimal(360) / 260]
    assert (one["is_solvent"], one["is_liquidatable"]) == (True, False)
    (position,) = one["positions"]
    assert (position["asset_id"], position["side"]) == ("200", "Long")
    assert numbers(position, "size", "notional_value", "margin") == [30, 360, 18]
    assert set(get(exchange, alice, f"/margin/user/{KEY}")["accounts"]) == {"0", "1"}
    solvency = get(exchange, alice, f"/solvency/user/{KEY}")["accounts"]["1"]
    assert solvency["is_solvent"]
    assert Decimal(solvency["distance_from_liquidation"]) == 242


def test_an_account_below_its_margin_is_insolvent(exchange: Exchange, alice: dict[str, str]) -> None:
    trade(exchange, "Sell", 1000, 10_000)
    exchange.deposit(ALICE, 0, 8)
    one = get(exchange, alice, f"/margin/user/{KEY}")["accounts"]["1"]
    assert (one["is_solvent"], one["is_liquidatable"], one["positions"]) == (False, False, None)
    exchange.publish_trade(200, 11, 1)
    one = get(exchange, alice, f"/margin/user/{KEY}")["accounts"]["1"]
    assert (one["is_liquidatable"], one["account_leverage"]) == (True, None)


def test_an_order_needs_margin_where_margin_is_required(exchange: Exchange, alice: dict[str, str]) -> None:
    def create(order_id: str, side: str, quantity: int) -> str:
        body = limit_order(ALICE, order_id, side, 1000, quantity)
        status, answer = call(exchange, "POST", "/orders/create", body, alice)
        return str(answer["status"] if status == 200 else answer["error"]["code"])

    exchange.deposit(ALICE, 0, 10)  # enough for 100 at a leverage of 10: 10 units of the asset at 10
    assert create("free", "Buy", 50_000) == "Received"
    exchange.cancel(ALICE, "free")
    exchange.require_margin = True
    assert create("too much", "Buy", 10_001) == "INSUFFICIENT_MARGIN"
    assert create("a", "Buy", 6_000) == "Received"
    assert create("b", "Buy", 4_001) == "INSUFFICIENT_MARGIN"  # the open order binds its margin
    assert create("b", "Buy", 4_000) == "Received"
    exchange.require_margin = False
    exchange.place(BOB, 200, "Sell", 1000, 10_000)
    exchange.require_margin = True
    assert create("more", "Buy", 1) == "INSUFFICIENT_MARGIN"
    assert create("close", "Sell", 10_000) == "Received"
    assert create("turn", "Sell", 10_001) == "INSUFFICIENT_MARGIN"


def test_a_simulation_changes_nothing(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.deposit(ALICE, 0, 100)
    trade(exchange, "Buy", 1000, 10_000)
    before = get(exchange, alice, f"/margin/user/{KEY}?include_positions=true")

    def simulate(size: str, price: str, *, is_buy: bool = True, **more: Any) -> dict[str, Any]:
        fields = {"asset": "200", "is_buy": is_buy, "size": size, "limit_price": price, "trade_type": "margin"}
        body = {"sub_account": 1, "trade": fields, "pending_transfers": [], **more}
        status, answer = call(exchange, "POST", f"/account/simulate/{KEY}", body, alice)
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer

    one = simulate("40", "11")
    # 50 at the last price of 10, of which 40 were bought at 11.
    assert numbers(one, "account_equity", "utilized_margin", "available_margin") == [60, 50, 10]
    assert numbers(one, "margin_required", "margin_impact", "mm_surplus") == [44, 80, 35]
    assert (one["is_solvent"], one["trade_accepted"]) == (True, True)
    price = Decimal(one["liquidation_price"])
    assert abs(60 + 50 * (price - 10) - 50 * price * Decimal("0.05")) < Decimal("1e-20")
    assert [position["size"] for position in one["positions"]] == ["50.000"]
    assert not simulate("60", "11")["trade_accepted"]
    assert simulate("60", "11", pending_transfers=[{"asset": "0", "amount": "30"}])["trade_accepted"]
    assert simulate("10", "10", is_buy=False)["positions"] == []
    assert get(exchange, alice, f"/margin/user/{KEY}?include_positions=true") == before


@pytest.mark.parametrize(
    "change",
    [{"size": "-1"}, {"size": 1.5}, {"size": "x"}, {"limit_price": "0"}, {"is_buy": 1}, {"trade_type": "other"}],
)
def test_a_simulation_of_nonsense_is_refused(exchange: Exchange, alice: dict[str, str], change: Any) -> None:
    exchange.deposit(ALICE, 0, 100)
    fields = {"asset": "200", "is_buy": True, "size": "1", "limit_price": "1", "trade_type": "margin", **change}
    body = {"sub_account": 1, "trade": fields}
    assert code(call(exchange, "POST", f"/account/simulate/{KEY}", body, alice)) == (400, "INVALID_REQUEST")


def test_the_preview_closes_every_position_of_a_sub_account(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.add_market(7, 1, 2)
    trade(exchange, "Buy", 1000, 30)
    exchange.place(BOB, 7, "Buy", 95, 7)
    exchange.place(ALICE, 7, "Sell", 95, 7)
    body = get(exchange, alice, f"/positions/close-all/{KEY}/1")
    long, short = body["orders"]
    assert body["errors"] == {}
    assert (long["asset_id"], long["side"], long["quantity"]) == ("200", "Sell", 30)
    assert (long["suggested_max_sellable_amount"], long["oracle_price"], long["reduce_only"]) == (None, "10.00", True)
    assert (short["asset_id"], short["side"], short["quantity"]) == ("7", "Buy", 7)
    assert short["suggested_max_sellable_amount"] == 699  # 1.05 times 7 at 95
    assert (short["book_price_decimals"], short["book_quantity_decimals"]) == (1, 2)
    assert get(exchange, alice, f"/positions/close-all/{KEY}/2")["orders"] == []
    assert call(exchange, "GET", f"/positions/close-all/{KEY}/x", headers=alice)[0] == 400


def test_a_flat_position_is_cleared_into_the_balance(exchange: Exchange, alice: dict[str, str], clock: Clock) -> None:
    def clear(nonce: int, asset: str = "200", user: Any = ALICE) -> tuple[int, Any]:
        body = close_request(user, 1, asset, nonce)
        return call(exchange, "POST", "/account/transfer/close-position", body, alice)

    assert code(clear(1)) == (404, "POSITION_NOT_FOUND")
    trade(exchange, "Buy", 1000, 30)
    assert code(clear(2)) == (400, "POSITION_NOT_FLAT")
    exchange.faults.confirm_after(1)
    trade(exchange, "Sell", 1100, 30)
    assert code(clear(3)) == (400, "POSITION_NOT_SETTLED")
    clock.pass_(1)
    margins = get(exchange, alice, f"/inventory/user/{KEY}")["accounts"]["1"]["margins"]
    assert margins["200"]["base"] == {"credits": "0.030", "liabilities": "0.030"}
    equity = numbers(get(exchange, alice, f"/margin/user/{KEY}")["accounts"]["1"], "account_equity")
    feeds = [exchange.subscribe(path + KEY, alice) for path in ("/account/events/", "/positions/ws/")]
    assert clear(4) == (200, {"success": True})
    (event,) = messages(feeds[0].take())
    assert (event["PositionCleared"]["asset"], event["PositionCleared"]["sub_account_index"]) == ("200", 1)
    assert len(feeds[1].take()) == 2
    assert exchange.balance(ALICE, exchange.quote_asset) == Decimal("0.03")
    account = get(exchange, alice, f"/inventory/user/{KEY}")["accounts"]["1"]
    assert (account["margins"], account["spot"]) == ({}, {"0": "0.03000"})
    assert numbers(get(exchange, alice, f"/margin/user/{KEY}")["accounts"]["1"], "account_equity") == equity
    assert code(clear(5)) == (404, "POSITION_NOT_FOUND")
    trade(exchange, "Buy", 1200, 10)
    (position,) = exchange.positions(ALICE)
    assert (position.side, position.entry_price) == ("long", Decimal(12))


def test_a_balance_moves_between_sub_accounts(exchange: Exchange, alice: dict[str, str]) -> None:
    def transfer(*arguments: Any, **more: Any) -> tuple[int, Any]:
        body = transfer_request(ALICE, *arguments, **more)
        return call(exchange, "POST", "/account/transfer/sub-account", body, alice)

    exchange.deposit(ALICE, 0, 10)
    feed = exchange.subscribe(f"/account/events/{KEY}", alice)
    assert transfer(1, 2, 4 * UNIT, 1) == (200, {"success": True})
    (event,) = messages(feed.take())
    moved = event["SubAccountAssetTransferred"]
    assert (moved["source_sub_account_index"], moved["target_sub_account_index"]) == (1, 2)
    assert (moved["asset"], moved["amount"], moved["user"]) == ("0", str(4 * UNIT), KEY)
    assert [exchange.balance(ALICE, 0, sub_account=index) for index in (1, 2)] == [6, 4]
    assert code(transfer(1, 2, 6 * UNIT + 1, 2)) == (400, "INSUFFICIENT_BALANCE")
    assert code(transfer(1, 2, UNIT, 1)) == (400, "NONCE_ALREADY_USED")
    assert code(transfer(1, 1, UNIT, 3)) == (400, "INVALID_REQUEST")
    assert code(transfer(1, 2, 0, 4)) == (400, "INVALID_REQUEST")
    assert code(transfer(1, -2, UNIT, 5)) == (400, "INVALID_REQUEST")
    assert code(transfer(1, 2, UNIT, "6")) == (400, "INVALID_REQUEST")
    trade(exchange, "Buy", 1000, 5_000)
    exchange.require_margin = True
    assert code(transfer(1, 2, 2 * UNIT, 7)) == (400, "INSUFFICIENT_MARGIN")
    assert transfer(1, 2, UNIT, 8)[0] == 200
    assert [exchange.balance(ALICE, 0, sub_account=index) for index in (1, 2)] == [5, 5]
    assert feed.backlog == 1


def test_a_transfer_must_be_signed_by_its_user(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.deposit(ALICE, 0, 10)
    target = "/account/transfer/sub-account"
    body = transfer_request(ALICE, 1, 2, UNIT, 1)
    body["inner"]["transfer_amount"] = str(2 * UNIT)
    assert code(call(exchange, "POST", target, body, alice)) == (401, "INVALID_SIGNATURE")
    foreign = transfer_request(BOB, 1, 2, UNIT, 1)
    assert code(call(exchange, "POST", target, foreign, alice)) == (403, "SIGNER_MISMATCH")
    forged = signed(BOB, {**foreign["inner"], "user": KEY})
    assert code(call(exchange, "POST", target, forged, alice)) == (401, "INVALID_SIGNATURE")
    assert code(call(exchange, "POST", target, transfer_request(ALICE, 1, 2, UNIT, 1))) == (401, "UNAUTHORIZED")
    # None of these used up the nonce.
    assert call(exchange, "POST", target, transfer_request(ALICE, 1, 2, UNIT, 1), alice)[0] == 200


def test_sub_accounts_have_names(exchange: Exchange, alice: dict[str, str]) -> None:
    def rename(account: int, name: object) -> tuple[int, Any]:
        return call(exchange, "PATCH", f"/account/{KEY}/sub-account/{account}/name", {"name": name}, alice)

    exchange.deposit(ALICE, 0, 1)
    names = f"/sub-accounts/user/{KEY}"
    assert get(exchange, alice, names) == {"names": []}
    assert rename(3, "hedge") == (200, {"account_index": 3, "old_name": "account 3", "new_name": "hedge"})
    assert rename(2, "carry")[0] == 200
    assert rename(3, "basis")[1]["old_name"] == "hedge"
    for account, name in ((0, "a"), (1, "a"), (2, ""), (2, "x" * 65), (2, None), (2, "\ud800")):
        assert rename(account, name)[0] == 400
    shown = [{"account_index": 2, "name": "carry"}, {"account_index": 3, "name": "basis"}]
    assert get(exchange, alice, names) == {"names": shown}
    export = f"/account/{KEY}/mds-export"
    assert call(exchange, "PUT", export, {"enabled": False}, alice) == (200, {"enabled": False})
    assert get(exchange, alice, names) == {"names": []}
    assert call(exchange, "PUT", export, {"enabled": 1}, alice)[0] == 400
    assert call(exchange, "PUT", export, {"enabled": True}, alice) == (200, {"enabled": True})
    assert get(exchange, alice, names) == {"names": shown}


def test_an_account_without_a_configuration_has_one_signer(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.deposit(ALICE, 0, 1)
    thresholds = {"low": 1, "medium": 1, "high": 1}
    found = get(exchange, alice, f"/multisig/config/{KEY}")
    assert found == {"master_weight": 1, "signers": [], "thresholds": thresholds}
