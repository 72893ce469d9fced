"""Reads of a user's account over REST: inventory, margin, solvency and signers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar

from tplus_trio import codec
from tplus_trio.arguments import check_count, check_instance
from tplus_trio.clients.account_actions import AccountActions
from tplus_trio.clients.base import asset
from tplus_trio.clients.decoding import decode_at
from tplus_trio.clients.exposure_reads import ExposureReads
from tplus_trio.clients.known_users import is_of_the_service, says_nothing_yet
from tplus_trio.errors import NotFoundError
from tplus_trio.models import (
    AssetIdentifier,
    MultisigConfig,
    UserInventory,
    UserMarginInfo,
    UserSimulatedMargin,
    UserSolvency,
)
from tplus_trio.models.numbers import check_decimal, named_decimal
from tplus_trio.users import User

__all__ = ["AccountReads"]

T = TypeVar("T")


class AccountReads(ExposureReads, AccountActions):
    """The reads of a user's account in `OrderBookClient`, and the requests that move what it holds."""

    async def get_user_inventory(self, user: User | None = None) -> UserInventory:
        """Read what each sub-account of a user holds and owes (``GET /inventory/user/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose inventory is read; None is the default user.

        Returns:
            The sub-accounts by index, amounts in units of their asset. There are none if the service has not seen the
            user yet: it answered 404 with a code that ends in ``_NOT_FOUND``, and nothing showed this client before
            that the service knows the user.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not an inventory, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return await self._account(user, "/inventory/user", UserInventory, UserInventory({}, is_mm=False))

    async def get_user_solvency(self, user: User | None = None) -> UserSolvency:
        """Read how far each sub-account of a user is from its liquidation (``GET /solvency/user/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose solvency is read; None is the default user.

        Returns:
            The sub-accounts by index, distances in quote units. There are none if the service has not seen the user
            yet; see `get_user_inventory`.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a solvency, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return await self._account(user, "/solvency/user", UserSolvency, UserSolvency({}))

    async def _account(self, user: User | None, listing: str, kind: type[T], nothing: T) -> T:
        owner = self._user(user)
        key, path = owner.public_key, f"{listing}/{owner.public_key}"
        was_known = self._orders.known.has(key, listing)
        try:
            body = await self._get(path, user=owner, required=True)
        except NotFoundError as exc:
            if was_known or not says_nothing_yet(exc):
                raise
            return nothing
        answer = decode_at(path, body, kind)
        self._orders.known.add(key, listing)
        return answer

    async def get_multisig_config(self, user: User | None = None) -> MultisigConfig:
        """Read whose signatures a user's account needs (``GET /multisig/config/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose account is meant; None is the default user.

        Returns:
            The signers, their weights and the thresholds. It is that of an account with one signer if the service has
            stored none: it answered 404 with a code that ends in ``_NOT_FOUND``.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is no such configuration, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        path = f"/multisig/config/{owner.public_key}"
        try:
            body = await self._get(path, user=owner, required=True)
        except NotFoundError as exc:
            if not is_of_the_service(exc):
                raise
            return MultisigConfig()
        return decode_at(path, body, MultisigConfig)

    async def get_user_margin_info(
        self,
        sub_account: int | None = None,
        include_positions: bool = False,
        user: User | None = None,
        now_ns: int | None = None,
        *,
        sub_accounts: list[int] | None = None,
    ) -> UserMarginInfo:
        """Read the margin of a user's sub-accounts (``GET /margin/user/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            include_positions: Whether the report shall contain the positions.
            user: The user to sign in as, whose margin is read; None is the default user.
            now_ns: The time for which the margin is computed, in nanoseconds since the Unix epoch, at least 0; None is
                now. Only a service that is built for tests respects it.
            sub_accounts: The older form of ``sub_account``: a list of at most one index.

        Returns:
            The sub-accounts by index, amounts in quote units, and what could not be computed.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a margin report, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        if sub_accounts is not None:
            if sub_account is not None or len(sub_accounts) > 1:
                msg = f"sub_accounts is a list of at most one index, without sub_account, not {sub_accounts!r}"
                raise ValueError(msg)
            sub_account = next(iter(sub_accounts), None)
        path = f"/margin/user/{owner.public_key}"
        body = await self._get(
            path,
            user=owner,
            required=True,
            sub_account=None if sub_account is None else check_count("sub_account", sub_account, least=0),
            include_positions="true" if check_instance("include_positions", include_positions, bool) else None,
            now_ns=None if now_ns is None else check_count("now_ns", now_ns, least=0),
        )
        return decode_at(path, body, UserMarginInfo)

    async def init_margin_simulate(
        self,
        sub_account: int,
        asset_id: AssetIdentifier | str | int,
        is_buy: bool,
        size: Decimal | int | str,
        limit_price: Decimal | int | str,
        pending_transfers: list[dict[str, Any]] | None = None,
        trade_type: Literal["margin", "spot"] = "margin",
        user: User | None = None,
    ) -> UserSimulatedMargin:
        """Read what the margin of a sub-account would be after a trade (``POST /account/simulate/{key}``).

        Nothing is traded. Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            sub_account: The index of the sub-account, at least 0.
            asset_id: The market.
            is_buy: Whether the trade buys.
            size: In base units, more than 0. It is sent as it is written, with all of its digits.
            limit_price: In quote units, at least 0, likewise.
            pending_transfers: Deposits to assume before the trade, each as the service describes it; None is none.
            trade_type: ``"margin"`` or ``"spot"``.
            user: The user to sign in as, whose account is meant; None is the default user.

        Returns:
            The margin after the trade, amounts in quote units.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not such a report, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        if trade_type not in ("margin", "spot"):
            msg = f"trade_type is 'margin' or 'spot', not {trade_type!r}"
            raise ValueError(msg)
        trade = {
            "asset": str(asset(asset_id)),
            "is_buy": check_instance("is_buy", is_buy, bool),
            "size": _number("size", size, more=True),
            "limit_price": _number("limit_price", limit_price),
            "trade_type": trade_type,
        }
        request = {
            "sub_account": check_count("sub_account", sub_account, least=0),
            "trade": trade,
            "pending_transfers": _objects("pending_transfers", pending_transfers or ()),
        }
        path = f"/account/simulate/{owner.public_key}"
        body = await self._service.request("POST", path, body=codec.encode(request), user=owner, required=True)
        return decode_at(path, body, UserSimulatedMargin)


def _number(name: str, value: Decimal | int | str, *, more: bool = False) -> str:
    """Return the digits of an argument.

    Raises:
        TypeError: it is a float or no number.
        ValueError: it is NaN, infinite, negative, or 0 although it must be more.
    """
    number = named_decimal(name, value)
    check_decimal(number, name)
    if more and not number:
        msg = f"{name} is more than 0, not {value}"
        raise ValueError(msg)
    return f"{number:f}"


def _objects(name: str, values: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a list of objects.

    Raises:
        TypeError: one of them is no mapping.
    """
    if isinstance(values, str | Mapping) or not all(isinstance(value, Mapping) for value in values):
        msg = f"{name} is a list of dicts"
        raise TypeError(msg)
    return [dict(value) for value in values]
