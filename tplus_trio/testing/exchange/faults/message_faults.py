"""Faults of feed messages: garbage, bad fields, odd frames, raw bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tplus_trio.arguments import check_count, check_instance
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults, feed_path, path_prefix
from tplus_trio.testing.exchange.faults.spoiled_rows import Spoiling, checked_spoiling, spoil
from tplus_trio.testing.wire_frames import WireBytes, fragmented

__all__ = ["MessageFaults"]

GARBAGE: Final = '{"sequence_number": \x07 nonsense'


class MessageFaults(FaultGroup):
    """Faults of single messages and frames; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._fragments: PendingFaults[int] = self._pending("fragment")
        self._garbled: PendingFaults[bytes] = self._pending("garble")
        self._messages: PendingFaults[Spoiling] = self._pending("spoil_messages")

    def send_text(self, path: str, text: str) -> None:
        """Send a text message to every subscriber of one feed.

        Args:
            path: The feed's whole path, such as ``/marketdepth/diff/200``.
            text: The message.

        Raises:
            TypeError: An argument is not a string.
            ValueError: ``path`` does not begin with ``/``.
        """
        self._targets.hub.publish(feed_path(path), check_instance("text", text, str).encode())

    def send_garbage(self, path: str) -> None:
        """Send a text message that is not JSON to every subscriber of one feed.

        Args:
            path: The feed's whole path, such as ``/marketdepth/diff/200``.

        Raises:
            TypeError: ``path`` is not a string.
            ValueError: ``path`` does not begin with ``/``.
        """
        self.send_text(path, GARBAGE)

    def garble(self, path: str, n: int = 1, text: str = GARBAGE, *, seconds: float | None = None) -> None:
        """Send ``text`` in place of the next ``n`` messages on paths that begin with ``path``.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            n: The number of messages, 0 or more.
            text: The replacement.
            seconds: Replace every message for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._garbled.add("garble", path_prefix(path), n, check_instance("text", text, str).encode(), seconds)

    def send_wire(self, path: str, data: bytes) -> None:
        """Write raw bytes, between two frames, into the connection of every subscriber of one feed.

        ``tplus_trio.testing.wire_frames`` makes frames to send, legal or not.

        Args:
            path: The feed's whole path, such as ``/marketdepth/diff/200``.
            data: The bytes.

        Raises:
            TypeError: ``path`` is not a string.
            ValueError: ``path`` does not begin with ``/``.
        """
        self._targets.hub.publish(feed_path(path), WireBytes(data))

    def send_fragmented(self, path: str, text: str, pieces: int = 3) -> None:
        """Send a text message in ``pieces`` frames, with pings between them, to every subscriber of one feed.

        Args:
            path: The feed's whole path, such as ``/marketdepth/diff/200``.
            text: The message.
            pieces: The number of frames, 1 or more.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``path`` does not begin with ``/``, or ``pieces`` is less than 1.
        """
        self._targets.hub.publish(feed_path(path), fragmented(text.encode(), check_count("pieces", pieces)))

    def fragment(self, path: str, n: int = 1, pieces: int = 3, *, seconds: float | None = None) -> None:
        """Send the next ``n`` messages on paths that begin with ``path`` in ``pieces`` frames, with pings between them.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            n: The number of messages, 0 or more.
            pieces: The number of frames of each message, 1 or more.
            seconds: Fragment every message for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._fragments.add("fragment", path_prefix(path), n, check_count("pieces", pieces), seconds)

    def spoil_messages(
        self,
        path: str = "",
        n: int = 1,
        *,
        change: Mapping[str, Any] | None = None,
        missing: Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        """Make the row of each of the next ``n`` messages on paths that begin with ``path`` bad.

        In a message with several rows this is the first row; in an order event it is the object inside the variant.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            n: The number of messages, 0 or more.
            change: Fields and their new values, ``{"status": "Settled"}`` or ``{"price": None}``.
            missing: The names of fields to leave out.
            seconds: Spoil every message for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``change`` and ``missing`` are both empty, or a number is out of range.
        """
        self._messages.add("spoil_messages", path_prefix(path), n, checked_spoiling(change, missing), seconds)

    # Called by the exchange

    def on_message(self, path: str, message: bytes) -> bytes:
        """Return the message to send in place of one message on ``path``, with its row spoiled if that is pending."""
        spoiling = self._messages.take(path)
        return message if spoiling is None else spoil(message, spoiling)

    def apply_faults(self, path: str, message: bytes) -> bytes:
        """Return a message as it is sent on ``path``: unchanged, spoiled, fragmented, or replaced by garbage."""
        garbage = self._garbled.take(path)
        message = self.on_message(path, message) if garbage is None else garbage
        pieces = self._fragments.take(path)
        return message if pieces is None else fragmented(message, pieces)
