"""Programs of order requests, and what each of two clients gets for them from an exchange of its own.

A program is a list of steps. `Names` holds what differs between the two clients: how their models are made. The calls
have the same names and arguments, so that one function runs a step with either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import attrs
from hypothesis import strategies as st

from tplus_trio import OrderResponse, OrderStatus, User
from tplus_trio.testing import Exchange, Request, Response, Subscription

__all__ = [
    "KEYS",
    "MARKETS",
    "START",
    "Clock",
    "Names",
    "Recording",
    "Step",
    "add_markets",
    "books_of",
    "orders_of",
    "plain",
    "programs",
    "run_step",
    "steps",
]

KEYS: Final = (bytes(range(32)), bytes(range(1, 33)))
#: The markets, and the decimals of their prices and quantities.
MARKETS: Final = {"200": (2, 3), "7": (0, 1)}
START: Final = 1_700_000_000_000_000_000
_MS: Final = 1_000_000
Condition = tuple[bool, int]


@attrs.define
class Clock:
    """The time of the exchange and of the client, in nanoseconds. It stands still within a request."""

    now: int = START

    def __call__(self) -> int:
        return self.now


class Recording(Exchange):
    """Records the requests about orders, as they were sent."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(now_ns=clock)
        self.sent: list[tuple[str, str, str]] = []

    def handle(self, request: Request) -> Response:
        if request.path.startswith("/orders/"):
            self.sent.append((request.method, request.target, request.body.decode()))
        return super().handle(request)

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        subscription = super().subscribe(path, headers)
        receive = subscription.on_message
        if receive is None:
            return subscription  # a feed: nothing is sent on it

        def recorded(message: str | bytes) -> object:
            # The id of a request is random in one client and a count in the other.
            self.sent.append(("control", "", json.dumps(json.loads(message)["data"], separators=(",", ":"))))
            return receive(message)

        subscription.on_message = recorded
        return subscription


def add_markets(exchange: Exchange) -> None:
    for asset, decimals in MARKETS.items():
        exchange.add_market(asset, *decimals)


@attrs.frozen
class Names:
    """How a client's models are made."""

    asset: Callable[[str], Any]
    time_in_force: Callable[[str, bool, int], Any]
    target: Callable[[int, bool], Any]
    condition: Callable[[bool, int], Any]
    trigger: Callable[[str | None, Any], Any]


@attrs.frozen
class Step:
    """A request of one of the users, about a market; ``arguments`` differ from call to call."""

    call: str
    user: int
    market: str
    arguments: dict[str, Any]


# Steps, as they are drawn.

_ids = st.sampled_from(["a", "b", "ä/ +%"])
_markets = st.sampled_from(["200", "200", "200", "7"])
_prices = st.integers(97, 103)
_quantities = st.integers(1, 9)
_conditions = st.none() | st.tuples(st.booleans(), _prices)
_times = st.tuples(
    st.sampled_from(["GTC", "GTC", "GTC", "GTD", "IOC"]),
    st.sampled_from([False, False, True]),
    st.sampled_from([-5, 3, 8, 20, 1000]),
)
_limit: Final = {
    "order_id": _ids,
    "side": st.sampled_from(["Buy", "Sell"]),
    "price": _prices,
    "quantity": _quantities,
    "time_in_force": st.none() | _times,
    "target": st.none() | st.tuples(st.integers(0, 2), st.booleans()),
    "max_trading_fees_rate": st.none() | st.integers(0, 60_000),
    "trigger": st.none() | st.tuples(st.none() | _ids, st.tuples(st.booleans(), _prices)),
    "reduce_only": st.sampled_from([False, False, False, True]),
}
#: Orders that mostly rest, so that later steps find them.
_resting: Final = _limit | {
    "time_in_force": st.none(),
    "target": st.none(),
    "trigger": st.none(),
    "reduce_only": st.just(False),
}
_replacement: Final = {"id": _ids, "new_quantity": _quantities, "new_price": _prices, "new_trigger": _conditions}
_bad: Final = st.sampled_from([0, -1])


def _by_quantity(base: bool, quantity: int, cap: int | None) -> dict[str, int | None]:
    if base:
        return {"base_quantity": quantity, "max_sellable_amount": cap}
    return {"quote_quantity": quantity * 100, "max_sellable_quantity": cap}


def _calls(**arguments: Any) -> Callable[[str], st.SearchStrategy[Step]]:
    return lambda call: st.builds(
        Step,
        st.just(call),
        st.integers(0, 1),
        st.sampled_from(["200", "200", "200", "7"]),
        st.fixed_dictionaries(arguments),
    )


def _unique(key: str, fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(fields), min_size=1, max_size=4, unique_by=lambda item: item[key])


#: What a step may be. Those of a bad value are refused by the one client itself, by the other's exchange.
steps: Final = st.one_of(
    _calls(**_resting)("limit"),
    _calls(**_resting)("limit"),
    _calls(**_resting)("limit"),
    _calls(**_limit)("limit"),
    _calls(
        order_id=_ids,
        side=st.sampled_from(["Buy", "Sell"]),
        size=st.builds(_by_quantity, st.booleans(), _quantities, st.none() | st.integers(1, 900)),
        fill_or_kill=st.booleans(),
        trigger=_limit["trigger"],
    )("market"),
    _calls(id=_ids)("cancel"),
    _calls(**_replacement)("replace"),
    _calls(id=_ids, new_quantity=_quantities, current=st.sampled_from([True, True, False]))("amend"),
    _calls(items=_unique("order_id", _limit))("batch create"),
    _calls(items=_unique("id", _replacement))("batch replace"),
    _calls(which=st.sampled_from(["all", "book", "open"]))("list"),
    _calls(milliseconds=st.integers(1, 10))("wait"),
    _calls(**_limit | {"quantity": _bad})("bad limit"),
    _calls(**_limit | {"price": _bad})("bad limit"),
    _calls(**_replacement | {"new_quantity": _bad})("bad replace"),
)
programs: Final = st.lists(steps, min_size=1, max_size=12)


# Running a step.


def _limit_arguments(names: Names, arguments: dict[str, Any]) -> dict[str, Any]:
    made = dict(arguments)
    if (terms := arguments["time_in_force"]) is not None:
        kind, flag, milliseconds = terms
        made["time_in_force"] = names.time_in_force(kind, flag, START + milliseconds * _MS)
    if arguments["target"] is not None:
        made["target"] = names.target(*arguments["target"])
    made["trigger"] = _trigger(names, arguments["trigger"])
    return made


def _trigger(names: Names, drawn: tuple[str | None, Condition] | None) -> Any:
    return None if drawn is None else names.trigger(drawn[0], names.condition(*drawn[1]))


def _replace_arguments(names: Names, arguments: dict[str, Any]) -> dict[str, Any]:
    condition = arguments["new_trigger"]
    made = {key: value for key, value in arguments.items() if key != "id"}
    return made | {
        "original_order_id": arguments["id"],
        "new_trigger": None if condition is None else names.condition(*condition),
    }


async def run_step(client: Any, names: Names, step: Step, clock: Clock, revisions: dict[tuple[int, str], int]) -> Any:
    """Run a step with a client of its user, and return what the client returns.

    Args:
        client: The client.
        names: How its models are made.
        step: The step.
        clock: The time, which goes on by a millisecond for each request that is signed.
        revisions: The last replacement of each order, by user and order id.
    """
    clock.now += _MS
    asset, arguments = names.asset(step.market), step.arguments
    match step.call:
        case "limit" | "bad limit":
            return await client.create_limit_order(asset_id=asset, **_limit_arguments(names, arguments))
        case "market":
            made = {key: value for key, value in arguments.items() if key not in ("size", "trigger")}
            trigger = _trigger(names, arguments["trigger"])
            return await client.create_market_order(asset_id=asset, trigger=trigger, **arguments["size"], **made)
        case "cancel":
            return await client.cancel_order(arguments["id"], asset)
        case "replace" | "bad replace":
            answer, revision = await client.replace_order(asset_id=asset, **_replace_arguments(names, arguments))
            if answer.status == "Rejected":  # the one client returns it, the other raises it
                return answer
            revisions[step.user, arguments["id"]] = revision
            return answer, revision
        case "amend":
            expected = revisions.get((step.user, arguments["id"])) if arguments["current"] else None
            return await client.amend_order(arguments["id"], asset, arguments["new_quantity"], expected)
        case "batch create":
            orders: list[Any] = []
            for item in arguments["items"]:
                clock.now += _MS
                _, order = await client.prepare_limit_order_request(asset_id=asset, **_limit_arguments(names, item))
                orders.append(order)
            return await client.send_multiple_orders(orders)
        case "batch replace":
            replacements: list[Any] = []
            for item in arguments["items"]:
                clock.now += _MS
                made = _replace_arguments(names, item)
                replacements.append(await client.prepare_replace_order_request(asset_id=asset, **made))
            return await client.replace_multiple_orders(replacements)
        case "list":
            return await _list(client, asset, arguments["which"])
        case _:
            clock.now += arguments["milliseconds"] * _MS
            return None


async def _list(client: Any, asset: Any, which: str) -> Any:
    if which == "all":
        return (await client.get_user_orders())[0]
    if which == "open":
        return await client.get_open_orders_for_book(asset)
    return await client.get_user_orders_for_book(asset)


# What is compared.

_LISTED: Final = [field.name for field in attrs.fields(OrderResponse)]


def plain(value: Any) -> Any:
    """Return what a call returned as plain values, the same for both clients if it means the same."""
    if hasattr(value, "batch_order_status"):
        return [(item.order_id, _text(item.status), item.reason) for item in value.batch_order_status]
    if hasattr(value, "limit_price"):
        return {name: _text(getattr(value, name)) for name in _LISTED}
    if hasattr(value, "order_id"):
        return (value.order_id, _text(value.status), getattr(value, "reason", None))
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value.value if isinstance(value, Enum) else value)


def books_of(exchange: Exchange) -> Any:
    return [exchange.book(asset) for asset in MARKETS]


def orders_of(exchange: Exchange) -> Any:
    """Return all orders. When an expiry is noticed depends on the requests: a bad one is sent by one client only."""
    return [[_without_time_of_end(order) for order in exchange.orders(User(key))] for key in KEYS]


def _without_time_of_end(order: OrderResponse) -> OrderResponse:
    return attrs.evolve(order, last_update_timestamp_ns=None) if order.status is OrderStatus.CLOSED else order
