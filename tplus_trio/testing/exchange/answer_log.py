"""Which answers the exchange sent to requests about orders, apart from what the requests effected."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from tplus_trio.testing.exchange.effects import Way

__all__ = ["SentAnswer"]

#: The number of answers that are kept.
_MAX_ANSWERS: Final = 200_000


@attrs.frozen
class SentAnswer:
    """What the exchange answered to one request about orders.

    Attributes:
        request_number: The number of the request, as in :attr:`Effect.request_number`; None if it was refused before
            the exchange read the order.
        way: ``rest`` or ``control``.
        operation: What was requested: ``create``, ``cancel``, ``replace``, ``amend``, ``batch_create`` or
            ``batch_replace``.
        user: The public key of the user; empty if the request was refused before its user was known.
        order_ids: The ids of the orders that the request names.
        answers: For each of them, ``Received``, the code of the refusal, ``garbage`` for an answer that is not the
            service's, or None if no answer was sent. What happens to an answer afterwards is not here: faults of
            messages (``garble``), ``spoil_rows``, and those of connections.
        time_ns: When, in nanoseconds since the Unix epoch.
    """

    request_number: int | None
    way: Way
    operation: str
    user: str
    order_ids: tuple[str, ...]
    answers: tuple[str | None, ...]
    time_ns: int


class AnswerLog:
    """The newest answers, oldest first."""

    def __init__(self) -> None:
        self._answers: deque[SentAnswer] = deque(maxlen=_MAX_ANSWERS)

    def add(self, answer: SentAnswer) -> None:
        """Add an answer."""
        self._answers.append(answer)

    @property
    def all(self) -> tuple[SentAnswer, ...]:
        """The answers, oldest first."""
        return tuple(self._answers)
