"""Faults of depth sequence numbers: diffs that are lost, repeated, reordered or numbered differently."""

from __future__ import annotations

from functools import partial

import attrs

from tplus_trio.arguments import check_count
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets

__all__ = ["SequenceFaults"]


@attrs.define
class _Numbering:
    """The pending faults of one market's next diffs."""

    step: int = 1
    skip: int = 0
    lose: int = 0
    repeat: int = 0
    swap: bool = False
    #: The diff that :meth:`SequenceFaults.swap_diffs` holds back; it follows the next one.
    held: bytes | None = None


class SequenceFaults(FaultGroup):
    """Faults of a market's diffs and their numbers; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._numbering: dict[str, _Numbering] = {}
        self._on_clear("lose_diffs", partial(self._reset, "lose", 0))
        self._on_clear("skip_sequence", partial(self._reset, "skip", 0))
        self._on_clear("repeat_diffs", partial(self._reset, "repeat", 0))
        self._on_clear("swap_diffs", partial(self._reset, "swap", False))

    def lose_diffs(self, asset: str | int, n: int = 1) -> None:
        """Drop the next ``n`` diffs of a market; the book still changes and their sequence numbers are used.

        Args:
            asset: The market.
            n: The number of diffs, 0 or more; added to those still pending.

        Raises:
            TypeError: ``n`` is not an integer.
            ValueError: The market is not listed, or ``n`` is negative.
        """
        self._of(asset).lose += check_count("n", n, least=0)

    def skip_sequence(self, asset: str | int, n: int = 1) -> None:
        """Leave out ``n`` sequence numbers before the next diff of a market, although no diff is missing.

        Args:
            asset: The market.
            n: The number of sequence numbers, 0 or more; added to those still pending.

        Raises:
            TypeError: ``n`` is not an integer.
            ValueError: The market is not listed, or ``n`` is negative.
        """
        self._of(asset).skip += check_count("n", n, least=0)

    def repeat_diffs(self, asset: str | int, n: int = 1) -> None:
        """Send each of the next ``n`` diffs of a market twice.

        Args:
            asset: The market.
            n: The number of diffs, 0 or more; added to those still pending.

        Raises:
            TypeError: ``n`` is not an integer.
            ValueError: The market is not listed, or ``n`` is negative.
        """
        self._of(asset).repeat += check_count("n", n, least=0)

    def swap_diffs(self, asset: str | int) -> None:
        """Send the next two diffs of a market in reverse order.

        Raises:
            ValueError: The market is not listed.
        """
        self._of(asset).swap = True

    def restart_sequence(self, asset: str | int) -> None:
        """Start the sequence over, as a restarted service does: the market's next diff has number 1.

        Raises:
            ValueError: The market is not listed.
        """
        self._targets.depth_of(asset).sequence_number = 0

    def number_by(self, asset: str | int, step: int) -> None:
        """Increase a market's sequence number by ``step`` for each diff from now on.

        Args:
            asset: The market.
            step: The difference between consecutive numbers, 1 or more.

        Raises:
            TypeError: ``step`` is not an integer.
            ValueError: The market is not listed, or ``step`` is less than 1.
        """
        self._of(asset).step = check_count("step", step)

    # Called by the exchange

    def next_number(self, asset: str, current: int) -> int:
        """Return the sequence number of a market's next diff; ``current`` is the last one."""
        numbering = self._numbering.get(asset)
        if numbering is None:
            return current + 1
        number = current + numbering.skip + numbering.step
        numbering.skip = 0
        return number

    def on_diff(self, asset: str, message: bytes) -> list[bytes]:
        """Return the messages to send in place of one diff, in order."""
        numbering = self._numbering.get(asset)
        if numbering is None:
            return [message]
        if numbering.lose:
            numbering.lose -= 1
            return []
        if numbering.swap:
            numbering.swap, numbering.held = False, message
            return []
        messages = [message]
        if numbering.held is not None:
            messages.append(numbering.held)
            numbering.held = None
        if numbering.repeat:
            numbering.repeat -= 1
            messages.append(message)
        return messages

    def _of(self, asset: str | int) -> _Numbering:
        return self._numbering.setdefault(self._targets.listed(asset), _Numbering())

    def _reset(self, name: str, value: int) -> None:
        """Set one field of every market back; a diff that is held back still follows the next one."""
        for numbering in self._numbering.values():
            setattr(numbering, name, value)
