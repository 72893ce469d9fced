"""The server of the page: what it answers, to whom, and how it ends."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise

import httpx
import pytest
import trio

from tests.cli.web.pages import open_page
from tplus_trio.cli.failure import Failure
from tplus_trio.cli.web.server import make_app, open_server
from tplus_trio.testing import Exchange, MemoryNetwork


@asynccontextmanager
async def open_browser(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as browser:
        yield browser


@pytest.fixture
def network(exchange: Exchange, network: MemoryNetwork) -> MemoryNetwork:
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    return network


async def test_the_page(network: MemoryNetwork) -> None:
    async with open_page(network) as url, open_browser(url) as browser:
        page = await browser.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert not re.search(
            r"https?://|innerHTML|outerHTML|insertAdjacent|document\.write|eval|<[^>]+ style=", page.text
        )
        script = await browser.get("/plotly.js")
        assert script.status_code == 200
        assert "Plotly" in script.text
        assert (await browser.get("/other")).status_code == 404


async def test_the_policy_of_the_page(network: MemoryNetwork) -> None:
    async with open_page(network) as url, open_browser(url) as browser:
        headers = (await browser.get("/")).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.keys() == {
        *("default-src", "script-src", "style-src", "img-src", "connect-src"),
        *("base-uri", "form-action", "frame-ancestors"),
    }
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/", "/state", "/plotly.js"])
async def test_only_names_of_this_machine(network: MemoryNetwork, path: str) -> None:
    async with open_page(network) as url, open_browser(url) as browser:
        port = url.rpartition(":")[2]
        for host, status in (
            (f"localhost:{port}", 200),
            (f"127.0.0.1:{port}", 200),
            ("site.example", 400),
            (f"127.0.0.1.site.example:{port}", 400),
            ("localhost.site.example", 400),
            ("", 400),
        ):
            answer = await browser.get(path, headers={"host": host})
            assert answer.status_code == status, host


async def test_a_book_that_is_lost_and_found(exchange: Exchange, network: MemoryNetwork) -> None:
    async with open_page(network) as url, open_browser(url) as browser:

        async def word() -> str:
            state = (await browser.get("/state")).json()
            assert (state["book"] is None) == (state["word"] != "LIVE")
            shown: str = state["word"]
            return shown

        assert await word() == "LIVE"
        network.partition(1)
        with trio.fail_after(5):
            for expected in ("LOST", "LIVE"):
                while await word() != expected:  # noqa: ASYNC110 - a page asks again and again, too
                    await trio.sleep(0.05)


async def test_an_answer_is_the_newest_state(exchange: Exchange, network: MemoryNetwork) -> None:
    async with open_page(network) as url, open_browser(url) as browser:
        await browser.get("/state")
        for i in range(500):
            exchange.publish_diff(200, bids=[("9.5", i + 1)])
        await trio.sleep(0.2)
        answer = await browser.get("/state")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["book"]["bids"] == [["9.5", "500", "500", 1.0]]


async def test_many_pages_cost_as_much_as_one() -> None:
    made: list[float] = []

    def state() -> bytes:
        made.append(trio.current_time())
        return json.dumps(len(made)).encode()

    async with open_server(make_app(state), 0) as url, open_browser(url) as browser:
        for _ in range(40):
            await browser.get("/state")
        assert made == sorted(made)
        assert all(later - earlier >= 0.05 for earlier, later in pairwise(made))
        assert len(made) < 40


async def test_a_port_that_is_in_use(network: MemoryNetwork) -> None:
    async with open_page(network) as url:
        port = int(url.rpartition(":")[2])
        reason = f"cannot listen on 127.0.0.1:{port} (--port 0 takes a free one): Address already in use"
        with pytest.RaisesGroup(pytest.RaisesExc(Failure, match=re.escape(reason))):
            async with open_page(network, port):
                raise AssertionError


async def test_only_the_loopback_address_listens() -> None:
    async with open_server(make_app(bytes), 0) as url:
        name = url.removeprefix("http://").partition(":")[0]
        assert name == "127.0.0.1"


async def stalled(url: str) -> trio.SocketStream:
    """Ask for the largest answer and read none of it."""
    stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
    await stream.send_all(b"GET /plotly.js HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await trio.sleep(0.3)
    return stream


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_the_end_waits_for_no_browser(is_cancelled: bool) -> None:
    """Neither for an idle connection nor for one that reads nothing. No task and no socket is left."""
    with trio.CancelScope() as scope:
        async with open_server(make_app(lambda: b"{}"), 0) as url, open_browser(url) as browser:
            await browser.get("/state")
            slow = await stalled(url) if hasattr(socket, "TCP_USER_TIMEOUT") else None
            began = trio.current_time()
            if is_cancelled:
                scope.cancel()
    assert trio.current_time() - began < 5
    if slow is not None:
        await slow.aclose()
    with pytest.raises(OSError, match=r".*"):
        await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))


async def test_an_idle_browser_does_not_delay_the_end() -> None:
    async with open_server(make_app(lambda: b"{}"), 0) as url, open_browser(url) as browser:
        await browser.get("/state")
        began = trio.current_time()
    assert trio.current_time() - began < 0.8
