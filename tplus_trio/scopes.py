"""Contexts that tasks live in, from which an exception comes out as it went in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self, cast

import trio

__all__ = ["Scoped", "open_plain_nursery"]


@asynccontextmanager
async def open_plain_nursery() -> AsyncGenerator[trio.Nursery]:
    """Open a nursery for tasks that serve the body, and end with it.

    When the body is left, however, the tasks are cancelled. What the body raises leaves unchanged, where a plain
    nursery would wrap it in an ``ExceptionGroup``. What a task raises, which none is meant to, comes out in a group.
    """
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as exc:
                failure = exc
                raise
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if failure is None or _hides(failure, group):
            raise
    else:
        return
    try:
        raise failure
    finally:
        # Its traceback leads to this frame: a frame that held it would keep all that its other frames hold (a loop
        # over a stream, say) until the garbage is collected.
        failure = None


def _hides(failure: BaseException, group: BaseExceptionGroup[BaseException]) -> bool:
    """Whether there is more in a group than the failure of the body that comes out with it.

    A body that was cancelled because a task failed has nothing to say of its own; and whatever it says, an interrupt is
    never hidden.
    """
    said = {id(exc): isinstance(exc, trio.Cancelled) for exc in _leaves(failure)}
    _, others = group.split(lambda exc: id(exc) in said or isinstance(exc, trio.Cancelled))
    return others is not None and (all(said.values()) or not isinstance(others, Exception))


def _leaves(exc: BaseException | None) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; trio takes groups apart and makes new ones."""
    if isinstance(exc, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", exc).exceptions:
            yield from _leaves(part)
    elif exc is not None:
        yield exc


class Scoped(ABC):
    """An asynchronous context manager whose inside is written as one generator: ``_scope``. It is entered once."""

    _entered: AbstractAsyncContextManager[None] | None = None

    @abstractmethod
    def _scope(self) -> AbstractAsyncContextManager[None]:
        """What the instance is the outside of."""

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        if self._entered is not None:
            msg = f"this {type(self).__name__} has been entered already"
            raise RuntimeError(msg)
        self._entered = self._scope()
        await self._entered.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            # What is inside bounds its own cleanup.
            await self._entered.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
