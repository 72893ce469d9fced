"""Users of the client reconnect, resynchronise and cancel at bad moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from .consumers import Reader

if TYPE_CHECKING:
    from .faults import Fault, Injector

__all__ = ["USER_FAULTS"]

#: The number of scheduler steps within which a message reaches its consumer.
_STEPS: Final = 40


def reconnect_ordered(injector: Injector) -> None:
    """Call `reconnect` of a stream."""
    injector.rng.choice(injector.readers).reconnect()


def resync_ordered(injector: Injector) -> None:
    """Call `resync` of some streams."""
    injector.resync_some()


async def consumer_interrupted(injector: Injector) -> bool:
    """Cancel a `receive`."""
    return await _interrupt(injector, Reader.interrupt)


async def consumer_cut_off(injector: Injector) -> bool:
    """Cancel a consumer and its stream."""
    return await _interrupt(injector, Reader.cut_off)


async def _interrupt(injector: Injector, how: Callable[[Reader], None]) -> bool:
    """Cancel a consumer up to three steps after a message arrived for it."""
    latency = injector.settings.latency
    if isinstance(latency, tuple):
        return False
    for _ in range(injector.rng.randrange(1, 6)):
        reader = injector.rng.choice(injector.readers)
        before = reader.stats.messages
        injector.traders.act(injector.draw_asset())
        await trio.sleep(latency)
        for _ in range(_STEPS):
            await trio.lowlevel.checkpoint()
            if reader.stats.messages != before:
                break
        for _ in range(injector.rng.randrange(4)):
            await trio.lowlevel.checkpoint()
        how(reader)
        await trio.sleep(0.1)
    return True


_FAULTS: Final[tuple[Fault, ...]] = (
    reconnect_ordered,
    resync_ordered,
    consumer_interrupted,
    consumer_cut_off,
)
USER_FAULTS: Final[dict[str, Fault]] = {fault.__name__.replace("_", " "): fault for fault in _FAULTS}
