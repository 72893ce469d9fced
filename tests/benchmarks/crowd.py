"""Many live books in one process over TCP, while their server goes away: ``python -m tests.benchmarks.crowd``.

The exchange runs in a process of its own, and its markets change all the time. It closes its port for some seconds, or,
with ``--nginx``, nginx stands in front of it and is reloaded and killed. Each time, all books must be live again within
20 seconds; at the end, each book must equal the exchange's.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from tplus_trio import LiveBook, MarketDataClient
from tplus_trio.testing import Exchange, serve

#: Seconds.
PATIENCE: Final = 20.0
AWAY: Final = 5.0
_FIRST_MARKET: Final = 200
_NGINX: Final = """
daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid; worker_processes 2;
worker_shutdown_timeout 1s;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  upstream exchange {{ server 127.0.0.1:{server}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://exchange; proxy_http_version 1.1; proxy_read_timeout 60s;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


# The exchange, in its own process. A line of its input is a command; a line of its output says that it was executed.


async def run_exchange(books: int, rate: float) -> None:
    """Serve until the input ends: a number closes the port for that many seconds, ``quiet`` stops the changes."""
    exchange, rng = Exchange(), random.Random(1)
    for market in range(_FIRST_MARKET, _FIRST_MARKET + books):
        exchange.add_market(market)
    is_quiet = False

    async def change() -> None:
        while not is_quiet:
            await trio.sleep(rng.expovariate(rate))
            market = _FIRST_MARKET + rng.randrange(books)
            exchange.publish_diff(market, bids=[(rng.randrange(1, 90), rng.randrange(9))])

    port = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        while True:
            async with serve(exchange, port=port) as url:
                port = int(url.rpartition(":")[2])
                print(url, flush=True)
                while (order := (await trio.to_thread.run_sync(sys.stdin.readline)).strip()) == "quiet":
                    is_quiet = True
                    print("quiet", flush=True)
            if not order:
                break
            await trio.sleep(float(order))
        nursery.cancel_scope.cancel()


class ExchangeProcess:
    """The exchange's process."""

    def __init__(self, books: int, rate: float) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.crowd",
            "--books",
            str(books),
            "--rate",
            str(rate),
            "--exchange",
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def order(self, text: str) -> None:
        """Send a command, and wait until it was executed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        self._line()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Nginx:
    """nginx in front of the exchange."""

    def __init__(self, folder: Path, server: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self._config = folder / "nginx.conf"
        self._config.write_text(_NGINX.format(folder=folder, server=server.rpartition(":")[2], port=port))
        self.url = f"http://127.0.0.1:{port}"
        self.start()

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(["nginx", "-c", str(self._config)], start_new_session=True)

    def reload(self) -> None:
        """Reload nginx: new workers start; the old ones drop their WebSockets after a second."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Kill it and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


# The client.


@asynccontextmanager
async def crowd(md: MarketDataClient, count: int) -> AsyncGenerator[list[LiveBook]]:
    """Open many live books."""
    books: list[LiveBook] = []

    async def keep(market: int) -> None:
        async with md.open_book(market) as book:
            books.append(book)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for market in range(_FIRST_MARKET, _FIRST_MARKET + count):
            nursery.start_soon(keep, market)
        yield books
        nursery.cancel_scope.cancel()


async def all_live(books: list[LiveBook], count: int) -> float | None:
    """Wait until all books are live; return the seconds that it took, or None if it took too long."""
    began = trio.current_time()
    with trio.move_on_after(PATIENCE):
        while sum(book.is_synced for book in books) < count:  # noqa: ASYNC110 - looking now and then costs little
            await trio.sleep(0.02)
        return trio.current_time() - began
    return None


async def wrong_books(md: MarketDataClient, books: list[LiveBook]) -> int:
    """Count the books that differ from the exchange's, while nothing changes."""
    await trio.sleep(1)
    return sum([book.snapshot() != await md.get_orderbook_snapshot(book.asset_id) for book in books])


async def run(count: int, times: int, url: str, upset: Callable[[], object], exchange: ExchangeProcess) -> bool:
    """Open the books and cause the failures; return whether all books recovered."""
    is_right = True
    began, cpu = trio.current_time(), time.process_time()
    async with MarketDataClient(url) as md, crowd(md, count) as books:
        took = await all_live(books, count)
        spent = 1000 * (time.process_time() - cpu) / count
        if took is None:
            print(f"{sum(book.is_synced for book in books)} of {count} books live after {PATIENCE:g} s")
            return False
        print(f"{count} books live after {trio.current_time() - began:.1f} s, {spent:.2f} ms of CPU each", flush=True)
        for turn in range(times):
            cpu = time.process_time()
            await trio.to_thread.run_sync(upset)
            await trio.sleep(0.2)  # until the loss was noticed
            took = await all_live(books, count)
            spent = 1000 * (time.process_time() - cpu) / count
            how = f"not all live after {PATIENCE:g} s" if took is None else f"all live after {took:.1f} s"
            print(f"{turn + 1}: {how}, {spent:.2f} ms of CPU each", flush=True)
            is_right = is_right and took is not None
            began = trio.current_time()
            await md.get_orderbook_snapshot(_FIRST_MARKET)
            print(f"   a call took {1000 * (trio.current_time() - began):.0f} ms", flush=True)
        await trio.to_thread.run_sync(exchange.order, "quiet")
        wrong = await wrong_books(md, books)
        print(f"{wrong} books wrong")
        return is_right and not wrong


def upsets_of(nginx: Nginx) -> Callable[[], None]:
    """Reload nginx, kill it and start it again, in turn."""
    turn = 0

    def upset() -> None:
        nonlocal turn
        turn += 1
        if turn % 2:
            nginx.reload()
            time.sleep(2)  # the old workers and their WebSockets have ended by then
            return
        nginx.kill()
        time.sleep(1)  # in its own thread
        nginx.start()

    return upset


def main() -> int:
    """Run the command line; return 1 if a book is wrong, 2 if nginx is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.crowd", description=__doc__)
    parser.add_argument("--books", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--times", type=int, default=10, help="how often things go wrong (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=500.0, help="changes a second, in all (default: %(default)s)")
    parser.add_argument("--nginx", action="store_true", help="with nginx in front, reloaded and killed")
    parser.add_argument("--exchange", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if options.exchange:
        trio.run(run_exchange, options.books, options.rate)
        return 0
    if options.nginx and shutil.which("nginx") is None:
        print("nginx is not installed: nothing was tested", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        exchange = ExchangeProcess(options.books, options.rate)
        stack.callback(exchange.close)
        url = exchange.url
        upset: Callable[[], object] = partial(exchange.order, str(AWAY))
        if options.nginx:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            nginx = Nginx(folder, exchange.url)
            stack.callback(nginx.kill)
            url, upset = nginx.url, upsets_of(nginx)
            time.sleep(1)
        return not trio.run(run, options.books, options.times, url, upset, exchange)


if __name__ == "__main__":
    sys.exit(main())
