"""Unsettled orders and what was seen of them, for tests of what these facts conclude."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from tests.helpers.exchange_users import ALICE
from tests.helpers.order_messages import ASSET
from tplus_trio.errors import NotFoundError, OrderRejected
from tplus_trio.models import CancelOrder, Order, OrderResponse, ReplaceOrderDetails
from tplus_trio.orders.evidence import OrderEvidence
from tplus_trio.orders.listings import Listing
from tplus_trio.orders.order_facts import RequestFact
from tplus_trio.orders.sending import Delivery, OrderRequest, OrderTarget, Terms
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.tracker import OrderTracker, TrackerItem
from tplus_trio.orders.unsettled import Fence, UnsettledOrder
from tplus_trio.secret import SecretBytes

__all__ = ["ALL_RULES", "DUPLICATE", "NOT_FOUND", "Case", "unsettled_order"]

Kind = Literal["create", "cancel", "replace", "amend"]

ALL_RULES = ServiceRules(order_ids_remembered=True, control_keeps_order=True, clock_bound=1.0, listings_current=True)
DUPLICATE = OrderRejected("DUPLICATE_ORDER", "this order id was used before", 409)
NOT_FOUND = NotFoundError("ORDER_NOT_FOUND", "no open order", 404)


def kind_of(terms: Terms) -> Kind:
    if isinstance(terms, Order):
        return "create"
    if isinstance(terms, CancelOrder):
        return "cancel"
    return "replace" if isinstance(terms, ReplaceOrderDetails) else "amend"


def unsettled_order(terms: Terms, *, sends: int = 1, refusals: int = 0, **changes: Any) -> UnsettledOrder:
    """An order whose request was sent, and of whose fate nothing is known."""
    kind, target = kind_of(terms), OrderTarget(ASSET, terms.order_id)
    request = OrderRequest(kind, (target,), SecretBytes(b"{}"), ALICE, (terms,))
    delivery = Delivery(request, sends=sends, refusals=refusals)
    order = UnsettledOrder(ALICE, target, kind, terms, delivery, 50, "there was no answer", "resolve")
    for name, value in changes.items():
        setattr(order, name, value)
    return order


@attrs.define(eq=False)
class Case:
    """A client that has sent a request and sees what a test lets it see."""

    terms: Terms
    rules: ServiceRules = attrs.field(factory=ServiceRules)
    tracker: OrderTracker = attrs.field(factory=OrderTracker)
    order: UnsettledOrder = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.order = unsettled_order(self.terms)
        self.send(self.terms)

    def send(self, terms: Terms) -> None:
        """The client sends a request."""
        if isinstance(terms, Order):
            self.tracker.track(ALICE.public_key, terms)
        else:
            self.tracker.apply(ALICE.public_key, RequestFact(terms, "sent"))

    def burn(self, terms: Order) -> None:
        """The client sends an order to use up the id."""
        self.order.burns += (terms,)
        self.tracker.apply(ALICE.public_key, RequestFact(terms, "sent"))

    def see(self, *items: TrackerItem) -> Case:
        """The client sees events, rows or trades of its user."""
        for item in items:
            self.tracker.apply(ALICE.public_key, item)
            if not isinstance(item, RequestFact):
                self.order.seen.add(item)  # type: ignore[arg-type] # a test gives no snapshot
        return self

    def list(self, *rows: OrderResponse, is_complete: bool = True, marker: str | None = None) -> Case:
        """The client reads a listing after a fence."""
        self.see(*rows)
        self.order.fence = Fence(marker)
        self.order.listing = Listing({row.order_id: row for row in rows}, is_complete)
        return self

    @property
    def fate(self) -> str:
        """What is concluded, with the code of a refusal."""
        OrderEvidence(self.rules, self.tracker).conclude(self.order)
        if self.order.fate == "rejected":
            return f"rejected: {getattr(self.order.rejection, 'code', None)}"
        return self.order.fate
