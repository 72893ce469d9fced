"""Rules by which other clients guess a fate, in place of the client's resolution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import trio

from tplus_trio import OrderBookClient, OrderResponse, TplusError

from .calls import Item, Statement

__all__ = ["GUESSES", "Guess"]

#: Returns what a client believes of an item in doubt.
Guess: TypeAlias = Callable[[OrderBookClient, Item], Awaitable[Statement]]

#: How often an order is looked up, and how long to wait before each time, in seconds.
_TIMES: Final = 3
_PAUSE: Final = 1.0
#: Failed look-ups after which a guess is given up.
_MOST_FAILURES: Final = 3


async def _timeout_is_rejected(_: OrderBookClient, __: Item) -> Statement:
    """A request without an answer was refused."""
    await trio.lowlevel.checkpoint()
    return "never"


async def _three_not_found(client: OrderBookClient, item: Item) -> Statement:
    """An order that three listings do not show does not exist, and a change that they do not show was refused."""
    looked = failed = 0
    while looked < _TIMES:
        await trio.sleep(_PAUSE)
        try:
            rows = await client.get_user_orders_for_book(item.asset)
        except TplusError:
            failed += 1
            if failed > _MOST_FAILURES:
                return "unknown"
            continue
        looked += 1
        if _shows(rows, item):
            return "done"
    return "never"


def _shows(rows: Sequence[OrderResponse], item: Item) -> bool:
    """Return whether a listing shows that a request took effect."""
    row = next((row for row in rows if row.order_id == item.order_id), None)
    match item.act:
        case "create" | "replace" | "amend":
            return row is not None and row.quantity == item.quantity
        case "cancel":
            return row is None or not row.status.is_open


GUESSES: Final[dict[str, Guess]] = {
    "timeout-is-rejected": _timeout_is_rejected,
    "three-not-found": _three_not_found,
}
