"""REST: the endpoints of orders, and of one user's trades and positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs

from tplus_trio.models import Side, UserTrade
from tplus_trio.testing.exchange.effects import Effects, Operation
from tplus_trio.testing.exchange.endpoints.rest import MAX_PAGE, Call, Handler, integer, page_of
from tplus_trio.testing.exchange.http_messages import Rejection, Response, as_list, as_object, error, json_response
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.exchange.order_manager import OrderManager
from tplus_trio.testing.exchange.order_records import (
    NewOrder,
    OrderRecord,
    Replacement,
    order_json,
    read_condition,
    read_details,
    read_order_id,
    read_trigger,
    read_units,
)
from tplus_trio.testing.exchange.positions import basis_json
from tplus_trio.testing.exchange.signatures import (
    cancel_text,
    cosigner_fault,
    order_text,
    replace_text,
    signature_is_good,
)
from tplus_trio.testing.exchange.user_trades import user_trade_json

__all__ = ["MAX_BATCH", "OrderRequests", "order_routes"]

MAX_BATCH: Final = 50

T = TypeVar("T")
#: Carries out the body of one request of a user, and returns the answer.
Act: TypeAlias = Callable[[str, Mapping[str, Any]], dict[str, Any]]
#: The field of a body that holds what the user asks for.
_PARTS: Final = ("order", "request", "cancel")


class OrderRequests:
    """Reads, checks and carries out the bodies of order requests, from REST and from the control channel."""

    def __init__(self, market_state: MarketState, order_manager: OrderManager) -> None:
        self._market_state = market_state
        self._order_manager = order_manager
        #: The record of effects.
        self.effects: Effects = market_state.effects

    def create(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a new, signed order."""
        return self._decide("create", user, body, self._create)

    def cancel(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a signed cancellation."""
        return self._decide("cancel", user, body, self._cancel)

    def replace(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a signed replacement."""
        return self._decide("replace", user, body, self._replace)

    def amend(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an amendment, which needs no signature."""
        return self._decide("amend", user, body, self._amend)

    def batch(
        self,
        user: str,
        body: Mapping[str, Any],
        name: str,
        act: Act,
    ) -> list[dict[str, Any]]:
        """Carry out several requests of one body; a refused one does not stop the others.

        Args:
            user: The user's public key.
            body: The whole body.
            name: The field that holds the requests: ``orders`` or ``replaces``.
            act: Carries out one of them.

        Raises:
            Rejection: (400) There are none or too many, or an order id is there twice. None is carried out then.
        """
        requests = as_list(body.get(name))
        if not 1 <= len(requests) <= MAX_BATCH:
            raise error(400, "INVALID_REQUEST", f"{name} must be a list of 1 to {MAX_BATCH} requests")
        ids = [order_id_of(item) for item in requests]
        if len(set(ids)) < len(ids):
            raise error(400, "INVALID_REQUEST", "an order id may be in a batch once only")
        results: list[dict[str, Any]] = []
        for order_id, item in zip(ids, requests, strict=True):
            try:
                answer = act(user, item)
            except Rejection as rejection:
                answer = {"status": "Rejected", "reason": rejection.error.get("code")}
            status, reason = answer["status"], answer.get("reason")
            results.append({"order_id": order_id, "status": status, "reason": reason})
        return results

    def _decide(self, operation: Operation, user: str, body: Mapping[str, Any], act: Act) -> dict[str, Any]:
        """Carry out a request; a refusal is recorded and raised."""
        part = as_object(next((body[name] for name in _PARTS if name in body), None))
        asset = part.get("base_asset", part.get("asset_id"))
        with self.effects.refusals(operation, user, order_id_of(body), asset):
            return act(user, body)

    def _create(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        order = _object(body, "order")
        order_id = _checked(read_order_id, order.get("order_id"))
        _check_signer(user, order.get("signer"), order_text(order), body, order_id)
        listing = self._listing(order, order_id)
        details = _checked(read_details, order.get("details"), order_id)
        trigger = _checked(read_trigger, order.get("trigger"), order_id)
        side = _checked(Side, order.get("side"), order_id)
        text = {**order, "base_asset": listing.asset}
        new = NewOrder(order_id, side, details, text, body["signature"], trigger)
        return self._order_manager.create(listing, user, new)

    def _cancel(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        cancel = _object(body, "cancel")
        order_id = _checked(read_order_id, cancel.get("order_id"))
        _check_signer(user, cancel.get("signer"), cancel_text(cancel), body, order_id)
        self._check_asset(user, order_id, cancel.get("asset_id"))
        return self._order_manager.cancel(user, order_id)

    def _replace(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        request = _object(body, "request")
        order_id = _checked(read_order_id, request.get("order_id"))
        _check_signer(user, body.get("signer"), replace_text(request), body, order_id)
        self._listing(request, order_id)
        self._check_asset(user, order_id, request.get("base_asset"))
        trigger = request.get("new_trigger")
        replacement = Replacement(
            order_id,
            _checked(read_units, request.get("new_price_limit"), order_id),
            _checked(read_units, request.get("new_quantity"), order_id),
            _checked(read_units, request.get("timestamp_ns"), order_id),
            None if trigger is None else _checked(read_condition, trigger, order_id),
        )
        return self._order_manager.replace(user, replacement)

    def _amend(self, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
        request = _object(body, "request")
        order_id = _checked(read_order_id, request.get("order_id"))
        if body.get("user_id") != user:
            raise error(403, "FORBIDDEN", "this order belongs to another user")
        self._listing(request, order_id, "book_quantity_decimals")
        self._check_asset(user, order_id, request.get("base_asset"))
        expected = request.get("expected_authorization_revision")
        return self._order_manager.amend(
            user,
            order_id,
            _checked(read_units, request.get("new_quantity"), order_id),
            None if expected is None else _checked(read_units, expected, order_id),
            _checked(read_units, request.get("timestamp_ns"), order_id),
        )

    def _listing(self, order: Mapping[str, Any], order_id: str, *decimals: str) -> Listing:
        """Return the market of an order; the order must name the market's decimals: all of them, or those given."""
        listing = self._market_state.find(order.get("base_asset"))
        for name in decimals or ("book_price_decimals", "book_quantity_decimals"):
            if order.get(name) != getattr(listing.market, name):
                raise error(
                    400,
                    "INVALID_ORDER_DECIMALS",
                    f"{name} is not the market's",
                    details={"order_id": order_id},
                )
        return listing

    def _check_asset(self, user: str, order_id: str, asset: object) -> None:
        if self._order_manager.find(user, order_id).listing is not self._market_state.find(asset):
            raise error(404, "ORDER_NOT_FOUND", "the order is of another market", details={"order_id": order_id})


def order_id_of(request: object) -> str:
    """Return the order id that a request names; ``""`` if it names none."""
    for name in _PARTS:
        order_id = as_object(as_object(request).get(name)).get("order_id")
        if isinstance(order_id, str):
            return order_id
    return ""


def order_routes(market_state: MarketState, order_manager: OrderManager) -> list[tuple[str, str, Handler]]:
    """Return the routes that list a user's orders, trades and positions."""

    def listing(list_rows: Handler) -> Handler:
        """Let faults of listings choose the time and the number of rows of a listing."""

        def handle(call: Call) -> Response:
            faults, path = market_state.faults, call.request.path
            behind = faults.take_behind(path)
            cut = faults.take_cut(path, is_first_page=call.request.query.get("page", "0") == "0")
            return list_rows(attrs.evolve(call, listed_ns=market_state.before(behind) if behind else None, cut=cut))

        return handle

    def orders(call: Call) -> Response:
        chosen, about = page_of(call, _orders(order_manager, call), MAX_PAGE, newest_first=True)
        return json_response({"orders": [order_json(record) for record in chosen], **about})

    def orders_of(call: Call) -> Response:
        listing = market_state.find(call.arguments[1])
        records = [record for record in _orders(order_manager, call) if record.listing is listing]
        chosen, _ = page_of(call, records, MAX_PAGE, newest_first=True)
        return json_response([order_json(record) for record in chosen])

    def trades(call: Call) -> Response:
        asset = market_state.find(call.arguments[-1]).asset if len(call.arguments) == 2 else None
        user = call.require_self(call.arguments[0])
        states: Sequence[UserTrade] = order_manager.trades.of(user)
        if (then_ns := call.listed_ns) is not None:
            history = order_manager.trades.history
            states = [history.trade(user, one, then_ns) for one in states if one.timestamp_ns <= then_ns]
        found = _user_trades(states, call, asset)
        chosen, _ = page_of(call, found, newest_first=True)
        return json_response([user_trade_json(trade) for trade in chosen])

    def positions(call: Call) -> Response:
        found = open_positions(call)
        chosen, about = page_of(call, found)
        return json_response({"positions": chosen, **about, "total_positions": len(found)})

    def basis(call: Call) -> Response:
        return json_response([basis_json(position) for position in open_positions(call)][: call.cut])

    def open_positions(call: Call) -> list[dict[str, Any]]:
        user = call.require_self(call.arguments[0])
        asset = market_state.find(call.arguments[1]).asset if len(call.arguments) == 2 else None
        account = integer(call, "sub_account", -1)
        found = order_manager.trades.positions(user, asset, call.listed_ns)
        return [one for one in found if account in (-1, one["sub_account_index"])]

    return [
        ("GET", "/orders/user/*", listing(orders)),
        ("GET", "/orders/user/*/*", listing(orders_of)),
        ("GET", "/trades/user/*", listing(trades)),
        ("GET", "/trades/user/*/*", listing(trades)),
        ("GET", "/positions/user/*/basis", listing(basis)),
        ("GET", "/positions/user/*/basis/*", listing(basis)),
        ("GET", "/positions/*", listing(positions)),
        ("GET", "/positions/*/*", listing(positions)),
    ]


def _orders(order_manager: OrderManager, call: Call) -> list[OrderRecord]:
    """Return a user's orders that the query requests, oldest first."""
    user = call.require_self(call.arguments[0])
    if not order_manager.knows(user):
        raise error(404, "USER_NOT_FOUND", "this user has not ordered anything yet")
    query = call.request.query
    side, status = query.get("side", "").lower(), query.get("status", "").lower()
    start, end = integer(call, "start_time", 0), integer(call, "end_time", 2**63 - 1)
    account = integer(call, "sub_account", -1)
    open_only = query.get("open_only", "").lower() == "true"
    records = order_manager.orders(user)
    if call.listed_ns is not None:
        states = [order_manager.history.at(record, call.listed_ns) for record in records]
        records = [state for state in states if state is not None]
    return [
        record
        for record in records
        if (not open_only or record.is_open)
        and (not side or record.side.value.lower() == side)
        and (not status or record.status.lower() == status)
        and account in (-1, record.account)
        and start <= record.timestamp_ns <= end
    ]


def _user_trades(trades: Sequence[UserTrade], call: Call, asset: str | None) -> list[UserTrade]:
    """Return a user's trades that the query requests, oldest first."""
    query = call.request.query
    side, status = query.get("side", "").lower(), query.get("status", "").lower()
    start, end = integer(call, "start_time", 0), integer(call, "end_time", 2**63 - 1)
    account = integer(call, "sub_account", -1)
    return [
        trade
        for trade in trades
        if asset in (None, trade.asset_id)
        and (not side or trade.is_buyer == (side == "buy"))
        and (not status or trade.status.lower() == status)
        and account in (-1, trade.sub_account)
        and start <= trade.timestamp_ns <= end
    ]


def _object(body: object, name: str) -> dict[str, Any]:
    value = as_object(body).get(name)
    if not isinstance(value, dict):
        raise error(400, "INVALID_REQUEST", f"{name} must be an object")
    return as_object(cast("object", value))


def _checked(read: Callable[[Any], T], value: object, order_id: str | None = None) -> T:
    """Return ``read(value)``; its ValueError or TypeError becomes the answer."""
    try:
        return read(value)
    except (TypeError, ValueError) as exc:
        details = None if order_id is None else {"order_id": order_id}
        raise error(400, "INVALID_ORDER", str(exc), details=details) from None


def _check_signer(user: str, signer: object, text: str, body: Mapping[str, Any], order_id: str) -> None:
    if signer != user:
        raise error(403, "SIGNER_MISMATCH", "the signer is not the user signed in")
    fault = None if signature_is_good(user, text, body.get("signature")) else "the signature does not fit"
    if (fault := fault or cosigner_fault(text, body.get("additional_signers"))) is not None:
        raise error(401, "INVALID_SIGNATURE", fault, details={"order_id": order_id})
