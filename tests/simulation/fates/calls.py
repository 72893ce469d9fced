"""The calls of a bot, and what each of them stated about its orders."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from tplus_trio import ApiError, AuthError, ConnectionFailed, OrderFateUnknown, RateLimitError, TplusError
from tplus_trio.errors import ServerError

__all__ = ["Act", "Call", "Item", "Mode", "Statement", "statement_of"]

Act: TypeAlias = Literal["create", "cancel", "replace", "amend"]
Mode: TypeAlias = Literal["cancel", "resolve", "leave"]
#: What a call said of one order: it took effect, it never took effect, it was not sent, its fate is not known. A call
#: that was cancelled says nothing; ``unstated`` is an error that does not tell.
Statement: TypeAlias = Literal["done", "never", "unsent", "unknown", "cancelled", "unstated"]


@attrs.define(eq=False)
class Item:
    """What a call requests for one order.

    Attributes:
        act: What is requested.
        order_id: The order.
        asset: Its market.
        quantity: The quantity requested; no two items of a world have the same one. None for a cancellation.
        expires: Whether it is an order that expires.
        statement: What the call said of it; None while it runs.
        error: The error that said so.
        is_named: Whether the client listed the order as in doubt when the call ended.
        was_named: For an effect that came after the call's end: whether the order was listed as in doubt until then.
    """

    act: Act
    order_id: str
    asset: str
    quantity: int | None = None
    expires: bool = False
    statement: Statement | None = None
    error: BaseException | None = None
    is_named: bool = False
    was_named: bool | None = None


@attrs.define(eq=False)
class Call:
    """One call of the client. Times are of trio's clock.

    Attributes:
        kind: What is called.
        items: The orders that it is about; those of ``cancel_all_orders`` are known when it ended.
        mode: What becomes of its orders if it is cancelled.
        began: When it began.
        ended: When it ended.
        cancelled: When it was cancelled; None if it was not, or ended before.
        outcome: Its end, for a report.
    """

    kind: str
    items: list[Item]
    mode: Mode
    began: float
    ended: float | None = None
    cancelled: float | None = None
    outcome: str = ""

    def __str__(self) -> str:
        ids = ",".join(f"{item.order_id}/{item.quantity}" for item in self.items)
        times = f"{self.began:.3f}-{'' if self.ended is None else f'{self.ended:.3f}'}"
        cancelled = "" if self.cancelled is None else f" cancelled at {self.cancelled:.3f} ({self.mode})"
        return f"{self.kind} {ids} [{times}{cancelled}] -> {self.outcome}"


def statement_of(error: TplusError | None) -> Statement:
    """Return what an error of a call, or of an item of a batch, says of its order; None is success."""
    match error:
        case None:
            return "done"
        case OrderFateUnknown():
            return "unknown"
        case ConnectionFailed(nothing_sent=True):
            return "unsent"
        case ServerError():
            return "unstated"
        case AuthError() | RateLimitError() | ApiError():
            return "never"
        case _:
            return "unstated"
