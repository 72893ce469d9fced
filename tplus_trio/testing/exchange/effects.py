"""The record of effects: what happened to each order and when, apart from what the exchange answers and publishes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import attrs

from tplus_trio.models import (
    AssetIdentifier,
    LimitOrderDetails,
    MarketOrderDetails,
    Side,
    TriggerAbove,
    TriggerBelow,
)
from tplus_trio.testing.exchange.http_messages import Rejection, as_object

__all__ = ["Effect", "EffectKind", "Operation", "RecordedOrder", "Way", "replay_effects"]

#: What a request asks for.
Operation: TypeAlias = Literal["create", "cancel", "replace", "amend"]

#: Where a request came from; ``exchange`` is a call of a method of the exchange, or the exchange itself.
Way: TypeAlias = Literal["rest", "control", "exchange"]

#: What happened; :class:`Effect` describes each kind.
EffectKind: TypeAlias = Literal[
    "create",
    "cancel",
    "replace",
    "amend",
    "trigger",
    "fill",
    "rollback",
    "rescale",
    "expire",
    "remove",
    "refuse",
]

#: The number of effects that are kept.
_MAX_EFFECTS: Final = 200_000
#: The part of an id that a refusal records; a request may name anything as an order id.
_LONGEST_ID: Final = 64


# Sixteen attributes: one record for every kind, so that a test can filter and compare records without casting.
@attrs.frozen(kw_only=True)
class Effect:
    """One thing that happened to one order, or one refusal.

    The kinds:

    - ``create``: the exchange accepted the order. With ``trigger``, the order waits; otherwise it enters the book.
    - ``trigger``: the last price touched the trigger, and the order enters the book.
    - ``replace``, ``amend``: the order has new terms. The exchange itself amends reduce-only orders (no operation).
    - ``fill``: the order traded. Each trade makes one effect for the maker and one for the taker.
    - ``rollback``: a trade of the order no longer counts.
    - ``rescale``: the market's decimals changed; the order is the same in other units.
    - ``cancel``: the order ended by a request. ``expire``: it ended at its expiry. ``remove``: it ended otherwise.
    - ``refuse``: the exchange refused a request, and nothing changed.

    Prices and quantities are in units of the book.

    Attributes:
        number: The place in the record, from 0.
        time_ns: The exchange's time, in nanoseconds since the Unix epoch.
        kind: What happened.
        user: The public key of the order's user; of a refusal, of the user who asked.
        order_id: The order's id; ``""`` if a refused request names none.
        asset: The market; None if a refused request names none.
        side: Buy or sell; None for a refusal.
        details: The order's terms after the effect; None for a refusal, and for the rollback of a trade whose order is
            gone and whose order id is another order's by now.
        trigger: The trigger for which the order waits after the effect; None if it does not wait.
        quantity: The quantity of a fill or rollback; of a ``rescale``, all that was traded, in the new units; otherwise
            0.
        price: The price of a fill or rollback; otherwise None.
        trade_id: The trade of a fill or rollback; otherwise None.
        reason: Why the order ended, as the order feed names it, or the code of the refusal; otherwise None.
        operation: The request that the effect carries out or refuses; None for what followed from it, such as a fill.
        request_number: The number of the request that caused the effect, from 1. It is the request of another order if
            that order traded with this one. None if the exchange acted by itself or was called directly.
        way: How that request came.
    """

    number: int
    time_ns: int
    kind: EffectKind
    user: str
    order_id: str
    asset: AssetIdentifier | None = None
    side: Side | None = None
    details: LimitOrderDetails | MarketOrderDetails | None = None
    trigger: TriggerAbove | TriggerBelow | None = None
    quantity: int = 0
    price: int | None = None
    trade_id: int | None = None
    reason: str | None = None
    operation: Operation | None = None
    request_number: int | None = None
    way: Way = "exchange"


@attrs.frozen(kw_only=True)
class RecordedOrder:
    """One order, as the record of effects alone shows it.

    Attributes:
        user: The public key of its user.
        order_id: Its id.
        asset: Its market.
        side: Buy or sell.
        details: Its present terms, in units of the book.
        trigger: The trigger for which it waits; None if it does not wait.
        matched: The quantity that it traded, rolled back or not.
        rolled_back: The part of ``matched`` that was rolled back.
        done: The kind of effect that ended it; None while it is open.
    """

    user: str
    order_id: str
    asset: AssetIdentifier
    side: Side
    details: LimitOrderDetails | MarketOrderDetails
    trigger: TriggerAbove | TriggerBelow | None = None
    matched: int = 0
    rolled_back: int = 0
    done: EffectKind | None = None

    @property
    def filled(self) -> int:
        """The quantity of its trades that still count."""
        return self.matched - self.rolled_back

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book or waits for its trigger."""
        return self.done is None

    @property
    def rests(self) -> bool:
        """Whether it is in the book. A waiting order is not."""
        return self.done is None and self.trigger is None

    @property
    def remaining(self) -> int:
        """The quantity that still rests or waits; 0 after its end, and for a market order."""
        if self.done is not None or not isinstance(self.details, LimitOrderDetails):
            return 0
        return self.details.quantity - self.matched


def apply_effect(order: RecordedOrder | None, effect: Effect) -> RecordedOrder | None:
    """Return an order after an effect. None is an order that does not exist; a refusal changes nothing."""
    if effect.kind == "refuse":
        return order
    if effect.kind == "create":
        assert effect.asset is not None
        assert effect.side is not None
        assert effect.details is not None
        return RecordedOrder(
            user=effect.user,
            order_id=effect.order_id,
            asset=effect.asset,
            side=effect.side,
            details=effect.details,
            trigger=effect.trigger,
        )
    if order is None:
        return None
    match effect.kind:
        case "fill":
            return attrs.evolve(order, matched=order.matched + effect.quantity)
        case "rollback" if effect.details is None:
            return order  # the trade was an earlier order's
        case "rollback":
            return attrs.evolve(order, rolled_back=order.rolled_back + effect.quantity)
        case "rescale":
            rolled_back = order.rolled_back * effect.quantity // (order.matched or 1)
            return attrs.evolve(
                order,
                details=effect.details or order.details,
                trigger=effect.trigger,
                matched=effect.quantity,
                rolled_back=rolled_back,
            )
        case "cancel" | "expire" | "remove":
            return attrs.evolve(order, done=effect.kind)
        case _:
            assert effect.details is not None
            return attrs.evolve(order, details=effect.details, trigger=effect.trigger)


def replay_effects(effects: Iterable[Effect]) -> dict[tuple[str, str], RecordedOrder]:
    """Return every order that a record shows, by user and order id, as it is after the record's last effect.

    Args:
        effects: Effects in their order, from the first one.
    """
    orders: dict[tuple[str, str], RecordedOrder] = {}
    for effect in effects:
        key = (effect.user, effect.order_id)
        if (order := apply_effect(orders.get(key), effect)) is not None:
            orders[key] = order
    return orders


class Effects:
    """The record of one exchange. It keeps the newest 200,000 effects.

    The matching step writes it, before an answer or an event leaves, so that no fault can change it.

    Args:
        now_ns: The exchange's clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._all: deque[Effect] = deque()
        self._of: dict[tuple[str, str], deque[Effect]] = {}
        self._orders: dict[tuple[str, str], RecordedOrder] = {}
        #: The orders of each user that are open, by id.
        self._open: dict[str, dict[str, RecordedOrder]] = {}
        self._count = 0
        self._requests = 0
        self._request: tuple[int | None, Way] = (None, "exchange")

    @property
    def all(self) -> tuple[Effect, ...]:
        """The effects that are kept, oldest first."""
        return tuple(self._all)

    def of(self, user: str, order_id: str) -> tuple[Effect, ...]:
        """Return the effects on a user's order, oldest first."""
        return tuple(self._of.get((user, order_id), ()))

    def open_orders(self, user: str) -> tuple[RecordedOrder, ...]:
        """Return a user's open orders, in the order in which they were accepted."""
        return tuple(self._open.get(user, {}).values())

    @contextmanager
    def request(self, way: Way) -> Generator[int]:
        """Number a request; the effects that the body makes carry this number and way.

        Args:
            way: How the request came.

        Yields:
            The request's number, from 1.
        """
        self._requests += 1
        before = self._request
        self._request = (self._requests, way)
        try:
            yield self._requests
        finally:
            self._request = before

    @contextmanager
    def refusals(self, operation: Operation, user: str, order_id: str, asset: object) -> Generator[None]:
        """Record the :class:`Rejection` that the body raises, if it raises one.

        Args:
            operation: What the request asks for.
            user: The user who asks.
            order_id: The order's id.
            asset: What the request names as its market.
        """
        try:
            yield
        except Rejection as rejection:
            code = str(rejection.error.get("code"))
            self.add("refuse", user, order_id[:_LONGEST_ID], asset=_asset(asset), operation=operation, reason=code)
            raise

    def add(
        self,
        kind: EffectKind,
        user: str,
        order_id: str,
        *,
        asset: AssetIdentifier | None,
        side: Side | None = None,
        details: LimitOrderDetails | MarketOrderDetails | None = None,
        trigger: TriggerAbove | TriggerBelow | None = None,
        quantity: int = 0,
        price: int | None = None,
        trade_id: int | None = None,
        reason: str | None = None,
        operation: Operation | None = None,
    ) -> None:
        """Add an effect; :class:`Effect` describes the arguments."""
        number, way = self._request
        effect = Effect(
            number=self._count,
            time_ns=self._now_ns(),
            kind=kind,
            user=user,
            order_id=order_id,
            asset=asset,
            side=side,
            details=details,
            trigger=trigger,
            quantity=quantity,
            price=price,
            trade_id=trade_id,
            reason=reason,
            operation=operation,
            request_number=number,
            way=way,
        )
        self._count += 1
        self._all.append(effect)
        key = (user, order_id)
        self._of.setdefault(key, deque()).append(effect)
        if (order := apply_effect(self._orders.get(key), effect)) is not None:
            self._set(order)
        if len(self._all) > _MAX_EFFECTS:
            self._drop_oldest()

    def roll_back(
        self, user: str, order_id: str, *, quantity: int, price: int, trade_id: int, is_of_earlier_order: bool
    ) -> None:
        """Add that a trade of an order no longer counts; the order may have ended long before.

        Args:
            user: The order's user.
            order_id: The order's id.
            quantity: The quantity of the trade, in units of the book.
            price: The price of the trade, in units of the book.
            trade_id: The trade.
            is_of_earlier_order: Whether another order has the order id by now.
        """
        if (order := self._orders.get((user, order_id))) is not None:
            self.add(
                "rollback",
                user,
                order_id,
                asset=order.asset,
                side=order.side,
                details=None if is_of_earlier_order else order.details,
                trigger=None if is_of_earlier_order else order.trigger,
                quantity=quantity,
                price=price,
                trade_id=trade_id,
            )

    def _set(self, order: RecordedOrder) -> None:
        self._orders[order.user, order.order_id] = order
        if order.is_open:
            self._open.setdefault(order.user, {})[order.order_id] = order
        elif (of_user := self._open.get(order.user)) is not None:
            of_user.pop(order.order_id, None)

    def _drop_oldest(self) -> None:
        effect = self._all.popleft()
        key = (effect.user, effect.order_id)
        kept = self._of[key]
        kept.popleft()
        if not kept:
            del self._of[key]
            order = self._orders.get(key)
            if order is not None and not order.is_open:
                del self._orders[key]


def _asset(value: object) -> AssetIdentifier | None:
    """Return what a request names as its market; None if that is not an asset."""
    try:
        return AssetIdentifier(value if isinstance(value, str | int) else as_object(value))
    except (TypeError, ValueError):
        return None
