"""The acts of the demonstration: what goes wrong, and how long it takes until all is well again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import attrs
import trio

from tplus_trio.cli.story.maker import LEASE
from tplus_trio.cli.story.stage import Stage
from tplus_trio.users import User

__all__ = ["ACTS", "Act", "Outcome", "Tell", "perform"]

#: Called with each sentence of the story.
Tell: TypeAlias = Callable[[str], Awaitable[None]]

#: Seconds within which each thing has to happen.
_PATIENCE: Final = 20.0
#: Seconds between two looks at the exchange's record.
_LOOK: Final = 0.005
#: Seconds for which the network is partitioned, and by which the snapshot after the gap is late.
_PARTITION, _SLOW_SNAPSHOT = 5.0, 1.0
#: Seconds beyond the lease that an order may rest: the client knows the exchange's time to within a second.
_LEASE_BOUND: Final = 2.0
_ENDS: Final = {"cancel": "canceled", "expire": "expired", "remove": "filled"}


@attrs.define
class Outcome:
    """What came of an act. Times are in seconds after the fault; None for what did not apply.

    Attributes:
        title: The name of the act.
        lost: When the book said that it is out of sync.
        pulled: When no order of the bot rested any more, by the exchange's record.
        how: How its orders ended, by the exchange's record.
        synced: When the book was in sync again.
        missed: The changes that the exchange made to the book while it was out of sync.
        problem: What went wrong; None if all went well.
    """

    title: str
    lost: float | None = None
    pulled: float | None = None
    how: str = ""
    synced: float | None = None
    missed: int | None = None
    problem: str | None = None


@attrs.frozen
class Act:
    """One thing that goes wrong."""

    title: str
    #: What happens, in one sentence.
    announcement: str
    run: Callable[[Stage, Tell, Outcome], Awaitable[None]]


async def perform(stage: Stage, tell: Tell, pause: float, announce: Callable[[int, Act], object]) -> list[Outcome]:
    """Perform the acts, one after the other.

    Args:
        stage: Where.
        tell: Is told what happens.
        pause: Seconds before and after each act, in which one can read.
        announce: Called with the number of each act, from 1, and the act.

    Returns:
        The outcome of each act.
    """
    outcomes: list[Outcome] = []
    for number, act in enumerate(ACTS, 1):
        announce(number, act)
        await tell(f"{number} of {len(ACTS)}  {act.title.upper()}: {act.announcement}")
        await trio.sleep(pause)
        outcome = Outcome(act.title)
        outcomes.append(outcome)
        try:
            with trio.fail_after(_PATIENCE):
                await act.run(stage, tell, outcome)
        except trio.TooSlowError:
            outcome.problem = f"{act.title}: all was not well again within {_PATIENCE:g} s"
            await tell(f"WRONG  {outcome.problem}")
        await trio.sleep(pause)
    return outcomes


async def _suffer(stage: Stage, tell: Tell, outcome: Outcome, fault: Callable[[Stage], object]) -> None:
    """Cause a fault, and see the book lost, the quotes pulled, and the book in sync again."""
    await _until(lambda: len(stage.exchange.resting(stage.user)) == 2)
    await stage.book.wait_synced()
    record, first = len(stage.exchange.effects), stage.exchange.book(stage.asset).sequence_number
    began = trio.current_time()
    fault(stage)
    lost = await stage.book.wait_lost()
    outcome.lost = trio.current_time() - began
    await tell(f"LOST after {outcome.lost:.2f} s: {lost.reason}")
    async with trio.open_nursery(strict_exception_groups=True) as nursery:
        nursery.start_soon(_watch_pulled, stage, tell, outcome, began, record)
        await stage.book.wait_synced()
        outcome.synced = trio.current_time() - began
        outcome.missed = stage.book.sequence_number - first
        await tell(
            f"LIVE after {outcome.synced:.2f} s, from a new snapshot: {outcome.missed} changes were made meanwhile"
        )
    await _until(lambda: len(stage.exchange.resting(stage.user)) == 2)
    await tell("the market maker quotes again")


async def _watch_pulled(stage: Stage, tell: Tell, outcome: Outcome, began: float, record: int) -> None:
    await _until(lambda: not stage.exchange.resting(stage.user))
    outcome.pulled = trio.current_time() - began
    outcome.how = _how(stage, stage.user, record)
    await tell(f"no quote rests after {outcome.pulled:.2f} s: {outcome.how}")


def _how(stage: Stage, user: User | str, record: int) -> str:
    """Say how orders of a user ended, by the effects that the exchange has recorded since."""
    key = user if isinstance(user, str) else user.public_key
    ends = Counter(
        _ENDS[effect.kind] for effect in stage.exchange.effects[record:] if effect.user == key and effect.kind in _ENDS
    )
    return ", ".join(f"{n} {how}" for how, n in ends.items())


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - the exchange does not tell
        await trio.sleep(_LOOK)


async def _lose_connection(stage: Stage, tell: Tell, outcome: Outcome) -> None:
    def fault(stage: Stage) -> None:
        stage.exchange.faults.reject_handshakes(3, 503, path="/marketdepth")
        stage.network.reset_connections()

    await _suffer(stage, tell, outcome, fault)


async def _open_gap(stage: Stage, tell: Tell, outcome: Outcome) -> None:
    def fault(stage: Stage) -> None:
        stage.exchange.faults.delay_requests("/marketdepth", _SLOW_SNAPSHOT, 2)
        stage.exchange.faults.lose_diffs(stage.asset, 2)

    await _suffer(stage, tell, outcome, fault)
    stage.exchange.faults.clear("delay_requests")


async def _partition(stage: Stage, tell: Tell, outcome: Outcome) -> None:
    await _suffer(stage, tell, outcome, lambda stage: stage.network.partition(_PARTITION))


async def _kill(stage: Stage, tell: Tell, outcome: Outcome) -> None:
    victim = stage.victim
    await _until(lambda: bool(victim.user and stage.exchange.resting(victim.user)))
    left, record = len(stage.exchange.resting(victim.user)), len(stage.exchange.effects)
    began = trio.current_time()
    victim.kill()
    await tell(f"killed: {left} of its orders rest, and nobody is left to cancel them")
    await _until(lambda: not stage.exchange.resting(victim.user))
    outcome.pulled = trio.current_time() - began
    outcome.how = _how(stage, victim.user, record)
    if outcome.pulled > LEASE + _LEASE_BOUND:
        outcome.problem = f"an order of the killed bot rested for {outcome.pulled:.1f} s; its lease was {LEASE:g} s"
    await tell(f"none rests after {outcome.pulled:.2f} s: {outcome.how}; the lease is {LEASE:g} s")


ACTS: Final[Sequence[Act]] = (
    Act(
        "lost connection",
        "every connection is reset, and the exchange refuses the first three attempts to open the book's feed again",
        _lose_connection,
    ),
    Act(
        "gap",
        f"the exchange leaves out two changes of the book, and is {_SLOW_SNAPSHOT:g} s late with the snapshot",
        _open_gap,
    ),
    Act(
        "partition",
        f"for {_PARTITION:g} s nothing gets through the network, and no connection is closed",
        _partition,
    ),
    Act(
        "killed bot",
        "a second market maker, a process of its own, is killed with SIGKILL; its orders have a lease",
        _kill,
    ),
)
