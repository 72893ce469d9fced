"""State that belongs to one ``trio.run``: in consecutive runs, and in concurrent runs in a thread each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import trio

from tplus_trio.observer import Observer
from tplus_trio.runs import RunLocal
from tplus_trio.secret import Redactor
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.http import Http, Request
from tplus_trio.transport.pacing import Pacer


def in_threads(count: int, run: Callable[[], None]) -> list[BaseException]:
    """Run a function in several threads at once; return the errors."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as exc:  # noqa: BLE001 - the caller looks at it
            raised.append(exc)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return raised


def test_runs_at_the_same_time_keep_their_values() -> None:
    local, barrier = RunLocal(object), threading.Barrier(2, timeout=30)

    async def main() -> None:
        first = local.get()
        for _ in range(50):
            barrier.wait()
            assert local.get() is first
            assert local.peek() is first
            await trio.lowlevel.checkpoint()

    assert in_threads(2, lambda: trio.run(main)) == []


def test_a_run_that_has_ended_leaves_its_value_until_the_next_asks() -> None:
    local, seen = RunLocal(object), list[object]()

    async def get() -> None:
        seen.append(local.get())

    async def peek() -> None:
        assert local.peek() is seen[-1]

    async def nothing_is_kept_twice() -> None:
        assert local.get() not in seen
        assert len(local._values) == 1

    trio.run(get)
    trio.run(peek)
    trio.run(get)
    assert seen[0] is not seen[1]
    trio.run(nothing_is_kept_twice)


def test_outside_of_a_run_there_is_no_value() -> None:
    with pytest.raises(RuntimeError):
        RunLocal(object).get()


class Answering(trio.abc.Stream):
    """A server's end inside the client's process: it answers each request when it is sent. Only one run may use it."""

    def __init__(self) -> None:
        self._run = trio.lowlevel.current_trio_token()
        self._answers = b""

    def is_readable(self) -> bool:
        return bool(self._answers)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._in_its_run()
        answers, self._answers = self._answers, b""
        return answers

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._in_its_run()
        if data:  # an empty send ends a request
            self._answers += b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    async def wait_send_all_might_not_block(self) -> None:
        await self._in_its_run()

    async def aclose(self) -> None:
        await self._in_its_run()

    async def _in_its_run(self) -> None:
        await trio.lowlevel.checkpoint()
        assert trio.lowlevel.current_trio_token() is self._run, "a stream of another run was used"


class Counting:
    def __init__(self) -> None:
        self.connects = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.connects += 1
        return Answering()


def test_rest_of_two_runs_at_the_same_time_shares_no_connection() -> None:
    """A client that was not entered is used in several threads: every run has a pool of its own, and keeps it."""
    connector, barrier = Counting(), threading.Barrier(2, timeout=30)
    http = Http(
        Endpoint.from_url("http://exchange"),
        connector,
        tls=None,
        timeout=30.0,
        max_body=1000,
        headers={},
        redactor=Redactor(),
        pacer=RunLocal(lambda: Pacer(lambda: 0.0)).get,
        observer=Observer(),
        now_ns=time.time_ns,
    )

    async def main() -> None:
        for _ in range(20):
            barrier.wait()
            assert (await http.send(Request("GET", "/"))).body == b"{}"

    assert in_threads(2, lambda: trio.run(main)) == []
    assert connector.connects == 2
