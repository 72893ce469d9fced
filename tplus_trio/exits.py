"""A replacement for ``contextlib.AsyncExitStack`` that does not keep exceptions alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["PlainExitStack"]

T = TypeVar("T")

_Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], Awaitable[object]]


class PlainExitStack:
    """Exits its context managers, the latest first, as ``contextlib.AsyncExitStack`` does.

    It never suppresses an exception, whatever an ``__aexit__`` returns. A frame of ``AsyncExitStack`` refers to the
    exception that passes through it, and the traceback of the exception refers to that frame. This cycle keeps alive
    everything that the other frames of the traceback refer to, until the garbage collector runs.
    """

    def __init__(self) -> None:
        self._exits: list[_Exit] = []

    async def enter_async_context(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context manager, which the stack exits, and return the value of its ``__aenter__``."""
        entered = await context.__aenter__()
        self._exits.append(context.__aexit__)
        return entered

    def push_async_callback(self, callback: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Register an async function that is called, with the arguments, when the stack is left."""

        async def leave(*_: object) -> None:
            await callback(*args)

        self._exits.append(leave)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The context managers limit the time of their own cleanup.
        if not self._exits:
            return
        leave = self._exits.pop()
        try:
            await leave(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
        except BaseException as failure:
            await self.__aexit__(type(failure), failure, failure.__traceback__)  # noqa: ASYNC102 - see above
            raise
        await self.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
