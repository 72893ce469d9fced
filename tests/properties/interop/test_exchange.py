"""The official client and ours, side by side at the embedded exchange, receive the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import trio

from tplus_trio import (
    AssetIdentifier,
    MarketDataClient,
    OrderBook,
    OrderBookClient,
    Stream,
    User,
)
from tplus_trio.testing import Exchange, Request, Response, serve

KEY = bytes(range(32))
PEER = Path(__file__).parents[2] / "helpers/tpluspy_peer.py"
#: Fields that the official client lacks: a candle of ours names its asset.
OURS_ALONE = {"klines": {"asset_id"}}


def plain(value: Any) -> Any:
    """Convert our models as the peer converts its own."""
    if isinstance(value, AssetIdentifier):
        return str(value)
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Decimal | float):
        return f"{Decimal(str(value)).normalize():f}"
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int) else str(value)


class Recording(Exchange):
    """Records the orders that were sent, as they were signed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []

    def handle(self, request: Request) -> Response:
        if request.path.startswith("/orders/c"):
            self.sent.append(json.loads(request.body))
        return super().handle(request)


class Peer:
    """The official client's process."""

    def __init__(self, process: trio.Process) -> None:
        self.seen: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        self._process = process
        self._news = trio.Event()

    async def order(self, do: str, **more: Any) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"do": do, **more}).encode() + b"\n")

    async def ask(self, do: str, answer: str, **more: Any) -> Any:
        """Send a command, and return the answer."""
        count = len(self.seen[answer])
        await self.order(do, **more)
        await self.wait_for(answer, count + 1)
        return self.seen[answer][count][1]

    async def wait_for(self, name: str, count: int) -> None:
        while len(self.seen[name]) < count:
            assert not self.seen["failure"], self.seen["failure"]
            await self._news.wait()

    async def listen(self) -> None:
        rest = b""
        assert self._process.stdout is not None
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                self.seen[said["name"]].append((said["type"], said["value"]))
            self._news.set()
            self._news = trio.Event()


@asynccontextmanager
async def official_client(url: str) -> AsyncIterator[Peer]:
    async with trio.open_nursery() as nursery:
        # -P: modules beside the script have names of libraries.
        command = [sys.executable, "-P", str(PEER), url, KEY.hex()]
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        peer = Peer(process)
        nursery.start_soon(peer.listen)
        try:
            yield peer
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for an effect of another process."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.01)


def same(name: str, ours: list[Any], theirs: list[tuple[str, Any]]) -> None:
    """Compare item by item, field by field: every field of the official client's has an equal value in ours."""
    assert len(ours) == len(theirs), name
    for mine, (kind, other) in zip(ours, theirs, strict=True):
        if name == "orders":
            assert type(mine).__name__ == kind
        made = plain(mine)
        if name == "orders":
            made["event_type"] = mine.event_type
        for field, value in other.items():
            if field == "user_order":
                same_order(made[field], value)
            else:
                assert made[field] == value, (name, field)
        assert made.keys() - other.keys() <= OURS_ALONE.get(name, set()), name


def same_order(mine: dict[str, Any], other: dict[str, Any]) -> None:
    for field in other.keys() - {"details", "trigger", "user_id"}:
        assert mine[field] == other[field], field
    assert mine["details"]["limit_price"] == other["details"]["limit_price"]
    assert mine["details"]["quantity"] == other["details"]["quantity"]


async def test_both_clients_see_the_same() -> None:
    exchange = Recording()
    exchange.add_market(200)
    exchange.add_market(7)
    exchange.publish_diff(200, bids=[("9.5", "1.25"), ("9", 2)], asks=[("12.125", 3)])
    user, bob = User(KEY), "b" * 64
    seen: defaultdict[str, list[Any]] = defaultdict(list)

    async def watch(name: str, stream: Stream[Any]) -> None:
        async with stream:
            async for item in stream:
                if not isinstance(item, OrderBook):
                    seen[name].append(item)

    with trio.fail_after(50):
        async with (
            serve(exchange) as url,
            official_client(url) as peer,
            OrderBookClient(url, default_user=user) as oms,
            MarketDataClient(url, default_user=user) as md,
            trio.open_nursery() as nursery,
        ):
            await peer.order("watch")
            nursery.start_soon(watch, "trades", md.stream_finalized_trades())
            nursery.start_soon(watch, "depth", md.stream_depth(200))
            nursery.start_soon(watch, "klines", md.stream_klines(200))
            nursery.start_soon(watch, "orders", oms.stream_orders())
            nursery.start_soon(watch, "my trades", oms.stream_user_trade_events())
            await until(lambda: exchange.connections == 10)
            assert plain(await md.get_orderbook_snapshot(200)) == await peer.ask("snapshot", "snapshot")
            market = await peer.ask("market", "market")
            assert plain(await oms.get_market(200)) == market

            # The same order from both, then each cancels the other's.
            order = {"quantity": 5, "price": 1000, "side": "Sell"}
            created = await peer.ask("create", "created", **{"with": {**order, "order_id": "theirs"}})
            assert created["order_id"] == "theirs"
            ours = await oms.create_limit_order(5, 1000, "Sell", asset_id=200, order_id="ours")
            assert ours.status == created["status"] == "Received"
            exchange.place(bob, 200, "Buy", 1000, 2, order_id="taker")
            exchange.publish_trade(7, "3862.36934070", "0.01000000", buyer_is_maker=True)
            assert (await oms.cancel_order("theirs", 200)).status == "Received"
            assert (await peer.ask("cancel", "cancelled", id="ours"))["status"] == "Received"

            for name, count in {"trades": 2, "depth": 5, "klines": 1, "orders": 6, "my trades": 2}.items():
                await peer.wait_for(name, count)
                await until(lambda name=name, count=count: len(seen[name]) >= count)  # type: ignore[misc]  # inferred
            await trio.sleep(0.05)  # and nothing more
            for name in ("trades", "depth", "klines", "orders", "my trades"):
                same(name, seen[name], peer.seen[name])

            orders, _ = await oms.get_user_orders()
            listing = await peer.ask("listing", "listing")
            assert (
                [order.order_id for order in orders] == [order["order_id"] for order in listing] == ["ours", "theirs"]
            )
            past = await peer.ask("past", "past")
            assert [plain(trade) for trade in await md.get_trades()] == past
            await peer.wait_for("candles", 1)
            candles = peer.seen["candles"][0][1]
            page = plain(await md.get_klines(200))
            assert page["items"] == candles["items"]
            nursery.cancel_scope.cancel()

    assert exchange.crashes == []
    assert exchange.sign_ins == 4  # each of the two has two clients
    same_bytes(exchange.sent)


def same_bytes(sent: list[dict[str, Any]]) -> None:
    """Check that signed texts have the same keys in the same order, and values of the same types."""
    theirs, ours, our_cancel, their_cancel = sent
    for key, (one, other) in {"order": (theirs, ours), "cancel": (their_cancel, our_cancel)}.items():
        assert list(one) == list(other)
        assert json.dumps(shape(one[key])) == json.dumps(shape(other[key]))


def shape(value: Any) -> Any:
    """Return signed JSON without ids and times: its keys, their order, the types."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__ if isinstance(value, str) or (isinstance(value, int) and value > 10**9) else value
