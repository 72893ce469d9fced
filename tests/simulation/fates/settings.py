"""The settings of a seed's world, and the rules of the service that hold in it."""

from __future__ import annotations

import random
from typing import Any, Final, Self

import attrs

from tests.simulation.settings import sources

__all__ = ["RULES", "FateSettings"]

#: The rules that a client can be told, by name; `clock_bound` is a number of seconds.
RULES: Final = (
    "order_ids_remembered",
    "control_keeps_order",
    "clock_bound",
    "listings_current",
    "unauthorized_does_nothing",
)
RESOLVE_TIMEOUT: Final = 5.0


@attrs.frozen(kw_only=True)
class FateSettings:
    """The settings of a world, drawn once. Times are in seconds.

    Attributes:
        seed: The seed.
        by_control: Whether the orders go over the control channel.
        rules: The names of the rules that hold and are declared.
        broken: A rule that is declared although it does not hold; None is none.
        skew: How far the clock of expiries is ahead of the exchange's.
        clock_bound: The declared bound of that clock, if that rule is declared.
        assets: The markets.
        latency: From one end of the network to the other.
        bots: The number of tasks that make order calls.
        calls: The number of calls of each.
        chaos: How long faults happen, at most.
        between_faults: The mean time between faults.
        longest_fault: The longest time that a fault lasts.
        between_calls: The mean time between a bot's calls.
        waits: Whether the client lives on until no request is held any more.
        cut_off: When the client's whole block is cancelled; None never.
        timeout: The timeout of a call, and of a connection.
        page: How many orders the client asks for on a page of a listing.
        is_blind: Whether no event of the user's orders is ever sent, so that only listings show them.
        few_kinds: How many kinds of faults happen, of those that hide what became of a request; 0 is all kinds. A few
            meet each other more often.
    """

    seed: int
    by_control: bool
    rules: frozenset[str]
    broken: str | None
    skew: float
    clock_bound: float
    assets: tuple[str, ...]
    latency: float | tuple[float, float]
    bots: int
    calls: int
    chaos: float
    between_faults: float
    longest_fault: float
    between_calls: float
    waits: bool
    cut_off: float | None
    timeout: float
    page: int
    is_blind: bool
    few_kinds: int

    @classmethod
    def of(cls, seed: int, *, by_control: bool, broken: str | None = None) -> Self:
        """Draw the settings of a seed. Both ways get the same ones."""
        rng = sources(seed, "fates")
        rules = _rules(rng)
        # In some worlds little is seen, and the same few faults happen again and again: only proofs help there.
        is_dark = rng.random() < 0.4
        if broken is not None:
            rules |= {broken}
        skew = rng.choice((0.0, 0.0, rng.uniform(-3.0, 3.0)))
        # Where all rules hold, a client must know every fate a while after the last fault: faults leave it time.
        is_sparse = rules.issuperset(RULES) and not is_dark and rng.random() < 0.6
        chaos = rng.uniform(10.0, 20.0) if is_sparse else rng.uniform(4.0, 14.0)
        return cls(
            seed=seed,
            by_control=by_control,
            rules=rules,
            broken=broken,
            skew=skew * 4 if broken == "clock_bound" else skew,
            clock_bound=abs(skew) + rng.choice((0.5, 2.0)),
            assets=("200", "201")[: rng.choice((1, 1, 2))],
            latency=rng.choice((0.0, 0.01, (0.001, 0.05), (0.0, 0.3))),
            bots=rng.choice((1, 2, 2, 3)),
            calls=rng.choice((5, 8, 8, 12, 25)),
            chaos=chaos,
            between_faults=0.4 if is_dark else rng.choice((4.0, 8.0) if is_sparse else (0.5, 1.5, 4.0)),
            longest_fault=2.0 if is_sparse else 4.0,
            between_calls=rng.choice((0.05, 0.4, 1.5)),
            waits=rng.random() < 0.4,
            cut_off=rng.uniform(0.5, chaos) if rng.random() < 0.25 else None,
            timeout=rng.uniform(2.0, 4.0),
            page=1 if is_dark else rng.choice((3, 1000, 1000)),
            is_blind=is_dark or rng.random() < 0.1,
            few_kinds=rng.choice((2, 3) if is_dark else (0, 0, 0, 4)),
        )

    @classmethod
    def quiet(cls, seed: int, *, by_control: bool, rules: frozenset[str]) -> Self:
        """Return the settings of a world in which nothing happens by itself."""
        return cls(
            seed=seed,
            by_control=by_control,
            rules=rules,
            broken=None,
            skew=0.0,
            clock_bound=0.5,
            assets=("200",),
            latency=0.0,
            bots=0,
            calls=0,
            chaos=0.0,
            between_faults=1.0,
            longest_fault=1.0,
            between_calls=1.0,
            waits=False,
            cut_off=None,
            timeout=2.0,
            page=1000,
            is_blind=False,
            few_kinds=0,
        )

    @property
    def most_latency(self) -> float:
        """Return the longest time from one end of the network to the other, without faults."""
        return self.latency[1] if isinstance(self.latency, tuple) else self.latency

    @property
    def can_settle(self) -> bool:
        """Return whether all rules are declared and hold, and the first page of a listing shows the newest orders."""
        return self.rules.issuperset(RULES) and self.broken is None and self.page > 1

    def declared(self) -> dict[str, Any]:
        """Return the arguments of the client's rules."""
        rules: dict[str, Any] = {name: name in self.rules for name in RULES}
        return rules | {"clock_bound": self.clock_bound if "clock_bound" in self.rules else None}


def _rules(rng: random.Random) -> frozenset[str]:
    """Draw the rules that hold: all of them, none, the client's own default, or some."""
    style = rng.random()
    some = frozenset(name for name in RULES if rng.random() < 0.5)
    if style < 0.3:
        return frozenset(RULES)
    if style < 0.45:
        return frozenset()
    return frozenset({"unauthorized_does_nothing"}) if style < 0.6 else some
