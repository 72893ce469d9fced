"""A stack of contexts to leave, that does not keep an exception alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["PlainExitStack"]

T = TypeVar("T")

_Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], Awaitable[object]]


class PlainExitStack:
    """Leaves what was entered on it, the latest first, as ``contextlib.AsyncExitStack`` does. It swallows no exception.

    That one's frame holds the exception that passes through it, whose traceback holds the frame: a cycle, which keeps
    all that the other frames of the traceback hold until the garbage is collected.
    """

    def __init__(self) -> None:
        self._exits: list[_Exit] = []

    async def enter_async_context(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context, which is left with the stack; what it gives."""
        entered = await context.__aenter__()
        self._exits.append(context.__aexit__)
        return entered

    def push_async_callback(self, callback: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Have a function called when the stack is left."""

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
        # What is entered bounds its own cleanup.
        if not self._exits:
            return
        leave = self._exits.pop()
        try:
            await leave(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
        except BaseException as failure:
            await self.__aexit__(type(failure), failure, failure.__traceback__)  # noqa: ASYNC102 - see above
            raise
        await self.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - see above
