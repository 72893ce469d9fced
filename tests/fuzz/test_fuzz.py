"""Fuzzing: a little of it, and every input that once showed a defect. ``python -m tests.fuzz`` is all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("resource")

from tests.fuzz import runner
from tests.fuzz.runner import CASES, Hang, Target, fuzz, watched
from tests.fuzz.targets import TARGETS

INPUTS = 2000


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_inputs(name: str) -> None:
    report = fuzz(TARGETS[name], INPUTS, seed=0)
    assert not report.failures
    assert report.refused < 0.95 * INPUTS, "what nothing takes proves little"


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*")), ids=lambda case: f"{case.parent.name}-{case.name}")
def test_kept_cases(case: Path) -> None:
    with watched():
        TARGETS[case.parent.name](case.read_bytes())


def fragile(head: str, body: bytes) -> str:
    """Fails over a zero and hangs over a one."""
    assert b"0" not in body, "a zero"
    while b"1" in body:
        pass
    return f"ok {len(body)}"


def test_failures_and_hangs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LIMIT", 0.06)
    target = Target(run=fragile, seeds={"": [b'{"a":2}']}, words=[b"0", b"1"])
    report = fuzz(target, 60, seed=1)
    found = {where.partition(" ")[0]: data for where, (_, data) in report.failures.items()}
    assert found["AssertionError"] == b"\n0", "not the shortest"
    assert b"1" in found[Hang.__name__]


def test_a_seed_gives_the_same_inputs() -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def run(head: str, body: bytes) -> str:
            seen.append(body)
            return f"ok {len(body)}"

        good = TARGETS["feeds"]
        fuzz(Target(run=run, seeds=good.seeds, words=good.words), 200, seed)
        return seen

    assert inputs(5) == inputs(5) != inputs(6)
