"""A stack of contexts to leave, that does not keep an exception alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["PlainExitStack"]

T = TypeVar("T")

_Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], Awaitable[bool | None]]


class PlainExitStack:
    """Leaves what was entered on it, the latest first, as ``contextlib.AsyncExitStack`` does.

    That one's frame holds the exception that passes through it, whose traceback holds the frame: a cycle, which keeps
    all that the other frames of the traceback hold until the garbage is collected.
    """

    def __init__(self) -> None:
        self._exits: list[_Exit] = []

    async def enter_async_context(self, context: AbstractAsyncContextManager[T, bool | None]) -> T:
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
    ) -> bool:
        pending = exc_value
        try:
            while self._exits:
                leave = self._exits.pop()
                try:
                    if await leave(None if pending is None else type(pending), pending, _traceback_of(pending)):
                        pending = None
                except BaseException as failure:  # noqa: BLE001 - it goes on through the rest, and is raised at the end
                    pending = failure
            if pending is not None and pending is not exc_value:
                raise pending
            return pending is None and exc_value is not None
        finally:
            pending = exc_value = None  # see above


def _traceback_of(exception: BaseException | None) -> TracebackType | None:
    return None if exception is None else exception.__traceback__
