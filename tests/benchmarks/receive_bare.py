"""A receiver that is nothing but trio: one task reads a socket, another one takes what it read from a memory channel.

It decodes nothing. What a client adds to it is the client's own cost at a rate at which each message comes alone.
"""

from __future__ import annotations

import base64
import os

import trio

from .job import Job, Meter, tell


async def _latency(job: Job) -> None:
    """Take as many pieces as there are messages."""
    stream = await trio.open_tcp_stream("127.0.0.1", job.port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
    await stream.send_all(f"{head}Sec-WebSocket-Version: 13\r\n\r\n".encode())
    received = b""
    while b"sequence_number" not in received:
        received += await stream.receive_some()
    send, receive = trio.open_memory_channel[bytes](1024)

    async def read() -> None:
        while True:
            await send.send(await stream.receive_some(65536))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        meter = Meter(job)
        meter.start()
        left = job.messages
        async for piece in receive:
            left -= piece.count(b"sequence_number")
            if left <= 0:
                break
        tell(**meter.figures(job.messages))
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)


if __name__ == "__main__":
    trio.run(_latency, Job.from_command_line())
