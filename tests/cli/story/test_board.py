"""The screen of the demonstration, and its report."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.cli.screens import LOST, make_view, screen_lines
from tplus_trio import Side
from tplus_trio.cli.story.acts import ACTS, Outcome
from tplus_trio.cli.story.board import Board, BotLine, FeedLine
from tplus_trio.cli.story.report import Finding, findings_table, outcomes_table
from tplus_trio.cli.watched import as_lines

QUOTES = {Side.BUY: (Decimal("10.00"),), Side.SELL: (Decimal("10.05"),)}
NONE: dict[Side, tuple[Decimal, ...]] = {Side.BUY: (), Side.SELL: ()}


def make_board(**changes: Any) -> Board:
    fields: dict[str, Any] = {
        "view": make_view(),
        "title": "3 of 4  PARTITION",
        "what": "For 5 s nothing gets through the network, and no connection is closed.",
        "clock": " 12.3 s",
        "feeds": [FeedLine("depth", "live", 1234), FeedLine("trades", "backoff", 5)],
        "bots": [BotLine("market maker", "quoting", QUOTES), BotLine("second bot", "killed", NONE)],
        "told": [f"{n}.0 s  sentence {n}" for n in range(30)],
        **changes,
    }
    return Board(**fields)


@pytest.mark.parametrize("lost", [None, LOST])
@pytest.mark.parametrize(("width", "height"), [(40, 8), (50, 20), (76, 20), (80, 24), (120, 40), (200, 60)])
def test_it_fits_the_terminal(width: int, height: int, lost: object) -> None:
    lines = screen_lines(make_board(view=make_view(lost=lost)), width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith(" 3 of 4  PARTITION")
    assert lines[0].endswith("12.3 s")
    assert lines[-1].endswith("Ctrl-C ends")
    text = " ".join("\n".join(lines[1:4]).split())
    assert "For 5 s nothing gets through the network" in text
    assert any(line.startswith(" LIVE" if lost is None else " LOST") for line in lines)
    assert any(("spread" if lost is None else "L O S T") in line for line in lines)


def test_beside_the_book() -> None:
    text = "\n".join(screen_lines(make_board(), 80, 24))
    assert "depth" in text
    assert "1,234" in text
    assert "◆ market maker: quoting" in text
    assert "bid 10.00  ask 10.05" in text
    assert "◇ second bot: killed" in text
    assert "bid -  ask -" in text
    assert text.index("sentence 29") < text.index("sentence 28"), "the newest first"
    assert "10.05 ◆" in text
    assert "10.00 ◆" in text


def test_a_long_sentence_is_shown_whole() -> None:
    lines = screen_lines(make_board(told=["1.0 s  " + " ".join(f"word{n}" for n in range(20))]), 80, 24)
    assert "word19" in "\n".join(lines)


@pytest.mark.parametrize("act", ACTS, ids=[act.title for act in ACTS])
def test_each_announcement_fits(act: Any) -> None:
    what = f"{act.announcement[0].upper()}{act.announcement[1:]}."
    text = " ".join(" ".join(screen_lines(make_board(what=what), 80, 24)[1:3]).split())
    assert text == what


def test_a_terminal_without_unicode() -> None:
    lines = screen_lines(make_board(), 80, 24, encoding="ascii")
    assert "10.05 *" in "\n".join(lines)


def test_a_terminal_that_is_too_small() -> None:
    assert "40 x 8" in "".join(screen_lines(make_board(), 30, 24))


def test_the_table_of_what_happened() -> None:
    lines = as_lines(
        outcomes_table(
            [
                Outcome("gap", lost=0.021, pulled=0.03, how="2 canceled", synced=1.05, missed=1234),
                Outcome("killed bot", pulled=3.5, how="1 filled, 1 expired"),
            ]
        ),
        80,
        is_screen=False,
    )
    assert lines[2].split() == ["gap", "0.02", "s", "0.03", "s", "1.05", "s", "1,234", "2", "canceled"]
    assert lines[3].split() == ["killed", "bot", "-", "3.50", "s", "-", "-", "1", "filled,", "1", "expired"]
    assert len(lines) == 4


@pytest.mark.parametrize("is_screen", [False, True])
def test_the_table_of_findings(monkeypatch: pytest.MonkeyPatch, is_screen: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    findings = [Finding("trades", "3 of 3", is_right=True), Finding("books", "differ \x1b[2J", is_right=False)]
    lines = as_lines(findings_table(findings), 80, is_screen=is_screen)
    text = "\n".join(lines)
    assert "right" in text
    assert "WRONG" in text
    assert "differ \\x1b[2J" in text
    assert ("\x1b[" in text) is is_screen
