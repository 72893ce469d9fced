"""A program that is killed anywhere in the writing of its journal owns its orders when it is started again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.journaled_runs import Kill, Machine, content_of, orders_in, put_back, resting_ids
from tests.helpers.order_calls_in_doubt import ALL_RULES
from tests.helpers.world import ASSET
from tplus_trio import JournalInUse, JournalNotWritten, OrderScope, OrdersLeftResting, OrderState, TplusError, User
from tplus_trio.orders.journal import file as journal_file

#: The ids of the orders that the program places without a key.
NAMED: Final = frozenset({"a", "b", "market"})


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


async def trade(orders: OrderScope) -> None:
    """Make every kind of change of which a journal has a line."""
    first = await orders.create_limit_order(5, 900, "Buy", order_id="a")
    await orders.keep("bid", "Buy", 1000, 5)
    await orders.replace_order(first, 4, 910)
    await orders.keep("bid", "Buy", 1010, 4)
    await orders.amend_order(first, 3)
    await orders.create_market_order("Buy", 1, order_id="market")
    await orders.cancel_order(first)
    await orders.keep("bid", "Sell", 1990, 3)
    await orders.create_limit_order(2, 800, "Buy", order_id="b")


async def go_on(machine: Machine, orders: OrderScope) -> None:
    """Check that the scope owns what rests, and keep the order of the key."""
    assert resting_ids(machine) <= {order.order_id for order in orders.open}
    # The scope has looked for them before.
    assert all(order.state is not OrderState.SENT for order in orders.open if order.order_id in resting_ids(machine))
    await trio.sleep(1)
    assert resting_ids(machine) <= {order.order_id for order in orders.open}
    assert not any(order.is_in_doubt for order in orders.open if order.order_id in resting_ids(machine))
    with trio.move_on_after(5):  # `keep` waits while it is not known whether the last order of the key exists
        kept = await orders.keep("bid", "Buy", 1000, 5)
        assert kept is not None
        assert kept.order_id in resting_ids(machine)
    assert len(resting_ids(machine) - NAMED) <= 1


async def check_restart(machine: Machine) -> None:
    """Start the program again: nothing rests unclaimed, nothing is sent twice, and all is taken back at the end."""
    await machine.run(lambda orders: go_on(machine, orders))
    assert resting_ids(machine) == set()
    sent = machine.times_sent()
    assert max(sent.values(), default=0) <= 1
    # An order that never reached the exchange cannot be proved absent without a rule that says so.
    assert not set(machine.named) & set(sent)


@pytest.mark.parametrize("kill", get_args(Kill))
async def test_a_program_that_is_killed_at_any_line_owns_its_orders_again(
    way: str, kill: Kill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    for line in count():
        machine = Machine(tmp_path / str(line), way=way)
        was_killed = await machine.run_until_killed(trade, line, kill, monkeypatch)
        await check_restart(machine)
        if not was_killed:
            break
    assert line >= 11


def random_program(random: Random, run: int) -> Callable[[OrderScope], Awaitable[None]]:
    """A program of one to twelve random calls; those that make no sense for the orders that there are, are left out."""
    steps = [(random.randrange(6), random.randint(1, 4), random.randint(0, 9)) for _ in range(random.randint(1, 12))]

    async def program(orders: OrderScope) -> None:
        for number, (step, quantity, more) in enumerate(steps):
            plain = [order for order in orders.open if order.key is None and not order.is_in_doubt]
            with suppress(TplusError), trio.move_on_after(2):
                match step:
                    case 0:
                        order_id = f"run-{run}-{number}"
                        await orders.create_limit_order(quantity, 900 + more, "Buy", order_id=order_id)
                    case 1 | 2:
                        key, side, price = ("bid", "Buy", 1000) if step == 1 else ("ask", "Sell", 1900)
                        await orders.keep(key, side, price + more, quantity)
                    case 3 if plain:
                        await orders.replace_order(plain[0], quantity, 800 + more)
                    case 4 if plain:
                        await orders.cancel_order(plain[-1])
                    case _:
                        await trio.sleep(more / 10)

    return program


@pytest.mark.parametrize("seed", range(30))
async def test_random_programs_that_are_killed_twice_leave_nothing_unclaimed(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    random = Random(seed)
    rules = random.choice([None, ALL_RULES])
    machine = Machine(tmp_path / "journal", way=random.choice(["rest", "control"]), rules=rules)
    for run in range(2):
        line, kill = random.randrange(12), random.choice(get_args(Kill))
        await machine.run_until_killed(random_program(random, run), line, kill, monkeypatch)
        assert resting_ids(machine) <= set(orders_in(machine.journal))
        resting = machine.exchange.orders(machine.user)
        for low, high in ((1000, 1010), (1900, 1910)):
            assert sum(order.is_open and low <= (order.limit_price or 0) < high for order in resting) <= 1
    await machine.run(random_program(random, 2))
    sent = machine.times_sent()
    assert resting_ids(machine) == set()
    assert not set(machine.named) & set(sent)
    assert rules is None or machine.named == ()
    if rules is None:  # with the rules, an order that cannot trade may use up the id of one in doubt
        assert max(sent.values(), default=0) <= 1


async def test_the_rules_of_the_service_prove_that_an_order_was_not_sent(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    for line in (0, 1):
        machine = Machine(tmp_path / str(line), way=way, rules=ALL_RULES)
        assert await machine.run_until_killed(trade, line, "all", monkeypatch)
        await check_restart(machine)
        assert machine.named == ()
        assert orders_in(machine.journal) == []


async def test_what_was_not_seen_stays_in_doubt_and_in_the_journal(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    machine = Machine(tmp_path / "journal", way=way)
    await machine.run_until_killed(trade, 0, "all", monkeypatch)

    async def check(orders: OrderScope) -> None:
        (order,) = orders.open
        assert (order.order_id, order.is_in_doubt) == ("a", True)

    for _ in range(2):
        await machine.run(check)
        assert machine.named == ("a",)
        assert orders_in(machine.journal) == ["a"]
    assert machine.times_sent() == {}


async def test_the_body_begins_although_the_service_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    machine = Machine(tmp_path / "journal")
    await machine.run_until_killed(trade, 1, "nothing", monkeypatch)
    assert resting_ids(machine) == {"a"}
    async with machine.client() as (network, client):
        network.partition(60)
        began_at = trio.current_time()
        scope = client.order_scope(ASSET, journal=machine.journal)
        with suppress(OrdersLeftResting):
            async with scope as orders:
                assert trio.current_time() - began_at <= 5
                (order,) = orders.open
                assert order.is_in_doubt
        assert [left.order_id for left in scope.left_resting] == ["a"]
        assert orders_in(machine.journal) == ["a"]
        # The same client goes on to cancel it, and a scope that is opened meanwhile has it again.
        async with client.order_scope(ASSET, journal=machine.journal) as orders:
            await trio.sleep(70)
        assert resting_ids(machine) == set()
    assert orders_in(machine.journal) == []


async def test_an_order_with_a_lease_is_renewed_after_a_restart(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def quote(orders: OrderScope) -> None:
        await orders.keep("bid", "Buy", 1000, 5)
        await trio.sleep(5)
        await orders.create_limit_order(1, 700, "Buy", order_id="b")

    async def wait(orders: OrderScope) -> None:
        quoted = 0
        for _ in range(20):
            await trio.sleep(1)
            (kept,) = (order for order in orders.open if order.key == "bid")
            assert kept.filled_quantity == 0
            quotes = [one for one in machine.exchange.orders(machine.user) if one.is_open and one.limit_price == 1000]
            quoted += kept.order_id in [quote.order_id for quote in quotes]
            assert len(quotes) <= 1
        assert quoted >= 15  # while it is renewed, it does not rest

    for line in count():
        machine = Machine(tmp_path / str(line), way=way, lease=4.0, rules=ALL_RULES)
        if not await machine.run_until_killed(quote, line, "carried out", monkeypatch):
            break
        await machine.run(wait)
        assert (resting_ids(machine), machine.named) == (set(), ())
    assert line >= 4


async def test_a_journal_is_of_one_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "journal")
    async with machine.client() as (_, client):
        async with client.order_scope(ASSET, journal=machine.journal) as orders:
            await orders.create_limit_order(5, 900, "Buy", order_id="a")
            with pytest.raises(JournalInUse):
                async with client.order_scope(ASSET, journal=str(machine.journal)):
                    pass
            left = content_of(machine.journal)
        put_back(machine.journal, left)
        with pytest.raises(ValueError, match=f"has orders of the user {machine.user.public_key}.*give each user"):
            async with client.order_scope(ASSET, journal=machine.journal, user=User()):
                pass
        assert content_of(machine.journal) == left
        async with client.order_scope(ASSET, journal=machine.journal):
            pass
        assert orders_in(machine.journal) == []


async def test_nothing_is_sent_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    def refuse(_: int, __: bytes) -> None:
        raise OSError(28, "No space left on device")

    machine = Machine(tmp_path / "journal")
    async with machine.client() as (_, client), client.order_scope(ASSET, journal=machine.journal) as orders:
        first = await orders.create_limit_order(5, 900, "Buy", order_id="a")
        with monkeypatch.context() as patch:
            patch.setattr(journal_file, "_write_all", refuse)
            calls: list[Callable[[], Awaitable[object]]] = [
                partial(orders.create_limit_order, 5, 900, "Buy", order_id="b"),
                partial(orders.keep, "bid", "Buy", 1000, 5),
                partial(orders.replace_order, first, 5, 910),
                partial(orders.amend_order, first, 4),
            ]
            answers = len(machine.exchange.answers)
            for call in calls:
                with pytest.raises(JournalNotWritten):
                    await call()
            assert [order.order_id for order in orders.open] == ["a"]
            assert len(machine.exchange.answers) == answers
        await orders.keep("bid", "Buy", 1000, 5)
        assert len(orders.open) == 2


@pytest.mark.parametrize("journal", [3, b"a", True, ""])
async def test_a_journal_that_is_none_is_refused(tmp_path: Path, journal: Any) -> None:
    async with Machine(tmp_path / "journal").client() as (_, client):
        with pytest.raises((TypeError, ValueError), match=r"^(journal|path) is "):
            client.order_scope(ASSET, journal=journal)
