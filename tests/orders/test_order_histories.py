"""A tracked order is a function of the set of messages: every order and repetition of them ends in what is true.

``ORDER_HISTORIES=1000000 pytest tests/orders/test_order_histories.py`` tries a million longer histories.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import attrs
import pytest

from tests.helpers import order_messages as say
from tests.helpers.order_histories import History, check, follow, make_history
from tplus_trio.models import Gap, OrderRemovedEvent, OrderResponse, UserTrade
from tplus_trio.orders import order_facts, order_revisions, order_view
from tplus_trio.orders.order_facts import Fact, OrderFacts
from tplus_trio.orders.order_rows import ListedOrder
from tplus_trio.orders.tracked_order import TrackedOrder

pytestmark = pytest.mark.long

RANDOM_HISTORIES = int(os.environ.get("ORDER_HISTORIES", "2000"))
#: Histories of which something is lost, or of several orders.
PARTIAL_HISTORIES = min(RANDOM_HISTORIES, 20_000)


def small_histories(count: int, longest: int) -> Iterator[History]:
    """Histories of exactly the lengths up to the longest one."""
    random = Random(5)
    for number in range(count):
        length = 2 + number % (longest - 1)
        history = make_history(random, length)
        if len(history.messages) <= longest:
            yield history


def orders_of(messages: tuple[Fact, ...]) -> Iterator[tuple[Fact, ...]]:
    """Every order of some messages, and every order with one of them twice."""
    yield from itertools.permutations(messages)
    for repeated in messages:
        yield from itertools.permutations((*messages, repeated))


def test_every_order_and_one_repetition_of_up_to_four_messages() -> None:
    for history in small_histories(40, 4):
        for messages in orders_of(history.messages):
            check(history, messages)


def test_every_order_of_five_messages() -> None:
    histories = [history for history in small_histories(200, 5) if len(history.messages) == 5]
    assert len(histories) > 30
    for number, history in enumerate(histories[:30]):
        orders = orders_of(history.messages) if number < 3 else itertools.permutations(history.messages)
        for messages in orders:
            check(history, messages)


def check_shuffled(random: Random, history: History, times: int = 3) -> None:
    """Check a history as it was sent, and in random orders with random repetitions."""
    check(history, history.messages)
    for _ in range(times):
        messages = [*history.messages, *random.choices(history.messages, k=random.randint(0, len(history.messages)))]
        random.shuffle(messages)
        check(history, messages)


def test_sampled_orders_and_repetitions_of_six_to_eight_messages() -> None:
    random = Random(8)
    histories = [make_history(random, random.randint(6, 8)) for _ in range(60)]
    for history in histories:
        check_shuffled(random, history, times=20)


def check_longer(seeds: range) -> None:
    for seed in seeds:
        random = Random(seed)
        history = make_history(random, random.randint(5, 25))
        check_shuffled(random, history, times=1)


#: Seeds that have found a bug.
FAILED_SEEDS = (520139,)


def test_random_longer_histories() -> None:
    check_longer(range(RANDOM_HISTORIES))
    for seed in FAILED_SEEDS:
        check_longer(range(seed, seed + 1))


def lost_messages(random: Random, history: History) -> list[Fact]:
    """A part of a history, sometimes with a gap: what was lost may leave the order ambiguous."""
    kept: list[Fact] = [message for message in history.messages if random.random() < 0.7]
    if random.random() < 0.5:
        kept.append(Gap(random.randint(90, 150), random.randint(150, 300), "lost"))
    return kept


def test_incomplete_histories_do_not_depend_on_the_order_either() -> None:
    for seed in range(PARTIAL_HISTORIES):
        random = Random(seed)
        history = make_history(random, random.randint(3, 20))
        kept = lost_messages(random, history)
        expected = follow(history.sent, kept).view
        for _ in range(3):
            messages = [*kept, *random.choices(kept, k=len(kept))] if kept else kept
            random.shuffle(messages)
            assert follow(history.sent, messages).view == expected


def test_histories_with_another_order_under_the_id_do_not_depend_on_the_order_either() -> None:
    for seed in range(PARTIAL_HISTORIES):
        random = Random(seed)
        history = make_history(random, random.randint(3, 12))
        other = say.burn() if random.random() < 0.5 else say.order(990, 3, made_ns=61)
        at_ns = random.choice([20, 100, 130, 400])
        foreign: list[Fact] = [
            say.created(other, at_ns),
            say.removed("Canceled", 0, at_ns),
            say.row(other, "Cancelled", updated_ns=at_ns, began_ns=at_ns),
            order_facts.RequestFact(other, "sent"),
        ]
        messages = [*lost_messages(random, history), *random.sample(foreign, random.randint(1, 4))]
        expected = seen(history, messages)
        for _ in range(3):
            random.shuffle(messages)
            assert seen(history, [*messages, *messages[:3]]) == expected


def seen(history: History, messages: list[Fact]) -> order_view.OrderView:
    tracked = TrackedOrder(history.sent.signer, history.sent)
    for message in messages:
        tracked.add(message)
    return tracked.view


def test_messages_of_one_moment_are_either_decided_or_ambiguous() -> None:
    """With a clock that stands still, what is stated without a doubt is true, in whatever order it came."""
    decided = 0
    for seed in range(PARTIAL_HISTORIES):
        random = Random(seed)
        history = at_one_moment(make_history(random, random.randint(3, 10)))
        messages = list(history.messages)
        for _ in range(2):
            view = seen(history, messages)
            if not view.ambiguities:
                decided += 1
                assert {name: getattr(view, name) for name in history.truth} == history.truth
            random.shuffle(messages)
    assert decided > PARTIAL_HISTORIES


def at_one_moment(history: History) -> History:
    """The same history, all of whose events and rows have one time; trades keep theirs."""
    moved: list[Any] = list(history.messages)
    for place, message in enumerate(moved):
        name = "last_update_timestamp_ns" if isinstance(message, OrderResponse) else "timestamp_ns"
        is_moved = isinstance(message, OrderResponse) or hasattr(message, "user_id")
        if is_moved:
            moved[place] = attrs.evolve(message, **{name: 100})
    return attrs.evolve(history, messages=tuple(moved))


# Planted bugs: each of these rules, done wrongly, is seen by the histories above.


def last_write_wins(patch: pytest.MonkeyPatch) -> None:
    """The listing that came last is taken for the newest one."""

    def joined(_: ListedOrder, other: ListedOrder) -> ListedOrder:
        return other

    patch.setattr(ListedOrder, "joined", joined)


def last_terms_win(patch: pytest.MonkeyPatch) -> None:
    """The replacement that came last has the current terms: its revision is ignored."""

    def add(facts: OrderFacts, event: Any) -> bool:
        facts.replaced[1, 0] = order_facts.Revision(event)
        return True

    patch.setitem(order_facts._ADD, type(say.replaced(1, 1)), add)


def revisions_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Terms are ordered by price."""

    def key(event: Any) -> tuple[int, int]:
        return getattr(event, "new_price", 0), 0

    patch.setattr(order_facts, "_revision_key", key)


def rows_reopen(patch: pytest.MonkeyPatch) -> None:
    """An open row is believed although the order was removed."""
    real = order_view._end

    def end(owners: Any, removed: list[OrderRemovedEvent], why: list[str]) -> Any:
        listed = owners.listed
        return None if listed is not None and listed.newest.is_open else real(owners, removed, why)

    patch.setattr(order_view, "_end", end)


def trades_count_twice(patch: pytest.MonkeyPatch) -> None:
    """A trade that is reported again counts again."""

    def add(facts: OrderFacts, trade: UserTrade) -> bool:
        facts.trades[len(facts.trades)] = trade
        return True

    patch.setitem(order_facts._ADD, UserTrade, add)


def rollbacks_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A trade that was confirmed or pending stays so."""
    patch.setattr(order_facts, "_STATUS_RANKS", {"Confirmed": 1, "Rollbacked": -1})


def trades_go_back(patch: pytest.MonkeyPatch) -> None:
    """The status that came last is believed."""

    def add(facts: OrderFacts, trade: UserTrade) -> bool:
        facts.trades[trade.trade_id] = trade
        return True

    patch.setitem(order_facts._ADD, UserTrade, add)


def old_rows_change_terms(patch: pytest.MonkeyPatch) -> None:
    """A row has the current terms, however old it is."""
    real = order_revisions._follow_listing

    def follow_listing(facts: OrderFacts, listed: ListedOrder, terms: Any, why: list[str]) -> None:
        terms.time_ns = -1
        real(facts, listed, terms, why)

    patch.setattr(order_revisions, "_follow_listing", follow_listing)


BUGS: list[Callable[[pytest.MonkeyPatch], None]] = [
    last_write_wins,
    last_terms_win,
    revisions_are_ignored,
    rows_reopen,
    trades_count_twice,
    rollbacks_are_forgotten,
    trades_go_back,
    old_rows_change_terms,
]


def check_all(count: int) -> None:
    for seed in range(count):
        random = Random(seed)
        check_shuffled(random, make_history(random, random.randint(5, 25)))
    for seed in range(count):
        random = Random(seed)
        history = make_history(random, 12)
        kept = lost_messages(random, history)
        assert follow(history.sent, kept).view == follow(history.sent, kept[::-1]).view


@pytest.mark.parametrize("plant", BUGS)
def test_a_planted_bug_is_seen(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_all(300)
