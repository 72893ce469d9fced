"""The official client reads and changes its user's account at the embedded exchange."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from tplus_trio import User
from tplus_trio.testing import Exchange, serve

PEER = Path(__file__).parents[2] / "helpers/tpluspy_account.py"
KEY = bytes(range(1, 33))
BOB = "b" * 64


def trade(exchange: Exchange, user: User, asset: int, side: str, price: int, quantity: int) -> None:
    exchange.place(BOB, asset, "Sell" if side == "Buy" else "Buy", price, quantity)
    exchange.place(user, asset, side, price, quantity)


async def test_the_official_client_reads_and_changes_an_account() -> None:
    exchange, user = Exchange(), User(KEY)
    exchange.add_market(200)
    exchange.add_market(7)
    exchange.deposit(user, 0, 40)
    trade(exchange, user, 200, "Sell", 1000, 2_000)
    trade(exchange, user, 7, "Buy", 500, 1_000)
    trade(exchange, user, 7, "Sell", 600, 1_000)

    async def deposit_when_the_feed_is_open() -> None:
        while not exchange.connections:  # noqa: ASYNC110 - the exchange has no event for this
            await trio.sleep(0.01)
        exchange.deposit(user, 0, 60)

    with trio.fail_after(50):
        async with serve(exchange) as url, trio.open_nursery() as nursery:
            nursery.start_soon(deposit_when_the_feed_is_open)
            # -P: modules beside the script have names of libraries.
            command = [sys.executable, "-P", str(PEER), url, KEY.hex()]
            process = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
            nursery.cancel_scope.cancel()
    assert process.returncode == 0, process.stderr.decode()
    said = [json.loads(line) for line in process.stdout.splitlines()]
    answers: dict[str, Any] = {one["name"]: one["value"] for one in said}
    assert answers["inventory"]["accounts"]["1"]["spot"] == {"0": "100"}
    assert set(answers["inventory"]["accounts"]["1"]["margins"]) == {"200", "7"}
    (margin,) = answers["margin"]["accounts"].values()
    assert (margin["account_equity"], margin["utilized_margin"]) == ("101.00000", "2.000000")
    assert [(one["asset_id"], one["side"]) for one in margin["positions"]] == [("200", "Short")]
    assert answers["solvency"]["accounts"]["1"]["is_solvent"]
    assert answers["multisig"]["master_weight"] == 1
    (order,) = answers["preview"]["orders"]
    assert (order["side"], order["quantity"], order["suggested_max_sellable_amount"]) == ("Buy", 2_000, 2_100_000)
    assert [Decimal(one["size"]) for one in answers["simulation"]["positions"]] == [Decimal("0.5")]
    assert answers["simulation"]["trade_accepted"]
    assert answers["renamed"] == {"account_index": 2, "old_name": "account 2", "new_name": "hedge"}
    assert answers["export"] == {"enabled": False}
    assert answers["transfer"] == answers["closed"] == {"success": True}
    events = [one["type"] for one in said if one["name"] == "event"]
    assert events == ["DepositLanded", "SubAccountAssetTransferred", "PositionCleared"]
    assert exchange.balance(user, 0) == 100  # one went to sub-account 2, one came from the cleared position
    assert exchange.balance(user, 0, sub_account=2) == 1
    assert answers["no inventory"] == {}
    assert answers["no solvency"] == {"accounts": {}}
    assert answers["no multisig"]["signers"] == []
    assert exchange.crashes == []
