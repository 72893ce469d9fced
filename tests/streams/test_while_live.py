"""`WhileLive` against a model: losses, exceptions, shields and cancellation in every order."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio.models import StreamLost
from tplus_trio.streams.losses import LossWatchers
from tplus_trio.streams.while_live import WhileLive
from tplus_trio.transport.silence import SilenceBound

LOST = StreamLost("lost", 1)


class Source:
    """A stream whose losses the test decides."""

    def __init__(self) -> None:
        self.is_live = True
        self.losses: LossWatchers[StreamLost] = LossWatchers()
        self.silence = SilenceBound()
        self.changed = trio.Event()

    async def wait_until_live(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.is_live:
            await self.changed.wait()

    def lose(self) -> None:
        self.is_live = False
        self.losses.notify(LOST)

    def regain(self) -> None:
        self.is_live = True
        changed, self.changed = self.changed, trio.Event()
        changed.set()


class SourceLost(Exception):
    """A read failed, because the source is lost."""


class Block(WhileLive[StreamLost]):
    def __init__(self, source: Source) -> None:
        super().__init__(source.wait_until_live, source.losses, lambda: source.silence, None)

    def _repeats_loss(self, exc: BaseException) -> bool:
        return self.lost is not None and isinstance(exc, SourceLost)


STEPS = ["checkpoint", "shielded", "lose", "regain", "cancel", "raise", "read", "group"]


@attrs.define
class Model:
    """Predicts how a body ends that takes the given steps."""

    lost: bool = False
    cancelled: bool = False
    passed: int = 0
    #: How the body ends: None, or the name of the exception that leaves the block.
    outcome: str | None = None
    is_live: bool = True

    def run(self, steps: list[str]) -> None:
        for step in steps:
            match step:
                case "lose":
                    self.is_live, self.lost = False, True
                case "regain":
                    self.is_live = True
                case "cancel":
                    self.cancelled = True
                case "checkpoint":
                    if self.lost or self.cancelled:
                        self.outcome = "cancelled" if self.cancelled else None
                        return
                    self.passed += 1
                case "shielded":
                    self.passed += 1
                case "raise":
                    self.outcome = "ValueError"
                    return
                case "read":
                    if not self.is_live:
                        self.outcome = None
                        return
                case "group":
                    # A task fails in its cleanup: the group loses its `Cancelled`, and nothing else.
                    self.outcome = "group of ['ValueError']"
                    return
                case _:
                    raise AssertionError(step)


async def take(step: str, source: Source, outer: trio.CancelScope) -> None:
    match step:
        case "lose":
            source.lose()
        case "regain":
            source.regain()
        case "cancel":
            outer.cancel()
        case "checkpoint":
            await trio.lowlevel.checkpoint()
        case "shielded":
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
        case "raise":
            raise ValueError
        case "read":
            if not source.is_live:
                raise SourceLost
        case "group":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail_in_cleanup)
                nursery.start_soon(trio.sleep_forever)
                await trio.sleep_forever()


async def fail_in_cleanup() -> None:
    raise ValueError


@given(st.lists(st.sampled_from(STEPS), max_size=8))
def test_a_body_ends_as_the_model_says(steps: list[str]) -> None:
    model = Model()
    model.run(steps)

    async def main() -> None:
        source, passed, outcome = Source(), 0, None
        block, outer = Block(source), trio.CancelScope()
        try:
            with outer:
                async with block as session:
                    assert session is block
                    for step in steps:
                        await take(step, source, outer)
                        passed += step in ("checkpoint", "shielded")
        except ValueError:
            outcome = "ValueError"
        except ExceptionGroup as group:
            outcome = f"group of {[type(exc).__name__ for exc in group.exceptions]}"
        if outcome is None and outer.cancelled_caught:
            outcome = "cancelled"
        assert (passed, outcome) == (model.passed, model.outcome)
        assert (block.lost is not None) == model.lost
        assert not len(source.losses)

    trio.run(main)


async def test_a_block_waits_until_the_source_is_live_and_can_be_entered_once() -> None:
    source = Source()
    source.lose()
    block = Block(source)
    entered = trio.Event()

    async def use() -> None:
        async with block:
            entered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        await trio.testing.wait_all_tasks_blocked()
        assert not entered.is_set()
        source.regain()
        await entered.wait()
    with pytest.raises(RuntimeError, match="ask for a new one"):
        await block.__aenter__()


async def test_a_regained_source_does_not_revive_a_block() -> None:
    source = Source()
    async with Block(source) as session:
        source.lose()
        source.regain()
        await trio.sleep_forever()
    assert session.lost is LOST


async def test_a_block_notices_a_loss_between_the_wait_and_its_body() -> None:
    source = Source()
    source.lose()

    async def flicker() -> None:
        source.regain()
        source.lose()  # before the waiting task runs
        await trio.testing.wait_all_tasks_blocked()
        assert not len(source.losses)
        source.regain()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flicker)
        async with Block(source) as session:
            assert source.is_live
    assert session.lost is None
