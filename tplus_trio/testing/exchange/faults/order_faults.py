"""Faults of requests about orders, on REST and on the control channel alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Literal, TypeVar, get_args

import attrs

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults, path_prefix
from tplus_trio.testing.exchange.faults.refusal_faults import failure_response
from tplus_trio.testing.exchange.http_messages import Response, error_of

__all__ = ["AckStyle", "Instead", "OrderFaults", "Repetition", "text_of"]

T = TypeVar("T")

AckStyle = Literal["ack", "submitted", "none", "late"]
_CONTROL: Final = "/control"


@attrs.frozen
class Instead:
    """What is sent in place of an answer.

    Attributes:
        refusal: An error, or any other answer on REST; None sends none.
        is_garbage: Whether an unreadable answer is sent; without it and without an error, nothing is sent.
        drops: Whether the connection then ends.
    """

    refusal: Response | None = None
    is_garbage: bool = False
    drops: bool = False

    @property
    def text(self) -> str | None:
        """What the record of answers says: the error's code, ``garbage``, or None for nothing."""
        if self.refusal is not None:
            return text_of(self.refusal)
        return "garbage" if self.is_garbage else None


@attrs.frozen
class Repetition:
    """A request that comes twice.

    Attributes:
        after: How long after the first time it is carried out again, in seconds.
        answers_first: Whether the first answer is sent; otherwise the second one is. The other one is sent to nobody.
    """

    after: float
    answers_first: bool


def text_of(refusal: Response) -> str:
    """Return what the record of answers says of a refusal: its code, or ``garbage`` if it has none."""
    code = str(error_of(refusal).get("code"))
    return "garbage" if code == "UNKNOWN" else code


class OrderFaults(FaultGroup):
    """Faults of requests about orders; part of :class:`~tplus_trio.testing.Faults`.

    A request on REST has its own path, such as ``/orders/create``; the same request on the control channel has
    ``/control`` before it: ``/control/orders/create``. A ``path`` of ``""`` is all requests about orders on both ways.
    """

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        # One queue for each kind of fault.
        self._instead: PendingFaults[Instead] = self._pending("act_then_answer", "drop_after_request")
        self._holds: PendingFaults[tuple[float, float, random.Random]] = self._pending(
            "hold_requests", "handle_concurrently"
        )
        self._repetitions: PendingFaults[Repetition] = self._pending("repeat_requests")
        self._later: PendingFaults[str] = self._pending("refuse_later")
        self._shuffles: PendingFaults[random.Random] = self._pending("shuffle_batch")
        self._omissions: PendingFaults[tuple[int, random.Random]] = self._pending("omit_from_batch")
        self._forms: PendingFaults[str] = self._pending("drop_request_ids", "send_bare_answers")
        self._acks: PendingFaults[AckStyle] = self._pending("ack_style")

    def act_then_answer(
        self,
        answer: int | Literal["garbage", "nothing"],
        n: int = 1,
        *,
        path: str = "",
        drop: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Carry out the next ``n`` requests about orders, and send ``answer`` in place of their own answers.

        On the control channel an error status is an error frame. Acknowledgements are sent all the same.

        Args:
            answer: An HTTP status from 400 to 599; ``"garbage"``, an answer that is not JSON; or ``"nothing"``.
            n: The number of requests, 0 or more.
            path: The prefix of the paths; ``""`` is all requests about orders, on both ways.
            drop: Whether the connection ends after the answer.
            seconds: Answer every request so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        if isinstance(answer, str):
            if answer not in ("garbage", "nothing"):
                raise ValueError(f"answer is a status, 'garbage' or 'nothing', not {answer!r}")
            instead = Instead(is_garbage=answer == "garbage", drops=drop)
        elif check_count("answer", answer) < 400:
            raise ValueError(f"answer is a status from 400 to 599, 'garbage' or 'nothing', not {answer}")
        else:
            instead = Instead(failure_response(answer, None), drops=drop)
        self._instead.add("act_then_answer", path_prefix(path), n, instead, seconds)

    def drop_after_request(self, n: int = 1, *, path: str = "", seconds: float | None = None) -> None:
        """Carry out the next ``n`` requests about orders, and end their connections without an answer.

        Args:
            n: The number of requests, 0 or more.
            path: The prefix of the paths; ``""`` is all requests about orders, on both ways.
            seconds: Do so with every request for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._instead.add("drop_after_request", path_prefix(path), n, Instead(drops=True), seconds)

    def hold_requests(self, seconds: float, n: int = 1, *, path: str = "", lasting: float | None = None) -> None:
        """Carry out the next ``n`` requests about orders ``seconds`` later than they come.

        A held request takes effect even if its connection has ended by then.

        Args:
            seconds: How long each request is held, from 0 to 60.
            n: The number of requests, 0 or more.
            path: The prefix of the paths; ``""`` is all requests about orders, on both ways.
            lasting: Hold every request that comes within this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        check_number("seconds", seconds, finite=True)
        if seconds > 60:
            raise ValueError(f"seconds is at most 60, not {seconds}")
        hold = (float(seconds), float(seconds), random.Random(0))
        self._holds.add("hold_requests", path_prefix(path), n, hold, lasting)

    def handle_concurrently(
        self, within: float = 0.01, n: int = 2, *, path: str = "", seed: int = 0, seconds: float | None = None
    ) -> None:
        """Carry out each of the next ``n`` requests about orders at a random time after it came.

        Requests are then carried out in another order than they came in, on one connection or on several.

        Args:
            within: The longest time that a request waits, in seconds, more than 0 and at most 60.
            n: The number of requests, 0 or more.
            path: The prefix of the paths; ``""`` is all requests about orders, on both ways.
            seed: The seed of the times.
            seconds: Do so with every request for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        check_number("within", within, more=True, finite=True)
        if within > 60:
            raise ValueError(f"within is at most 60, not {within}")
        hold = (0.0, float(within), random.Random(check_count("seed", seed, least=0)))
        self._holds.add("handle_concurrently", path_prefix(path), n, hold, seconds)

    def repeat_requests(
        self,
        after: float = 0.0,
        n: int = 1,
        *,
        path: str = "",
        answer: Literal["first", "second"] = "first",
        seconds: float | None = None,
    ) -> None:
        """Carry out each of the next ``n`` requests about orders twice, as if a proxy had sent it twice.

        Only one of the two answers is sent. The second time is recorded as a request of its own.

        Args:
            after: How long after the first time a request is carried out again, in seconds, from 0 to 60.
            n: The number of requests, 0 or more.
            path: The prefix of the paths; ``""`` is all requests about orders, on both ways.
            answer: The answer that is sent: ``"first"`` or ``"second"``.
            seconds: Repeat every request for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        check_number("after", after, finite=True)
        if after > 60:
            raise ValueError(f"after is at most 60 seconds, not {after}")
        if answer not in ("first", "second"):
            raise ValueError(f"answer is 'first' or 'second', not {answer!r}")
        repetition = Repetition(float(after), answer == "first")
        self._repetitions.add("repeat_requests", path_prefix(path), n, repetition, seconds)

    def refuse_later(
        self, reason: str = "INSUFFICIENT_MARGIN", n: int = 1, *, path: str = "", seconds: float | None = None
    ) -> None:
        """Answer the next ``n`` requests ``Received``, carry out nothing, and report a failure on the order feed.

        The event is ``CreateFailed``, ``CancelFailed``, ``ReplaceFailed`` or ``AmendFailed``. In a batch each order
        counts by itself.

        Args:
            reason: The reason in the event.
            n: The number of requests, 0 or more.
            path: The prefix of the paths; ``""`` is all requests about orders, on both ways.
            seconds: Refuse every request so for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._later.add("refuse_later", path_prefix(path), n, check_instance("reason", reason, str), seconds)

    def shuffle_batch(self, n: int = 1, *, path: str = "", seed: int = 0, seconds: float | None = None) -> None:
        """Send the results of the next ``n`` batches in another order.

        Args:
            n: The number of batches, 0 or more.
            path: The prefix of the paths; ``""`` is all batches, on both ways.
            seed: The seed of the order.
            seconds: Shuffle every batch for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        rng = random.Random(check_count("seed", seed, least=0))
        self._shuffles.add("shuffle_batch", path_prefix(path), n, rng, seconds)

    def omit_from_batch(
        self, count: int = 1, n: int = 1, *, path: str = "", seed: int = 0, seconds: float | None = None
    ) -> None:
        """Leave out ``count`` results of each of the next ``n`` batches.

        Args:
            count: The number of results, 1 or more; all results if there are fewer.
            n: The number of batches, 0 or more.
            path: The prefix of the paths; ``""`` is all batches, on both ways.
            seed: The seed of the choice.
            seconds: Do so with every batch for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        choice = (check_count("count", count), random.Random(check_count("seed", seed, least=0)))
        self._omissions.add("omit_from_batch", path_prefix(path), n, choice, seconds)

    def ack_style(self, style: AckStyle, n: int = 1, *, seconds: float | None = None) -> None:
        """Acknowledge the next ``n`` requests on the control channel in this style.

        Args:
            style: ``"ack"``, a message of the type ``ack``; ``"submitted"``, the status ``submitted``; ``"none"``, no
                acknowledgement; ``"late"``, the acknowledgement after the answers.
            n: The number of requests, 0 or more.
            seconds: Do so with every request for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        if style not in get_args(AckStyle):
            raise ValueError(f"style is one of {', '.join(get_args(AckStyle))}, not {style!r}")
        self._acks.add("ack_style", _CONTROL, n, style, seconds)

    def drop_request_ids(self, n: int = 1, *, seconds: float | None = None) -> None:
        """Leave the request id out of the answers to the next ``n`` requests on the control channel.

        Args:
            n: The number of requests, 0 or more.
            seconds: Do so with every request for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._forms.add("drop_request_ids", _CONTROL, n, "no id", seconds)

    def send_bare_answers(self, n: int = 1, *, seconds: float | None = None) -> None:
        """Answer the next ``n`` requests on the control channel as older servers do: with the bare ``data`` object.

        Args:
            n: The number of requests, 0 or more.
            seconds: Do so with every request for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._forms.add("send_bare_answers", _CONTROL, n, "bare", seconds)

    # Called by the exchange

    def take_hold(self, path: str) -> float:
        """Return how long a request is held before it is carried out, in seconds."""
        hold = self._holds.take(path)
        return 0.0 if hold is None else hold[2].uniform(hold[0], hold[1])

    def take_repetition(self, path: str) -> Repetition | None:
        """Return how a request is repeated; None carries it out once."""
        return self._repetitions.take(path)

    def take_instead(self, path: str) -> Instead | None:
        """Return what is sent in place of an answer; None sends the answer."""
        return self._instead.take(path)

    def take_later_refusal(self, path: str) -> str | None:
        """Return the reason for which a request fails later; None carries it out."""
        return self._later.take(path)

    def take_ack_style(self, path: str) -> AckStyle:
        """Return how a request on the control channel is acknowledged."""
        return self._acks.take(path) or "ack"

    def take_answer_form(self, path: str) -> str | None:
        """Return the form of the answers on the control channel: ``"no id"``, ``"bare"``, or None for the usual one."""
        return self._forms.take(path)

    def on_batch(self, path: str, results: Sequence[T]) -> list[T]:
        """Return the results of a batch as they are sent."""
        sent = list(results)
        if (omission := self._omissions.take(path)) is not None:
            count, rng = omission
            left_out = set(rng.sample(range(len(sent)), min(count, len(sent))))
            sent = [result for index, result in enumerate(sent) if index not in left_out]
        if (shuffle := self._shuffles.take(path)) is not None and len(sent) > 1:
            before = sent.copy()
            shuffle.shuffle(sent)
            if sent == before:
                sent.append(sent.pop(0))
        return sent
