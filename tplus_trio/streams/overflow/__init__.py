"""What a stream's buffer does when it is full: one file for each rule, chosen by its name.

A new rule is a subclass of `OverflowRule` in a file here, its name in `Overflow` (``base.py``), its class in `_RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, get_args

from tplus_trio.arguments import check_count
from tplus_trio.streams.overflow.base import Overflow, OverflowOptions, OverflowRule
from tplus_trio.streams.overflow.block import Block
from tplus_trio.streams.overflow.conflate import Conflate, ConflateWaiting, conflate_by
from tplus_trio.streams.overflow.drop_oldest import DropOldest
from tplus_trio.streams.overflow.error import RaiseError

__all__ = ["Conflate", "Overflow", "OverflowRule", "check_overflow", "conflate_by", "make_rule"]

T = TypeVar("T")

_RULES: Final[dict[Overflow, type[OverflowRule[Any]]]] = {
    rule.name: rule for rule in (Block, DropOldest, RaiseError, ConflateWaiting)
}


def check_overflow(overflow: str, buffer: int, *, can_conflate: bool) -> None:
    """Check a stream's overflow rule and the size of its buffer.

    Args:
        overflow: The rule's name.
        buffer: Items, at least 1.
        can_conflate: Whether the feed's items can be merged.

    Raises:
        TypeError: ``buffer`` is not a whole number.
        ValueError: the rule is unknown or this feed cannot follow it, or the size is less than 1.
    """
    legal = [name for name in get_args(Overflow) if can_conflate or name != "conflate"]
    if overflow not in legal:
        msg = f"overflow is one of {', '.join(legal)} for this feed, not {overflow!r}"
        raise ValueError(msg)
    check_count("buffer", buffer)


def make_rule(
    overflow: Overflow,
    size: int,
    *,
    conflate: Conflate[T] | None = None,
    finish: Callable[[T], T] | None = None,
    mark_drops: Callable[[Sequence[T], bool], T] | None = None,
    is_snapshot: Callable[[T], bool] | None = None,
    on_overflow: Callable[[int], object] | None = None,
) -> OverflowRule[T]:
    """Make the rule for one buffer.

    Args:
        overflow: The rule's name.
        size: Items that may wait.
        conflate: How waiting items are merged. ``"conflate"`` needs it, and ``"drop_oldest"`` with ``is_snapshot``.
        finish: Makes a merged item what the consumer takes; None if it is that already.
        mark_drops: Makes the item that stands in place of dropped ones. ``"drop_oldest"`` needs it. Its arguments are
            the dropped items, and whether the items after them are useless without them.
        is_snapshot: Says which items can be used without the items before them; None if all can.
        on_overflow: Called with a number of items when the consumer begins to be too slow.
    """
    options = OverflowOptions(
        size, conflate=conflate, finish=finish, mark_drops=mark_drops, is_snapshot=is_snapshot, on_overflow=on_overflow
    )
    return _RULES[overflow](options)
