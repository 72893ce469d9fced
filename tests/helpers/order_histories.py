"""True histories of one order: what happened, and every message that a service sends about it."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Final

import attrs

from tests.helpers import order_messages as say
from tplus_trio.models import Order, UserTrade
from tplus_trio.orders.order_facts import Fact, RequestFact
from tplus_trio.orders.order_state import OrderState
from tplus_trio.orders.tracked_order import TrackedOrder

ENDS: Final = {
    "Canceled": (OrderState.CANCELED, "Cancelled"),
    "Expired": (OrderState.EXPIRED, "Closed"),
    "Rejected": (OrderState.REJECTED, "Closed"),
    "SelfTradePrevented": (OrderState.ENDED, "Closed"),
}


@attrs.frozen
class History:
    """Messages in the order in which the service sent them, and how the order is after them."""

    sent: Order
    messages: tuple[Fact, ...]
    truth: dict[str, object]


@attrs.define
class _Life:
    """An order while a history is made."""

    sent: Order
    random: Random
    price: int
    quantity: int
    waits: bool
    time_ns: int = 100
    revision: int | None = None
    updated_ns: int = 100
    state: OrderState | None = None
    listed_as: str = "Open"
    trades: dict[int, UserTrade] = attrs.field(factory=dict[int, UserTrade])
    messages: list[Fact] = attrs.field(factory=list[Fact])

    @property
    def matched(self) -> int:
        return _units(list(self.trades.values()), "Pending", "Confirmed", "Rollbacked")

    def say(self, *messages: Fact) -> None:
        self.messages += messages

    def step(self, what: str) -> None:
        """Let something happen, if it can."""
        self.time_ns += self.random.randint(1, 9)
        left = self.quantity - self.matched
        if what == "list":
            self.list()
        elif what in ("confirm", "roll back"):
            self.settle(what)
        elif self.state is not None:
            return
        elif what == "replace":
            self.replace()
        elif what == "amend" and left > 1 and not self.waits:
            self.amend(self.matched + self.random.randint(1, left - 1))
        elif what == "trigger" and self.waits:
            self.waits = False
            self.say(say.triggered(self.time_ns))
        elif what == "fill" and not self.waits:
            self.fill(self.random.randint(1, left))
        elif what == "end":
            self.end(self.random.choice(sorted(ENDS)))

    def replace(self) -> None:
        self.price = self.random.randint(900, 1100)
        self.quantity = self.matched + self.random.randint(1, 12)
        self.revision, self.updated_ns = self.time_ns - 1, self.time_ns
        if self.random.random() < 0.3:
            request = say.replacement(self.price, self.quantity, self.revision)
            if not self.waits:
                self.say(RequestFact(request, self.random.choice(["sent", "accepted"])))
        self.say(say.replaced(self.price, self.quantity, self.revision, self.time_ns))

    def amend(self, quantity: int) -> None:
        self.quantity, self.updated_ns = quantity, self.time_ns
        self.revision = max(self.revision or 0, self.time_ns - self.random.choice([1, 40]))
        self.say(say.amended(quantity, quantity - self.matched, self.revision, self.time_ns))

    def fill(self, quantity: int) -> None:
        trade = say.trade(len(self.trades) + 1, quantity, at_ns=self.time_ns)
        self.trades[trade.trade_id], self.updated_ns = trade, self.time_ns
        self.say(trade)
        if self.matched == self.quantity:
            self.end("Completed")

    def settle(self, what: str) -> None:
        pending = [trade for trade in self.trades.values() if trade.status == "Pending"]
        if pending:
            changed = say.with_status(self.random.choice(pending), "Confirmed" if what == "confirm" else "Rollbacked")
            self.trades[changed.trade_id] = changed
            self.say(changed)

    def end(self, reason: str) -> None:
        self.state, self.listed_as = ENDS.get(reason, (OrderState.FILLED, "Completed"))
        self.updated_ns = self.time_ns
        if reason == "Canceled":
            self.say(say.canceled(self.time_ns))
        self.say(say.removed(reason, self.matched, self.time_ns, self.units("Confirmed")))

    def units(self, *statuses: str) -> int:
        return _units(list(self.trades.values()), *statuses)

    def list(self) -> None:
        status = self.listed_as
        if status == "Open":
            status = "Pending" if self.waits else "Partial" if self.units("Pending", "Confirmed") else "Open"
        self.say(
            say.row(
                self.sent,
                status,
                updated_ns=self.updated_ns,
                price=self.price,
                quantity=self.quantity,
                pending=self.units("Pending"),
                confirmed=self.units("Confirmed"),
                trigger_above_price=1200 if self.waits else None,
                trigger_touched=None if self.sent.trigger is None else not self.waits,
            )
        )

    def truth(self) -> dict[str, object]:
        filled = say.base(self.units("Pending", "Confirmed"))
        left = say.base(self.quantity - self.matched)
        return {
            "state": self.state or (OrderState.WAITING if self.waits else OrderState.OPEN),
            "ambiguities": (),
            "was_seen": True,
            "price": say.quote(self.price),
            "quantity": say.base(self.quantity),
            "filled_quantity": filled,
            "remaining_quantity": Decimal(0) if self.state else left,
            "confirmed_quantity": say.base(self.units("Confirmed")),
            "trades": tuple(self.trades.values()),
            "trades_complete": True,
        }


STEPS: Final = ("list", "list", "replace", "amend", "fill", "fill", "confirm", "roll back", "trigger", "end")


def _units(trades: list[UserTrade], *statuses: str) -> int:
    total = sum((trade.quantity for trade in trades if trade.status in statuses), Decimal(0))
    return int(total.scaleb(say.QUANTITY_DECIMALS))


def make_history(random: Random, length: int) -> History:
    """Make a history of at least ``length`` messages, all of which name a revision or a time."""
    sent = order = say.order(trigger=random.random() < 0.2)
    life = _Life(sent, random, 1000, 10, waits=order.trigger is not None)
    if random.random() < 0.3:
        life.say(RequestFact(order, random.choice(["sent", "accepted"])))
    life.say(say.created(order, life.time_ns))
    for _ in range(200):
        if len(life.messages) >= length:
            break
        life.step(random.choice(STEPS))
    return History(sent, tuple(life.messages), life.truth())


def follow(sent: Order, messages: tuple[Fact, ...] | list[Fact]) -> TrackedOrder:
    """Follow an order through messages. A state that is done must stay done; a denial alone may prove false."""
    tracked = TrackedOrder(sent.signer, sent)
    was_done = False
    for message in messages:
        tracked.add(message)
        assert not was_done or tracked.is_done, f"{message} opens an order that had ended"
        was_done = tracked.is_done and tracked.was_seen
    return tracked


def check(history: History, messages: tuple[Fact, ...] | list[Fact]) -> None:
    """Check that messages, in whatever order, end in what is true."""
    view = follow(history.sent, messages).view
    found = {name: getattr(view, name) for name in history.truth}
    assert found == history.truth
