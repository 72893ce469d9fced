"""The settings of a seed's world of scopes."""

from __future__ import annotations

import random
from typing import Final, Self

import attrs

from tests.simulation.fates.settings import FateSettings
from tests.simulation.settings import sources

__all__ = ["ScopeSettings", "lease_of"]

#: The chance that the process is killed, and the share of the cancellations of a client's block that stay.
_KILLED: Final = 0.12
_CUT_OFF: Final = 0.5


@attrs.frozen(kw_only=True)
class ScopeSettings(FateSettings):
    """The settings of a world, drawn once. Times are in seconds.

    Attributes:
        scopes: The number of scopes that each bot opens, one after the other.
        leased: The share of scopes with a lease.
        killed_at: When the process is killed: it sends and receives nothing any more; None never.
        restarts: Whether the first bot has a journal, and the program starts again after it was killed.
    """

    scopes: int = 0
    leased: float = 0.0
    killed_at: float | None = None
    restarts: bool = False

    @classmethod
    def of(cls, seed: int, *, by_control: bool, broken: str | None = None) -> Self:
        """Draw the settings of a seed. Both ways get the same ones."""
        base = super().of(seed, by_control=by_control, broken=broken)
        rng = sources(seed, "scopes")
        killed_at = rng.uniform(1.0, base.chaos) if rng.random() < _KILLED else None
        is_cut_off = rng.random() < _CUT_OFF and killed_at is None
        return attrs.evolve(
            base,
            cut_off=base.cut_off if is_cut_off else None,
            between_calls=rng.choice((0.02, 0.1, 0.4)),
            scopes=rng.choice((2, 3, 4, 6)),
            leased=1.0 if killed_at is not None else rng.choice((0.0, 0.2, 0.6)),
            killed_at=killed_at,
            restarts=killed_at is not None and rng.random() < 0.5,
        )


def lease_of(rng: random.Random, settings: ScopeSettings) -> float | None:
    """Draw the lease of a scope."""
    return rng.choice((2.0, 4.0, rng.uniform(2.0, 30.0))) if rng.random() < settings.leased else None
