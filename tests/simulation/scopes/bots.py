"""Bots: each opens scopes of orders, one after the other, and makes calls of every kind in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.simulation.settings import sources
from tplus_trio import (
    GTC,
    GTD,
    IOC,
    OrderHandle,
    OrderScope,
    OrdersLeftResting,
    OrderTrigger,
    TplusError,
    TriggerAbove,
    TriggerBelow,
)

from .notes import ScopeNote
from .settings import lease_of

if TYPE_CHECKING:
    from .world import ScopeWorld

__all__ = ["KINDS_OF_ACTS", "BodyError", "ScopeBot"]

#: The kinds of calls, and how often each is drawn.
KINDS_OF_ACTS: Final = {
    "keep": 14,
    "keep nothing": 1,
    "limit": 4,
    "gtd": 1,
    "market": 1,
    "ioc": 1,
    "trigger": 1,
    "replace": 2,
    "amend": 2,
    "cancel": 2,
    "cancel all": 1,
    "wait open": 1,
    "wait filled": 1,
    "wait done": 1,
    "wait final": 1,
    "pause": 3,
}
_KEYS: Final = ("bid", "ask", "third")
#: Seconds, and the scheduler's passes, after which a call or a scope is cancelled.
_DELAYS: Final = (0.0, 0.0, 0.01, 0.1, 1.0)
_MOST_PASSES: Final = 40
#: Seconds: the longest wait for what becomes of an order, and the longest time that a call is left alone beside a body.
_LONGEST_WAIT: Final = 2.0
_LONGEST: Final = 12.0

Act = Callable[[], Awaitable[Any]]


class BodyError(Exception):
    """What the body of a scope raises by intention."""


class ScopeBot:
    """One task that opens scopes.

    Args:
        world: The world.
        number: The number of the bot.
    """

    def __init__(self, world: ScopeWorld, number: int) -> None:
        self._world = world
        self._number = number
        self._rng = sources(world.settings.seed, f"scopes/bot {number}")
        self._handles: list[OrderHandle] = []

    async def run(self) -> None:
        """Open the scopes."""
        for number in range(self._world.scope_settings.scopes):
            await self._open(f"scope {self._number}-{number}")

    async def _open(self, name: str) -> None:
        rng, settings = self._rng, self._world.scope_settings
        journal = self._world.folder / "journal" if settings.restarts and not self._number else None
        deadline, lease = rng.choice((0.3, 1.0, 3.0, 5.0)), lease_of(rng, settings)
        note = ScopeNote(name, deadline, lease, is_journaled=journal is not None)
        acts = rng.randint(1, max(2, settings.calls))
        with trio.CancelScope() as scope:
            if rng.random() < 0.25:
                self._world.acts.start_soon(self._cancel_later, scope, rng.uniform(0.0, 3.0))
            await self.run_scope(note, partial(self._body, acts), journal)

    async def run_scope(
        self, note: ScopeNote, body: Callable[[OrderScope], Awaitable[object]], journal: Path | None = None
    ) -> None:
        """Open a scope around a body, and note how it is left."""
        orders = self._world.client.order_scope(
            self._world.settings.assets[0], deadline=note.deadline, lease=note.lease, journal=journal
        )
        self._world.notes.opened(note, orders)
        self._handles.clear()
        try:
            async with orders:
                try:
                    await body(orders)
                except BaseException as exc:
                    note.body = exc
                    raise
                finally:
                    note.left = trio.current_time()
                    self._world.log("bot", f"{note} is left: {note.body!r}")
        except (BodyError, OrdersLeftResting) as exc:
            note.raised = exc
        except BaseException as exc:
            note.raised = exc
            raise
        finally:
            note.exited = trio.current_time()
            note.named = frozenset(order.order_id for order in orders.left_resting)
            note.resting = self._world.resting() & self._world.notes.of(note)
            self._world.log("bot", f"{note}: {note.raised!r}, named {set(note.named)}, rests {set(note.resting)}")
            self._world.outcome.fates["scope", type(note.raised).__name__] += 1

    async def _body(self, acts: int, orders: OrderScope) -> None:
        rng, world = self._rng, self._world
        kinds, weights = list(KINDS_OF_ACTS), list(KINDS_OF_ACTS.values())
        for _ in range(acts):
            await trio.sleep(rng.expovariate(1 / world.settings.between_calls))
            (kind,) = rng.choices(kinds, weights)
            act = self.draw(kind, orders)
            if rng.random() < 0.3:
                world.acts.start_soon(self.perform, kind, act)
            else:
                await self.perform(kind, act)
            if rng.random() < 0.03:
                raise BodyError

    async def perform(self, kind: str, act: Act) -> None:
        """Make a call, which may be cancelled."""
        with trio.move_on_after(_LONGEST) as scope:
            if self._rng.random() < 0.3:
                self._world.acts.start_soon(self._cancel_later, scope, self._rng.choice(_DELAYS))
            await self.make(kind, act)

    async def make(self, kind: str, act: Act) -> None:
        """Make a call, and note how it ended. An error of the client is nothing special."""
        self._world.outcome.calls += 1
        self._world.log("bot", f"{self._number}: {kind} begins")
        ended = "cancelled"
        try:
            result = await act()
        except (TplusError, trio.ClosedResourceError) as exc:
            ended = type(exc).__name__
            self._world.log("bot", f"{self._number}: {kind}: {exc!r}")
        except (RuntimeError, ValueError) as exc:
            if not _is_expected(exc):
                raise
            ended = type(exc).__name__
        else:
            ended = "returned"
            if isinstance(result, OrderHandle):
                self.add(result)
        finally:
            self._world.log("bot", f"{self._number}: {kind} {ended}")
            self._world.outcome.fates[kind, ended] += 1

    def add(self, handle: OrderHandle) -> None:
        """Let later calls be about an order."""
        if handle not in self._handles:
            self._handles.append(handle)

    async def _cancel_later(self, scope: trio.CancelScope, delay: float) -> None:
        passes = self._rng.randint(0, _MOST_PASSES) if not delay else 0
        await trio.sleep(delay)
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    # What is called.

    def draw(self, kind: str, orders: OrderScope) -> Act:
        """Draw a call of a kind, and return what makes it."""
        rng = self._rng
        handle = rng.choice(self._handles[-3:]) if self._handles else None
        match kind:
            case "keep" | "keep nothing":
                return self._keep(orders, is_nothing=kind == "keep nothing")
            case "market":
                return partial(orders.create_market_order, self._side(), base_quantity=self._quantity())
            case "replace" if handle is not None:
                return partial(orders.replace_order, handle, self._quantity(3), self._price())
            case "amend" if handle is not None:
                return partial(orders.amend_order, handle, self._quantity())
            case "cancel" if handle is not None:
                return partial(self._cancel, partial(orders.cancel_order, handle), (handle,))
            case "cancel all":
                return partial(self._cancel, orders.cancel_all, orders.open)
            case "wait open" if handle is not None:
                return partial(_wait, handle.wait_open)
            case "wait filled" | "wait done" | "wait final" if handle is not None:
                return partial(self._wait, getattr(handle, kind.replace(" ", "_")), handle)
            case "pause":
                return partial(trio.sleep, rng.choice((0.05, 0.5, 2.0)))
            case _:
                return self._limit(orders, kind)

    async def _cancel(self, cancel: Act, handles: Sequence[OrderHandle]) -> None:
        await cancel()
        self._world.said_gone("canceled", handles)

    async def _wait(self, wait: Act, handle: OrderHandle) -> None:
        if await _wait(wait) and not handle.ambiguous:
            self._world.said_gone("done", (handle,))

    def _keep(self, orders: OrderScope, *, is_nothing: bool) -> Act:
        rng = self._rng
        key = rng.choice(_KEYS)
        side = {"bid": "Buy", "ask": "Sell"}.get(key, self._side())
        prices = (95, 98, 99, 100) if side == "Buy" else (100, 101, 102, 105)
        quantity = Decimal(0) if is_nothing else rng.choice((Decimal("0.5"), Decimal(1), self._quantity()))
        return partial(
            orders.keep,
            key,
            side,
            Decimal(rng.choice(prices)) / 100,
            quantity,
            post_only=rng.random() < 0.8,
            refill=rng.random() < 0.3,
            asset_id=rng.choice(self._world.settings.assets),
        )

    def _limit(self, orders: OrderScope, kind: str) -> Act:
        rng, side = self._rng, self._side()
        price, terms = self._price(side), dict[str, Any]()
        if kind == "ioc":
            terms["time_in_force"] = IOC(fill_or_kill=rng.random() < 0.2)
        elif kind == "gtd":
            expiry_ns = self._world.now_ns() + round(rng.choice((0.5, 3.0, 6.0, 20.0)) * 1e9)
            terms["time_in_force"] = GTD(timestamp_ns=expiry_ns, post_only=False)
        else:
            terms["time_in_force"] = GTC(post_only=rng.random() < 0.5)
        if kind == "trigger":
            condition = rng.choice((TriggerAbove, TriggerBelow))(rng.randint(97, 103))
            terms["trigger"] = OrderTrigger(None, condition)
        return partial(orders.create_limit_order, self._quantity(), price, side, **terms)

    def _side(self) -> str:
        return self._rng.choice(("Buy", "Sell"))

    def _price(self, side: str | None = None) -> Decimal:
        """Draw a price at which an order mostly rests, in quote units."""
        least = {"Buy": 95, "Sell": 100}.get(side or "", 96)
        return Decimal(self._rng.randint(least, least + 5)) / 100

    def _quantity(self, factor: int = 1) -> Decimal:
        """Draw a quantity, in base units."""
        return Decimal(factor * self._rng.randint(5, 200)) / 100


async def _wait(wait: Act) -> bool:
    """Wait, not for too long, and return whether the wait came to its end."""
    with trio.move_on_after(_LONGEST_WAIT):
        await wait()
        return True
    return False


def _is_expected(exc: Exception) -> bool:
    """Return whether a call was refused because of what another one did: the key is in use, or the order is over."""
    return "is in use" in str(exc) or "open orders" in str(exc) or "is kept by its key" in str(exc)
