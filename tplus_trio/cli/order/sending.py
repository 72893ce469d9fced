"""Carries out a plan: shows what will be sent, asks, sends it, and finds out what became of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs
import trio

from tplus_trio.cli.failure import INTERRUPTED, Failure, explaining, say
from tplus_trio.cli.interrupts import open_interrupts
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.order.fates import FateObserver, OrderFate, Report, fate_of
from tplus_trio.cli.order.plans import Plan, Preview, with_markets
from tplus_trio.cli.order.rows import order_row
from tplus_trio.cli.run import run
from tplus_trio.cli.services import Services
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.errors import TplusError
from tplus_trio.models import AssetIdentifier
from tplus_trio.orders.sending import OrderTarget
from tplus_trio.users import User

__all__ = ["carry_out", "run_plan"]

#: Seconds that reading the order may take after its request.
_LOOK: Final = 2.0
#: Orders that are read for that.
_PAGE: Final = 100

Ask = Callable[[str], Awaitable[bool]]


def run_plan(plan: Plan, services: Services, user: User, name: str, *, ask: Ask | None, json: bool) -> int:
    """Carry out a plan, and return the exit status. Whatever was sent, its fate is printed.

    Args:
        plan: The plan.
        services: Where the order service is.
        user: The user who signs.
        name: The user's name.
        ask: Asks a question; None sends without asking.
        json: Whether to print the fates as JSON.
    """
    report = Report(json=json)
    logging.getLogger("tplus_trio.orders").setLevel(logging.ERROR)  # the report says what the warnings say
    program = partial(carry_out, plan=plan, services=services, user=user, name=name)
    status = run(partial(program, ask=ask, report=report))
    return report.conclude(status)


async def carry_out(
    lines: Lines, *, plan: Plan, services: Services, user: User, name: str, ask: Ask | None, report: Report
) -> int:
    """Carry out a plan.

    Ctrl-C ends what comes before the request. During the request it cancels the call: then the client finds out what
    became of the order, and takes back what it created, for at most twice its ``resolve_timeout``.

    Args:
        lines: Where to print the fates.
        plan: The plan.
        services: Where the order service is.
        user: The user who signs.
        name: The user's name.
        ask: Asks a question; None sends without asking.
        report: Gets the fates.

    Returns:
        The exit status.

    Raises:
        Failure: nothing was sent, because the plan cannot be sent, or the answer is no.
        TplusError: nothing was sent, because something could not be read.
    """
    observer = FateObserver()
    with explaining("order", ValueError):
        client = services.orders(user, observer=observer)
    ended: Mapping[OrderTarget, TplusError | None] = {}
    rows: Mapping[OrderTarget, Mapping[str, Any]] = {}
    async with open_interrupts() as interrupts:
        async with client:
            preview = await interrupts.cut_short(partial(plan.prepare, client))
            if preview is None:
                return INTERRUPTED
            if not preview.targets:
                say("no open orders are listed; nothing was sent")
                return 0
            say(f"{plan.operation}, to be sent to {services.oms_url} by {name} ({user.public_key}):")
            for line in preview.lines:
                say(line)
            if ask is not None and not await interrupts.cut_short(partial(ask, _question(plan, preview))):
                if interrupts.came:
                    say("")
                    return INTERRUPTED
                raise Failure("nothing was sent")
            interrupts.notice = lambda: say("interrupted: finding out what became of the request")
            try:
                ended = await interrupts.cut_short(partial(plan.send, client)) or {}
            except TplusError as exc:
                report.failure = exc
            rows = await _look(client, [target for target in preview.targets if target.order_id in observer.fates])
        report.was_interrupted = interrupts.came
    targets = dict.fromkeys([*preview.targets, *ended])
    report.fates = [
        _with_row(
            fate_of(
                plan.operation,
                target,
                ended=ended,
                observer=observer,
                doubts=client.orders_in_doubt,
                takes_back=preview.takes_back,
                failure=report.failure,
            ),
            rows,
        )
        for target in targets
    ]
    await report.write(lines)
    return report.status


def _question(plan: Plan, preview: Preview) -> str:
    number = len(preview.targets)
    return f"{plan.operation.capitalize()} {'this order' if number == 1 else f'these {number} orders'}?"


async def _look(client: OrderBookClient, targets: Sequence[OrderTarget]) -> dict[OrderTarget, Mapping[str, Any]]:
    """Read the order of a request, to show what became of it; nothing if that fails or takes long."""
    if len(targets) != 1:
        return {}
    (target,) = targets
    with trio.move_on_after(_LOOK):
        try:
            orders = await client.get_user_orders_for_book(target.asset_id, limit=_PAGE)
            found = [order for order in orders if order.order_id == target.order_id]
            for order, market in await with_markets(client, found):
                return {target: order_row(order, market)}
        except TplusError:
            pass  # the fate is known without it
    return {}


def _with_row(fate: OrderFate, rows: Mapping[OrderTarget, Mapping[str, Any]]) -> OrderFate:
    return attrs.evolve(fate, row=rows.get(OrderTarget(AssetIdentifier(fate.asset_id), fate.order_id)))
