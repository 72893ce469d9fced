"""Compares what scopes placed, kept and left with the exchange's own record."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import trio

from tests.simulation.fates.judge import Finding
from tplus_trio import IOC, OrdersLeftResting
from tplus_trio.models import LimitOrderDetails
from tplus_trio.testing import Effect, RecordedOrder
from tplus_trio.testing.exchange.effects import apply_effect

from .notes import KeepCall, Placed, ScopeNote

if TYPE_CHECKING:
    from .world import ScopeWorld

__all__ = ["SETTLED", "ScopeJudge"]

#: What is wrong: an order rests, and nobody named it; one rests although it could be taken back; two orders of a key
#: rest; more may trade than was asked; a call of ``keep`` created an order again that the book did not keep; an order
#: was changed while in doubt; an order of another program was touched; a scope was left too late, or with another
#: exception than that of its body; an order outlasted its lease; one that was said to be over rests; a second run owns
#: too little or too much.
Wrong: TypeAlias = Literal[
    "unnamed", "resting", "two", "more", "again", "doubt", "foreign", "late", "raised", "lease", "false", "unclaimed"
]
#: The moment at which the service has been reachable for some seconds.
SETTLED: Final = "some seconds after the last fault"
#: Seconds by which leaving may exceed its deadline.
_ROUNDING: Final = 0.01


class ScopeJudge:
    """Judges a world that has ended.

    Args:
        world: The world.
    """

    def __init__(self, world: ScopeWorld) -> None:
        self._world = world
        self._placed = world.notes.placed
        self._copies = _copies(world)
        #: The orders that a late copy of a request made: no client can tell that it will come.
        self._copied = {order_id for _, order_id in self._copies}
        self._orders: dict[str, RecordedOrder] = {}
        #: When each request was signed, and when the replacements of each order were, in nanoseconds of the exchange.
        self._signed = {run.number: one.signed_ns for one in world.record.arrivals for run in one.runs}
        self._changes: dict[str, list[int]] = defaultdict(list)
        for arrival in world.record.arrivals:
            for part in arrival.parts:
                if part.act == "replace":
                    self._changes[part.order_id].append(arrival.signed_ns)

    def judge(self) -> None:
        """Add what is wrong to the world's outcome."""
        for effect in self._world.exchange.effects:
            if effect.user == self._world.user.public_key:
                self._judge_effect(effect)
        for scope in self._world.notes.scopes:
            self._judge_scope(scope)
        for order in self._world.outlasting:
            self._add("lease", f"{order} rests longer than its lease")
        for what, order_id in self._world.said_falsely:
            if order_id not in self._copied:
                self._add("false", f"{order_id} is said to be {what}, and rests")
        if unclaimed := self._world.unclaimed - self._copied:
            self._add("unclaimed", f"{', '.join(sorted(unclaimed))} rests, and the second run does not own it")
        if never := self._world.never_sent:
            self._add("unclaimed", f"{', '.join(sorted(never))} was never sent, and the second run owns it")
        for when, resting, named in self._world.moments:
            self._judge_moment(when, resting - self._copied, named)
        self._world.outcome.late_copies += len(self._copied)

    def _add(self, wrong: Wrong, what: str, where: object = "") -> None:
        self._world.outcome.findings.append(Finding(wrong, what, str(where)))

    # What happened at the exchange.

    def _judge_effect(self, effect: Effect) -> None:
        order_id = effect.order_id
        order = apply_effect(self._orders.get(order_id), effect)
        if order is None or effect.kind == "refuse":
            return
        self._orders[order_id] = order
        placed = self._placed.get(order_id)
        by_client = effect.way != "exchange" and effect.kind == effect.operation
        if not by_client:
            return
        if effect.kind == "create" and _is_immediate(order):
            return  # an order that a scope sent, or one that proves that another one never takes effect
        if placed is None:
            self._add("foreign", f"the client requested {effect.kind} of {order_id}, which no scope placed")
        elif not self._is_copy(effect):
            if effect.kind in {"create", "replace"} and placed.key is not None:
                self._judge_doubt(effect)
            if effect.kind == "create":
                self._judge_others(order, placed, effect)
                self._judge_again(placed, effect)
            if effect.kind != "cancel" and placed.key is not None:
                self._judge_quantity(placed, effect)

    def _is_copy(self, effect: Effect) -> bool:
        return (effect.request_number, effect.order_id) in self._copies

    def _judge_others(self, order: RecordedOrder, placed: Placed, effect: Effect) -> None:
        """No other order of the key rests, and no other one of the handle."""
        for order_id, other in self._orders.items():
            if order_id == order.order_id or not other.is_open or not other.remaining or order_id in self._copied:
                continue
            of = self._placed.get(order_id)
            if of is not None and (of.handle is placed.handle or (of.key is not None and of.key == placed.key)):
                what = (
                    f"{order_id} rests while {order.order_id} is created, of the key {placed.key and placed.key.name!r}"
                )
                self._add("two", what, self._time(effect))

    def _judge_again(self, placed: Placed, effect: Effect) -> None:
        """The call made no order before that has traded or that the book removed."""
        if placed.made_by is None:
            return
        for order_id in placed.made_by.made:
            other = self._orders.get(order_id)
            if other is None or order_id in {effect.order_id, *self._copied, *self._world.notes.unwanted}:
                continue
            if other.done not in {None, "cancel"}:
                what = f"{order_id} has ended ({other.done}), and the same call creates {effect.order_id}"
                self._add("again", f"{what}; {placed.made_by}", self._time(effect))

    def _judge_quantity(self, placed: Placed, effect: Effect) -> None:
        """What rests and has traded is not more than what a call of ``keep`` asked for."""
        calls = placed.calls
        if effect.kind == "replace" and effect.details is not None:
            quantity = getattr(effect.details, "quantity", 0)
            calls = [(call, total) for call, total in calls if total == quantity] or calls
        if not calls:
            return
        excess = {call: self._sum(call) - call.most for call, _ in calls}
        call = min(excess, key=lambda call: excess[call])
        if excess[call] > 0:
            self._add(
                "more", f"{excess[call]} too much after {effect.kind} of {effect.order_id}; {call}", self._time(effect)
            )

    def _judge_doubt(self, effect: Effect) -> None:
        """No other terms of an order of a key were sent before it was known what became of these."""
        request = self._signed.get(effect.request_number)
        if request is None:
            return
        later = [signed for signed in self._changes[effect.order_id] if request < signed < effect.time_ns]
        if later:
            what = f"{effect.order_id} was changed while it was not known what became of an earlier {effect.kind}"
            self._add("doubt", what, self._time(effect))

    def _sum(self, call: KeepCall) -> int:
        """Return what the orders of a call traded, and what of them rests."""
        orders = [self._orders[order_id] for order_id in call.chain if order_id in self._orders]
        return sum(order.filled + order.remaining for order in orders if order.order_id not in self._copied)

    def _time(self, effect: Effect) -> str:
        return f"at {(effect.time_ns - self._world.epoch_ns) / 1e9:.4f}"

    # What a scope left.

    def _judge_scope(self, scope: ScopeNote) -> None:
        if scope.exited is None or scope.left is None:
            if scope.raised is None:
                self._add("late", f"{scope} was not left")
            return
        took = scope.exited - scope.left
        if took > scope.deadline + _ROUNDING:
            self._add("late", f"leaving took {took:.3f} s", scope)
        killed_at = self._world.killed_at
        is_alive = killed_at is None or scope.left > killed_at or scope.exited <= killed_at
        if is_alive and (unnamed := scope.resting - scope.named - self._copied):
            self._add("unnamed", f"{', '.join(sorted(unnamed))} rested when the scope was left", scope)
        if scope.body is not None and scope.raised is not scope.body and not _is_cancelled(scope):
            self._add("raised", f"{scope.raised!r} came out instead of {scope.body!r}", scope)
        is_cancelled = isinstance(scope.raised, trio.Cancelled)
        if scope.body is None and not is_cancelled and isinstance(scope.raised, OrdersLeftResting) != bool(scope.named):
            self._add("raised", f"{scope.raised!r} was raised, and {sorted(scope.named)} named", scope)

    def _judge_moment(self, when: str, resting: frozenset[str], named: frozenset[str]) -> None:
        if unnamed := resting - named:
            self._add("unnamed", f"{', '.join(sorted(unnamed))} rests {when}")
        elif resting and when == SETTLED and self._world.settings.can_settle:
            self._add("resting", f"{', '.join(sorted(resting))} rests {when}")


def _copies(world: ScopeWorld) -> set[tuple[int | None, str]]:
    """Return the requests that were carried out once more after they had been answered, with their orders."""
    effects: dict[int | None, set[str]] = defaultdict(set)
    for effect in world.exchange.effects:
        if effect.kind == effect.operation:
            effects[effect.request_number].add(effect.order_id)
    copies: set[tuple[int | None, str]] = set()
    for arrival in world.record.arrivals:
        for part in arrival.parts:
            was_answered = False
            for run in arrival.runs:
                has_effect = run.number is not None and part.order_id in effects[run.number]
                if has_effect and was_answered and part.act == "create":
                    copies.add((run.number, part.order_id))
                was_answered |= has_effect or run.said.get(part.order_id) not in {None, "garbage"}
    return copies


def _is_immediate(order: RecordedOrder) -> bool:
    """Return whether an order never rests."""
    details = order.details
    return not isinstance(details, LimitOrderDetails) or isinstance(details.time_in_force, IOC)


def _is_cancelled(scope: ScopeNote) -> bool:
    return isinstance(scope.body, trio.Cancelled) and isinstance(scope.raised, trio.Cancelled)
