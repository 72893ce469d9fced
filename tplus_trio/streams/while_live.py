"""Blocks that run only while a stream is live, and are cancelled in the step in which it no longer is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

from tplus_trio.arguments import check_number
from tplus_trio.models import StreamLost
from tplus_trio.scopes import protected
from tplus_trio.streams.losses import LossWatchers
from tplus_trio.transport.silence import SilenceBound

__all__ = ["WhileLive", "check_silence"]

Loss = TypeVar("Loss", bound=StreamLost)


def check_silence(max_silence: float | None) -> float | None:
    """Check the argument of that name.

    Raises:
        TypeError: it is not a number.
        ValueError: it is not finite, or not more than 0.
    """
    return None if max_silence is None else check_number("max_silence", max_silence, more=True, finite=True)


class WhileLive(Generic[Loss]):
    """A block that runs while a stream is live, as `Stream.while_live` returns it. It is entered once.

    It consists of one cancel scope, without a nursery or a generator. What the body raises passes through it as through
    any scope of trio's: a group loses its `trio.Cancelled` of this scope and nothing else.

    Args:
        wait_live: Waits until the stream is live. No checkpoint may lie between that moment and its return.
        losses: Where the stream's losses are announced.
        silence: Returns where a limit on the silence of the connection of a live stream is set.
        max_silence: That limit in seconds; None sets none.
    """

    def __init__(
        self,
        wait_live: Callable[[], Awaitable[None]],
        losses: LossWatchers[Loss],
        silence: Callable[[], SilenceBound],
        max_silence: float | None,
    ) -> None:
        #: What ended the block; None while the stream has been live since the block was entered.
        self.lost: Loss | None = None
        self._wait_live = wait_live
        self._losses = losses
        self._find_silence = silence
        self._silence: SilenceBound | None = None
        self._max_silence = max_silence
        self._scope = trio.CancelScope()
        self._was_entered = False

    @protected
    async def __aenter__(self) -> Self:
        if self._was_entered:
            msg = f"this {type(self).__name__} has been entered already; ask for a new one"
            raise RuntimeError(msg)
        self._was_entered = True
        await self._wait_live()
        # No checkpoint from here on: either the wait sees a loss, or `_lose` is called with it.
        self._scope.__enter__()
        self._losses.add(self._lose)
        if self._max_silence is not None:
            self._silence = self._find_silence()
            self._silence.add(self._max_silence)
        return self

    @protected
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._losses.remove(self._lose)
        if self._max_silence is not None and self._silence is not None:
            self._silence.remove(self._max_silence)
        if exc_value is not None and self._repeats_loss(exc_value):
            self._scope.__exit__(None, None, None)
            return True
        return bool(self._scope.__exit__(exc_type, exc_value, traceback))

    def _lose(self, loss: Loss) -> None:
        if self.lost is None:
            self.lost = loss
            self._scope.cancel()

    def _repeats_loss(self, exc: BaseException) -> bool:  # noqa: ARG002 - for subclasses
        """Return whether an exception of the body says only what `lost` says."""
        return False
