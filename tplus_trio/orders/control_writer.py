"""Writes the requests of a control channel: in the step of the call where the network takes them, else in a task."""

from __future__ import annotations

import trio

from tplus_trio.errors import ConnectionFailed
from tplus_trio.orders.control_frames import encode_control_request
from tplus_trio.orders.control_requests import ControlRequest, ControlRequests
from tplus_trio.transport.message_writer import MessageWriter

__all__ = ["ControlWriter"]


class ControlWriter:
    """Writes the requests of one channel, over one connection after the other.

    Args:
        requests: Decides which request is written next.
    """

    def __init__(self, requests: ControlRequests) -> None:
        self._requests = requests
        #: Where the task waits for a request.
        self._lot = trio.lowlevel.ParkingLot()
        #: The present connection; None without one.
        self._messages: MessageWriter | None = None
        #: Whether the task has a request that is not written to its end.
        self._is_writing = False
        #: Whether the service refused the token of this connection. Then no other request is written to it.
        self.is_refused: bool = False
        #: The number of the present connection; None without one.
        self.connection: int | None = None

    def wake(self) -> None:
        """Let the task look for a request that can be written, or for the end of the connection."""
        self._lot.unpark()

    def write_now(self) -> None:
        """Write the requests that can be written without a wait, and let the task write the others."""
        messages = self._messages
        if messages is not None and not self._is_writing and not self.is_refused:
            while (request := self._requests.take()) is not None:
                self._sent(request)
                if not messages.write_now(encode_control_request(request.request_id, request.request)):
                    self._requests.put_back(request)
                    break
                if messages.has_rest:
                    break
            else:
                return
        self._lot.unpark()

    def _sent(self, request: ControlRequest) -> None:
        """Note that the first byte of a request may leave now."""
        request.delivery.connection = self.connection
        request.delivery.sent()

    async def run(self, messages: MessageWriter, connection: int, reading: trio.CancelScope) -> None:
        """Write requests until the connection ends, or until no other may be written to it.

        Args:
            messages: Writes to the connection.
            connection: The number of the connection, from 1.
            reading: Cancelled when the service has refused the token, and the answers to all requests are here.
        """
        self._messages, self.connection, self.is_refused = messages, connection, False
        try:
            while not messages.is_over:
                if self.is_refused and not self._requests.in_flight:
                    reading.cancel()
                    return
                if not await self._write_one(messages):
                    await self._lot.park()
        except ConnectionFailed:
            pass  # the task that reads raises why the connection ended
        finally:
            self._messages = self.connection = None

    async def _write_one(self, messages: MessageWriter) -> bool:
        """Write a request, or the rest of one. Return False if there is none."""
        self._is_writing = True
        try:
            if messages.has_rest:
                await messages.flush()
                return True
            request = None if self.is_refused else self._requests.take()
            if request is None:
                return False
            self._sent(request)
            try:
                await messages.write(encode_control_request(request.request_id, request.request))
            except ConnectionFailed as exc:
                if exc.nothing_sent:
                    self._requests.put_back(request)
                raise
            return True
        finally:
            self._is_writing = False
