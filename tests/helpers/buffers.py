"""Buffers for tests, and a function that takes items from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import trio

from tplus_trio.streams.buffer import Buffer
from tplus_trio.streams.overflow import Overflow, make_rule

__all__ = ["buffer_of", "put", "take"]

T = TypeVar("T")


def buffer_of(size: int, overflow: Overflow = "block", **options: Any) -> Buffer[Any]:
    """Make a buffer; ``options`` are those of `make_rule`."""
    return Buffer(make_rule(overflow, size, **options))


async def take(buffer: Buffer[T], n: int) -> list[T]:
    """Take ``n`` items; fail if they do not arrive."""
    with trio.fail_after(5):
        return [await anext(buffer) for _ in range(n)]


async def put(buffer: Buffer[T], items: Sequence[T]) -> None:
    """Add items, and wait for the consumer if the buffer is full and its rule is to wait, as a feed does."""
    buffer.put_nowait(items)
    if buffer.is_full:
        await buffer.wait_for_room()
