"""What an order book client knows of its orders: the feeds of its users, the tracker, and the orders in doubt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any, Final

import trio

from tplus_trio import codec
from tplus_trio.clients.base import get
from tplus_trio.clients.own_feed import OwnFeedSink
from tplus_trio.clients.user_feeds import orders_feed, trade_events_feed
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.errors import NotFoundError
from tplus_trio.models import (
    AmendOrder,
    AssetIdentifier,
    Gap,
    Order,
    OrderBook,
    OrderCreatedEvent,
    OrderResponse,
    OrdersSnapshot,
    UnknownOrderEvent,
    UserOrders,
)
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.cancelled_calls import CancelledCalls
from tplus_trio.orders.evidence import UNSENT, OrderEvidence
from tplus_trio.orders.fences import Fences, Units
from tplus_trio.orders.listings import ListingReader
from tplus_trio.orders.news import Demand, OrderNews
from tplus_trio.orders.operations import OnFate, OrderOperations
from tplus_trio.orders.order_facts import DENIALS, Outcome, RequestFact
from tplus_trio.orders.resolution import OrderResolver
from tplus_trio.orders.sending import ORDER, Delivery, OrderRequest, OrderSender, OrderTarget
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.terms import may_rest
from tplus_trio.orders.tracked_order import TrackedOrder
from tplus_trio.orders.tracker import OrderTracker, TrackerItem
from tplus_trio.orders.unsettled import Fate, UnsettledOrder, UnsettledOrders
from tplus_trio.secret import SecretBytes
from tplus_trio.service import Service
from tplus_trio.streams.client_scope import ClientScope
from tplus_trio.streams.feed import Feed
from tplus_trio.users import User

__all__ = ["OrderFates"]

#: What the tracker is told of a request by its fate.
_OUTCOMES: Final[dict[Fate, Outcome]] = {"done": "accepted", "rejected": "refused", "unsent": "no effect"}
_NO_ASK: Final = Decimal("Infinity")


class OrderFates:
    """Follows the orders that a client sends, and settles those in doubt.

    Args:
        service: The order book service.
        client_scope: The scope of the client, whose tasks follow the feeds and settle orders.
        orders: Reads the user's orders.
        builder: Signs requests.
        sender: The way to send.
        rules: What is declared about the service.
        resolve_timeout: Seconds for finding out what became of an order before a call ends.
        units: Returns a market's units; with True, it requests them again.
        open_feed: Starts a feed that delivers to a sink, in the nursery of the client.
        on_begin: Called with each request that is about to be sent, or was just sent.
        on_fate: Called with each fate.
    """

    # Seventeen attributes: four are shared with all parts of orders, and the others are what this part works with.
    def __init__(
        self,
        service: Service,
        client_scope: ClientScope,
        orders: UserOrdersReader,
        builder: RequestBuilder,
        sender: OrderSender,
        *,
        rules: ServiceRules,
        resolve_timeout: float,
        units: Units,
        open_feed: Callable[[Feed[Any], OwnFeedSink], None],
        on_begin: Callable[[OrderRequest], object],
        on_fate: OnFate,
    ) -> None:
        self._service = service
        self._client_scope = client_scope
        self._orders = orders
        self._resolve_timeout = resolve_timeout
        self._open_feed = open_feed
        self._on_begin = on_begin
        self._on_fate = on_fate
        self.tracker: OrderTracker = OrderTracker()
        self.demand: Demand = Demand()
        self.news: OrderNews = OrderNews(self.demand)
        self.unsettled: UnsettledOrders = UnsettledOrders(self.demand)
        #: The newest order of each user in each market that was seen.
        self._newest_seen: dict[tuple[str, AssetIdentifier], str] = {}
        #: The users of orders that were sent, by their public keys.
        self._owners: dict[str, User] = {}
        #: The users whose feeds are followed.
        self._followed: set[str] = set()
        self._listings = ListingReader(orders.read_to_resolve, self._saw_rows)
        self._resolver = resolver = OrderResolver(
            sender,
            builder,
            self._listings,
            Fences(rules, service, sender, builder, self._best_ask, units, self._sends),
            OrderEvidence(rules, self.tracker),
            self.unsettled,
            self._start_task,
            lambda: client_scope.was_left,
        )
        self.operations: OrderOperations = OrderOperations(
            service,
            sender,
            rules,
            resolver,
            demand=self.demand,
            calls=CancelledCalls(resolve_timeout),
            resolve_timeout=resolve_timeout,
            known=self,
            on_begin=self.begin,
            on_fate=self._ended,
        )

    def begin(self, request: OrderRequest) -> None:
        """Follow the orders of a request, and the feeds of its user, from before another task can hear of it."""
        self._on_begin(request)
        owner = request.owner.public_key
        self._owners[owner] = request.owner
        for terms in request.terms:
            if isinstance(terms, Order):
                self.tracker.track(owner, terms).is_unwanted = False  # a signed order may be sent again
            else:
                self._apply(owner, RequestFact(terms, "sent"))
        self.follow(request.owner)

    def newest_seen(self, owner: str, asset_id: AssetIdentifier) -> str | None:
        """Return the newest order in a market that was seen; see `KnownOrders`."""
        return self._newest_seen.get((owner, asset_id))

    def has_ended(self, owner: str, target: OrderTarget) -> bool:
        """Return whether an order is known to have ended; see `KnownOrders`."""
        tracked = self.tracker.get(owner, target.asset_id, target.order_id)
        return bool(tracked) and all(order.is_done and not order.ambiguous for order in tracked)

    def is_outdated(self, owner: str, terms: AmendOrder) -> bool:
        """Return whether an amendment expects another revision than its order has; see `KnownOrders`."""
        tracked = self.tracker.get(owner, terms.base_asset, terms.order_id)
        expected = terms.expected_authorization_revision or 0
        if len(tracked) != 1:
            return False
        # Those that were seen: of a replacement that the service took, the book may think otherwise.
        facts = tracked[0].facts
        return any(revision > expected for revision, _ in (*facts.replaced, *facts.amended))

    def _ended(self, request: OrderRequest, order_id: str, fate: Fate) -> None:
        """Note what became of a request about an order."""
        if (outcome := _OUTCOMES.get(fate)) is not None:
            terms = request.terms_of(order_id)
            code = UNSENT if fate == "unsent" else None
            if isinstance(terms, Order) and outcome in DENIALS:
                self.tracker.track(request.owner.public_key, terms).is_unwanted = True
            self._apply(request.owner.public_key, RequestFact(terms, outcome, code))
        self._on_fate(request, order_id, fate)

    def _sends(self, owner: str, order: Order) -> None:
        self._apply(owner, RequestFact(order, "sent"))

    def _apply(self, owner: str, item: TrackerItem) -> None:
        for order in self.tracker.apply(owner, item).changed:
            self.news.changed(order)
            if order.is_unwanted and isinstance(item, OrderCreatedEvent | OrderResponse):
                self._take_back_again(owner, order)

    def _take_back_again(self, owner: str, order: TrackedOrder) -> None:
        """Take back an order that was stated not to exist, and shows up: something between has sent a copy late.

        A cancel names an id alone, so an order is left alone if another one that may rest has had its id.
        """
        view = order.view
        others = (*order.facts.sent_others, *(event.user_order for event in view.other_created))
        is_alone = not any(may_rest(other) for other in others) and not any(row.is_open for row in view.other_rows)
        if is_alone and order.was_seen and (order.ambiguous or not order.is_done):
            self.take_back(self._owners[owner], order)

    def resume(self, request: OrderRequest) -> None:
        """Find out, in tasks of the client, what became of an order that an earlier run of the program may have sent.

        Args:
            request: The request that creates it, without a body: it is not sent again.
        """
        (target,), (terms,) = request.orders, request.terms
        if not isinstance(terms, Order):
            raise TypeError(terms)
        why = "an earlier run of the program may have sent it"
        # It is wanted, as long as its scope does not take it back.
        one = UnsettledOrder(
            request.owner, target, "create", terms, Delivery(request), terms.creation_timestamp_ns, why, "resolve"
        )
        one.on_settled = partial(self._resumed, one, request)
        self._resolver.watch([one])

    def _resumed(self, order: UnsettledOrder, request: OrderRequest) -> None:
        self._ended(request, order.target.order_id, order.fate)
        for tracked in self.tracker.get(order.owner.public_key, *order.target):
            self.news.changed(tracked)

    def take_back(self, owner: User, order: TrackedOrder) -> UnsettledOrder:
        """Cancel an order until it is proved gone; see `OrderDesk`. No request about it may be under way."""
        terms = order.order
        target = OrderTarget(terms.base_asset, terms.order_id)
        for known in self.unsettled.of(owner.public_key, target):
            if known.terms == terms:  # it may not exist; or it is being taken back
                known.on_cancel, known.on_settled = "cancel", partial(self._tell_settled, order, known.on_settled)
                known.wake()
                return known
        request = OrderRequest("create", (target,), SecretBytes(b""), owner, (terms,))
        sent_at_ns, why = terms.creation_timestamp_ns, "it is being cancelled"
        known = UnsettledOrder(owner, target, "create", terms, Delivery(request), sent_at_ns, why, "cancel")
        known.settle("done")
        known.on_settled = partial(self.news.changed, order)
        self._resolver.watch([known])
        return known

    def _tell_settled(self, order: TrackedOrder, before: Callable[[], object] | None) -> None:
        if before is not None:
            before()
        self.news.changed(order)

    async def look(self, owner: User, asset_id: AssetIdentifier, *, complete: bool) -> None:
        """Read the user's orders in a market; see `OrderDesk`."""
        await self._listings.read(owner, asset_id, complete=complete)

    async def settle_all(self) -> None:
        """Wait until no order is in doubt, at most ``resolve_timeout``, although the caller is cancelled."""
        if self.unsettled:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._resolve_timeout):
                await self.unsettled.wait_settled()

    # What is seen.

    def check_entered(self) -> None:
        """Check that tasks of the client can settle orders; see `OrderDesk`."""
        if self._client_scope.tasks is None:
            state = "has been left" if self._client_scope.was_left else "was not entered"
            msg = f"the client {state}: `async with OrderBookClient(…) as client:`; it settles orders in its tasks"
            raise RuntimeError(msg)

    def follow(self, owner: User) -> None:
        """Open the feeds of a user's orders and trades, unless they are open or the client was not entered."""
        if owner.public_key in self._followed or self._client_scope.tasks is None:
            return
        self._followed.add(owner.public_key)
        see = partial(self.see, owner.public_key)
        for feed in (orders_feed(owner, self._orders, snapshot=True), trade_events_feed(owner, self._orders)):
            self._open_feed(feed, OwnFeedSink(feed.path, see, self.demand.wait))

    def see(self, owner: str, item: TrackerItem) -> None:
        """Add what an item of a user's feeds or listings says."""
        self._apply(owner, item)
        if isinstance(item, OrderCreatedEvent):
            self._newest_seen[owner, item.user_order.base_asset] = item.user_order.order_id
        if not self.unsettled:
            return
        if isinstance(item, OrdersSnapshot | UserOrders):
            self._see_rows(owner, item.orders)
        elif not isinstance(item, UnknownOrderEvent | Gap | RequestFact):
            for order in self.unsettled.saw(owner, item.order_id, getattr(item, "asset_id", None), item):
                self._resolver.look(order)  # at once, whatever the task that settles it waits for

    def _saw_rows(self, owner: str, rows: Iterable[OrderResponse]) -> None:
        for row in rows:
            self._apply(owner, row)
            self._newest_seen.setdefault((owner, row.base_asset), row.order_id)
        self._see_rows(owner, rows)

    def _see_rows(self, owner: str, rows: Iterable[OrderResponse]) -> None:
        for row in rows:
            self.unsettled.saw(owner, row.order_id, row.base_asset, row)

    async def _best_ask(self, asset_id: AssetIdentifier) -> Decimal | None:
        """Read the best ask of a market, in quote units; infinity if there is none, None if the service has no book."""
        try:
            body = await get(self._service, f"/marketdepth/{asset_id}", user=None, required=False, dispatch=ORDER)
        except NotFoundError:
            return None
        asks = codec.decode(body, OrderBook).asks
        return asks[0].price if asks else _NO_ASK

    def _start_task(self, run: Callable[[], Awaitable[object]]) -> None:
        """Start a task of the client; nothing happens if the client was not entered or has been left."""
        if self._client_scope.tasks is not None:
            self._client_scope.tasks.start_soon(run)
