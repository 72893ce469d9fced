"""Bots: tasks that make order calls of every kind, and cancel about half of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.simulation.settings import sources
from tplus_trio import GTC, GTD, IOC, OrderBookClient, OrderTrigger, TplusError, TriggerAbove, TriggerBelow

from .calls import Call, Item, Mode, statement_of
from .settings import RESOLVE_TIMEOUT

if TYPE_CHECKING:
    from .world import FateWorld

__all__ = ["KINDS_OF_CALLS", "Bot"]

#: The kinds of calls, and how often each is drawn.
KINDS_OF_CALLS: Final = {
    "limit": 8,
    "market": 2,
    "ioc": 2,
    "gtd": 4,
    "trigger": 2,
    "cancel": 6,
    "replace": 4,
    "amend": 3,
    "batch create": 3,
    "batch replace": 2,
    "cancel all": 1,
}
#: Seconds, and the scheduler's passes, after which a call is cancelled.
_DELAYS: Final = (0.0, 0.0, 0.01, 0.1, 1.0, 6.0)
_MOST_PASSES: Final = 40

Send = Callable[[], Awaitable[Any]]


class Bot:
    """One task that makes order calls.

    Args:
        world: The world.
        number: The number of the bot; it begins the ids of its orders.
        client: The client.
    """

    def __init__(self, world: FateWorld, number: int, client: OrderBookClient) -> None:
        self._world = world
        self._number = number
        self._client = client
        self._rng = sources(world.settings.seed, f"fates/bot {number}")
        #: The orders that a call may name, and the revisions that they had last.
        self._orders: dict[str, str] = {}
        self._revisions: dict[str, int] = {}
        #: The orders whose revision is not known: an amendment changes it, and does not return it.
        self._amended: set[str] = set()
        self._made = 0

    async def run(self) -> None:
        """Make the calls."""
        kinds, weights = list(KINDS_OF_CALLS), list(KINDS_OF_CALLS.values())
        for _ in range(self._world.settings.calls):
            await trio.sleep(self._rng.expovariate(1 / self._world.settings.between_calls))
            (kind,) = self._rng.choices(kinds, weights)
            if kind in {"cancel", "replace", "amend", "batch replace"} and not self._orders:
                kind = "limit"
            call, send = self.draw(kind)
            with trio.CancelScope() as scope:
                if self._rng.random() < 0.5:
                    self._world.nursery.start_soon(self._cancel_later, call, scope)
                await self.perform(call, send)

    async def perform(self, call: Call, send: Send) -> None:
        """Make a call, and note how it ended."""
        call.began = trio.current_time()
        self._world.calls.append(call)
        try:
            result = await send()
        except trio.Cancelled:
            await self._cancelled(call)  # noqa: ASYNC102 - it limits its own time
            raise
        except TplusError as exc:
            for item in call.items:
                item.statement, item.error = statement_of(exc), exc
            call.outcome = f"{type(exc).__name__}: {exc}"
        else:
            self._read(call, result)
            call.outcome = "returned"
        self._end(call)
        await self._guess(call)

    async def _cancelled(self, call: Call) -> None:
        """Note that a call was cancelled."""
        call.outcome = "cancelled"
        for item in call.items:
            item.statement = "cancelled"
        self._end(call)
        if self._world.guess is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + RESOLVE_TIMEOUT):
                await self._guess(call)

    async def _guess(self, call: Call) -> None:
        """Replace what is in doubt by what another client believes, if the world has such a client."""
        if (guess := self._world.guess) is not None:
            for item in call.items:
                if item.statement in {"unknown", "unstated", "cancelled"}:
                    item.statement = await guess(self._client, item)
                    self._world.log("guess", f"{item.act} {item.order_id}: {item.statement}")

    async def _cancel_later(self, call: Call, scope: trio.CancelScope) -> None:
        """Cancel a call after some time, and some passes of the scheduler."""
        rng = self._rng
        seconds, passes = rng.choice(_DELAYS) * rng.random(), rng.randint(0, _MOST_PASSES)
        await trio.sleep(seconds)
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        if call.ended is None:
            call.cancelled = trio.current_time()
            scope.cancel()

    def _end(self, call: Call) -> None:
        call.ended = trio.current_time()
        named = self._world.named()
        for item in call.items:
            item.is_named = item.order_id in named
            if item.act == "create" and item.statement in {"never", "unsent"} and self._rng.random() < 0.7:
                self._orders.pop(item.order_id, None)
        self._world.log("call", str(call))

    def _read(self, call: Call, result: Any) -> None:
        """Note what a call returned."""
        if call.kind == "cancel all":
            for one in result:
                item = Item("cancel", one.order_id, one.asset_id)
                item.statement, item.error = statement_of(one.error), one.error
                call.items.append(item)
            return
        for item in call.items:
            item.statement = "done"
        if call.kind.startswith("batch"):
            for item, one in zip(call.items, result.batch_order_status, strict=True):
                item.statement, item.error = statement_of(one.error), one.error
        elif call.kind == "replace":
            self._revisions[call.items[0].order_id] = result[1]
            self._amended.discard(call.items[0].order_id)

    # What is called.

    def draw(self, kind: str) -> tuple[Call, Send]:
        """Draw a call of a kind; return it, and what makes it."""
        rng = self._rng
        mode: Mode = rng.choice(("cancel", "cancel", "resolve", "leave"))
        call = Call(kind, [], mode, trio.current_time())
        match kind:
            case "cancel all":
                return call, partial(self._client.cancel_all_orders)
            case "amend" if (chosen := self._choose())[0] not in self._amended or rng.random() < 0.05:
                order_id, asset = chosen
                self._amended.add(order_id)
                call.items.append(Item("amend", order_id, asset, quantity := self._world.new_quantity(-1)))
                revision = self._revisions.get(order_id)
                return call, partial(self._client.amend_order, order_id, asset, quantity, revision)
            case "cancel" | "amend":
                order_id, asset = self._choose()
                call.items.append(Item("cancel", order_id, asset))
                return call, partial(self._client.cancel_order, order_id, asset)
            case "replace":
                order_id, asset = self._choose()
                call.items.append(Item("replace", order_id, asset, quantity := self._world.new_quantity()))
                trigger = rng.choice((None, None, None, TriggerAbove(rng.randint(101, 104))))
                return call, partial(
                    self._client.replace_order, order_id, asset, quantity, rng.randint(95, 105), trigger
                )
            case "batch create":
                return call, partial(self._send_batch, call, rng.randint(1, 4))
            case "batch replace":
                return call, partial(self._replace_batch, call, rng.randint(1, 3))
            case "market":
                return call, self._market_order(call)
            case _:
                return call, self._limit_order(call, kind)

    def _limit_order(self, call: Call, kind: str) -> Send:
        rng, (order_id, asset) = self._rng, self._new_order()
        call.items.append(Item("create", order_id, asset, quantity := self._world.new_quantity()))
        side, price = self._terms()
        terms: dict[str, Any] = {"time_in_force": GTC(post_only=rng.random() < 0.2)}
        if kind == "ioc":
            terms["time_in_force"] = IOC(fill_or_kill=rng.random() < 0.2)
            price = rng.choice((90, 100, 110))
        elif kind == "gtd":
            expiry_ns = self._world.now_ns() + round(rng.choice((-0.5, 0.5, 3.0, 3.0, 6.0, 20.0)) * 1e9)
            terms["time_in_force"] = GTD(timestamp_ns=expiry_ns, post_only=False)
            call.items[0].expires = True
        elif kind == "trigger":
            condition = rng.choice((TriggerAbove, TriggerBelow))(rng.randint(97, 103))
            terms["trigger"] = OrderTrigger(None, condition)
        send = self._client.create_limit_order
        return partial(send, quantity, price, side, asset_id=asset, order_id=order_id, **terms, **self._on_cancel(call))

    def _market_order(self, call: Call) -> Send:
        order_id, asset = self._new_order()
        call.items.append(Item("create", order_id, asset, quantity := self._world.new_quantity()))
        side = self._rng.choice(("Buy", "Sell"))
        send = self._client.create_market_order
        return partial(send, side, base_quantity=quantity, asset_id=asset, order_id=order_id, **self._on_cancel(call))

    async def _send_batch(self, call: Call, count: int) -> Any:
        orders: list[Any] = []
        names = dict(self._new_order() for _ in range(count))
        for order_id, asset in names.items():
            side, price = self._terms()
            quantity = self._world.new_quantity()
            _, order = await self._client.prepare_limit_order_request(
                asset, price, quantity, side, None, GTC(), order_id=order_id
            )
            orders.append(order)
            call.items.append(Item("create", order_id, asset, quantity))
        return await self._client.send_multiple_orders(orders, **self._on_cancel(call))

    async def _replace_batch(self, call: Call, count: int) -> Any:
        requests: list[Any] = []
        names = dict(self._choose() for _ in range(count))
        for order_id, asset in names.items():
            quantity = self._world.new_quantity()
            requests.append(
                await self._client.prepare_replace_order_request(order_id, asset, quantity, self._rng.randint(95, 105))
            )
            call.items.append(Item("replace", order_id, asset, quantity))
        return await self._client.replace_multiple_orders(requests)

    def _on_cancel(self, call: Call) -> dict[str, Any]:
        """Return the mode of a call. A client that guesses leaves its orders to the guess."""
        return {"on_cancel": call.mode if self._world.guess is None else "leave"}

    def _terms(self) -> tuple[str, int]:
        """Draw a side and a price of an order that mostly rests."""
        rng = self._rng
        if rng.random() < 0.5:
            return "Buy", rng.randint(95, 99)
        return "Sell", rng.randint(101, 105)

    def _new_order(self) -> tuple[str, str]:
        """Return the id and market of a new order; now and then the id was used before."""
        rng = self._rng
        if self._orders and rng.random() < 0.07:
            return self._choose()
        self._made += 1
        order_id, asset = f"b{self._number}-{self._made}", rng.choice(self._world.settings.assets)
        self._orders[order_id] = asset
        return order_id, asset

    def _choose(self) -> tuple[str, str]:
        """Return an order of the bot, the newest ones more often, or now and then one that does not exist."""
        rng = self._rng
        if rng.random() < 0.02 or not self._orders:
            return "none", self._world.settings.assets[0]
        orders: Sequence[tuple[str, str]] = list(self._orders.items())
        return rng.choice(orders[-4:])
