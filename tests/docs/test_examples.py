"""Every example, run against the embedded exchange over TCP."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import urlopen

import pytest
import trio

from tests.helpers.commands import line, started
from tplus_trio import RestartPolicy, User, UserManager
from tplus_trio.testing import Exchange, serve

FOLDER = Path(__file__).parent.parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("test_"))
MARKET = 200
OTHER = User().public_key


class Printed:
    """What an example prints, in place of its ``print``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = trio.lowlevel.ParkingLot()

    def __call__(self, *words: object) -> None:
        self.lines.append(" ".join(str(word) for word in words))
        self._more.unpark_all()

    async def wait_for(self, *texts: str) -> None:
        """Wait until each text was printed."""
        while not all(any(text in line for line in self.lines) for text in texts):
            await self._more.park()


def load(name: str) -> tuple[ModuleType, Printed]:
    """An example as a module, and what it prints."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    printed = Printed()
    vars(module)["print"] = printed
    return module, printed


def open_market() -> Exchange:
    exchange = Exchange()
    exchange.add_market(MARKET)
    exchange.place(OTHER, MARKET, "Sell", 1000, 50)
    exchange.place(OTHER, MARKET, "Buy", 900, 50)
    return exchange


@asynccontextmanager
async def running(
    name: str, exchange: Exchange, *arguments: Any, streams: int = 1, urls: int = 1, **options: Any
) -> AsyncIterator[Printed]:
    """An example that runs, and listens to so many feeds."""
    module, printed = load(name)

    async def run(url: str) -> None:
        await module.main(*[url] * urls, *arguments, **options)

    with trio.fail_after(20):
        async with serve(exchange) as url, trio.open_nursery() as nursery:
            nursery.start_soon(run, url)
            await listened_to(exchange, streams)
            yield printed
            nursery.cancel_scope.cancel()
        await listened_to(exchange, 0)


async def listened_to(exchange: Exchange, streams: int) -> None:
    while exchange.connections != streams:  # noqa: ASYNC110 - the exchange does not tell when someone subscribes
        await trio.sleep(0.005)


def take(exchange: Exchange, buyer: str) -> None:
    """Have someone buy what stands in the market."""
    exchange.place(buyer, MARKET, "Buy", 1000, 5)


def test_there_are_all_of_them_and_they_are_short() -> None:
    assert EXAMPLES == [
        "all_streams",
        "depth",
        "klines",
        "live_book",
        "market_maker",
        "metrics",
        "my_trades",
        "orders",
        "public_trades",
        "resilient_stream",
        "trade",
    ]
    for name in EXAMPLES:
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        assert len(text.splitlines()) < {"market_maker": 61, "trade": 61}.get(name, 40), name
        assert f"python examples/{name}.py" in text


async def test_orders() -> None:
    exchange, user = open_market(), User()
    async with running("orders", exchange, user) as printed:
        exchange.place(user.public_key, MARKET, "Buy", 950, 5, order_id="mine")
        exchange.cancel(user.public_key, "mine")
        await printed.wait_for("CREATED", "REMOVED")
        assert all("mine" in line for line in printed.lines)
        exchange.place(user.public_key, MARKET, "Buy", 950, 5, order_id="rests")
        exchange.faults.close_streams("/orders")
        await printed.wait_for("orders [('rests',")


@pytest.mark.parametrize("way", ["rest", "control"])
async def test_trade(way: str) -> None:
    exchange, user = open_market(), User()
    module, printed = load("trade")
    with trio.fail_after(20):
        async with serve(exchange) as url:
            await module.main(way, url, user)
    assert printed.lines[0].startswith("not sent: the quantity of an order is at most 1 (max_quantity)")
    assert printed.lines[1] == "0 of a batch refused; the most that may be held: 0.030"
    assert [text.split("-")[0] for text in printed.lines[2:]] == ["cancelled ex"] * 3
    assert [effect.kind for effect in exchange.effects if effect.user == user.public_key].count("replace") == 1
    assert {effect.way for effect in exchange.effects if effect.user == user.public_key} == {way}
    assert exchange.resting(user) == ()


async def test_my_trades() -> None:
    exchange, user = open_market(), User()
    async with running("my_trades", exchange, user) as printed:
        take(exchange, user.public_key)
        await printed.wait_for("Pending 200 bought 0.005 at 10.00", "Confirmed 200 bought 0.005 at 10.00")
        exchange.faults.close_streams("/trades")
        await printed.wait_for("gap ")


async def test_public_trades() -> None:
    exchange = open_market()
    async with running("public_trades", exchange) as printed:
        take(exchange, User().public_key)
        await printed.wait_for("200 1 0.005 at 10.00")


async def test_metrics() -> None:
    exchange = open_market()
    async with running("metrics", exchange, port=0) as printed:
        await printed.wait_for("metrics at http://")
        take(exchange, User().public_key)
        await printed.wait_for("price=Decimal('10.00')")
        url = next(line for line in printed.lines if line.startswith("metrics at")).removeprefix("metrics at ")
        text = await trio.to_thread.run_sync(lambda: urlopen(url, timeout=10).read().decode())
        assert 'tplus_messages_total{client="",feed="/trades"} 1.0' in text


async def test_depth() -> None:
    exchange = open_market()
    async with running("depth", exchange) as printed:
        await printed.wait_for("1002 ")
        exchange.publish_diff(MARKET, bids=[("9.5", 1)])
        await printed.wait_for("1003 PriceLevel(price=Decimal('9.5')")


async def test_klines() -> None:
    exchange = open_market()
    exchange.publish_trade(MARKET, "9.75", 1)
    async with running("klines", exchange) as printed:
        await printed.wait_for("before ")
        assert printed.lines[0].endswith("9.75")
        exchange.publish_trade(MARKET, "9.85", 1)
        await printed.wait_for(" 9.85 ")


async def test_live_book() -> None:
    exchange = open_market()
    async with running("live_book", exchange) as printed:
        await printed.wait_for("1002 ")
        assert printed.lines[0].startswith("no price: the book of 200 is not in sync")
        exchange.publish_diff(MARKET, asks=[("9.5", 2)])
        await printed.wait_for("1003 ")
        assert printed.lines[-1].endswith("spread 0.50, a unit costs 9.5")


async def test_market_maker() -> None:
    """Over TCP, and ended by a signal; its behaviour is tested beside it, in virtual time."""
    exchange = open_market()
    module, _ = load("market_maker")

    def bot_quotes() -> int:
        users = {effect.user for effect in exchange.effects} - {OTHER}
        return sum(len(exchange.resting(user)) for user in users)

    with trio.fail_after(20):
        async with serve(exchange) as url:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(module.main, url, url)
                while bot_quotes() != 2:  # noqa: ASYNC110 - nobody tells
                    await trio.sleep(0.005)
                signal.raise_signal(signal.SIGTERM)
            assert bot_quotes() == 0
            await listened_to(exchange, 0)


async def test_all_streams() -> None:
    exchange, user = open_market(), User()
    async with running("all_streams", exchange, user, streams=5, urls=2) as printed:
        await printed.wait_for("depth OrderBook(")
        take(exchange, user.public_key)
        await printed.wait_for("trade Trade(", "depth OrderBookDiff(", "kline KlineUpdate(")
        await printed.wait_for("order OrderCreatedEvent(", "my trade UserTrade(")


async def test_resilient_stream_comes_back() -> None:
    exchange = open_market()
    policy = RestartPolicy(initial_delay=0.0)
    async with running("resilient_stream", exchange, policy=policy, every=0.01) as printed:
        exchange.publish_trade(MARKET, 9, 1)
        await printed.wait_for("trade Trade(", "LIVE 1 connects, 1 messages, 0 gaps")
        exchange.faults.close_streams("/trades")
        await printed.wait_for("LIVE 2 connects, 1 messages, 1 gaps")


async def test_resilient_stream_gives_up() -> None:
    module, printed = load("resilient_stream")
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with trio.fail_after(20):
            await module.main(url, RestartPolicy(initial_delay=0.0, max_restarts=2))
    assert printed.lines[-1].startswith("given up: 3 failures within 60 s the last failure: could not connect")


@pytest.mark.parametrize("stored", [True, False])
async def test_the_user_is_the_stored_one_or_a_new_one(
    stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TPLUS_PASSWORD", "a password")
    known = await trio.to_thread.run_sync(UserManager().generate, "alice") if stored else User()
    exchange = open_market()
    async with running("orders", exchange) as printed:
        assert exchange.sign_ins == 1
        exchange.place(known.public_key, MARKET, "Buy", 950, 5, order_id="mine")
        if stored:
            await printed.wait_for("mine")
    assert bool(printed.lines) is stored


@pytest.mark.parametrize("name", ["public_trades", "all_streams"])
def test_as_a_script(name: str, tmp_path: Path) -> None:
    """Beside ``python -m tplus_trio exchange``, with the URL as an argument."""
    with started("-m", "tplus_trio", "exchange", "--port", "0") as exchange:
        url = line(exchange)
        with started(FOLDER / f"{name}.py", url, home=tmp_path) as example:
            assert " " in line(example)
