"""Commands about orders against the embedded exchange in memory."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import trio

from tests.helpers.printed_lines import PrintedLines
from tests.helpers.world import ASSET, URL
from tplus_trio import GTC, Side, User
from tplus_trio.cli.order.fates import Report
from tplus_trio.cli.order.plans import CreatePlan, Plan
from tplus_trio.cli.order.sending import Ask, carry_out
from tplus_trio.cli.services import Services
from tplus_trio.testing import Exchange, MemoryNetwork

__all__ = ["Ended", "Orders", "buy", "interrupt_after", "open_orders"]


@attrs.frozen
class Ended:
    """How a command ended: its exit status, and the fates that it printed as JSON."""

    status: int
    fates: list[dict[str, Any]]

    @property
    def fate(self) -> str:
        """The fate of the only order."""
        (only,) = self.fates
        found: str = only["fate"]
        return found


@attrs.frozen
class Orders:
    """An exchange with one market, and the commands of one user."""

    exchange: Exchange
    services: Services
    user: User = attrs.field(factory=User)

    async def carry_out(self, plan: Plan, ask: Ask | None = None) -> Ended:
        """Carry out a plan."""
        lines, report = PrintedLines(), Report(json=True)
        status = await carry_out(
            lines, plan=plan, services=self.services, user=self.user, name="alice", ask=ask, report=report
        )
        assert report.conclude(status) == status
        return Ended(status, [json.loads(line) for line in lines.lines])

    def kinds(self, order_id: str) -> list[str]:
        """What happened to an order, by the exchange's own record."""
        return [effect.kind for effect in self.exchange.effects_of(self.user, order_id)]

    def requests(self, operation: str) -> int:
        """How many requests of one operation the exchange answered."""
        return sum(answer.operation == operation for answer in self.exchange.answers)


@asynccontextmanager
async def open_orders() -> AsyncGenerator[Orders]:
    """Open an exchange with the market 200, whose units are 0.01 and 0.001."""
    exchange = Exchange()
    exchange.add_market(ASSET)
    async with MemoryNetwork(exchange) as network:
        options = {"connector": network, "now_ns": exchange.now_ns, "jitter": lambda: 1.0}
        yield Orders(exchange, Services(URL, URL, options))
    assert exchange.crashes == []


def buy(order_id: str = "mine", price: str | None = "9.00", quantity: str = "0.005", **terms: Any) -> CreatePlan:
    """Plan to buy 0.005 for 9.00."""
    limit = None if price is None else Decimal(price)
    in_force = terms.pop("time_in_force", GTC())
    return CreatePlan(ASSET, Side.BUY, Decimal(quantity), limit, in_force, order_id=order_id, **terms)


async def interrupt_after(seconds: float) -> None:
    """Send Ctrl-C to this process."""
    await trio.sleep(seconds)
    signal.raise_signal(signal.SIGINT)
