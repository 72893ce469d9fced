"""The acts, in memory and on a virtual clock: what they say is what the exchange has recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tplus_trio import MarketDataClient, OrderBookClient, User
from tplus_trio.cli.story import acts
from tplus_trio.cli.story.acts import ACTS, Outcome, perform
from tplus_trio.cli.story.maker import LEASE, Maker
from tplus_trio.cli.story.report import conclude
from tplus_trio.cli.story.stage import Stage, open_stage
from tplus_trio.testing import Exchange, MemoryNetwork


@attrs.define(eq=False)
class CutOff:
    """A second bot in memory. It is killed by cutting its network for good: nothing that it does arrives."""

    network: MemoryNetwork
    user: str = ""
    is_killed: bool = False
    life: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self) -> None:
        user = User()
        self.user = user.public_key
        options: dict[str, Any] = {"connector": self.network, "now_ns": self.network.exchange.now_ns}
        with self.life:
            async with (
                MarketDataClient(self.network.url, **options) as md,
                OrderBookClient(self.network.url, default_user=user, **options) as oms,
            ):
                await Maker(md_market(self.network.exchange), Decimal("0.3")).run(md, oms)

    def kill(self) -> None:
        self.network.partition(1000)
        self.life.cancel()
        self.is_killed = True


def md_market(exchange: Exchange) -> Any:
    return exchange.markets[0].asset_id


@asynccontextmanager
async def opened(seed: int = 0) -> AsyncGenerator[tuple[Stage, list[str]]]:
    exchange = Exchange(seed=seed)
    async with MemoryNetwork(exchange) as network, trio.open_nursery() as nursery:
        victim = CutOff(network)
        async with open_stage(seed, victim=victim, exchange=exchange, in_memory=True, now_ns=exchange.now_ns) as stage:
            nursery.start_soon(victim.run)
            yield stage, []
        victim.life.cancel()
        nursery.cancel_scope.cancel()


async def perform_all(stage: Stage, told: list[str]) -> list[Outcome]:
    async def tell(text: str) -> None:
        await trio.lowlevel.checkpoint()
        told.append(text)

    return await perform(stage, tell, 1.0, lambda _, __: None)


@pytest.mark.parametrize("seed", range(3))
async def test_the_story(autojump_clock: MockClock, seed: int) -> None:
    async with opened(seed) as (stage, told):
        outcomes = await perform_all(stage, told)
        await stage.end_trading()
        findings = conclude(stage, outcomes)
    assert [(finding.what, finding.figures) for finding in findings if not finding.is_right] == []
    connection, gap, partition, killed = outcomes
    for outcome in (connection, gap, partition):
        assert outcome.problem is None
        assert outcome.lost is not None
        assert outcome.pulled is not None
        assert outcome.synced is not None
        assert outcome.how
        assert outcome.missed
        assert outcome.lost <= outcome.synced
    assert connection.lost == pytest.approx(0, abs=0.05)
    assert gap.synced == pytest.approx(acts._SLOW_SNAPSHOT, abs=0.5)
    assert 0.9 < (partition.lost or 0) <= 2.1
    assert acts._PARTITION - 0.5 < (partition.synced or 0) < acts._PARTITION + 3.0, "an attempt may wait for its turn"
    assert "canceled" in connection.how
    assert "canceled" in gap.how
    assert "expired" in partition.how or "filled" in partition.how
    assert (killed.lost, killed.synced) == (None, None)
    assert 0 < (killed.pulled or 0) <= LEASE + acts._LEASE_BOUND
    assert "canceled" not in killed.how
    assert [line.split("  ")[0] for line in told if " of 4" in line] == [f"{n} of 4" for n in (1, 2, 3, 4)]
    assert sum(line.startswith("LOST") for line in told) == 3
    assert stage.states.equal > 50


async def test_an_act_without_its_fault_is_a_problem(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nothing is lost, the demonstration must not say that all went well."""
    monkeypatch.setattr(MemoryNetwork, "reset_connections", lambda _: None)
    monkeypatch.setattr(acts, "ACTS", ACTS[:1])
    async with opened() as (stage, told):
        (outcome,) = await perform_all(stage, told)
        await stage.end_trading()
        findings = conclude(stage, [outcome])
    assert outcome.problem == "lost connection: all was not well again within 20 s"
    assert [finding.figures for finding in findings if not finding.is_right][-1] == outcome.problem


async def test_orders_without_a_lease_are_a_problem(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tplus_trio.cli.story.maker.LEASE", 60.0)
    monkeypatch.setattr(acts, "ACTS", ACTS[3:])
    async with opened() as (stage, told):
        stage.traders_scope.cancel()  # or they would fill the orders
        (outcome,) = await perform_all(stage, told)
    assert outcome.problem is not None


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        ("book", "states of the live book"),
        ("trade", "public trades, once and in order"),
        ("order", "own orders left, and in doubt"),
        ("user trade", "own trades, received + in marked gaps"),
    ],
)
async def test_what_differs_from_the_exchange_is_found(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, plant: str, what: str
) -> None:
    async with opened() as (stage, _):
        await trio.sleep(2)
        stage.victim.kill()
        await trio.sleep(LEASE + acts._LEASE_BOUND)
        await stage.end_trading()
        match plant:
            case "book":
                stage.states.problem = "differs"
            case "trade":
                stage.exchange.faults.withhold_trades(10)
                stage.exchange.publish_trade(200, "10", 1)
            case "order":
                stage.exchange.place(stage.user, 200, "Buy", 1, 1)
            case "user trade":
                stage.exchange.faults.lose_events(stage.user, 10)
                ask = stage.exchange.book(200).asks[0]
                stage.exchange.place(stage.user, 200, "Buy", int(ask.price * 100), 1)
            case _:
                raise AssertionError
        await trio.sleep(1)
        findings = conclude(stage, [])
    assert [finding.what for finding in findings if not finding.is_right] == [what]


def test_orders_are_followed_by_the_record(exchange: Exchange) -> None:
    """A moment without orders is seen although others are there when it is looked for."""
    user = User()
    key = user.public_key
    exchange.place(user, 200, "Buy", 900, 5, order_id="bid")
    exchange.place(user, 200, "Sell", 1000, 5, order_id="ask")
    orders = acts._Orders(exchange, key)
    assert not orders.are_gone()
    exchange.cancel(user, "bid")
    exchange.place(User(), 200, "Buy", 1000, 3)
    exchange.place(user, 200, "Buy", 901, 5, order_id="new bid")
    assert not orders.are_gone()
    exchange.cancel(user, "new bid")
    exchange.place(User(), 200, "Buy", 1000, 2)
    exchange.place(user, 200, "Sell", 1001, 5)
    assert exchange.resting(user)
    assert orders.are_gone()
    assert orders.how == "2 canceled, 1 filled"
    assert orders.gone_after > 0
