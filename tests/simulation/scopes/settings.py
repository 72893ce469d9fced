"""The settings of a seed's world of scopes."""

from __future__ import annotations

import random
from typing import Final

import attrs

from tests.simulation.fates.settings import FateSettings
from tests.simulation.settings import sources

__all__ = ["ScopeSettings", "lease_of"]

#: The chance that the process is killed, and that the client's whole block is cancelled.
_KILLED: Final = 0.12
_CUT_OFF: Final = 0.12


@attrs.frozen(kw_only=True)
class ScopeSettings(FateSettings):
    """The settings of a world, drawn once. Times are in seconds.

    Attributes:
        scopes: The number of scopes that each bot opens, one after the other.
        leased: The share of scopes with a lease.
        killed_at: When the process is killed: it sends and receives nothing any more; None never.
    """

    scopes: int
    leased: float
    killed_at: float | None

    @classmethod
    def of(cls, seed: int, *, by_control: bool, broken: str | None = None) -> ScopeSettings:
        """Draw the settings of a seed. Both ways get the same ones."""
        base = FateSettings.of(seed, by_control=by_control, broken=broken)
        rng = sources(seed, "scopes")
        killed_at = rng.uniform(1.0, base.chaos) if rng.random() < _KILLED else None
        cut_off = base.cut_off if rng.random() < _CUT_OFF * 4 and killed_at is None else None
        drawn = {field.name: getattr(base, field.name) for field in attrs.fields(FateSettings)}
        return cls(
            **{
                **drawn,
                "cut_off": cut_off,
                "between_calls": rng.choice((0.02, 0.1, 0.4)),
                "scopes": rng.choice((2, 3, 4, 6)),
                "leased": 1.0 if killed_at is not None else rng.choice((0.0, 0.2, 0.6)),
                "killed_at": killed_at,
            }
        )

    @classmethod
    def calm(cls, seed: int, *, by_control: bool, rules: frozenset[str]) -> ScopeSettings:
        """Return the settings of a world in which nothing happens by itself."""
        base = FateSettings.quiet(seed, by_control=by_control, rules=rules)
        drawn = {field.name: getattr(base, field.name) for field in attrs.fields(FateSettings)}
        return cls(**drawn, scopes=0, leased=0.0, killed_at=None)


def lease_of(rng: random.Random, settings: ScopeSettings) -> float | None:
    """Draw the lease of a scope."""
    return rng.choice((2.0, 4.0, rng.uniform(2.0, 30.0))) if rng.random() < settings.leased else None
