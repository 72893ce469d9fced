"""An observer's calls and the log show each kind of fault; harmless faults leave no trace."""

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

PAGE = (Path(__file__).parents[2] / "docs/reference/log_events.md").read_text(encoding="utf-8")
#: The most worlds that are tried.
MOST = 40


@attrs.define
class Seen:
    """The observer's calls and log records of one world."""

    observer: RecordingObserver
    events: list[logging.LogRecord]

    def logged(self, event: str) -> int:
        """Count the records of an event."""
        return sum(getattr(record, "event", None) == event for record in self.events)

    def lost(self) -> int:
        """Count the connections that were lost and that the client did not end."""
        return sum(error is not None for _, error in self.observer.of("connection_lost"))

    def ended(self) -> int:
        """Count the connections that the client ended."""
        return sum(error is None for _, error in self.observer.of("connection_lost"))

    def refused(self, *statuses: int) -> int:
        """Count the handshakes and requests that were refused with one of the statuses."""
        handshakes = [
            error.status for _, error, _ in self.observer.of("restart") if isinstance(error, HandshakeRejected)
        ]
        requests = [status for _, _, status, _ in self.observer.of("request")]
        tokens = [
            vars(record)["fields"]["status"] for record in self.events if vars(record).get("event") == "token_refused"
        ]
        return sum(status in statuses for status in (*handshakes, *requests, *tokens))

    def slow(self) -> int:
        """Count the requests and connections that took longer than most do without a fault."""
        calls = [*self.observer.of("request"), *self.observer.of("connection_opened")]
        return sum(call[-1] > 1.8 for call in calls)

    def asked(self) -> int:
        """Count the requests for snapshots and history, and the gaps."""
        paths: list[str] = [path for _, path, _, _ in self.observer.of("request")]
        return sum(path.startswith(("/marketdepth", "/trades", "/klines")) for path in paths) + self.told("gap")

    def unreadable_rows(self) -> int:
        """Count the gaps that stand for a row of REST's answer."""
        return sum("a row of REST's answer" in gap.reason for _, gap in self.observer.of("gap"))

    def told(self, method: str) -> int:
        """Count the calls of a method of the observer."""
        return len(self.observer.of(method))

    def trouble(self) -> list[str]:
        """Count the calls and records that mean trouble."""
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


#: The sign of each kind of fault, by the words of the page: there is more of it than in the same world without it.
SIGNS: dict[str, Callable[[Seen], int]] = {
    "`connection_lost` with an error": Seen.lost,
    "`restart`": lambda seen: seen.told("restart"),
    "`connection_lost` without an error": Seen.ended,
    "`resync`": lambda seen: seen.told("resync"),
    "a longer `request` or `connection_opened`": Seen.slow,
    "status 401": lambda seen: seen.refused(401),
    "status 403": lambda seen: seen.refused(403),
    "status 404": lambda seen: seen.refused(404),
    "status 429": lambda seen: seen.refused(429),
    "status 500": lambda seen: seen.refused(500),
    "status 503": lambda seen: seen.refused(503),
    "status 401 or 403": lambda seen: seen.refused(401, 403),
    "more `request`s, or a `gap`": Seen.asked,
    "a `gap` for a row": Seen.unreadable_rows,
    "`frame_malformed`": lambda seen: seen.logged("frame_malformed"),
    "another `sign_in`": lambda seen: seen.told("sign_in"),
}
#: Worlds in which nothing is reported without a fault: in others, slow consumers and expiring tokens are.
QUIET = (0, 1, 2, 4, 6, 9)
#: Kinds that change nothing for the client. The page lists them.
HARMLESS = "nothing"


def table() -> dict[str, str]:
    """Read the page's table: the sign of each kind of fault."""
    rows = re.findall(r"^\| ([a-z0-9 ,]+) \| (.+?) \|$", PAGE[PAGE.index("its sign |") :], re.MULTILINE)
    return {kind.strip(): sign for kinds, sign in rows for kind in kinds.split(",")}


def watch(seed: int, kind: str, caplog: pytest.LogCaptureFixture) -> tuple[Seen, int]:
    """Run a world with one kind of fault; return what was reported, and how often the fault happened."""
    observer = RecordingObserver()
    caplog.clear()
    with caplog.at_level(logging.INFO, "tplus_trio"), warnings.catch_warnings():
        warnings.simplefilter("error")
        kinds = {kind: KINDS.get(kind, lambda _: None)}
        outcome = run_world(seed, kinds=kinds, observer=observer)
    # A world with nothing but losses can look like a market whose numbers are not contiguous: five snapshots, each
    # followed by a loss. The client then says that it cannot notice losses any more (docs/guarantees.md).
    gave_up = any("sequence numbers are not contiguous" in record.getMessage() for record in caplog.records)
    assert outcome.violation is None or (kind == "sequence lost" and gave_up)
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
        # Compared with the same world without the fault, because many signs appear in a healthy world too.
        if count and sign(seen) > sign(watch(seed, "no fault", caplog)[0]):
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
