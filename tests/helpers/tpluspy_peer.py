"""The official client in a process of its own: stdin brings commands, and stdout gets what it receives.

Run it as ``python tpluspy_peer.py URL PRIVATE_KEY``. It does not use this package. The official client is unmodified.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from tplus.client import MarketDataClient, OrderBookClient
from tplus.model.asset_identifier import AssetIdentifier
from tplus.utils.user import User


def plain(value: Any) -> Any:
    """A model as JSON can hold it, every number that may be a fraction as text."""
    if isinstance(value, AssetIdentifier):
        return str(value)
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Decimal | float):
        return f"{Decimal(str(value)).normalize():f}"
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def say(name: str, value: Any) -> None:
    print(json.dumps({"name": name, "type": type(value).__name__, "value": plain(value)}), flush=True)


async def watch(name: str, feed: AsyncIterator[Any]) -> None:
    try:
        async for item in feed:
            for part in item if isinstance(item, list) else [item]:  # candles come in lists
                say(name, part)
    except Exception as exc:
        say("failure", f"{name}: {exc!r}")
        raise


async def main(url: str, key: str) -> None:
    user, asset = User(key), AssetIdentifier("200")
    oms = OrderBookClient(url, default_user=user)
    md = MarketDataClient(url, default_user=user)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    feeds: list[asyncio.Task[None]] = []
    while line := await lines.readline():
        order = json.loads(line)
        match order["do"]:
            case "watch":
                started = {
                    "trades": md.stream_finalized_trades(),
                    "depth": md.stream_depth(asset),
                    "klines": md.stream_klines(asset),
                    "orders": oms.stream_orders(),
                    "my trades": oms.stream_user_trade_events(),
                }
                feeds = [asyncio.create_task(watch(name, feed)) for name, feed in started.items()]
            case "snapshot":
                say("snapshot", await md.get_orderbook_snapshot(asset))
            case "market":
                say("market", await oms.get_market(asset))
            case "create":
                say("created", await oms.create_limit_order(asset_id=asset, **order["with"]))
            case "cancel":
                say("cancelled", await oms.cancel_order(order["id"], asset))
            case "listing":
                orders, _ = await oms.get_user_orders()
                say("listing", orders)
            case "past":
                say("past", await md.get_trades())
                say("candles", await md.get_klines(asset))
    for task in feeds:
        task.cancel()


asyncio.run(main(*sys.argv[1:]))
