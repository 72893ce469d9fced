"""Programs of order requests: the official client and ours send the same bytes, and get the same answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import AsyncExitStack
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given, settings
from tplus.exceptions import OmsError
from tplus.model import asset_identifier, limit_order, order_trigger
from tplus.model.order import TradeTarget as TheirTarget
from trio.testing import MockClock

from tests.helpers.tpluspy_in_memory import network_of, open_official_client
from tests.properties.interop.order_programs import (
    KEYS,
    Clock,
    Names,
    Recording,
    Step,
    add_markets,
    books_of,
    orders_of,
    plain,
    programs,
    run_step,
)
from tests.properties.interop.order_sequences import SEQUENCES
from tplus_trio import (
    GTC,
    GTD,
    IOC,
    ApiError,
    AssetIdentifier,
    OrderBookClient,
    OrderRejected,
    OrderResponse,
    OrderStatus,
    OrderTrigger,
    ServiceRules,
    TimeInForce,
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
    User,
)
from tplus_trio.testing import MemoryNetwork

pytestmark = pytest.mark.long

#: How many programs run, half of them over each way.
PROGRAMS: Final = int(os.environ.get("ORDER_PROGRAMS", "80"))
OK: Final = 200


def their_time_in_force(kind: str, flag: bool, at: int) -> Any:
    if kind == "IOC":
        return limit_order.IOC(fill_or_kill=flag)
    return limit_order.GTC(post_only=flag) if kind == "GTC" else limit_order.GTD(post_only=flag, timestamp_ns=at)


def our_time_in_force(kind: str, flag: bool, at: int) -> TimeInForce:
    if kind == "IOC":
        return IOC(fill_or_kill=flag)
    return GTC(post_only=flag) if kind == "GTC" else GTD(post_only=flag, timestamp_ns=at)


THEIRS: Final = Names(
    asset=asset_identifier.AssetIdentifier,
    time_in_force=their_time_in_force,
    target=lambda account, is_spot: TheirTarget.model_validate({"account": account, "is_spot": is_spot}),
    condition=lambda above, price: (
        order_trigger.TriggerAbove(price=price) if above else order_trigger.TriggerBelow(price=price)
    ),
    trigger=lambda parent, condition: order_trigger.OrderTrigger(parent_order_id=parent, trigger=condition),
)
OURS: Final = Names(
    asset=AssetIdentifier,
    time_in_force=our_time_in_force,
    target=TradeTarget,
    condition=lambda above, price: TriggerAbove(price) if above else TriggerBelow(price),
    trigger=OrderTrigger,
)
Sent = list[tuple[str, str, str]]


@attrs.frozen
class Ran:
    """What became of a program: an answer for each step, and what was sent for each."""

    answers: list[Any]
    sent: list[Sent]
    books: Any
    orders: Any


async def theirs(program: list[Step], exchange: Recording, clock: Clock, control: bool) -> Ran:
    answers: list[Any] = []
    sent: list[Sent] = []
    revisions: dict[tuple[int, str], int] = {}
    async with AsyncExitStack() as stack:
        stack.enter_context(network_of(exchange, clock))
        clients: list[Any] = [open_official_client(exchange, key, use_ws_control=control) for key in KEYS]
        for client in clients:
            stack.push_async_callback(client.close)
        for step in program:
            before = len(exchange.sent)
            try:
                answer = plain(await run_step(clients[step.user], THEIRS, step, clock, revisions))
            except OmsError as exc:
                answer = ("refused", type(exc).__name__, exc.code, exc.message, exc.status_code)
            answers.append(answer)
            sent.append(exchange.sent[before:])
    return Ran(answers, sent, books_of(exchange), orders_of(exchange))


async def ours(program: list[Step], exchange: Recording, clock: Clock, control: bool) -> Ran:
    answers: list[Any] = []
    sent: list[Sent] = []
    revisions: dict[tuple[int, str], int] = {}
    async with (
        MemoryNetwork(exchange) as network,
        open_our_client(network, clock, KEYS[0], control) as first,
        open_our_client(network, clock, KEYS[1], control) as second,
    ):
        for step in program:
            before = len(exchange.sent)
            try:
                answer = plain(await run_step((first, second)[step.user], OURS, step, clock, revisions))
            except ApiError as exc:
                answer = ("refused", type(exc).__name__, exc.code, exc.message, exc.status)
                if isinstance(exc, OrderRejected) and exc.status == OK:
                    answer = (exc.order_id, "Rejected", exc.code)
            except ValueError as exc:
                answer = ("bad argument", str(exc))
            answers.append(answer)
            sent.append(exchange.sent[before:])
    return Ran(answers, sent, books_of(exchange), orders_of(exchange))


def open_our_client(network: MemoryNetwork, clock: Clock, key: bytes, control: bool) -> OrderBookClient:
    """A client that may conclude from what the exchange keeps, and so resolves each refusal that may be a copy's."""
    rules = ServiceRules(order_ids_remembered=True, listings_current=True)
    return OrderBookClient(
        "http://exchange",
        connector=network,
        now_ns=clock,
        default_user=User(key),
        use_ws_control=control,
        rules=rules,
    )


def run_both(program: list[Step], control: bool) -> tuple[Ran, Ran]:
    made: list[Ran] = []
    for run in (theirs, ours):
        clock = Clock()
        exchange = Recording(clock)
        add_markets(exchange)
        if run is theirs:
            made.append(asyncio.run(run(program, exchange, clock, control)))
        else:
            made.append(trio.run(run, program, exchange, clock, control, clock=MockClock(autojump_threshold=0)))
        assert exchange.crashes == []
    return made[0], made[1]


def is_misspelt(step: Step) -> bool:
    """Whether the official client signs another condition than it was given: a replacement's, below a price."""
    conditions = [item.get("new_trigger") for item in step.arguments.get("items", [step.arguments])]
    return any(condition is not None and not condition[0] for condition in conditions)


def without_spaces(body: str) -> str:
    """Return a JSON text without the spaces that httpx wrote around its separators before 0.28, its keys in order."""
    return json.dumps(json.loads(body), separators=(",", ":")) if body else body


def spelt(step: Step, sent: Sent) -> Sent:
    """Return what was sent as far as the other client has to send it too.

    The conditions of a replacement that the official client misspells are left out, and so are its signatures.
    Spaces between JSON's tokens are left out too: they are not signed.
    """
    bodies = [without_spaces(body) for *_, body in sent]
    if is_misspelt(step):
        bodies = [re.sub(r'"signature":\[[0-9,]+\]', "", body) for body in bodies]
        bodies = [re.sub(r'"Price(Above|Below)"', '"Price"', body) for body in bodies]
    return [(method, target, body) for (method, target, _), body in zip(sent, bodies, strict=True)]


def told(answer: Any, control: bool) -> Any:
    """Return an answer without its status, if the channel sends none: the two clients make up different ones."""
    match answer:
        case ("refused", kind, code, message, _) if control:
            return ("refused", kind, code, message)
    return answer


def finds_canceled(step: Step, answer: Any, mine: Any, orders: list[list[OrderResponse]]) -> bool:
    """Return whether a cancel found its order canceled: the official client says that there is none, ours takes it."""
    if step.call != "cancel" or answer[0] != "refused" or answer[2] != "ORDER_NOT_FOUND":
        return False
    of_id = [order for order in orders[step.user] if order.order_id == mine[0]]
    return bool(mine[1:] == ("Received", None)) and any(order.status is OrderStatus.CANCELLED for order in of_id)


def compare(program: list[Step], their: Ran, our: Ran, control: bool) -> None:
    rows = zip(program, their.answers, our.answers, their.sent, our.sent, strict=True)
    for number, (step, answer, mine, sent, mine_sent) in enumerate(rows):
        where = f"step {number}: {step}"
        if step.call.startswith("bad"):
            # Refused by the service there; here before it is sent, and the argument is named.
            assert answer[0] == "refused" or answer[1] == "Rejected", where
            assert mine[0] == "bad argument", where
            assert mine_sent == [], where
            continue
        if not finds_canceled(step, answer, mine, our.orders):
            assert told(mine, control) == told(answer, control), where
        compared = [one for one in mine_sent if one[0] != "GET"]
        reads = [one for one in mine_sent if one[0] == "GET"]
        if step.call == "list":
            # Of a listing, our client reads pages until one is empty.
            assert [one for one in reads if one in sent][:1] == sent, where
            assert compared == [], where
        else:
            # Our client reads besides: its own feed's snapshot, and what became of an order.
            assert all(target.startswith("/orders/user/") for _, target, _ in reads), where
            if step.call == "cancel":  # which is sent again if the service has no such order
                assert all(again == compared[0] for again in compared[1:]), where
                compared = compared[:1]
            assert spelt(step, compared) == spelt(step, sent), where
        if is_misspelt(step) and "Received" in str(answer):
            return  # from now on the two exchanges differ
    assert our.orders == their.orders
    assert our.books == their.books


@pytest.mark.parametrize("control", [False, True], ids=["rest", "control"])
def test_both_clients_get_the_same(control: bool) -> None:
    @settings(max_examples=PROGRAMS // 2, database=None)
    @given(programs)
    def check(program: list[Step]) -> None:
        their, our = run_both(program, control)
        compare(program, their, our, control)

    check()


@pytest.mark.parametrize("control", [False, True], ids=["rest", "control"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_both_clients_get_the_same_in_a_sequence(name: str, control: bool) -> None:
    compare(SEQUENCES[name], *run_both(SEQUENCES[name], control), control)
