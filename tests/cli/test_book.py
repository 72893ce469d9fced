"""``book`` and ``snapshot``: what they print, on a terminal and without one, and how they end."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.commands import PATIENCE, end, finished, line, read_lines, started
from tplus_trio import AssetIdentifier, MarketDataClient
from tplus_trio.cli import book as books
from tplus_trio.cli import main
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.services import Services
from tplus_trio.testing import Exchange, MemoryNetwork

CLI = ("-m", "tplus_trio")
MARKET = AssetIdentifier(200)


class Printed(Lines):
    """Keeps the lines, each with its time."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[float, str]] = []

    async def put_styled(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self.lines.append((trio.current_time(), line))

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]


@pytest.fixture
def printed(network: MemoryNetwork, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Where commands print; they connect in memory."""
    exchange.publish_diff(200, bids=[("9.5", 20), ("9.4", 1)], asks=[("10.5", 20)])

    def client(services: Services) -> MarketDataClient:
        return services.market_data(connector=network)

    monkeypatch.setattr(books, "_client", client)
    return Printed()


watch = partial(
    books.watch_book,
    asset=MARKET,
    services=Services("http://exchange"),
    levels=None,
    plain=True,
    seconds=None,
    count=None,
)


async def test_lines_come_at_a_bounded_rate(exchange: Exchange, printed: Printed, autojump_clock: MockClock) -> None:
    async def change() -> None:
        for i in range(2_000):
            exchange.publish_diff(200, bids=[("9.5", i + 1)])
            await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await watch(printed, seconds=10)
        nursery.cancel_scope.cancel()
    assert 15 <= len(printed.lines) <= 23
    assert "LIVE  #" in printed.texts[-1]
    assert f"bid 9.5 x {exchange.book(200).bids[0].quantity}" in printed.texts[-1] or "bid 9.5 x" in printed.texts[-1]


async def test_a_book_that_does_not_change_is_printed_once(printed: Printed, autojump_clock: MockClock) -> None:
    await watch(printed, seconds=60)
    assert [text.split("  ")[2] for text in printed.texts] == ["CONNECTING", "LIVE"]


async def test_so_many_lines(exchange: Exchange, printed: Printed, autojump_clock: MockClock) -> None:
    async def change() -> None:
        for i in range(200):
            exchange.publish_diff(200, bids=[("9.5", i + 1)])
            await trio.sleep(0.2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await watch(printed, count=5)
        nursery.cancel_scope.cancel()
    assert len(printed.lines) == 5


async def test_a_loss_is_printed_at_once(
    exchange: Exchange, network: MemoryNetwork, printed: Printed, autojump_clock: MockClock
) -> None:
    """Also one that is over before the next line is due."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(watch, printed))
        await trio.sleep(5.1)
        exchange.faults.lose_diffs(200)
        exchange.publish_diff(200, bids=[("9.5", 1)])
        exchange.publish_diff(200, bids=[("9.5", 2)])
        began = trio.current_time()
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    words = [text.split("  ")[2] for text in printed.texts]
    assert words == ["CONNECTING", "LIVE", "LOST", "LIVE"]
    when, text = printed.lines[2]
    assert when - began < 0.01
    assert text.endswith("LOST  sequence number 1003 came after 1001")
    assert "#1003" in printed.texts[3]


async def test_losses_in_a_row_are_bounded(
    exchange: Exchange, network: MemoryNetwork, printed: Printed, autojump_clock: MockClock
) -> None:
    async def flap() -> None:
        while True:
            exchange.faults.lose_diffs(200)
            exchange.publish_diff(200, bids=[("9.5", 1)])
            exchange.publish_diff(200, bids=[("9.5", 2)])
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flap)
        await watch(printed, seconds=5)
        nursery.cancel_scope.cancel()
    assert 10 < len(printed.lines) <= 5 * (10 + 10) + 5


# In a process of its own.


@pytest.fixture(scope="module")
def exchange_url() -> Iterator[str]:
    with started(*CLI, "exchange", "--port", "0") as process:
        yield line(process)


def test_without_a_terminal_it_prints_lines(exchange_url: str) -> None:
    ended = finished(*CLI, "book", "200", "--url", exchange_url, "--count", "3")
    assert (ended.status, ended.err) == (0, "")
    rows = ended.out.splitlines()
    assert len(rows) == 3
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  book 200  LIVE  #\d+  bid [\d.]+ x [\d.]+  ask .*", rows[-1])


def test_for_a_time(exchange_url: str) -> None:
    began = time.monotonic()
    ended = finished(*CLI, "book", "200", "--url", exchange_url, "--for", "300ms")
    assert ended.status == 0
    assert time.monotonic() - began < 10


def test_a_snapshot(exchange_url: str) -> None:
    ended = finished(*CLI, "snapshot", "200", "--url", exchange_url, "--levels", "2")
    assert (ended.status, ended.err) == (0, "")
    first, heading, *rows = ended.out.splitlines()
    assert re.match(r"market 200  #\d+  bids \d+  asks \d+  spread ", first)
    assert heading.split() == ["total", "quantity", "price", "asks"]
    assert len(rows) == 5
    assert "spread" in rows[2]


def test_a_snapshot_as_json(exchange_url: str) -> None:
    ended = finished(*CLI, "snapshot", "200", "--url", exchange_url, "--json", "--levels", "3")
    book = json.loads(ended.out)
    assert sorted(book) == ["asks", "bids", "kind", "sequence_number"]
    assert book["kind"] == "OrderBook"
    assert (len(book["bids"]), len(book["asks"])) == (3, 3)


def test_a_closed_output_ends_quietly(exchange_url: str) -> None:
    with started(*CLI, "book", "200", "--url", exchange_url) as process:
        read_lines(process, 2)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(exchange_url: str, signum: signal.Signals) -> None:
    with started(*CLI, "book", "200", "--url", exchange_url) as process:
        read_lines(process, 2)
        ended = end(process, signum)
    assert (ended.status, ended.err) == (130, "")
    assert ended.seconds < 1


def read_until(master: int, text: bytes) -> bytes:
    shown, deadline = b"", time.monotonic() + PATIENCE
    while text not in shown:
        ready, _, _ = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, shown[-500:]
        shown += os.read(master, 65536)
    return shown


@pytest.mark.parametrize("arguments", [("book", "200"), ("demo", "--seconds", "60")], ids=["book", "demo"])
def test_on_a_terminal(exchange_url: str, arguments: tuple[str, ...]) -> None:
    """Ctrl-C leaves the terminal as it was."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    url = ("--url", exchange_url) if arguments[0] == "book" else ()
    environment = {**os.environ, "TERM": "xterm"}
    command = [sys.executable, *CLI, *arguments, *url]
    try:
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
            try:
                shown = read_until(master, b"spread")
                assert b"\x1b[?1049h" in shown
                assert b"LIVE" in shown
                process.send_signal(signal.SIGINT)
                shown = read_until(master, b"\x1b[?1049l")
                assert process.wait(PATIENCE) == 130
            finally:
                process.kill()
        os.close(slave)
        slave = -1
        with suppress(OSError):
            shown += os.read(master, 65536)
        assert shown.endswith(b"\x1b[?25h\x1b[?1049l")
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("book", "Missing argument 'ASSET'"),
        ("book ETH", "an asset is a registry index"),
        ("book 200 --levels 0", "0 is not in the range"),
        ("book 200 --count 0", "0 is not in the range"),
        ("book 200 --for 0", "'0' is not a time such as 30s"),
        ("book 200 --for 5d", "'5d' is not a time such as 30s"),
        ("book 200 --for nan", "'nan' is not a time such as 30s"),
        ("snapshot", "Missing argument 'ASSET'"),
    ],
)
def test_what_is_not_understood(capfd: pytest.CaptureFixture[str], arguments: str, reason: str) -> None:
    assert main(arguments.split()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert reason in err


@pytest.mark.parametrize("command", ["book", "snapshot"])
def test_failures_are_one_line(capfd: pytest.CaptureFixture[str], exchange_url: str, command: str) -> None:
    for arguments, reason in (
        (["200", "--url", "localhost:8011"], "--url: "),
        (["999", "--url", exchange_url], "999"),
        (["200", "--url", "http://127.0.0.1:1"], "could not connect to 127.0.0.1:1"),
    ):
        assert main([command, *arguments]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("tplus-trio: ")
        assert err.count("\n") == 1
        assert reason in err


@pytest.mark.parametrize(
    ("text", "seconds"), [("3", 3.0), ("3s", 3.0), ("250ms", 0.25), ("1.5m", 90.0), ("2h", 7200.0)]
)
def test_times(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    given: list[object] = []

    async def watch_book(_: Lines, **settings: object) -> int:
        await trio.lowlevel.checkpoint()
        given.append(settings["seconds"])
        return 0

    monkeypatch.setattr(books, "watch_book", watch_book)
    assert main(["book", "200", "--for", text]) == 0
    assert given == [seconds]
