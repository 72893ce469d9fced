"""The steps for the order of a key against a service that is slow, refuses, loses requests and trades at any moment."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Final

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import Side
from tplus_trio.orders.scopes.keeping import (
    Cancel,
    Create,
    Known,
    Leave,
    Quote,
    Replace,
    Wait,
    next_step,
    total_of,
)

D = Decimal
NOTHING: Final = D(0)
#: Steps of one call; more are a call that does not end.
MOST: Final = 60
QUOTES: Final = [
    Quote(side, D(price), D(quantity), post_only=True, reduce_only=False, target=None)
    for side in (Side.BUY, Side.SELL)
    for price in (100, 101)
    for quantity in (0, 3, 5)
]
#: Draws whether something happens.
Draw = Callable[[str], bool]


@attrs.define
class Resting:
    """An order as the service has it, and as the client sees it."""

    created: Quote
    price: Decimal
    total: Decimal
    filled: Decimal = NOTHING
    is_open: bool = True
    seen_filled: Decimal = NOTHING
    is_seen_gone: bool = False
    is_final_seen: bool = False
    #: A change whose answer was lost: whether the service carried it out shows later.
    is_in_doubt: bool = False
    is_doubt_lasting: bool = False
    #: The price and the total of a replacement that was sent and has not arrived.
    late: tuple[Decimal, Decimal] | None = None
    is_taken_back: bool = False
    is_missing: bool = False
    quote: Quote | None = None
    told: Decimal = NOTHING

    def most(self) -> Decimal:
        """What it may trade in all, also if a change takes effect late."""
        return self.total if self.late is None else max(self.total, self.late[1])

    def trade(self, quantity: Decimal) -> None:
        if self.is_open:
            self.filled += min(quantity, self.total - self.filled)
            self.is_open = self.filled < self.total

    def known(self) -> Known:
        return Known(
            quote=self.quote,
            created=self.created,
            total=self.told,
            filled=self.seen_filled,
            is_gone=self.is_seen_gone,
            are_fills_known=self.is_final_seen,
            is_in_doubt=self.is_in_doubt,
            is_ambiguous=False,
            is_missing=self.is_missing,
            is_taken_back=self.is_taken_back,
            is_doubt_lasting=self.is_in_doubt and self.is_doubt_lasting,
        )


@attrs.define
class Service:
    """The orders of one key."""

    draw: Draw
    orders: list[Resting] = attrs.Factory(list[Resting])

    @property
    def newest(self) -> Resting | None:
        return self.orders[-1] if self.orders else None

    def exposed(self) -> Decimal:
        """What has traded, and what may still."""
        return sum((one.most() if one.is_open else one.filled for one in self.orders), NOTHING)

    def pass_time(self, *, quiet: bool) -> None:
        """Let orders trade, and the client see more of them; quiet: it sees all, and nothing trades."""
        for one in self.orders:
            if not quiet and self.draw("trade"):
                one.trade(D(1))
            if one.is_taken_back and (quiet or self.draw("cancel lands")):
                one.is_open = False
            if one.is_in_doubt:
                self._meet_doubt(one, quiet=quiet)
            if quiet or self.draw("fills are seen"):
                one.seen_filled = one.filled
            if not one.is_open and (quiet or self.draw("end is seen")):
                one.is_seen_gone = True
            if one.is_seen_gone and (quiet or self.draw("final quantity is seen")):
                one.seen_filled, one.is_final_seen = one.filled, True

    def _meet_doubt(self, one: Resting, *, quiet: bool) -> None:
        """End the doubt, or let the replacement take effect late. While the order is open, the doubt may stay."""
        if one.late is not None and one.is_open and self.draw("change is late"):
            one.price, one.total = one.late[0], max(one.late[1], one.filled)
            one.is_open, one.late = one.filled < one.total, None
        if not one.is_open or (one.late is None and self.draw("doubt ends")):
            one.is_in_doubt, one.late = False, None
        one.is_doubt_lasting = one.is_in_doubt and (quiet or self.draw("doubt lasts"))

    def create(self, wanted: Quote, quantity: Decimal) -> None:
        assert quantity > 0
        order = Resting(wanted, wanted.price, quantity, told=quantity)
        self.orders.append(order)
        if self.draw("create refused"):
            order.is_open, order.is_seen_gone, order.is_final_seen = False, True, True
        elif self.draw("create in doubt"):
            order.is_open = order.is_in_doubt = True
            if self.draw("create lost"):
                order.is_open = False
        else:
            order.quote = wanted

    def replace(self, order: Resting, wanted: Quote, total: Decimal) -> None:
        assert not order.is_in_doubt
        assert not order.is_taken_back
        if not order.is_open:
            order.quote, order.is_missing = None, True
            return
        if self.draw("replace refused"):
            return
        is_lost, is_in_doubt = self.draw("replace lost"), self.draw("replace in doubt")
        order.quote = None
        if not is_lost:
            order.price, order.total = wanted.price, max(total, order.filled)
            order.is_open = order.filled < order.total
        if is_in_doubt:
            order.is_in_doubt = True
            order.late = (wanted.price, total) if is_lost else None
        elif not is_lost:
            order.quote, order.told = wanted, total


def keep(service: Service, wanted: Quote, *, refill: bool, until: int, quiet: bool) -> bool:
    """Do what `Keeper.keep` does, and return whether it ended before it was given up."""
    before = service.newest
    known = None if before is None else before.known()
    total = total_of(known, wanted, refill=refill)
    if not wanted.quantity and before is not None:
        before.quote = None
    # What traded in earlier orders or is not yet seen of this one is not the call's; what it asks for is on top.
    known_before = D(0) if known is None else known.filled
    others = sum((one.filled for one in service.orders[:-1]), D(0))
    allowed = others + known_before + wanted.quantity
    if known is not None:
        allowed = max(allowed, others + total)
    most = max(allowed, service.exposed())
    for _ in range(until):
        order = service.newest
        step = next_step(None if order is None else order.known(), wanted, total)
        match step:
            case Leave():
                return True
            case Create(quantity):
                service.create(wanted, quantity)
                total = quantity
            case Replace() if order is not None:
                service.replace(order, wanted, step.total)
            case Cancel() if order is not None:
                order.is_taken_back = True
            case Wait():
                pass
            case _:
                raise AssertionError(step)
        service.pass_time(quiet=quiet)
        assert sum(one.is_open for one in service.orders) <= 1, "two orders of the key rest"
        assert service.exposed() <= most, "more rests than was asked"
    return False


@given(
    st.randoms(use_true_random=False),
    st.lists(st.tuples(st.sampled_from(QUOTES), st.booleans(), st.integers(1, 12)), min_size=1, max_size=6),
)
@settings(max_examples=500)
def test_one_order_rests_at_most_and_no_more_than_was_asked(
    random: Random, calls: list[tuple[Quote, bool, int]]
) -> None:
    chances = {"trade": 0.2, "create refused": 0.1, "replace refused": 0.2, "replace lost": 0.2, "create lost": 0.5}
    service = Service(lambda what: random.random() < chances.get(what, 0.3))
    for wanted, refill, until in calls:
        keep(service, wanted, refill=refill, until=until, quiet=False)
    # Everything arrives now, and the service does all that it is asked.
    service.draw = lambda _: False
    service.pass_time(quiet=True)
    wanted = calls[-1][0]
    assert keep(service, wanted, refill=True, until=MOST, quiet=True)
    open_orders = [one for one in service.orders if one.is_open]
    if not wanted.quantity:
        assert open_orders == []
    else:
        (order,) = open_orders
        assert (order.created.side, order.price) == (wanted.side, wanted.price)
        assert order.total - order.filled == wanted.quantity
