"""REST: the endpoints of accounts: inventory, margin, transfers, and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, TypeVar

from tplus_trio.models import AssetIdentifier
from tplus_trio.testing.exchange.balances import MAX_ACCOUNT, QUOTE_ASSET, Balances, read_amount
from tplus_trio.testing.exchange.depth_book import number_text
from tplus_trio.testing.exchange.endpoints.rest import Call, Handler, integer
from tplus_trio.testing.exchange.http_messages import Response, as_list, as_object, error, json_response
from tplus_trio.testing.exchange.margin import INITIAL_RATE, MAINTENANCE_RATE, AccountMargin, MarginModel
from tplus_trio.testing.exchange.market_state import MarketState
from tplus_trio.testing.exchange.order_manager import OrderManager
from tplus_trio.testing.exchange.order_records import read_units
from tplus_trio.testing.exchange.signatures import close_text, signature_is_good, transfer_text

__all__ = ["AccountEndpoints"]

T = TypeVar("T")

_MAX_NAME: Final = 64
#: The suggested limit on what a closing buy spends, over its value at the last price.
_SLIPPAGE: Final = Decimal("1.05")
#: What an account may do by itself: the service's answer for a user without a configuration.
_ONE_SIGNER: Final[Mapping[str, Any]] = {
    "master_weight": 1,
    "signers": [],
    "thresholds": {"low": 1, "medium": 1, "high": 1},
}


class AccountEndpoints:
    """The endpoints of accounts. Each belongs to the user who is signed in.

    Args:
        market_state: The markets.
        order_manager: The orders, trades and positions.
        balances: The balances.
        margin: The margin of each sub-account.
        market_makers: The public keys of the market makers.
    """

    def __init__(
        self,
        market_state: MarketState,
        order_manager: OrderManager,
        balances: Balances,
        margin: MarginModel,
        market_makers: set[str],
    ) -> None:
        self._market_state = market_state
        self._order_manager = order_manager
        self._balances = balances
        self._margin = margin
        self._market_makers = market_makers
        #: The users whose names of sub-accounts market data does not show.
        self._unexported: set[str] = set()

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the routes of these endpoints."""
        return [
            ("GET", "/inventory/user/*", self._inventory),
            ("GET", "/margin/user/*", self._margin_info),
            ("GET", "/solvency/user/*", self._solvency),
            ("GET", "/multisig/config/*", self._multisig),
            ("GET", "/positions/close-all/*/*", self._close_all_preview),
            ("GET", "/sub-accounts/user/*", self._sub_account_names),
            ("POST", "/account/simulate/*", self._simulate),
            ("POST", "/account/transfer/close-position", self._close_position),
            ("POST", "/account/transfer/sub-account", self._transfer),
            ("PATCH", "/account/*/sub-account/*/name", self._rename),
            ("PUT", "/account/*/mds-export", self._export),
        ]

    def _user(self, call: Call) -> str:
        """Return the user whom the path names.

        Raises:
            Rejection: (401, 403) Another user is signed in, or none; (404) the user has no order and no balance yet.
        """
        user = call.require_self(call.arguments[0])
        if not self._order_manager.knows(user) and not self._balances.knows(user):
            raise error(404, "USER_NOT_FOUND", "this user has neither ordered nor deposited anything yet")
        return user

    # Reading

    def _inventory(self, call: Call) -> Response:
        user = self._user(call)
        accounts: dict[str, Any] = {}
        for account in self._margin.accounts(user):
            positions = self._order_manager.trades.position_sums(user, account)
            accounts[str(account)] = {
                "kind": "spot" if account == 0 else "cross_margin",
                "spot": {asset: number_text(one) for asset, one in self._balances.of(user, account).items()},
                "margins": {
                    asset: {
                        "base": {"credits": number_text(one.bought), "liabilities": number_text(one.sold)},
                        "quote": {"credits": number_text(one.received), "liabilities": number_text(one.paid)},
                    }
                    for (asset, _), one in positions.items()
                    if one.bought or one.sold or one.cash
                },
            }
        return json_response({"accounts": accounts, "is_mm": user in self._market_makers})

    def _margin_info(self, call: Call) -> Response:
        user = self._user(call)
        only = integer(call, "sub_account", -1, most=MAX_ACCOUNT)
        with_positions = call.request.query.get("include_positions", "").lower() == "true"
        accounts = {
            str(account): _margin_json(self._margin.of(user, account), with_positions=with_positions)
            for account in self._margin.accounts(user)
            if only in (-1, account)
        }
        return json_response({"accounts": accounts, "warnings": []})

    def _solvency(self, call: Call) -> Response:
        user = self._user(call)
        accounts: dict[str, Any] = {}
        for account in self._margin.accounts(user):
            margin = self._margin.of(user, account)
            distance = number_text(margin.maintenance_surplus)
            accounts[str(account)] = {"is_solvent": margin.available >= 0, "distance_from_liquidation": distance}
        return json_response({"accounts": accounts})

    def _multisig(self, call: Call) -> Response:
        self._user(call)
        return json_response(dict(_ONE_SIGNER))

    def _close_all_preview(self, call: Call) -> Response:
        user = self._user(call)
        account = _checked(_read_account_text, call.arguments[1])
        orders: list[dict[str, Any]] = []
        for holding in self._margin.of(user, account).holdings:
            listing = self._market_state.listing(holding.asset)
            quantity = listing.quantity_units(abs(holding.size))
            value = (quantity * listing.price_units(holding.mark) * _SLIPPAGE).to_integral_value(ROUND_CEILING)
            buys = holding.size < 0
            orders.append(
                {
                    "asset_id": holding.asset,
                    "side": "Buy" if buys else "Sell",
                    "quantity": quantity,
                    "suggested_max_sellable_amount": int(value) if buys else None,
                    "oracle_price": number_text(holding.mark),
                    "book_price_decimals": listing.market.book_price_decimals,
                    "book_quantity_decimals": listing.market.book_quantity_decimals,
                    "sub_account_index": account,
                    "reduce_only": True,
                }
            )
        return json_response({"orders": orders, "errors": {}})

    def _simulate(self, call: Call) -> Response:
        user = self._user(call)
        body = call.body()
        trade = as_object(body.get("trade"))
        asset = self._market_state.find(trade.get("asset")).asset
        if trade.get("trade_type") not in ("margin", "spot") or not isinstance(trade.get("is_buy"), bool):
            raise error(400, "INVALID_REQUEST", "trade_type must be margin or spot, and is_buy a boolean")
        size, price = (_checked(_read_positive, trade.get(name)) for name in ("size", "limit_price"))
        before = self._margin.of(user, _checked(_read_account, body.get("sub_account")))
        deposited = sum((self._deposit_value(one) for one in as_list(body.get("pending_transfers"))), Decimal(0))
        before = AccountMargin(before.cash + deposited, before.holdings)
        change = size if trade["is_buy"] else -size
        mark = self._market_state.listing(asset).last_price or price
        after = before.after_trade(asset, change, price, mark)
        held = abs(before.size(asset))
        increase = max(abs(before.size(asset) + change) - held, Decimal(0))
        liquidation_price = after.liquidation_price(asset)
        body = {
            "account_equity": number_text(after.equity),
            "available_margin": number_text(after.available),
            "mm_surplus": number_text(after.maintenance_surplus),
            "account_leverage": None if after.leverage is None else number_text(after.leverage),
            "utilized_margin": number_text(after.utilized),
            "margin_required": number_text(increase * price * INITIAL_RATE),
            "margin_impact": number_text(before.available - after.available),
            "is_solvent": after.available >= 0,
            "trade_accepted": after.available >= 0 or not increase,
            "liquidation_price": None if liquidation_price is None else number_text(liquidation_price),
            "positions": [one.to_json() for one in after.holdings],
        }
        return json_response(body)

    def _deposit_value(self, deposit: object) -> Decimal:
        fields = as_object(deposit)
        asset = self._market_state.asset(fields.get("asset"))
        return _checked(_read_positive, fields.get("amount")) * self._margin.value(asset)

    # Changing

    def _close_position(self, call: Call) -> Response:
        user, request = self._signed(call, close_text)
        account = _checked(_read_account, request.get("account"))
        asset = self._market_state.find(request.get("asset_identifier")).asset
        position = self._order_manager.trades.position_sums(user, account).get((asset, account))
        if position is None or not (position.bought or position.cash):
            raise error(404, "POSITION_NOT_FOUND", f"there is no position in market {asset}, sub-account {account}")
        if position.size:
            raise error(400, "POSITION_NOT_FLAT", "trade the position back to 0 first")
        if self._order_manager.trades.has_pending(user, asset, account):
            raise error(400, "POSITION_NOT_SETTLED", "a trade of the position is still pending")
        self._balances.add(user, account, QUOTE_ASSET, position.cash)
        self._order_manager.trades.clear_position(user, asset, account)
        self._balances.send_event(user, "PositionCleared", {"sub_account_index": account, "asset": asset})
        return json_response({"success": True})

    def _transfer(self, call: Call) -> Response:
        user, request = self._signed(call, transfer_text)
        source, target = (_checked(_read_account, request.get(name)) for name in ("source_index", "target_index"))
        if source == target:
            raise error(400, "INVALID_REQUEST", "source_index and target_index must differ")
        asset: AssetIdentifier = self._market_state.asset(request.get("transfer_asset"))
        amount = _checked(read_amount, request.get("transfer_amount"))
        worth = self._margin.value(asset) * amount
        if self._margin.is_required and self._margin.of(user, source).available < worth:
            raise error(400, "INSUFFICIENT_MARGIN", f"the positions of sub-account {source} need this balance")
        self._balances.transfer(user, source, target, asset, amount)
        return json_response({"success": True})

    def _signed(self, call: Call, text: Callable[[Mapping[str, Any]], str]) -> tuple[str, dict[str, Any]]:
        """Return the user and the content of a signed request, whose nonce is then used up.

        Raises:
            Rejection: (401) The signature is not the user's; (403) the request is another user's; (400) the nonce is
                not an integer, or was used before.
        """
        body, user = call.body(), call.signed_in
        request = as_object(body.get("inner"))
        if request.get("user") != user:
            raise error(403, "SIGNER_MISMATCH", "the signer is not the user signed in")
        if not signature_is_good(user, text(request), body.get("signature")):
            raise error(401, "INVALID_SIGNATURE", "the signature does not fit")
        self._balances.use_nonce(user, _checked(read_units, request.get("nonce")))
        return user, request

    # Settings

    def _rename(self, call: Call) -> Response:
        user = self._user(call)
        account, name = _checked(_read_account_text, call.arguments[1]), call.body().get("name")
        if account < 2:
            raise error(400, "INVALID_REQUEST", "sub-accounts 0 and 1 cannot be renamed")
        if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
            raise error(400, "INVALID_REQUEST", f"name must be 1 to {_MAX_NAME} printable characters")
        trades = self._order_manager.trades
        old, trades.account_names[user, account] = trades.account_name(user, account), name
        return json_response({"account_index": account, "old_name": old, "new_name": name})

    def _export(self, call: Call) -> Response:
        user, enabled = self._user(call), call.body().get("enabled")
        if not isinstance(enabled, bool):
            raise error(400, "INVALID_REQUEST", "enabled must be a boolean")
        if enabled:
            self._unexported.discard(user)
        else:
            self._unexported.add(user)
        return json_response({"enabled": enabled})

    def _sub_account_names(self, call: Call) -> Response:
        user = call.require_self(call.arguments[0])
        names = self._order_manager.trades.account_names
        named = sorted((account, name) for (owner, account), name in names.items() if owner == user)
        shown = [] if user in self._unexported else named
        return json_response({"names": [{"account_index": account, "name": name} for account, name in shown]})


def _margin_json(margin: AccountMargin, *, with_positions: bool) -> dict[str, Any]:
    upnl = sum((one.unrealized_pnl for one in margin.holdings), Decimal(0))
    return {
        "account_equity": number_text(margin.equity),
        "available_margin": number_text(margin.available),
        "utilized_margin": number_text(margin.utilized),
        "maintenance_margin_surplus": number_text(margin.maintenance_surplus),
        "mm_requirement": number_text(margin.notional * MAINTENANCE_RATE),
        "account_leverage": None if margin.leverage is None else number_text(margin.leverage),
        "is_solvent": margin.available >= 0,
        "is_liquidatable": bool(margin.holdings) and margin.maintenance_surplus < 0,
        "total_upnl": number_text(upnl),
        "im_surplus": number_text(margin.available),
        "net_apy": None,
        "margin_calls": [],
        "netting": None,
        "positions": [one.to_json() for one in margin.holdings] if with_positions else None,
    }


def _checked(read: Callable[[Any], T], value: object) -> T:
    """Return ``read(value)``; its ValueError becomes the answer."""
    try:
        return read(value)
    except ValueError as exc:
        raise error(400, "INVALID_REQUEST", str(exc)) from None


def _read_account(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_ACCOUNT:
        raise ValueError(f"the index of a sub-account is an integer from 0 to {MAX_ACCOUNT}")
    return value


def _read_account_text(text: str) -> int:
    return _read_account(int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None)


def _read_positive(value: object) -> Decimal:
    """Return a number above 0 that a request gives as text or as an integer."""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > 78:
        raise ValueError("expected a number as text")
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise ValueError("expected a number as text") from None
    if not number.is_finite() or number <= 0 or abs(number.adjusted()) > 78:
        raise ValueError("expected a number above 0")
    return number
