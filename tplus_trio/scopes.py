"""Context managers that run tasks for a block and raise the exception of the block unchanged, not in a group."""

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

#: Decorates functions that Ctrl-C must not interrupt halfway: trio raises the `KeyboardInterrupt` at the next
#: checkpoint of the main task instead.
protected: Final = trio.lowlevel.enable_ki_protection


@protected
async def _run_protected(async_fn: Callable[..., Awaitable[Any]], *args: Any, **status: Any) -> None:
    await async_fn(*args, **status)


class ProtectedNursery:
    """A nursery whose tasks Ctrl-C does not interrupt; it interrupts the main task of the program instead.

    An interrupt in a task of the library would end that task and its stream, and the program would see only that.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        #: The nursery in which the tasks run.
        self.nursery: trio.Nursery = nursery

    @property
    def cancel_scope(self) -> trio.CancelScope:
        """The cancel scope around all of the tasks and the block."""
        return self.nursery.cancel_scope

    def start_soon(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Start a task, as `trio.Nursery.start_soon` does."""
        self.nursery.start_soon(partial(_run_protected, async_fn, *args), name=async_fn)

    async def start(self, async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task and wait until it calls ``task_status.started()``, as `trio.Nursery.start` does."""
        await self.nursery.start(partial(_run_protected, async_fn), *args, name=async_fn)


class ServiceTasks:
    """Tasks that serve a block, and that are cancelled once the block has been left.

    If the block is cancelled from outside, the tasks run on until the cleanup of the block has finished. A shielded
    cleanup can therefore use them.
    """

    def __init__(self, nursery: ProtectedNursery) -> None:
        #: The nursery in which the tasks run.
        self.nursery: trio.Nursery = nursery.nursery
        self._nursery = nursery
        self._scopes: set[trio.CancelScope] = set()
        self._is_over = False

    def start_soon(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Start a task. If the task raises, the block is cancelled and then raises the exception."""
        self._nursery.start_soon(self._run, async_fn, *args)

    async def start(self, async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task and wait until it calls ``task_status.started()``, as `trio.Nursery.start` does."""
        await self._nursery.start(self._run, async_fn, *args)

    async def _run(self, async_fn: Callable[..., Awaitable[object]], *args: object, **status: Any) -> None:
        # There is no checkpoint before the shield, so a cancellation from outside never reaches the task.
        with trio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            if self._is_over:
                scope.cancel()
            try:
                await async_fn(*args, **status)
            finally:
                self._scopes.discard(scope)

    def cancel(self) -> None:
        """Cancel all tasks, and every task that is started later."""
        self._is_over = True
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
@protected
async def open_plain_nursery() -> AsyncGenerator[ProtectedNursery]:
    """Open a nursery whose tasks end with the body.

    The tasks are cancelled when the body is left, in whatever way. An exception of the body is raised unchanged; a
    plain nursery would wrap it in an ``ExceptionGroup``. An exception of a task, which is a defect, is raised in a
    group. A ``KeyboardInterrupt`` is raised alone, whether the body or a task raised it.
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
        # The traceback refers to this frame. If the frame kept a reference to the exception, that cycle would keep
        # alive everything that the other frames refer to (such as a loop over a stream) until a garbage collection.
        failure = interrupt = others = None


@asynccontextmanager
@protected
async def open_service_tasks() -> AsyncGenerator[ServiceTasks]:
    """Open a `ServiceTasks` for the body and cancel its tasks once the body has been left.

    Exceptions are raised as by `open_plain_nursery`.
    """
    async with open_plain_nursery() as nursery:
        services = ServiceTasks(nursery)
        try:
            yield services
        finally:
            services.cancel()


def _besides(
    failure: BaseException | None, group: BaseExceptionGroup[BaseException]
) -> BaseExceptionGroup[BaseException] | None:
    """Return the exceptions of the group other than the failure of the body, without cancellations."""
    own = {id(exc) for exc in _leaves(failure)}
    return group.split(lambda exc: id(exc) in own or isinstance(exc, trio.Cancelled))[1]


def _is_hidden(failure: BaseException, others: BaseExceptionGroup[BaseException] | None) -> bool:
    """Return whether raising the failure of the body alone would hide other exceptions that must be raised.

    This is so in two cases: the body was only cancelled, because a task failed; or the other exceptions include one
    that is not an `Exception`, such as `SystemExit`, which must never be hidden.
    """
    if others is None:
        return False
    return all(isinstance(exc, trio.Cancelled) for exc in _leaves(failure)) or not isinstance(others, Exception)


def _leaves(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield the exceptions in a group at every depth. The groups themselves have no identity: trio rebuilds them."""
    if isinstance(exc, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", exc).exceptions:
            yield from _leaves(part)
    elif exc is not None:
        yield exc


class Scoped(ABC):
    """An asynchronous context manager that a subclass implements as one generator: ``_scope``.

    An instance can be entered once.
    """

    _entered: AbstractAsyncContextManager[None] | None = None

    @abstractmethod
    def _scope(self) -> AbstractAsyncContextManager[None]:
        """Return the context manager that ``async with`` on the instance enters."""

    @protected
    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        if self._entered is not None:
            msg = f"this {type(self).__name__} has been entered already; create another one"
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
            # `_scope` limits the time of its own cleanup.
            await self._entered.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
