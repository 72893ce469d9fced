"""Serves a live book as a page on the loopback address, with starlette and hypercorn."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType] - of its types for WSGI
from hypercorn.typing import ASGIFramework
from plotly.offline import get_plotlyjs
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tplus_trio.scopes import open_service_tasks

__all__ = ["make_app", "open_server"]

_HOST: Final = "127.0.0.1"
#: The names under which browsers reach the server. Another name in ``Host`` would be that of a foreign site which has
#: pointed its name at this machine to read the page (DNS rebinding).
_NAMES: Final = [_HOST, "localhost"]
#: Seconds for which a state is served again before a new one is made, however many pages ask.
_FRESH: Final = 0.05
#: Seconds that answers under way get when the server ends.
_GRACE: Final = 1.0
#: Seconds that hypercorn gets to end in order, before it is cancelled.
_PATIENCE: Final = 2.0
#: Milliseconds after which a connection is given up whose browser takes no bytes: else it would delay the end.
_STALLED: Final = 1500

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Newest:
    """The newest state of the page, as bytes."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._made: tuple[float, bytes] | None = None

    def get(self) -> bytes:
        now = trio.current_time()
        if self._made is None or now - self._made[0] >= _FRESH:
            self._made = (now, self._make())
        return self._made[1]


def make_app(make_state: Callable[[], bytes]) -> ASGIApp:
    """Make the application: the page at ``/``, its chart library, and its newest state at ``/state``.

    The page asks for the next state once it has shown the last one. So a slow browser skips states, and none waits.

    Args:
        make_state: Returns what the page shows now, as JSON.
    """
    newest = _Newest(make_state)
    page = files("tplus_trio.cli.web").joinpath("page.html").read_text(encoding="utf-8")
    policy = _content_security_policy(page)

    async def show_page(_: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(page, headers={**_HEADERS, "Content-Security-Policy": policy}, media_type="text/html")

    async def show_state(_: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(newest.get(), headers=_HEADERS, media_type="application/json")

    async def show_plotly(_: Request) -> Response:
        script: str = await trio.to_thread.run_sync(get_plotlyjs)
        return Response(script, headers={**_HEADERS, "Cache-Control": "max-age=3600"}, media_type="text/javascript")

    routes = [Route("/", show_page), Route("/state", show_state), Route("/plotly.js", show_plotly)]
    return Starlette(
        routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_NAMES, www_redirect=False)]
    )


def _content_security_policy(page: str) -> str:
    """Allow the script and the style of the page, the chart library, and requests to this server; nothing else."""

    def allowed(tag: str) -> str:
        texts: list[str] = [*re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL), ""]
        hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{text}'" for text in hashes)

    # The empty text is that of the style element which plotly inserts, and to which it adds rules afterwards. The style
    # of its maps is kept back: the page has no map.

    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' {allowed('script')}",
            f"style-src {allowed('style')}",
            "img-src data:",  # the page's icon
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as exc:
        raise OSError(exc.errno, os.strerror(exc.errno or 0)) from None  # it repeats the address
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED)
    return listener


@asynccontextmanager
async def open_server(app: ASGIApp, port: int) -> AsyncGenerator[str]:
    """Serve an application on the loopback address during a block.

    When the block is left, answers under way get a second to end.

    Args:
        app: The application.
        port: The port; 0 takes a free one.

    Yields:
        The URL.

    Raises:
        OSError: The port is in use or not allowed.
    """
    listener = _listen(port)
    url = f"http://{_HOST}:{listener.getsockname()[1]}"
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = _GRACE
    config.include_server_header = False
    framework = cast("ASGIFramework", app)  # the two packages name the same messages by different types
    stop, ended = trio.Event(), trio.Event()

    async def run() -> None:
        try:
            await serve(framework, config, shutdown_trigger=stop.wait, mode="asgi")
        finally:
            ended.set()

    async with open_service_tasks() as tasks:
        tasks.start_soon(run)  # browsers can connect already: the socket listens
        try:
            yield url
        finally:
            stop.set()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _PATIENCE):
                await ended.wait()
