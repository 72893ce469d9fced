"""Short soaks in both modes; each planted defect is noticed."""

from __future__ import annotations

import json
import mmap
import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import attrs
import pytest
import trio

from tests.simulation.bugs import BUGS
from tests.soak import __main__ as command
from tests.soak.bot import Soak
from tests.soak.exchange import paced
from tests.soak.pipe import RemoteExchange
from tests.soak.real import plan_of, settings_of
from tests.soak.report import report, verdict
from tests.soak.samples import LIMITS, Sample, grown, measured
from tests.soak.simulated import SimulatedSoak, run_soak, simulate
from tplus_trio.book.float_levels import FloatLevels
from tplus_trio.book.sorted_levels import SortedLevels
from tplus_trio.codec import FloatDiff
from tplus_trio.models import OrderBookDiff, PriceLevel, Trade
from tplus_trio.streams.recovery import TradesBackfill

SAMPLE = Sample(at=0.0, rss=100 * 2**20, descriptors=40, tasks=100, objects=10_000)


def real_soak(**changes: object) -> SimulatedSoak:
    """Run the real mode in memory: a pipe controls the exchange."""
    plan = attrs.evolve(
        plan_of(12.0), between_checks=4.0, between_samples=None, between_orders=1.0, between_nudges=None
    )
    settings = attrs.evolve(settings_of(7), between_faults=1.0)
    return SimulatedSoak(
        settings=settings,
        plan=attrs.evolve(plan, **changes),  # type: ignore[arg-type]  # as given
        market=paced(20.0, settings.assets),
        has_reference=False,
    )


def test_some_hours() -> None:
    soak, violation = simulate(2, 0.05)
    assert violation is None
    assert soak.checks >= 3
    assert soak.totals()["messages"] > 300
    assert soak.faults.total() > 10


def test_some_seconds_as_in_real_time() -> None:
    soak, violation = run_soak(real_soak())
    assert violation is None
    assert soak.checks >= 3
    assert soak.published > 100
    assert [sample.descriptors for sample in soak.samples] == [soak.samples[0].descriptors] * soak.checks


@contextmanager
def removals_ignored() -> Generator[None]:
    """A removed level stays in a live book."""
    floats, exact = FloatLevels.update, SortedLevels.update

    def update_floats(self: FloatLevels, diffs: Sequence[FloatDiff]) -> None:
        kept = [
            FloatDiff(
                [level for level in diff.float_asks if level[1]],
                [level for level in diff.float_bids if level[1]],
                diff.sequence_number,
                diff.text,
            )
            for diff in diffs
        ]
        floats(self, kept)

    def update_exact(self: SortedLevels, changes: Iterable[PriceLevel]) -> None:
        exact(self, [change for change in changes if change.quantity])

    # The book is exact while a stream shares its feed.
    with (
        mock.patch.object(FloatLevels, "update", update_floats),
        mock.patch.object(SortedLevels, "update", update_exact),
    ):
        yield


@contextmanager
def told_twice() -> Generator[None]:
    """One trade in twenty is delivered twice."""
    proper = TradesBackfill._accept_live

    def accept(self: TradesBackfill, items: Sequence[Trade]) -> Sequence[Trade]:
        news = proper(self, items)
        return [trade for trade in news for _ in range(1 if trade.trade_id % 20 else 2)]

    with mock.patch.object(TradesBackfill, "_accept_live", accept):
        yield


PLANTED = {"removals ignored": removals_ignored, "told twice": told_twice, "gap unsaid": BUGS["gap-unsaid"]}


@pytest.mark.parametrize(
    ("bug", "complaint"),
    [("removals ignored", "book"), ("told twice", "came again"), ("gap unsaid", "no gap says so")],
)
def test_what_breaks_is_noticed(bug: str, complaint: str) -> None:
    with mock.patch.dict(BUGS, PLANTED):
        _, violation = run_soak(real_soak(seconds=60.0, rounds=10), bug)
    assert violation is not None
    assert complaint in violation


def a_task(nursery: trio.Nursery, _: ExitStack) -> None:
    nursery.start_soon(trio.sleep_forever)


def a_descriptor(_: trio.Nursery, stack: ExitStack) -> None:
    stack.enter_context(socket.socket())


def memory(_: trio.Nursery, stack: ExitStack) -> None:
    # Directly from the system: the allocator may return memory that an earlier test left, and that is resident already.
    pages = stack.enter_context(mmap.mmap(-1, 4 * 2**20))
    pages.write(b"x" * len(pages))


def objects(_: trio.Nursery, stack: ExitStack) -> None:
    stack.callback(len, [OrderBookDiff((), (PriceLevel(1, n),), n) for n in range(400)])  # type: ignore[arg-type]  # narrower than declared


@pytest.mark.parametrize(
    ("leak", "name"), [(a_task, "tasks"), (a_descriptor, "descriptors"), (memory, "rss"), (objects, "objects")]
)
async def test_what_grows_is_noticed(leak: Callable[[trio.Nursery, ExitStack], None], name: str) -> None:
    """Forty leaks between the first half and the second are reported as growth."""
    before = measured(0.0)
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                leak(nursery, stack)
            after = measured(1.0)
            nursery.cancel_scope.cancel()
    found = grown([before] * 20 + [after] * 20)
    assert any(text.startswith(f"{name} grew from") for text in found), found


@pytest.mark.parametrize("name", LIMITS)
def test_what_grows_by_what_is_allowed_is_flat(name: str) -> None:
    before = getattr(SAMPLE, name)
    most = int(before + max(LIMITS[name].share * before, LIMITS[name].amount))
    assert grown([SAMPLE] * 20 + [attrs.evolve(SAMPLE, **{name: most})] * 5) == []
    assert grown([SAMPLE] * 20 + [attrs.evolve(SAMPLE, **{name: most + 1})] * 5) != []
    assert grown([attrs.evolve(SAMPLE, **{name: 0})] * 2 + [SAMPLE] * 20) == [], "the first tenth is warming up"


def test_a_few_samples_prove_nothing() -> None:
    assert grown([SAMPLE] * 19) == ["19 samples prove nothing, at least 20 do"]


async def test_an_exchange_that_dies_is_noticed() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.receive_some)
        nursery.start_soon(far.send_stream.aclose)
        with pytest.raises(Exception, match="has ended"):
            await RemoteExchange(near).touch()


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    soak, _ = run_soak(real_soak(seconds=0.5))
    soak.samples = [SAMPLE] * 20
    monkeypatch.setattr(command, "simulate", lambda *_, **__: (soak, None))
    monkeypatch.setattr(command, "soak_for_real", lambda *_, **__: (soak, "a book was wrong"))
    monkeypatch.setattr("sys.argv", ["soak", "simulated", "--days", "1", "--out", str(tmp_path)])
    assert command.main() == 0
    assert "every invariant held" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "samples.json").read_text())) == 20
    assert len((tmp_path / "samples.csv").read_text().splitlines()) == 21
    monkeypatch.setattr("sys.argv", ["soak", "real"])
    assert command.main() == 1
    assert "WRONG: a book was wrong" in capsys.readouterr().out
    assert isinstance(soak, Soak)
    assert "| tasks | 100.0 |" in report(soak, verdict(soak, None), 1.0)
