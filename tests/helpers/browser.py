"""Drives a headless Chromium by its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from tests.helpers.commands import PATIENCE

__all__ = ["CHROMIUM", "Page", "open_browser"]

#: The program; None if it is not installed.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"),
)


class Page:
    """The one tab of a browser."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        #: What the page logged, and what broke in it.
        self.problems: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        number = next(self._numbers)
        await self._connection.send_message(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(await self._connection.get_message())
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            if message["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.problems.append(json.dumps(message["params"]))

    async def open(self, url: str, width: int, height: int, *, dark: bool = False) -> None:
        """Load a page into a window of this size, in CSS pixels."""
        await self.call("Runtime.enable")
        await self.call("Log.enable")
        await self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)

    async def resize(self, width: int, height: int) -> None:
        """Change the size of the window."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def get(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        with trio.move_on_after(PATIENCE):
            while not await self.get(f"Boolean({expression})"):  # noqa: ASYNC110 - the protocol has no such event
                await trio.sleep(0.05)
            return
        text = await self.get("document.body.innerText")
        raise AssertionError(f"{expression} did not become true; the page says {text!r}; {self.problems}")

    async def screenshot(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def open_browser() -> AsyncGenerator[Page]:
    """Run a browser with a profile of its own."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            async with open_websocket_url(await _find_tab(profile), max_message_size=2**26) as connection:
                yield Page(connection)
        finally:
            with trio.CancelScope(shield=True):
                process.terminate()
                await process.wait()


async def _find_tab(profile: str) -> str:
    """Return the address of the tab's DevTools."""
    ready = trio.Path(profile) / "DevToolsActivePort"
    with trio.fail_after(PATIENCE):
        while not await ready.exists() or not (text := await ready.read_text()):  # noqa: ASYNC110 - as above
            await trio.sleep(0.05)
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                tabs = (await client.get(f"http://127.0.0.1:{text.split()[0]}/json/list")).json()
                for tab in tabs:
                    if tab["type"] == "page":
                        url: str = tab["webSocketDebuggerUrl"]
                        return url
                await trio.sleep(0.05)
