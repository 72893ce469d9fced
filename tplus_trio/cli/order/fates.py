"""What became of the requests of a command about orders, and how that is printed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from tplus_trio.cli.failure import FAILED, IN_DOUBT, INTERRUPTED, REFUSED, Failure, complain
from tplus_trio.cli.lines import Lines
from tplus_trio.errors import ApiError, NotFoundError, OrderFateUnknown, OrderRejected, TplusError
from tplus_trio.orders.sending import OrderTarget
from tplus_trio.orders.unsettled import OrderInDoubt

__all__ = ["FateObserver", "OrderFate", "Report", "fate_of"]

#: ``done``: the exchange took the request. ``refused``: it did not, or has no such open order. ``taken_back``: the
#: order was created, and is gone. ``in_doubt``: the request may have been carried out, or may still be.
#: ``not_carried_out``: nothing was sent, or nothing came of it. ``ended``: the order has ended, perhaps by the request,
#: perhaps before it.
Fate: TypeAlias = Literal["done", "refused", "taken_back", "in_doubt", "not_carried_out", "ended"]

_WORDS: Final[Mapping[Fate, str]] = {
    "done": "the exchange took the request",
    "refused": "refused",
    "taken_back": "taken back: it was created, and is gone",
    "in_doubt": "in doubt",
    "not_carried_out": "not carried out",
    "ended": "the order has ended, perhaps by this request, perhaps before it",
}
_EFFECTS: Final = {
    "create": "it may rest and may trade",
    "cancel": "it may still rest and trade",
    "replace": "it may have its old terms or its new ones",
}


@attrs.frozen
class OrderFate:
    """What became of one request about one order."""

    operation: str
    order_id: str
    asset_id: str
    fate: Fate
    #: The exchange's code, if it refused the request.
    code: str | None = None
    #: Why it was refused, was not sent, or is in doubt.
    reason: str | None = None
    #: The order as a listing shows it afterwards; None if none shows it.
    row: Mapping[str, Any] | None = None

    @property
    def is_good(self) -> bool:
        """Whether it is printed to standard output also as text; other fates go to standard error."""
        return self.fate in {"done", "taken_back"}

    def as_json(self) -> str:
        """Format it as one line of JSON."""
        fields = {"kind": "OrderFate", **attrs.asdict(self, filter=lambda field, _: field.name != "row")}
        row = None if self.row is None else dict(self.row)
        return json.dumps({**fields, "order": row}, separators=(",", ":"))

    def as_text(self) -> str:
        """Format it as one line of text."""
        code = "" if self.code is None else f" [{self.code}]"
        reason = "" if self.reason is None else f": {self.reason}"
        text = (
            f"{self.operation} of order {self.order_id!r} in market {self.asset_id}: {_WORDS[self.fate]}{code}{reason}"
        )
        if self.fate == "in_doubt":
            text += f"; {_EFFECTS[self.operation]}. {self._advice()}"
        if self.row is not None:
            text += f"; {self.row['status']}, {self.row['filled_quantity']} of {self.row['quantity']} filled"
        return text

    def _advice(self) -> str:
        target = f"{shlex.quote(self.order_id)} {self.asset_id}"
        advice = f"Look for it with `tplus-trio order list {self.asset_id} --all`"
        if self.operation == "create":
            advice += f", take it back with `tplus-trio order cancel {target}`, and do not send it again until you know"
        return advice


class FateObserver:
    """Notes what a client sends about orders, and what becomes of it (an observer of the client)."""

    def __init__(self) -> None:
        #: The newest fate of each request that was sent, by order id; ``"sent"`` while there is none.
        self.fates: dict[str, str] = {}

    def order_sent(self, operation: str, order_id: str) -> None:  # noqa: ARG002 - a method of `Observer`
        """Note that a request is being sent."""
        self.fates[order_id] = "sent"

    def order_fate(self, operation: str, order_id: str, fate: str) -> None:  # noqa: ARG002 - as above
        """Note a fate."""
        self.fates[order_id] = fate


def fate_of(
    operation: str,
    target: OrderTarget,
    *,
    ended: Mapping[OrderTarget, TplusError | None],
    observer: FateObserver,
    doubts: Collection[OrderInDoubt],
    takes_back: bool,
    failure: TplusError | None,
) -> OrderFate:
    """Return what became of a request, after its client was left.

    Args:
        operation: What the request does.
        target: Its order.
        ended: The calls that ended, and the error of each; None for one that returned.
        observer: What the client has observed.
        doubts: The client's orders in doubt.
        takes_back: Whether the client takes the order back if the call is cancelled, or if its fate was unknown.
        failure: The error that ended the command, if it is not about one order.
    """
    asset_id, order_id = target
    known = ended.get(target)
    if target in ended and known is None:
        return OrderFate(operation, order_id, asset_id, "done")
    cause = known.__cause__ if isinstance(known, OrderFateUnknown) else None
    if operation != "create" and isinstance(cause, NotFoundError):
        # The client does not rule out that a proxy sent the request twice. Either way the order is not open.
        return OrderFate(operation, order_id, asset_id, "refused", cause.code, cause.message or None)
    for doubt in doubts:
        if doubt.order_id == order_id and doubt.asset_id == asset_id:
            return OrderFate(operation, order_id, asset_id, "in_doubt", reason=doubt.why)
    if isinstance(known, OrderRejected | NotFoundError):
        return OrderFate(operation, order_id, asset_id, "refused", known.code, known.message or None)
    if known is not None and not isinstance(known, OrderFateUnknown):
        code, why = (known.code, known.message) if isinstance(known, ApiError) else (None, str(known))
        return OrderFate(operation, order_id, asset_id, "not_carried_out", code, why or None)
    fate: Fate = "ended"
    reason: str | None = known.why if isinstance(known, OrderFateUnknown) else None
    match observer.fates.get(order_id):
        case None | "unsent":
            fate = "not_carried_out"
            reason = "the command was interrupted before it was sent" if failure is None else str(failure)
        case "done":
            fate, reason = "taken_back" if takes_back else "done", None
        case "rejected":
            fate, reason = "refused", "it never took effect"
        case _:
            pass
    return OrderFate(operation, order_id, asset_id, fate, reason=reason)


class Report:
    """What a command about orders has to print in any case, however it ends.

    Args:
        json: Whether to print JSON to standard output.
    """

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._is_printed = False
        self.fates: list[OrderFate] = []
        #: Whether Ctrl-C or SIGTERM came.
        self.was_interrupted: bool = False
        #: The error that ended the command, if it is not about one order.
        self.failure: TplusError | None = None

    @property
    def status(self) -> int:
        """The exit status."""
        fates = {fate.fate for fate in self.fates}
        if "in_doubt" in fates:
            return IN_DOUBT
        if self.was_interrupted:
            return INTERRUPTED
        if "refused" in fates:
            return REFUSED
        return FAILED if fates - {"done"} or self.failure is not None else 0

    async def write(self, lines: Lines) -> None:
        """Print the fates, and wait until they are written."""
        for fate in self.fates:
            if self._json:
                await lines.put(fate.as_json())
            elif fate.is_good:
                await lines.put(fate.as_text())
        for fate in self.fates:
            if not fate.is_good:
                complain(Failure(fate.as_text()))
        if self.failure is not None:
            complain(self.failure)
        await lines.finish()
        self._is_printed = True

    def conclude(self, status: int) -> int:
        """Return the exit status of the command, whose program ended with ``status``.

        Fates that could not be written to standard output go to standard error.
        """
        if not self.fates:
            return status
        if not self._is_printed:
            for fate in self.fates:
                complain(Failure(fate.as_text()))
        return self.status
