"""Compares what a client stated of its orders with the exchange's own record."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from tplus_trio import ApiError, NotFoundError, OrderRejected
from tplus_trio.testing import Effect, RecordedOrder

from .calls import Call, Item
from .record import Arrival, Run, effects_by_request
from .settings import RESOLVE_TIMEOUT

if TYPE_CHECKING:
    from .world import FateWorld

__all__ = ["Finding", "Judge"]

#: What is wrong: a fate is false; a fate is right, but was guessed; an order is forgotten; a request was sent twice;
#: something took too long; a cancellation went wrong; an error does not state the fate.
Wrong: TypeAlias = Literal["false", "guess", "forgotten", "twice", "late", "cancelled", "error"]
NEVER_TOOK_EFFECT: Final = "NEVER_TOOK_EFFECT"
_RECEIVED: Final = "Received"
#: Seconds by which the last answer must be over for a fate to be resolvable.
_REACHABLE: Final = 3.0
#: Seconds by which a time in nanoseconds may differ from one of trio's clock.
_ROUNDING: Final = 1e-6


@attrs.frozen
class Finding:
    """One thing that is wrong, and the call that it was found in."""

    wrong: str
    what: str
    call: str

    def __str__(self) -> str:
        return f"{self.wrong}: {self.what} | {self.call}"


class Judge:
    """Judges a world that has ended.

    Args:
        world: The world.
        disturbances: When the service could not be reached: beginnings and ends, on trio's clock.
    """

    def __init__(self, world: FateWorld, disturbances: list[tuple[float, float]]) -> None:
        self._world = world
        self._disturbances = disturbances
        self._items = [(call, item) for call in world.calls for item in call.items]
        self._effects = effects_by_request(world.exchange.effects)
        self._of_quantity: dict[int, list[Arrival]] = defaultdict(list)
        self._cancels: dict[str, list[Arrival]] = defaultdict(list)
        for arrival in world.record.arrivals:
            if arrival.user == world.user.public_key or not arrival.user:
                for part in arrival.parts:
                    if part.act == "cancel":
                        self._cancels[part.order_id].append(arrival)
                    elif isinstance(part.quantity, int):
                        self._of_quantity[part.quantity].append(arrival)

    def judge(self) -> None:
        """Add what is wrong to the world's outcome."""
        for call in self._world.calls:
            self._judge_end(call)
            for item in call.items:
                self._world.outcome.fates[item.act, item.statement or "none"] += 1
                if item.act != "cancel" and self._is_late_copy(item, self._arrivals(call, item)):
                    self._world.outcome.late_copies += 1
                elif item.statement is not None:
                    self._judge_item(call, item)
                self._count_resolvable(call, item)
            self._world.outcome.calls += 1
        self._judge_resting()
        self._judge_observed()
        if self._world.settings.can_settle:
            self._judge_settled()

    def _add(self, wrong: Wrong, what: str, call: Call | None = None) -> None:
        self._world.outcome.findings.append(Finding(wrong, what, "" if call is None else str(call)))

    # What became of a request.

    def _arrivals(self, call: Call, item: Item) -> list[Arrival]:
        """Return the requests of an item that arrived. Cancellations are told by the time of their signature."""
        if item.quantity is not None:
            return self._of_quantity[item.quantity]
        return [arrival for arrival in self._cancels[item.order_id] if self._is_within(call, arrival)]

    def _is_within(self, call: Call, arrival: Arrival) -> bool:
        signed = (arrival.signed_ns - self._world.epoch_ns) / 1e9
        return call.began - _ROUNDING <= signed <= self._ended(call) + _ROUNDING

    def _own_arrivals(self, call: Call, item: Item, arrivals: list[Arrival]) -> list[Arrival]:
        """Return those requests that no other call about the same order can have sent."""
        if item.quantity is not None:
            return arrivals
        others = [
            other
            for other, one in self._items
            if other is not call and (one.act, one.order_id) == (item.act, item.order_id)
        ]
        return [arrival for arrival in arrivals if not any(self._is_within(other, arrival) for other in others)]

    def _took_effect(self, call: Call, item: Item, arrivals: list[Arrival]) -> bool:
        """Return whether a request of an item took effect; a late copy of a cancel may end another order of the id."""
        return any(
            run.number is not None
            and self._effects.get((run.number, item.order_id))
            and (item.act != "cancel" or not self._is_new(item.order_id, self._ended(call), run.time))
            for arrival in arrivals
            for run in arrival.runs
        )

    def _is_new(self, order_id: str, ended: float, time: float) -> bool:
        """Return whether an order was created after one time, and not after another one."""
        effects = self._world.exchange.effects_of(self._world.user, order_id)
        created = [(one.time_ns - self._world.epoch_ns) / 1e9 for one in effects if one.kind == "create"]
        return any(ended + _ROUNDING < one <= time + _ROUNDING for one in created)

    def _is_over(self, order_id: str, time: float) -> bool:
        """Return whether an order had existed, and ended, at a time of trio's clock."""
        is_over = False
        for effect in self._world.exchange.effects_of(self._world.user, order_id):
            if (effect.time_ns - self._world.epoch_ns) / 1e9 > time + _ROUNDING:
                break
            if effect.kind in {"create", "cancel", "expire", "remove"}:
                is_over = effect.kind != "create"
        return is_over

    def _is_over_change(self, call: Call, item: Item) -> bool:
        """Return whether an item is a change of an order that had ended: nothing is left to find out, or to name."""
        return item.act in {"replace", "amend"} and self._is_over(item.order_id, self._ended(call))

    def _exists(self, order_id: str, time: float) -> bool:
        """Return whether an order had been created at a time of trio's clock."""
        effects = self._world.exchange.effects_of(self._world.user, order_id)
        return any(one.kind == "create" and (one.time_ns - self._world.epoch_ns) / 1e9 <= time for one in effects)

    # One item.

    def _judge_item(self, call: Call, item: Item) -> None:
        arrivals = self._arrivals(call, item)
        took = self._took_effect(call, item, arrivals)
        match item.statement:
            case "done" if item.act == "cancel":
                self._judge_cancelled_order(call, item, arrivals)
            case "done" if not took and _RECEIVED not in _said(arrivals, item):
                self._add("false", f"{item.act} {item.order_id} is said to have taken effect, and never did", call)
            case "never" if self._took_effect(call, item, self._own_arrivals(call, item, arrivals)):
                self._add("false", f"{item.act} {item.order_id} is said never to have taken effect, and did", call)
            case "never" if not self._is_proved(call, item, arrivals):
                self._add("guess", f"{item.act} {item.order_id} is said never to take effect, without a proof", call)
            case "unsent" if item.act != "cancel" and {self._refusal(arrival, item) for arrival in arrivals} - {
                "clear"
            }:
                self._add("false", f"{item.act} {item.order_id} is said not to be sent, and arrived", call)
            case "unknown" if not item.is_named and not self._is_over_change(call, item):
                self._add("forgotten", f"{item.act} {item.order_id} is not known, and not named", call)
            case "unstated" if arrivals:
                self._add("error", f"{item.act} {item.order_id} was sent, and the error does not state its fate", call)
            case _:
                pass
        if item.was_named is False and item.statement not in {"done", "never", "unsent"} and call.mode != "leave":
            self._add("forgotten", f"{item.act} {item.order_id} took effect after its call, and was not named", call)
        if item.act != "cancel":
            self._judge_repetition(call, item, arrivals)

    def _judge_cancelled_order(self, call: Call, item: Item, arrivals: list[Arrival]) -> None:
        """A cancellation that is said to have taken effect: the service took it, or the order is over."""
        is_over = self._is_over(item.order_id, self._ended(call))
        if call.kind == "cancel all":
            arrivals = self._cancels[item.order_id]
            is_over = is_over or not self._exists(item.order_id, self._ended(call))
        if not (is_over or _RECEIVED in _said(arrivals, item) or self._took_effect(call, item, arrivals)):
            self._add("false", f"cancel {item.order_id} is said to have taken effect, and never did", call)

    @staticmethod
    def _ended(call: Call) -> float:
        return call.ended if call.ended is not None else float("inf")

    def _is_proved(self, call: Call, item: Item, arrivals: list[Arrival]) -> bool:
        """Return whether it is known that an item never takes effect: by a refusal that was sent, or by a fence."""
        error = item.error
        if not isinstance(error, ApiError):
            return False
        ended = self._ended(call)
        if item.act == "cancel" and (self._is_over(item.order_id, ended) or self._never_existed(item.order_id, ended)):
            return True
        has_fence = self._has_fence(call, item)
        if error.code == NEVER_TOOK_EFFECT:
            return has_fence
        if not arrivals:
            return not isinstance(error, OrderRejected | NotFoundError)
        refusals = [self._refusal(arrival, item) for arrival in arrivals]
        if None not in refusals and all(self._is_outdated(arrival, item) for arrival in arrivals):
            return True
        if refusals[-1] == "clear" and None not in refusals:
            return True
        # A listing that is current shows whether a copy took effect before the refusal.
        has_proof = has_fence or "listings_current" in self._world.settings.rules
        is_refused = None not in refusals and (has_proof or item.act == "cancel")
        return is_refused or self._failed_later(item, arrivals, error)

    def _is_outdated(self, arrival: Arrival, item: Item) -> bool:
        """Return whether an amendment expected first terms, and its order had had other ones before it arrived."""
        if item.act != "amend" or any(part.expected for part in arrival.parts):
            return False
        effects = self._world.exchange.effects_of(self._world.user, item.order_id)
        changes = [effect for effect in effects if effect.kind in {"replace", "amend"}]
        return any((one.time_ns - self._world.epoch_ns) / 1e9 < arrival.time for one in changes)

    def _is_late_copy(self, item: Item, arrivals: list[Arrival]) -> bool:
        """Return whether a copy of a request took effect although the first one was answered, or had taken effect.

        The book refused the first one, at once or later, or its order has ended, and its id is forgotten. Something
        between the client and the service has sent the copy, and no client can tell that it will.
        """
        for arrival in arrivals:
            is_copy = False
            for run in arrival.runs:
                has_effect = run.number is not None and bool(self._effects.get((run.number, item.order_id)))
                if has_effect and is_copy:
                    return True
                is_copy = is_copy or has_effect or run.said.get(item.order_id) not in {None, "garbage"}
        return False

    def _has_fence(self, call: Call, item: Item) -> bool:
        """Return whether a rule, or what became of the order, proves that an item never takes effect."""
        ended = self._ended(call)
        if item.act != "create" and (self._is_over(item.order_id, ended) or self._never_existed(item.order_id, ended)):
            return True
        settings = self._world.settings
        return (
            "order_ids_remembered" in settings.rules
            or ("control_keeps_order" in settings.rules and settings.by_control)
            or ("clock_bound" in settings.rules and item.expires)
        )

    def _never_existed(self, order_id: str, time: float) -> bool:
        """Return whether calls were to create an order before a time, and none of them did, or could any more."""
        creates = [
            (call, item)
            for call, item in self._items
            if item.act == "create" and item.order_id == order_id and call.began <= time
        ]
        return bool(creates) and all(
            self._ended(call) <= time
            and not self._took_effect(call, item, arrivals := self._arrivals(call, item))
            and all(run.time <= time for arrival in arrivals for run in arrival.runs)
            for call, item in creates
        )

    def _refusal(self, arrival: Arrival, item: Item) -> Literal["clear", "ambiguous"] | None:
        """Return whether a request was refused; and whether that leaves it open that a copy of it took effect."""
        found: Literal["clear", "ambiguous"] | None = None
        for run in arrival.runs:
            code = run.said.get(item.order_id)
            if code is not None and code not in {"garbage", _RECEIVED}:
                is_unsure = run.status in {401, 403} and "unauthorized_does_nothing" not in self._world.settings.rules
                found = "ambiguous" if is_unsure or _is_ambiguous(code, run) else "clear"
        return found

    def _failed_later(self, item: Item, arrivals: list[Arrival], error: ApiError) -> bool:
        """Return whether the order feed said that a request was refused, for the reason of the error."""
        runs = [run for arrival in arrivals for run in arrival.runs]
        numbers = {run.number for run in runs}
        effects = self._world.exchange.effects_of(self._world.user, item.order_id)
        refusals = {one.reason for one in effects if one.kind == "refuse" and one.request_number in numbers}
        was_taken = any(run.said.get(item.order_id) == _RECEIVED or run.is_instead for run in runs)
        return error.code in refusals or (was_taken and error.code == "INSUFFICIENT_MARGIN")

    def _judge_repetition(self, call: Call, item: Item, arrivals: list[Arrival]) -> None:
        """A request that is not idempotent is sent again only after a 401 or 403, and only under a rule."""
        if len(arrivals) <= 1:
            return
        rules = self._world.settings.rules
        may_repeat = not rules.isdisjoint({"unauthorized_does_nothing", "order_ids_remembered"})
        were_refused = all(any(run.status in {401, 403} for run in arrival.runs) for arrival in arrivals[:-1])
        if not (may_repeat and were_refused):
            self._add("twice", f"{item.act} {item.order_id} was sent {len(arrivals)} times", call)

    # The end of a call.

    def _judge_end(self, call: Call) -> None:
        world = self._world
        most = world.settings.most_latency * 4 + 0.01
        if call.ended is None:
            self._add("cancelled", "the call did not end", call)
            return
        if call.cancelled is None:
            longest = 4 * world.settings.timeout + RESOLVE_TIMEOUT + most
            if call.ended - call.began > longest * max(1, len(call.items) if call.kind == "cancel all" else 1):
                self._add("late", f"the call lasted {call.ended - call.began:.1f} s", call)
            return
        outlasted = call.ended - call.cancelled
        if outlasted > RESOLVE_TIMEOUT + most:
            self._add("cancelled", f"the call outlasted its scope by {outlasted:.2f} s", call)
        if outlasted > 0 and call.outcome != "cancelled":
            self._add("cancelled", "the call was cancelled, and did not raise Cancelled", call)

    # What the observer was told.

    def _judge_observed(self) -> None:
        """Judge the last fate that the observer was told of each order, if one call alone was about it."""
        last = {(act, order_id): fate for act, order_id, fate in self._world.observer.fates}
        count = Counter((item.act, item.order_id) for _, item in self._items)
        for call, item in self._items:
            fate = last.get((item.act, item.order_id))
            if item.act == "cancel" or count[item.act, item.order_id] > 1:
                continue
            arrivals = self._arrivals(call, item)
            if self._is_late_copy(item, arrivals):
                continue
            took = self._took_effect(call, item, arrivals)
            if (fate in {"rejected", "unsent"} and took) or (
                fate == "done" and not took and _RECEIVED not in _said(arrivals, item)
            ):
                self._add("false", f"the observer is told that {item.act} {item.order_id} is {fate}", call)

    # What rests at the end.

    def _judge_resting(self) -> None:
        world = self._world
        named = world.named()
        creators = {item.quantity: (call, item) for call, item in self._items if item.act == "create"}
        for order in world.exchange.resting(world.user):
            create = self._creation(order)
            if create is None or order.order_id in named:
                continue
            quantity = self._quantity_of(create)
            if quantity not in creators:
                continue  # nobody's but a liquidation's
            call, item = creators[quantity]
            if item.statement in {"cancelled", "unknown", "unstated"} and call.mode == "cancel":
                self._add("forgotten", f"{order.order_id} rests, and is not named", call)

    def _creation(self, order: RecordedOrder) -> Effect | None:
        effects = self._world.exchange.effects_of(order.user, order.order_id)
        return next((effect for effect in reversed(effects) if effect.kind == "create"), None)

    def _quantity_of(self, create: Effect) -> int | None:
        details = create.details
        quantity = getattr(details, "quantity", None)
        return quantity if isinstance(quantity, int) else None

    # What is settled, where all rules are declared.

    def _count_resolvable(self, call: Call, item: Item) -> None:
        """Count an item, and whether it is unknown although the service could be reached for long enough."""
        outcome, ended = self._world.outcome, call.ended
        if not self._world.settings.can_settle or call.cancelled is not None or ended is None:
            return
        outcome.resolvable += 1
        if item.statement != "unknown":
            return
        if any(begin < ended and end > ended - _REACHABLE for begin, end in self._disturbances):
            return
        outcome.unresolved += 1
        if item.act in {"create", "cancel"} and not any(
            self._is_held(arrival, ended) for arrival in self._arrivals(call, item)
        ):
            self._add("late", f"{item.act} {item.order_id} is not known, although the service could be reached", call)

    def _is_held(self, arrival: Arrival, now: float) -> bool:
        """Return whether a request had arrived, and was not carried out yet."""
        return arrival.time <= now and all(run.time >= now - _REACHABLE for run in arrival.runs)

    def _judge_settled(self) -> None:
        """No creation and no cancellation is in doubt two seconds after the last fault.

        A change may be, until its order ends: no rule says that it is not carried out later.
        """
        late = sorted(order_id for order_id, act in self._world.settled_doubts if act in {"create", "cancel"})
        if late:
            self._add("late", f"in doubt 2 s after the last fault: {', '.join(late)}")


def _said(arrivals: list[Arrival], item: Item) -> set[str | None]:
    return {run.said.get(item.order_id) for arrival in arrivals for run in arrival.runs}


def _is_ambiguous(code: str, run: Run) -> bool:
    """Return whether a refusal leaves it open whether an earlier copy of the request took effect."""
    is_conflict = run.status == 409 or code == "ORDER_REJECTED"  # the control channel has no statuses
    return code == "DUPLICATE_ORDER" or code.endswith("_NOT_FOUND") or is_conflict or run.is_instead
