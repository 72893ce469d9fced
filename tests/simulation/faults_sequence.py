"""Snapshots that are late or old; sequence numbers that jump, repeat or start over.

If numbers rise by ten, a client cannot notice a lost change, so such markets lose none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .settings import MOST_REST_DELAY

if TYPE_CHECKING:
    from .faults import Fault, Injector

__all__ = ["SEQUENCE_FAULTS"]


def snapshot_delayed(injector: Injector) -> None:
    """Answer requests for snapshots late."""
    seconds = injector.rng.uniform(0.0, MOST_REST_DELAY)
    injector.faults.delay_requests("/marketdepth/", seconds, injector.draw_count())
    injector.resync_some()


def snapshot_stale(injector: Injector) -> bool:
    """Answer requests for snapshots with an old book."""
    if (asset := injector.draw_contiguous_asset()) is None:
        return False
    injector.faults.stale_snapshots(injector.draw_count(), injector.rng.randrange(1, 20), asset=asset)
    if injector.rng.random() < 0.5:
        # A late snapshot is older than the changes that wait for it.
        injector.faults.delay_requests(
            "/marketdepth/", injector.rng.uniform(0.0, MOST_REST_DELAY), injector.draw_count()
        )
    injector.resync_some()
    return True


def sequence_skipped(injector: Injector) -> None:
    """Skip sequence numbers; nothing is lost."""
    injector.faults.skip_sequence(injector.draw_asset(), injector.rng.choice((1, 1, 5, 2000)))


def sequence_repeated(injector: Injector) -> None:
    """Send changes again."""
    injector.faults.repeat_diffs(injector.draw_asset(), injector.rng.choice((1, 3, 10)))


def sequence_swapped(injector: Injector) -> bool:
    """Send two changes in the wrong order."""
    if (asset := injector.draw_contiguous_asset()) is None:
        return False
    injector.faults.swap_diffs(asset)
    return True


def sequence_lost(injector: Injector) -> bool:
    """Lose changes."""
    if (asset := injector.draw_contiguous_asset()) is None:
        return False
    injector.faults.lose_diffs(asset, injector.rng.choice((1, 1, 4)))
    return True


def sequence_restarted(injector: Injector) -> bool:
    """Let the numbers of a market start over."""
    asset = injector.draw_asset()
    if asset in injector.restarted_assets:
        return False  # its numbers are still low: a client takes a restart for repeats
    injector.restarted_assets.add(asset)
    injector.faults.restart_sequence(asset)
    injector.reference.restarted(asset)
    return True


def sequence_restarted_and_dropped(injector: Injector) -> bool:
    """Let the numbers of a market start over and end every connection."""
    if happened := sequence_restarted(injector):
        injector.network.reset_connections()
    return happened


_FAULTS: Final[tuple[Fault, ...]] = (
    snapshot_delayed,
    snapshot_stale,
    sequence_skipped,
    sequence_repeated,
    sequence_swapped,
    sequence_lost,
    sequence_restarted,
    sequence_restarted_and_dropped,
)
SEQUENCE_FAULTS: Final[dict[str, Fault]] = {fault.__name__.replace("_", " "): fault for fault in _FAULTS}
