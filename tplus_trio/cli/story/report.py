"""What the demonstration says at its end: what happened, and what was compared with the exchange. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from rich.table import Table
from rich.text import Text

from tplus_trio.cli.checks import MirrorCheck
from tplus_trio.cli.story.acts import Outcome
from tplus_trio.cli.story.evidence import OwnTradesCheck, TradesCheck
from tplus_trio.cli.story.stage import Stage
from tplus_trio.escapes import escape

__all__ = ["Finding", "conclude", "findings_table", "outcomes_table"]

_DASH: Final = "-"


@attrs.frozen
class Finding:
    """One comparison with the exchange: what was compared, the figures, and whether they agree."""

    what: str
    figures: str
    is_right: bool


def conclude(stage: Stage, outcomes: Sequence[Outcome]) -> list[Finding]:
    """Compare what the clients have seen with the exchange's state and record. Trading has ended.

    Returns:
        The findings, in an order in which they can be read.
    """
    for check in stage.checks:
        check.conclude()
    states, exchange = stage.states, stage.exchange
    findings = [
        Finding(
            "states of the live book",
            states.problem or f"{states.equal:,} equal, {states.passed_over:,} too late to compare",
            states.problem is None and states.equal > 0,
        )
    ]
    for check in stage.checks:
        figures = ""
        match check:
            case MirrorCheck():
                what, figures = "the last book", "equal to the exchange's"
            case TradesCheck():
                what = "public trades, once and in order"
                figures = f"{check.matched:,} of {len(exchange.trades(stage.asset)):,}"
            case OwnTradesCheck():
                what = "own trades, received + in marked gaps"
                figures = f"{check.arrived:,} + {len(check.missing()):,} of {check.made:,}"
            case _:
                what = check.feed
        findings.append(Finding(what, check.problem or figures, check.problem is None))
    left, doubts = exchange.resting(stage.user), stage.oms.orders_in_doubt
    findings.append(
        Finding(
            "own orders left, and in doubt",
            f"{len(left)}, {len(doubts)}",
            not left and not doubts,
        )
    )
    findings.append(
        Finding(
            "orders left of the killed bot",
            f"{len(exchange.resting(stage.victim.user))}",
            bool(stage.victim.user) and not exchange.resting(stage.victim.user),
        )
    )
    findings += [Finding(outcome.title, outcome.problem, is_right=False) for outcome in outcomes if outcome.problem]
    return findings


def _seconds(value: float | None) -> str:
    return _DASH if value is None else f"{value:.2f} s"


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Return a table of what happened."""
    table = Table(box=None, pad_edge=False)
    table.add_column("\nwhat happened")
    for name in ("said LOST\nafter", "no quote\nafter", "live\nafter", "changes\nmeanwhile"):
        table.add_column(name, justify="right", header_style="dim")
    table.add_column("\nits orders", header_style="dim")
    for outcome in outcomes:
        missed = _DASH if outcome.missed is None else f"{outcome.missed:,}"
        table.add_row(
            outcome.title,
            *map(_seconds, (outcome.lost, outcome.pulled, outcome.synced)),
            missed,
            outcome.how or _DASH,
        )
    return table


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return a table of what was compared with the exchange."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("compared with the exchange")
    table.add_column("")
    for finding in findings:
        verdict = Text("right", style="green") if finding.is_right else Text("WRONG", style="bold reverse red")
        table.add_row(verdict, finding.what, escape(finding.figures))
    return table
