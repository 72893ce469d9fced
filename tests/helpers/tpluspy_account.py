"""The official client in a process of its own: it makes every request about its user's account, once.

Run as ``python tpluspy_account.py URL PRIVATE_KEY``. It knows nothing of this package, and is run unmodified. It prints
a line of JSON for each request: its name, the type of the answer, and the answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pydantic import BaseModel
from tplus.client import MarketDataClient, OrderBookClient
from tplus.model.asset_identifier import AssetIdentifier
from tplus.utils.user import User


def say(name: str, value: Any) -> None:
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    print(json.dumps({"name": name, "type": type(value).__name__, "value": plain}, default=str), flush=True)


async def main(url: str, key: str) -> None:
    user, asset = User(key), AssetIdentifier("200")
    oms, md = OrderBookClient(url, default_user=user), MarketDataClient(url, default_user=user)
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def watch() -> None:
        async for event in oms.stream_user_events():
            await events.put(event)

    watching = asyncio.create_task(watch())
    say("event", await events.get())  # the feed is open
    say("inventory", await oms.get_user_inventory())
    say("margin", await oms.get_user_margin_info(1, include_positions=True))
    say("solvency", await oms.get_user_solvency())
    say("multisig", await oms.get_multisig_config())
    say("preview", await oms.get_close_all_positions_preview(1))
    say("simulation", await oms.init_margin_simulate(1, asset, True, "1.5", "11"))
    say("positions", (await oms.get_user_positions())[0])
    say("renamed", await oms.rename_sub_account(2, "hedge"))
    say("names", await md.get_sub_account_names())
    say("export", await oms.set_mds_export(False))
    say("transfer", await oms.request_transfer_to_subaccount(1, 2, AssetIdentifier("0"), 10**18))
    say("closed", await oms.request_close_position(1, "7"))
    for _ in range(2):
        say("event", await events.get())
    watching.cancel()
    stranger = User(bytes(range(32)).hex())
    other = OrderBookClient(url, default_user=stranger)
    say("no inventory", await other.get_user_inventory())
    say("no solvency", await other.get_user_solvency())
    say("no multisig", await other.get_multisig_config())


asyncio.run(main(*sys.argv[1:]))
