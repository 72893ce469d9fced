"""Contexts that tasks live in, from which an exception comes out as it went in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVarTuple, Unpack, cast

import trio

__all__ = ["ProtectedNursery", "Scoped", "ServiceTasks", "open_plain_nursery", "open_service_tasks", "protected"]

Ts = TypeVarTuple("Ts")

#: Decorates what must not be left half-done by Ctrl-C: the interrupt comes at the main task's next checkpoint.
protected: Final = trio.lowlevel.enable_ki_protection


@protected
async def _run_protected(async_fn: Callable[..., Awaitable[Any]], *args: Any, **status: Any) -> None:
    await async_fn(*args, **status)


class ProtectedNursery:
    """A nursery whose tasks Ctrl-C does not strike: it interrupts the program's main task instead.

    A task of ours that was struck would end, and its stream with it, while the program learns of that only.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        #: The nursery that the tasks live in.
        self.nursery: trio.Nursery = nursery

    @property
    def cancel_scope(self) -> trio.CancelScope:
        """Around all of the tasks, and the block."""
        return self.nursery.cancel_scope

    def start_soon(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Start a task, as trio's nursery does."""
        self.nursery.start_soon(partial(_run_protected, async_fn, *args), name=async_fn)

    async def start(self, async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task and wait until it says that it has started, as trio's nursery does."""
        await self.nursery.start(partial(_run_protected, async_fn), *args, name=async_fn)


class ServiceTasks:
    """Tasks that serve a block, and whose service ends when the block was left.

    If the block is cancelled from outside, they go on until its cleanup is through: a shielded cleanup can use them.
    """

    def __init__(self, nursery: ProtectedNursery) -> None:
        #: The nursery that the tasks live in.
        self.nursery: trio.Nursery = nursery.nursery
        self._nursery = nursery
        self._scopes: set[trio.CancelScope] = set()
        self._is_over = False

    def start_soon(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Start a task. If it raises, the block is cancelled, and the exception comes out of it."""
        self._nursery.start_soon(self._run, async_fn, *args)

    async def start(self, async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task and wait until it says that it has started, as trio's nursery does."""
        await self._nursery.start(self._run, async_fn, *args)

    async def _run(self, async_fn: Callable[..., Awaitable[object]], *args: object, **status: Any) -> None:
        # Nothing is awaited before this, so that a cancellation from outside is never seen.
        with trio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            if self._is_over:
                scope.cancel()
            try:
                await async_fn(*args, **status)
            finally:
                self._scopes.discard(scope)

    def cancel(self) -> None:
        """End the service."""
        self._is_over = True
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
@protected
async def open_plain_nursery() -> AsyncGenerator[ProtectedNursery]:
    """Open a nursery for tasks that belong to the body, and end with it.

    When the body is left, however, the tasks are cancelled. What the body raises leaves unchanged, where a plain
    nursery would wrap it in an ``ExceptionGroup``. What a task raises, which none is meant to, comes out in a group. A
    ``KeyboardInterrupt`` comes out alone, from wherever it came.
    """
    failure: BaseException | None = None
    try:
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            try:
                yield ProtectedNursery(nursery)
            except BaseException as exc:
                failure = exc
                raise
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        others = _besides(failure, group)
        interrupt = next((exc for exc in _leaves(others) if isinstance(exc, KeyboardInterrupt)), None)
        if interrupt is not None:
            failure = interrupt
        elif failure is None or _is_hidden(failure, others):
            raise
    else:
        return
    try:
        raise failure
    finally:
        # Its traceback leads to this frame: a frame that held it would keep all that its other frames hold (a loop
        # over a stream, say) until the garbage is collected.
        failure = interrupt = others = None


@asynccontextmanager
@protected
async def open_service_tasks() -> AsyncGenerator[ServiceTasks]:
    """Open a place for tasks that serve the body, until it was left. Exceptions come out as of `open_plain_nursery`."""
    async with open_plain_nursery() as nursery:
        services = ServiceTasks(nursery)
        try:
            yield services
        finally:
            services.cancel()


def _besides(
    failure: BaseException | None, group: BaseExceptionGroup[BaseException]
) -> BaseExceptionGroup[BaseException] | None:
    """What came out beside the failure of the body, cancellations left out."""
    said = {id(exc) for exc in _leaves(failure)}
    return group.split(lambda exc: id(exc) in said or isinstance(exc, trio.Cancelled))[1]


def _is_hidden(failure: BaseException, others: BaseExceptionGroup[BaseException] | None) -> bool:
    """Whether others are lost if the failure of the body comes out alone, and must not be.

    A body that was cancelled because a task failed has nothing to say of its own; and whatever it says, an exit of the
    program is never hidden.
    """
    if others is None:
        return False
    return all(isinstance(exc, trio.Cancelled) for exc in _leaves(failure)) or not isinstance(others, Exception)


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

    @protected
    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        if self._entered is not None:
            msg = f"this {type(self).__name__} has been entered already"
            raise RuntimeError(msg)
        self._entered = self._scope()
        await self._entered.__aenter__()
        return self

    @protected
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            # What is inside bounds its own cleanup.
            await self._entered.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
