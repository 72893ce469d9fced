"""Each kind of fault can be told from what an observer is told and from the log; harmless ones leave no trace."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tests.helpers.recording_observer import RecordingObserver
from tests.simulation.faults import KINDS
from tests.simulation.world import run_world
from tplus_trio import Gap, HandshakeRejected

PAGE = (Path(__file__).parents[2] / "docs/observability.md").read_text(encoding="utf-8")
#: Worlds to look at, at most.
MOST = 40


@attrs.define
class Seen:
    """What was said of one world."""

    observer: RecordingObserver
    events: list[logging.LogRecord]

    def logged(self, event: str) -> bool:
        """Whether a record of an event was logged."""
        return any(getattr(record, "event", None) == event for record in self.events)

    def lost(self) -> bool:
        """Whether a connection was lost that the client did not end."""
        return any(error is not None for _, error in self.observer.of("connection_lost"))

    def refused(self, *statuses: int) -> bool:
        """Whether a handshake or a request was refused with a status."""
        handshakes = [
            error.status for _, error, _ in self.observer.of("restart") if isinstance(error, HandshakeRejected)
        ]
        requests = [status for _, _, status, _ in self.observer.of("request")]
        tokens = [
            vars(record)["fields"]["status"] for record in self.events if vars(record).get("event") == "token_refused"
        ]
        return not {*handshakes, *requests, *tokens}.isdisjoint(statuses)

    def slow(self) -> bool:
        """Whether a request or a connection took longer than any does without a fault."""
        calls = [*self.observer.of("request"), *self.observer.of("connection_opened")]
        return any(call[-1] > 1.8 for call in calls)

    def asked_again(self) -> bool:
        """Whether more was asked of REST than one request for each feed of the first connection."""
        asked = [
            path
            for _, path, _, _ in self.observer.of("request")
            if path.startswith(("/marketdepth", "/trades", "/klines"))
        ]
        return len(asked) > len(set(asked)) or bool(self.observer.of("gap"))

    def trouble(self) -> list[str]:
        """What says that something went wrong."""
        signs = {
            "a lost connection": self.lost(),
            "a restart": bool(self.observer.of("restart")),
            "a resync": bool(self.observer.of("resync")),
            "a gap": any(isinstance(gap, Gap) and "slow" not in gap.reason for _, gap in self.observer.of("gap")),
            "a malformed frame": self.logged("frame_malformed"),
            "malformed rows": self.logged("rows_malformed"),
            "an outage": self.logged("outage_began"),
        }
        return [sign for sign, is_there in signs.items() if is_there]


#: How each kind of fault can be told, by the words of the page.
SIGNS: dict[str, Callable[[Seen], bool]] = {
    "`connection_lost` with an error": Seen.lost,
    "`restart`": lambda seen: bool(seen.observer.of("restart")),
    "`connection_lost` without an error": lambda seen: any(
        error is None for _, error in seen.observer.of("connection_lost")
    ),
    "`resync`": lambda seen: bool(seen.observer.of("resync")),
    "a longer `request` or `connection_opened`": Seen.slow,
    "status 401": lambda seen: seen.refused(401),
    "status 403": lambda seen: seen.refused(403),
    "status 404": lambda seen: seen.refused(404),
    "status 429": lambda seen: seen.refused(429),
    "status 500": lambda seen: seen.refused(500),
    "status 503": lambda seen: seen.refused(503),
    "status 401 or 403": lambda seen: seen.refused(401, 403),
    "`request`s that repeat, or a `gap`": Seen.asked_again,
    "`frame_malformed`": lambda seen: seen.logged("frame_malformed"),
    "`order_fate` unknown": lambda seen: any(fate == "unknown" for _, _, fate in seen.observer.of("order_fate")),
    "more than one `sign_in`": lambda seen: len(seen.observer.of("sign_in")) > 1,
}
#: Worlds in which nothing is reported if no fault happens: slow consumers and expiring tokens make trouble in others.
QUIET = (0, 1, 2, 4, 6, 9)
#: Kinds that change nothing for the client: the page lists them.
HARMLESS = "nothing"


def table() -> dict[str, str]:
    """Read the page's table: for each kind of fault, how it can be told."""
    rows = re.findall(r"^\| ([a-z0-9 ,]+) \| (.+?) \|$", PAGE[PAGE.index("its sign |") :], re.MULTILINE)
    return {kind.strip(): sign for kinds, sign in rows for kind in kinds.split(",")}


def watch(seed: int, kind: str, caplog: pytest.LogCaptureFixture) -> tuple[Seen, int]:
    """Run a world in which one kind of fault happens; return what was said, and how often it happened."""
    observer = RecordingObserver()
    caplog.clear()
    with caplog.at_level(logging.INFO, "tplus_trio"), warnings.catch_warnings():
        warnings.simplefilter("error")
        kinds = {kind: KINDS.get(kind, lambda _: None)}
        outcome = run_world(seed, kinds=kinds, observer=observer)
    assert outcome.violation is None
    return Seen(observer, list(caplog.records)), outcome.faults[kind]


def test_the_page_names_every_kind_of_fault() -> None:
    assert set(table()) == set(KINDS)
    assert set(table().values()) <= {*SIGNS, HARMLESS}


@pytest.mark.parametrize("kind", sorted(kind for kind, sign in table().items() if sign != HARMLESS))
def test_a_fault_can_be_told(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    sign = SIGNS[table()[kind]]
    happened = 0
    for seed in range(MOST):
        if seed % 10 == 3:  # a world of another sort
            continue
        seen, count = watch(seed, kind, caplog)
        happened += count
        if count and sign(seen):
            return
    raise AssertionError(f"it happened {happened} times and could not be told")


@pytest.mark.parametrize("kind", ["no fault", *sorted(kind for kind, sign in table().items() if sign == HARMLESS)])
def test_what_harms_nothing_is_not_reported(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    happened = 0
    for seed in QUIET:
        seen, count = watch(seed, kind, caplog)
        happened += count
        assert not seen.trouble(), f"seed {seed}"
    assert happened
