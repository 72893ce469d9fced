"""What arrived at the exchange, request by request, and what became of each: the truth beside the record of effects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from unittest import mock

import attrs
import trio

from tplus_trio.testing import Effect, Exchange
from tplus_trio.testing.exchange import exchange as exchange_module
from tplus_trio.testing.exchange.endpoints.order_gate import OrderCall, OrderGate, Outcome
from tplus_trio.testing.exchange.http_messages import as_list, as_object

from .calls import Act

__all__ = ["Arrival", "Part", "Record", "Run"]


@attrs.frozen
class Part:
    """One order of a request: what is requested for it, with which quantity, and the revision that it is to have."""

    act: Act
    order_id: str
    quantity: int | None
    expected: int | None = None


@attrs.frozen
class Run:
    """One time that a request was carried out, or refused before.

    Attributes:
        number: Its number in the record of effects; None if it was refused before.
        way: How the request came.
        time: When, on trio's clock.
        said: What was answered for each order, as in the record of answers.
        status: The HTTP status of a refusal of the whole request; None without one.
        is_instead: Whether a fault sent something in place of the answer.
    """

    number: int | None
    way: str
    time: float
    said: Mapping[str, str | None]
    status: int | None
    is_instead: bool


@attrs.define(eq=False)
class Arrival:
    """One request that arrived, from the network.

    Attributes:
        user: The public key of the user who sent it.
        operation: Its name in the record of answers.
        way: How it came.
        time: When, on trio's clock.
        parts: Its orders.
        signed_ns: The time in it, when it was signed; 0 if it has none.
        runs: What became of it so far: nothing while a fault holds it.
    """

    user: str
    operation: str
    way: str
    time: float
    parts: tuple[Part, ...]
    signed_ns: int = 0
    runs: list[Run] = attrs.field(factory=list[Run])


class Record:
    """The requests of one exchange, in the order of their arrival."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        #: Called after each time that a request was carried out.
        self.on_run: Callable[[Arrival, Run], object] = lambda _, __: None
        self._by_call: dict[int, tuple[OrderCall, Arrival]] = {}
        self._held = 0
        self._none_held = trio.Event()
        self._none_held.set()

    def exchange(self, **options: Any) -> Exchange:
        """Make an exchange whose requests are recorded here."""
        with mock.patch.object(exchange_module, "OrderGate", partial(_Gate, self)):
            return Exchange(**options)

    async def wait_carried_out(self) -> None:
        """Wait until no request is held."""
        await self._none_held.wait()

    def arrived(self, call: OrderCall) -> Arrival:
        """Note a request; return the note that there is, if it was noted before."""
        if (known := self._by_call.get(id(call))) is not None:
            return known[1]
        name = call.operation.items
        bodies = [call.body] if name is None else [as_object(item) for item in as_list(call.body.get(name))]
        parts = tuple(_part(call.operation.act, body) for body in bodies)
        signed_ns = call.body.get("post_sign_timestamp")
        arrival = Arrival(
            call.user,
            call.operation.name,
            call.way,
            trio.current_time(),
            parts,
            signed_ns if isinstance(signed_ns, int) else 0,
        )
        self.arrivals.append(arrival)
        if not self._held:
            self._none_held = trio.Event()
        self._held += 1
        self._by_call[id(call)] = (call, arrival)  # the call is kept, so that no other one gets its id
        return arrival

    def ran(self, call: OrderCall, outcome: Outcome, number: int | None) -> None:
        """Note that a request was carried out, or refused."""
        arrival = self.arrived(call)
        said = {part.order_id: outcome.said_of(part.order_id) for part in arrival.parts}
        refusal = outcome.refusal.response if outcome.refusal is not None else None
        if outcome.instead is not None:
            refusal = outcome.instead.refusal
        status = None if refusal is None else refusal.status
        run = Run(number, call.way, trio.current_time(), said, status, outcome.instead is not None)
        if not arrival.runs:
            self._held -= 1
            if not self._held:
                self._none_held.set()
        arrival.runs.append(run)
        self.on_run(arrival, run)


class _Gate(OrderGate):
    """A gate that notes each request."""

    def __init__(self, record: Record, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._record = record

    def submit(self, call: OrderCall) -> None:
        self._record.arrived(call)
        super().submit(call)

    def _log(self, call: OrderCall, outcome: Outcome, number: int | None) -> None:
        super()._log(call, outcome, number)
        self._record.ran(call, outcome, number)


_QUANTITIES: Final = {"replace": "new_quantity", "amend": "new_quantity"}


def _part(act: Act, body: Mapping[str, Any]) -> Part:
    """Return what a body requests."""
    content = as_object(body.get("order") or body.get("request") or body.get("cancel"))
    if act == "create":
        quantity = _order_quantity(as_object(content.get("details")))
    else:
        quantity = content.get(_QUANTITIES.get(act, ""))
    return Part(act, str(content.get("order_id")), quantity, content.get("expected_authorization_revision"))


def _order_quantity(details: Mapping[str, Any]) -> int | None:
    if "Limit" in details:
        quantity = as_object(details["Limit"]).get("quantity")
    else:
        sizes = as_object(as_object(details.get("Market")).get("quantity"))
        quantity = as_object(sizes.get("BaseAsset")).get("quantity")
    return quantity if isinstance(quantity, int) else None


def effects_by_request(effects: tuple[Effect, ...]) -> dict[tuple[int, str], list[Effect]]:
    """Return the effects that carry out requests, by request number and order."""
    found: dict[tuple[int, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        if effect.request_number is not None and effect.kind == effect.operation:
            found[effect.request_number, effect.order_id].append(effect)
    return found
