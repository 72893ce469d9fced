"""Reduce-only orders never open a position, and trade as much as the position allows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.engine import ASSET, BUY, SELL, Details, briefs, by_amount, limit, market
from tplus_trio.models import IOC, Side
from tplus_trio.testing.matching.engine import Engine, EngineOrder, Event, Fill


class Desk:
    """An engine and the positions that follow from its fills."""

    def __init__(self) -> None:
        self.positions: Counter[tuple[str, int]] = Counter()
        self.engine = Engine(ASSET, position=lambda order: self.positions[order.user_id, order.account])

    def submit(
        self, order_id: str, user: str, side: Side, details: Details, *, account: int = 0, reduce: bool = False
    ) -> list[Event]:
        return self.apply(self.engine.submit(EngineOrder(order_id, user, side, details, account, reduce), 0))

    def apply(self, events: list[Event]) -> list[Event]:
        """Change the positions by the fills, and check that no reduce-only order increased one."""
        for event in events:
            if isinstance(event, Fill):
                for state in (event.maker, event.taker):
                    order = state.order
                    before = self.positions[order.user_id, order.account]
                    change = event.quantity if order.side is BUY else -event.quantity
                    if order.reduce_only:
                        assert before * change < 0
                        assert abs(change) <= abs(before)
                    self.positions[order.user_id, order.account] += change
        self.check()
        return events

    def check(self) -> None:
        """What rests and is reduce-only is no larger than the position that it reduces."""
        for side in (BUY, SELL):
            for state in self.engine.orders(side):
                if state.order.reduce_only:
                    position = self.positions[state.order.user_id, state.order.account]
                    assert 0 < state.remaining <= (position if side is SELL else -position)


def long_position(quantity: int, user: str = "a") -> Desk:
    desk = Desk()
    desk.submit("open-1", "z", SELL, limit(10, quantity))
    desk.submit("open-2", user, BUY, limit(10, quantity))
    return desk


def test_an_order_that_would_increase_is_refused() -> None:
    desk = long_position(5)
    assert briefs(desk.submit("r", "a", BUY, limit(9, 1), reduce=True)) == [
        ("rejected", "r", "REDUCE_ONLY_WOULD_INCREASE")
    ]
    assert briefs(desk.submit("r", "b", SELL, limit(9, 1), reduce=True))[0][0] == "rejected"
    assert briefs(desk.submit("r", "a", SELL, limit(9, 1), account=1, reduce=True))[0][0] == "rejected"


def test_a_larger_order_is_cut_down_to_the_position() -> None:
    desk = long_position(5)
    assert briefs(desk.submit("r", "a", SELL, limit(12, 9), reduce=True)) == [
        ("accepted", "r"),
        ("amended", "r", 0, 5),
    ]
    assert desk.engine.levels(SELL) == [(12, 5)]


def test_a_resting_order_shrinks_with_the_position_and_goes_with_it() -> None:
    desk = long_position(5)
    desk.submit("r", "a", SELL, limit(12, 5), reduce=True)
    desk.submit("bid", "b", BUY, limit(10, 5))
    assert briefs(desk.submit("s", "a", SELL, limit(10, 2, IOC(False))))[-1] == ("amended", "r", 0, 3)
    assert briefs(desk.submit("t", "a", SELL, limit(10, 3, IOC(False))))[-1] == ("done", "r", "Canceled", 0, 0)
    assert desk.engine.levels(SELL) == []


def test_one_sweep_never_turns_the_position_round() -> None:
    desk = long_position(5)
    desk.submit("plain", "a", SELL, limit(11, 3))
    desk.submit("r", "a", SELL, limit(12, 5), reduce=True)
    desk.submit("far", "z", SELL, limit(13, 9))
    fills = [found for found in briefs(desk.submit("buy", "b", BUY, market(10))) if found[0] == "fill"]
    assert [(price, quantity) for _, price, quantity, _, _ in fills] == [(11, 3), (12, 2), (13, 5)]
    assert desk.positions["a", 0] == 0


def test_a_sweep_passes_over_an_order_that_can_no_longer_reduce() -> None:
    desk = long_position(5)
    desk.submit("plain", "a", SELL, limit(11, 5))
    desk.submit("r", "a", SELL, limit(12, 5), reduce=True)
    desk.submit("far", "z", SELL, limit(13, 9))
    told = briefs(desk.submit("buy", "b", BUY, market(8)))
    assert [found[1:3] for found in told if found[0] == "fill"] == [(11, 5), (13, 3)]
    assert told[-1] == ("done", "r", "Canceled", 0, 0)


def test_an_incoming_order_trades_at_most_the_position() -> None:
    desk = long_position(5)
    desk.submit("bid", "b", BUY, limit(10, 9))
    for order_id, terms in (("r", limit(10, 7, IOC(False))), ("m", market(7)), ("q", by_amount(70))):
        told = briefs(desk.submit(order_id, "a", SELL, terms, reduce=True))
        assert [found[2] for found in told if found[0] == "fill"] == [5]
        assert told[-1] == ("done", order_id, "Canceled", 5, 50)
        desk.submit(f"again-{order_id}", "z", SELL, limit(9, 4))
        desk.submit(f"more-{order_id}", "a", BUY, limit(9, 4))
        desk.positions["a", 0] = 5
        desk.submit(f"bid-{order_id}", "b", BUY, limit(10, 9))


def test_fill_or_kill_is_not_filled_by_less() -> None:
    desk = long_position(5)
    desk.submit("bid", "b", BUY, limit(10, 9))
    refused = briefs(desk.submit("r", "a", SELL, limit(10, 6, IOC(True)), reduce=True))
    assert refused == [("rejected", "r", "FOK_NOT_FILLABLE")]
    filled = briefs(desk.submit("r", "a", SELL, limit(10, 5, IOC(True)), reduce=True))
    assert filled[-1] == ("done", "r", "Completed", 5, 50)


def test_after_a_rollback_the_order_is_cut_down() -> None:
    desk = long_position(5)
    desk.submit("r", "a", SELL, limit(12, 5), reduce=True)
    desk.positions["a", 0] -= 2
    assert briefs(desk.engine.enforce_reduce_only()) == [("amended", "r", 0, 3)]
    assert desk.engine.enforce_reduce_only() == []
    desk.positions["a", 0] -= 3
    assert briefs(desk.engine.enforce_reduce_only()) == [("done", "r", "Canceled", 0, 0)]


in_force = st.sampled_from([None, IOC(False), IOC(True)])
details = st.one_of(
    st.builds(limit, st.integers(9, 12), st.integers(1, 6), in_force),
    st.builds(limit, st.integers(9, 12), st.integers(1, 6), in_force),
    st.builds(market, st.integers(1, 6)),
    st.builds(by_amount, st.integers(1, 60)),
)
sides, users, accounts = st.sampled_from([BUY, SELL]), st.sampled_from("abc"), st.sampled_from([0, 0, 0, 1])
submits = st.tuples(st.just("submit"), users, sides, details, accounts, st.booleans())
changes = st.tuples(st.sampled_from(["replace", "amend"]), st.integers(0, 9), st.integers(9, 12), st.integers(1, 9))
programs = st.lists(st.one_of(submits, submits, submits, changes), min_size=15, max_size=40)


@settings(max_examples=200)
@given(programs)
def test_no_program_opens_a_position_with_them(program: list[tuple[Any, ...]]) -> None:
    run(long_position(5), program)


def run(desk: Desk, program: list[tuple[Any, ...]]) -> None:
    for number, (what, *arguments) in enumerate(program):
        if what == "submit":
            user, side, terms, account, reduce = arguments
            if reduce and (position := desk.positions[user, account]):
                side = SELL if position > 0 else BUY
            desk.submit(f"o-{number}", user, side, terms, account=account, reduce=reduce)
        elif resting := [*desk.engine.orders(BUY), *desk.engine.orders(SELL)]:
            place, price, quantity = arguments
            order_id = resting[place % len(resting)].order_id
            if what == "replace":
                desk.apply(desk.engine.replace(order_id, price, quantity, 0))
            else:
                desk.apply(desk.engine.amend(order_id, quantity, 0))


@settings(max_examples=200)
@given(programs, sides, st.integers(9, 12), st.integers(1, 9), st.integers(1, 15))
def test_it_trades_what_a_plain_order_of_the_position_would(
    program: list[tuple[Any, ...]], side: Side, price: int, held: int, quantity: int
) -> None:
    """The position is in a sub-account that the program does not use, and the book has enough for all of it.

    The rest is immediate-or-cancel, so that what trades is all that differs.
    """
    other = BUY if side is SELL else SELL
    desks = Desk(), Desk()
    for desk in desks:
        desk.submit("open-1", "z", side, limit(10, held))
        desk.submit("open-2", "a", other, limit(10, held), account=2)
        run(desk, program)
        desk.submit("depth", "y", other, limit(price, 500))
    reducing, plain = desks
    least = min(quantity, held)
    has_orders = any(state.order.user_id == "a" for state in plain.engine.orders(other))
    got = reducing.submit("last", "a", side, limit(price, quantity, IOC(False)), account=2, reduce=True)
    wanted = plain.submit("last", "a", side, limit(price, least, IOC(False)), account=2)
    traded = sum(event.quantity for event in got if isinstance(event, Fill))
    assert [f for f in briefs(got) if f[0] == "fill"] == [f for f in briefs(wanted) if f[0] == "fill"]
    if not has_orders:  # otherwise the order may end at an order of its own user
        assert traded == least
    left = held - traded
    assert reducing.positions["a", 2] == (left if side is SELL else -left)
