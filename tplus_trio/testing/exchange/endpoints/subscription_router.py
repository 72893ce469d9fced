"""The subscription router: the paths of the feeds, and who may subscribe to them."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import partial
from typing import Final

from tplus_trio.testing.exchange.endpoints.control_channel import SUBPROTOCOL, ControlChannel
from tplus_trio.testing.exchange.endpoints.order_gate import OrderGate
from tplus_trio.testing.exchange.endpoints.rest import GATEWAY_PREFIX
from tplus_trio.testing.exchange.feeds import Subscription
from tplus_trio.testing.exchange.http_messages import clean_path, error
from tplus_trio.testing.exchange.market_state import MarketState, dumps, trade_json
from tplus_trio.testing.exchange.user_trades import UserTrades

__all__ = ["SubscriptionRouter"]

#: The close code of a feed whose token has expired.
TOKEN_EXPIRED: Final = 1008
_PUBLIC: Final = frozenset({"/trades", "/tickers/ws"})
_BY_MARKET: Final = ("/marketdepth/diff/", "/klines/diff/", "/ticker/ws/")
_BY_USER: Final = ("/trades/user/events/", "/trades/user/", "/positions/ws/", "/account/events/")
_SIGNED_IN: Final = frozenset({"/orders", "/intent/ws", "/control"})


class SubscriptionRouter:
    """Opens subscriptions."""

    def __init__(self, market_state: MarketState, gate: OrderGate, trades: UserTrades) -> None:
        self._market_state = market_state
        self._gate = gate
        self._trades = trades
        #: The users who may subscribe to ``/intent/ws``.
        self.market_makers: set[str] = set()
        #: Whether every feed begins with a ``subscriptions`` message.
        self.greets = False

    def subscribe(self, target: str, headers: Mapping[str, str]) -> Subscription:
        """Open a subscription.

        Raises:
            Rejection: (401) The feed needs a user, or the token is invalid; (403) the feed is another user's; (404) the
                feed or its market does not exist.
        """
        path = clean_path(target)
        if path.startswith(f"{GATEWAY_PREFIX}/"):
            path = path.removeprefix(GATEWAY_PREFIX)
        self._market_state.faults.on_handshake(path)
        if (revoked := self._market_state.accounts.revoked(headers)) is not None:
            owner, code = revoked
            subscription = Subscription(self._admit(path, owner), owner)
            subscription.close(code, "token revoked")
            return subscription
        user = self._market_state.accounts.user_of(headers)
        subscription = Subscription(self._admit(path, user), user)
        self._market_state.hub.add(subscription)
        if user is not None and (expiry_ns := self._market_state.accounts.expiry_of(headers)) is not None:
            reference = weakref.ref(subscription)  # the schedule must not keep a closed subscription alive
            self._market_state.schedule.at(expiry_ns, partial(_end_session, reference), partial(_is_open, reference))
        if self.greets:
            subscription.push(dumps({"type": "subscriptions", "channel": path}))
        if count := self._market_state.faults.take_replay(path):
            for trade in self._market_state.public_trades(self._market_state.trades)[-count:]:
                subscription.push(dumps(trade_json(trade)))
        if path == "/control":
            assert user is not None
            offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
            subscription.subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
            subscription.on_message = ControlChannel(self._market_state, self._gate, subscription, user).receive
        elif path.startswith("/positions/ws/"):
            assert user is not None
            subscription.push(dumps(self._trades.position_update(user)))
        return subscription

    def _admit(self, path: str, user: str | None) -> str:
        """Return the path in its canonical form if this user may subscribe to it."""
        if path in _PUBLIC or path in self._market_state.taped_feeds:
            return path
        for prefix in _BY_MARKET:
            if path.startswith(prefix):
                return f"{prefix}{self._market_state.find(path.removeprefix(prefix)).asset}"
        owner = next((path.removeprefix(prefix) for prefix in _BY_USER if path.startswith(prefix)), None)
        if owner is None and path not in _SIGNED_IN:
            raise error(404, "PATH_NOT_FOUND", f"there is no feed at {path}")
        if user is None:
            raise error(401, "UNAUTHORIZED", "sign in first")
        if owner is not None and owner != user:
            raise error(403, "FORBIDDEN", "this feed is another user's")
        if path == "/intent/ws" and user not in self.market_makers:
            raise error(403, "FORBIDDEN", "this feed is for market makers")
        return path


def _end_session(subscription: weakref.ref[Subscription]) -> None:
    """Close a subscription whose token has expired, if it is still open."""
    if (found := subscription()) is not None:
        found.close(TOKEN_EXPIRED, "token expired")


def _is_open(subscription: weakref.ref[Subscription]) -> bool:
    return (found := subscription()) is not None and not found.closed
