"""Signed requests that move what a user's sub-accounts hold."""

from __future__ import annotations

from typing import Any

from tplus_trio import codec
from tplus_trio.arguments import check_count
from tplus_trio.clients.base import asset
from tplus_trio.clients.decoding import decode_at
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.models import (
    AssetIdentifier,
    ClosePosition,
    ClosePositionRequest,
    SubAccountTransfer,
    SubAccountTransferRequest,
)
from tplus_trio.secret import SecretBytes
from tplus_trio.users import User

__all__ = ["AccountActions"]


class AccountActions(OrderServiceClient):
    """The requests of `OrderBookClient` that close a position, or move assets between sub-accounts."""

    async def request_close_position(
        self,
        account: int,
        transfer_asset: AssetIdentifier | str | int,
        nonce: int | None = None,
        user: User | None = None,
    ) -> dict[str, Any]:
        """Sign a request to close a position, and send it (``POST /account/transfer/close-position``).

        If it is cancelled after the request was sent, the position may have been closed. A repetition with the same
        ``nonce`` cannot be carried out twice.

        Args:
            account: The index of the sub-account, at least 0.
            transfer_asset: The asset of the position.
            nonce: A number, at least 0, that the user has not used before; None is the service's time in milliseconds,
                or one more than the last nonce of this client if that is higher.
            user: The user that signs; None is the default user.

        Returns:
            The answer as the service spells it.

        Raises:
            ApiError: the service refused the request. After a `ServerError` it may have been carried out.
            ConnectionFailed: there was no answer. Unless ``nothing_sent`` is true, the request may have been carried
                out.
            DecodeError: the answer cannot be decoded. The request may have been carried out.
            KeyfileError: the user's key cannot be decrypted. Nothing was sent.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        inner = ClosePosition(
            owner.public_key,
            check_count("account", account, least=0),
            asset(transfer_asset, "transfer_asset"),
            self._nonces.take(nonce),
        )
        signature = await self._service.sign(owner, codec.signable(inner))
        return await self._act("/account/transfer/close-position", ClosePositionRequest(inner, signature), owner)

    async def request_transfer_to_subaccount(
        self,
        source_index: int,
        target_index: int,
        transfer_asset: AssetIdentifier | str | int,
        transfer_amount: int,
        target_account_type: None = None,
        nonce: int | None = None,
        user: User | None = None,
    ) -> dict[str, Any]:
        """Sign a transfer between two sub-accounts, and send it (``POST /account/transfer/sub-account``).

        If it is cancelled after the request was sent, the asset may have been moved. A repetition with the same
        ``nonce`` cannot be carried out twice.

        Args:
            source_index: The index of the sub-account that gives, at least 0.
            target_index: The index of the sub-account that receives, at least 0.
            transfer_asset: The asset.
            transfer_amount: At least 1, in the smallest units of the asset that the service counts.
            target_account_type: It is None; the service knows no other value.
            nonce: A number, at least 0, that the user has not used before; None is the service's time in milliseconds,
                or one more than the last nonce of this client if that is higher.
            user: The user that signs; None is the default user.

        Returns:
            The answer as the service spells it.

        Raises:
            ApiError: the service refused the request. After a `ServerError` it may have been carried out.
            ConnectionFailed: there was no answer. Unless ``nothing_sent`` is true, the request may have been carried
                out.
            DecodeError: the answer cannot be decoded. The request may have been carried out.
            KeyfileError: the user's key cannot be decrypted. Nothing was sent.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        if target_account_type is not None:
            msg = f"target_account_type is None, not {target_account_type!r}"
            raise ValueError(msg)
        inner = SubAccountTransfer(
            owner.public_key,
            check_count("source_index", source_index, least=0),
            check_count("target_index", target_index, least=0),
            asset(transfer_asset, "transfer_asset"),
            str(check_count("transfer_amount", transfer_amount)),
            None,
            self._nonces.take(nonce),
        )
        signature = await self._service.sign(owner, codec.signable(inner))
        return await self._act("/account/transfer/sub-account", SubAccountTransferRequest(inner, signature), owner)

    async def _act(self, path: str, request: object, owner: User) -> dict[str, Any]:
        body = SecretBytes(codec.encode(request))
        return decode_at(
            path, await self._service.request("POST", path, body=body, user=owner, required=True), dict[str, Any]
        )
