"""What the outcome of a request says about each of its orders. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from tplus_trio.errors import ConnectionFailed, DecodeError, ServerError, TplusError
from tplus_trio.models import OrderOperationResponse
from tplus_trio.orders.sending import OrderAnswers
from tplus_trio.orders.unsettled import Fate
from tplus_trio.orders.verdicts import Verdict, verdict_of_answer
from tplus_trio.refusals import order_rejected

__all__ = ["OrderOutcome", "outcome_of", "reason_of"]

#: The fate that a verdict states. The others leave it unknown.
_FATES: Final[dict[Verdict, Fate]] = {
    Verdict.TAKEN: "done",
    Verdict.REFUSED: "rejected",
    Verdict.UNSENT: "unsent",
}


class OrderOutcome(NamedTuple):
    """What the outcome of a request says about one of its orders."""

    verdict: Verdict
    #: Why the fate is unknown.
    why: str = ""
    #: The error that says so; None if an answer does.
    error: TplusError | None = None
    answer: OrderOperationResponse | None = None

    @property
    def fate(self) -> Fate:
        """What became of the request about this order, as far as the outcome states it."""
        return _FATES.get(self.verdict, "unknown")


def outcome_of(order_id: str, answers: OrderAnswers, operation: str) -> OrderOutcome:
    """Return what the answers say about one order."""
    answer = answers.by_id.get(order_id)
    if answer is None:
        failure = answers.failure
        if answers.by_id and failure is None:
            others = ", ".join(repr(other[:40]) for other in answers.by_id)
            return OrderOutcome(Verdict.UNKNOWN, f"its answer names another order, {others}")
        why = "there was no answer about it" if failure is None else f"there was no answer about it ({failure})"
        return OrderOutcome(Verdict.UNKNOWN, why, failure)
    verdict = verdict_of_answer(answer, operation)
    if verdict is Verdict.TAKEN:
        return OrderOutcome(verdict, answer=answer)
    if not answer.status.is_known:
        return OrderOutcome(verdict, f"its answer has an unknown status, {str(answer.status)[:40]!r}", answer=answer)
    refusal = order_rejected(order_id, answer.reason)
    return OrderOutcome(verdict, reason_of(refusal), refusal, answer)


def reason_of(error: TplusError) -> str:
    """Say why the fate of an order is unknown after an error."""
    if isinstance(error, ConnectionFailed):
        return f"there was no answer ({error})"
    if isinstance(error, DecodeError):
        return f"its answer cannot be read ({error})"
    if isinstance(error, ServerError):
        return f"the service failed ({error})"
    return f"the service answered {error}"
