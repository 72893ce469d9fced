"""How a user's history is read from the market data service: pages, filters, and a user without a history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tplus_trio.arguments import check_count
from tplus_trio.clients.base import Client
from tplus_trio.clients.known_users import says_nothing_yet
from tplus_trio.errors import NotFoundError
from tplus_trio.models import AssetIdentifier
from tplus_trio.users import User

__all__ = ["HistoryQuery", "HistoryReads", "history_path", "history_query"]

#: The filters of a history, as query parameters.
HistoryQuery: TypeAlias = Mapping[str, str | int | None]


class HistoryReads(Client):
    """The base of the parts of `MarketDataClient` that read a user's history."""

    async def _listing(self, path: str, owner: User, **params: Any) -> bytes:
        """Read a listing: an empty one if the service says that it keeps nothing of the user."""
        try:
            return await self._get(path, user=owner, required=True, **params)
        except NotFoundError as exc:
            # A user may be known and yet have no history: users decide whether the service keeps theirs.
            if params.get("page") or not says_nothing_yet(exc):
                raise
            return b"[]"


def history_path(listing: str, market: AssetIdentifier | None) -> str:
    """Return the path of a listing: of one market, or of all."""
    return listing if market is None else f"{listing}/{market}"


def history_query(
    start_time: int | None, end_time: int | None, side: str | None, sub_account: int | None, status: str | None
) -> HistoryQuery:
    """Check the filters of a history, and return them as query parameters.

    Raises:
        TypeError, ValueError: one of them is not legal.
    """
    counts = {"start_time": start_time, "end_time": end_time, "sub_account": sub_account}
    for name, value in counts.items():
        if value is not None:
            check_count(name, value, least=0)
    texts: dict[str, str | None] = {"side": side, "status": status}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            msg = f"{name} is a str or None, not {type(text).__name__}"
            raise TypeError(msg)
    if side is not None and side.lower() not in ("buy", "sell"):
        msg = f"side is 'buy' or 'sell', not {side!r}"
        raise ValueError(msg)
    return {**counts, **texts}
