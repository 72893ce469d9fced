"""Sending of text messages over a WebSocket: one after the other, each whole or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from tplus_trio.errors import ConnectionFailed

__all__ = ["Outbox"]


@attrs.define(eq=False)
class _Message:
    #: A message may hold a signature.
    text: str = attrs.field(repr=False)
    #: Set when the message was sent, or failed.
    done: trio.Event = attrs.field(factory=trio.Event)
    failure: ConnectionFailed | None = None


class Outbox:
    """Writes messages in a task of its own, so that a sender that is cancelled leaves no frame half-written.

    Args:
        write: Writes one message. It raises `ConnectionFailed` if it cannot.
        ended: Makes the error for messages that are sent when the connection has ended.
    """

    def __init__(self, write: Callable[[str], Awaitable[None]], ended: Callable[[], ConnectionFailed]) -> None:
        self._write = write
        self._ended = ended
        self._offered, self._accepted = trio.open_memory_channel[_Message](0)

    async def send(self, text: str) -> None:
        """Send a message, and wait until the stream below has taken all of its bytes.

        Senders take turns in the order of their calls. A sender that is cancelled before its turn has sent nothing; one
        that is cancelled later leaves its message to be sent whole.

        Raises:
            ConnectionFailed: the connection ended. ``nothing_sent`` says whether no byte of the message can have left.
        """
        message = _Message(text)
        try:
            await self._offered.send(message)
        except trio.BrokenResourceError:
            failure = self._ended()
            failure.nothing_sent = True
            raise failure from None
        await message.done.wait()
        if message.failure is not None:
            try:
                raise message.failure
            finally:
                message.failure = None  # it refers to this frame, which refers to the message

    async def run(self) -> None:
        """Write messages until the connection ends or this task is cancelled. Senders then get an error."""
        with self._accepted:
            async for message in self._accepted:
                try:
                    await self._write(message.text)
                except ConnectionFailed as exc:
                    message.failure = exc
                    return
                except BaseException:
                    message.failure = self._ended()
                    raise
                finally:
                    message.done.set()
